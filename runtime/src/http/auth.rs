//! The bearer token of a request.

use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::problem::Problem;
use super::token::{TokenKeeper, Verdict};

/// Lets a request pass with the token of the node, or of one that it shares its store with.
pub(super) async fn check(keeper: &Arc<TokenKeeper>, headers: &HeaderMap) -> Result<(), Problem> {
    let found = match presented(headers) {
        Ok(token) => match keeper.verify(token).await {
            Verdict::Right => return Ok(()),
            Verdict::Wrong => "another token",
            Verdict::Busy => return Err(Problem::verifying_another()),
        },
        Err(found) => found,
    };
    Err(Problem::unauthorized(format!(
        "expected 'Authorization: Bearer TOKEN' with the token of this node, found {found}; the token is in the file \
         {} on the node's machine",
        keeper.file().display()
    )))
}

fn presented(headers: &HeaderMap) -> Result<&str, &'static str> {
    let value = headers.get(header::AUTHORIZATION).ok_or("no Authorization header")?;
    let text = value.to_str().map_err(|_| "an Authorization header that is not ASCII")?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err("an Authorization header of another scheme"),
    }
}
