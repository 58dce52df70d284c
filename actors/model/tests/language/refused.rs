//! Wrong documents, and what is said about them, word by word.

#[path = "refused/call.rs"]
mod call;
#[path = "refused/document.rs"]
mod document;
#[path = "refused/error.rs"]
mod error;
#[path = "refused/event.rs"]
mod event;
#[path = "refused/expression.rs"]
mod expression;
#[path = "refused/target.rs"]
mod target;
#[path = "refused/task.rs"]
mod task;
#[path = "refused/text.rs"]
mod text;

use super::{lines, refuse};

/// The words for a whole document.
#[track_caller]
fn whole(source: &str, expected: &str) {
    assert_eq!(lines(&refuse(source)), expected);
}

/// The words for what follows a head, which is one line.
#[track_caller]
fn check(rest: &str, expected: &str) {
    let head = "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0.0' }\n";
    whole(&format!("{head}{rest}"), expected);
}
