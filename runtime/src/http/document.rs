//! `GET /openapi.json` and `GET /docs`: the document of the API, and a page that shows it.
//!
//! Neither needs a token: they hold what this program can do, which anybody can read in its source, and nothing of what
//! it is used for. Whoever writes a client, or looks for why a request was refused, should not need the key to the house.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::Value;

use super::gate::{self, Shared};
use super::openapi;
use super::openapi::text;
use super::routes::{JSON, Methods, Operation, Routes};

const PATH: &str = "/openapi.json";
const VIEWER: &str = "/docs";

/// The page: it loads nothing but the document, from where it came from itself.
const PAGE: &str = include_str!("viewer.html");
/// The page may run what is in it, and ask this node alone.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether a path is open to everybody.
pub(super) fn is_open(path: &str) -> bool {
    path == PATH || path == VIEWER
}

/// The description of the API, OpenAPI 3.1.
pub fn document() -> Value {
    openapi::document(&gate::routes().into_parts().1)
}

pub(super) fn routes() -> Routes {
    let of_document = Operation::new("document", "health", "This document").open().reply_in(
        200,
        "OpenAPI 3.1.",
        JSON,
        openapi::described,
    );
    let of_viewer = Operation::new("viewer", "health", "A page that shows this document").open().reply_in(
        200,
        "It works without a network.",
        "text/html",
        text,
    );
    Routes::new()
        .at(PATH, Methods::get(self::served, of_document))
        .at(VIEWER, Methods::get(self::viewer, of_viewer))
}

async fn served(State(shared): State<Arc<Shared>>) -> ([(HeaderName, &'static str); 1], axum::body::Bytes) {
    ([(CONTENT_TYPE, JSON)], shared.document.clone())
}

async fn viewer() -> ([(HeaderName, &'static str); 3], &'static str) {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE)
}
