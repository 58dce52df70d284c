//! `explain`: why something waits, or why it ended so.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{FAINT, HEADING, of_status};
use crate::explain::Explanation;

/// Tell why something waits, since when, and what will wake it; or why it ended as it did.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// An instance (the first 8 characters will do), INSTANCE#NUMBER for one of its activities, a trigger, adapter/NAME,
    /// target/NAME, or the id of another actor.
    pub(super) id: String,
    #[command(flatten)]
    pub(super) folder: Folder,
}

pub(super) async fn explain(global: &Global, client: &Client, asked: Explain) -> Result<ExitCode, CliError> {
    let mut id = String::new();
    for byte in asked.id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b':' => {
                id.push(char::from(byte))
            }
            other => id.push_str(&format!("%{other:02X}")),
        }
    }
    let explanation: Explanation = client.get(&format!("/api/v1/explain/{id}")).await?;
    page::print(global, &explanation, |explanation| render_explanation(explanation, SystemTime::now()))
}

/// The page of `explain`.
pub fn render_explanation(explanation: &Explanation, now: SystemTime) -> String {
    let style = of_status(&explanation.state);
    let mut lines = vec![
        format!("{HEADING}{}{HEADING:#}  {style}{}{style:#}", explanation.subject, explanation.state),
        format!("  {}", explanation.text),
    ];
    let mut fact = |name: &str, value: String| lines.push(format!("  {FAINT}{name:<8}{FAINT:#} {value}"));
    if let Some(since) = &explanation.since {
        fact("since", format!("{since} ({} ago)", page::age(since, now)));
    }
    if let Some(wakes) = &explanation.wakes {
        fact("wakes", wakes.clone());
    }
    for evidence in &explanation.evidence {
        fact("evidence", evidence.clone());
    }
    for order in &explanation.can_do {
        fact("can do", order.clone());
    }
    lines.push(String::new());
    lines.join("\n")
}
