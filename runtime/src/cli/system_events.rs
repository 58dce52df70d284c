//! `system-events`: what happened to the cluster.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{BAD, FAINT, PAUSED};
use super::table::{Cell, table};
use crate::system_events::{Severity, SystemEventPage};

/// List what happened to the cluster itself, newest first: nodes, shards, adapters, the store, settings.
#[derive(Debug, Args)]
pub(super) struct SystemEvents {
    /// This bad at least: info, warning or critical.
    #[arg(long, value_parser = ["info", "warning", "critical"])]
    pub(super) severity: Option<String>,
    /// Only of kinds that begin with this, such as `node` or `adapter.quarantined`.
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(super) limit: usize,
    /// The `next` of the page before.
    #[arg(long)]
    pub(super) cursor: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

pub(super) async fn list(
    global: &Global,
    client: &Client,
    asked: SystemEvents,
) -> Result<ExitCode, CliError> {
    let mut query = vec![("limit", asked.limit.to_string())];
    query.extend(asked.severity.map(|severity| ("severity", severity)));
    query.extend(asked.kind.map(|kind| ("kind", kind)));
    query.extend(asked.cursor.map(|cursor| ("cursor", cursor)));
    let events: SystemEventPage = client.query("/api/v1/system-events", &query).await?;
    page::print(global, &events, |events| render_system_events(events, SystemTime::now()))
}

/// The page of `system-events`.
pub fn render_system_events(events: &SystemEventPage, now: SystemTime) -> String {
    let rows = events.items.iter().map(|event| {
        let (word, style) = match event.severity {
            Severity::Info => ("info", anstyle::Style::new()),
            Severity::Warning => ("warning", PAUSED),
            Severity::Critical => ("critical", BAD),
        };
        [
            Cell::styled(format!("{} ago", page::age(&event.time, now)), FAINT),
            Cell::styled(word, style),
            Cell::new(&event.kind),
            Cell::new(&event.node),
            Cell::new(&event.message),
        ]
    });
    let mut text = table(["WHEN", "SEVERITY", "KIND", "NODE", "WHAT"], rows);
    if let Some(next) = &events.next {
        text.push_str(&format!("{FAINT}more: --cursor {next}{FAINT:#}\n"));
    }
    text
}
