//! Names and ids that are a part of a path.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use super::problem::Problem;

/// The longest one that is looked for, in bytes.
const LIMIT: usize = 256;

/// One part of a path, as the router found it.
pub(super) type Segment = Result<Path<String>, PathRejection>;

/// Reads it; `what` is said of it in an error, such as `a name`.
pub(super) fn segment(what: &str, path: Segment) -> Result<String, Problem> {
    match path {
        Ok(Path(segment)) if segment.len() <= LIMIT => Ok(segment),
        Ok(_) => Err(Problem::invalid(format!("expected {what}, found more than {LIMIT} bytes"))),
        Err(error) => Err(Problem::invalid(format!("expected {what}, found: {error}"))),
    }
}
