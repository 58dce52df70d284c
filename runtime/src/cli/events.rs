//! `events`: what came in, and what it did.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::FAINT;
use super::table::{Cell, table};
use super::triggers::window_words;
use crate::triggers::{EventsSummary, RecentPage};

#[derive(Debug, Args)]
pub(super) struct Events {
    #[command(subcommand)]
    command: Option<EventsCommand>,
    #[command(flatten)]
    folder: Folder,
}

impl Events {
    /// The data folder, before or after the word that follows.
    pub(super) fn folder(&self) -> &Folder {
        match &self.command {
            Some(EventsCommand::Recent { folder, .. }) if folder.data.is_some() => folder,
            _ => &self.folder,
        }
    }
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// List the events that came last through the doors of the nodes, newest first, and what each did.
    Recent {
        /// Only events of this type.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        folder: Folder,
    },
}

pub(super) async fn run(global: &Global, client: &Client, asked: Events) -> Result<ExitCode, CliError> {
    match asked.command {
        None => {
            let summary: EventsSummary = client.get("/api/v1/events").await?;
            page::print(global, &summary, render_summary)
        }
        Some(EventsCommand::Recent { kind, limit, .. }) => {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(kind.map(|kind| ("type", kind)));
            let recent: RecentPage = client.query("/api/v1/events/recent", &query).await?;
            page::print(global, &recent, render_recent)
        }
    }
}

/// The page of `events`.
pub fn render_summary(summary: &EventsSummary) -> String {
    let EventsSummary { dedup, triggers } = summary;
    let mut page = String::new();
    let mut line =
        |name: &str, value: String| page.push_str(&format!("{FAINT}{name:<20}{FAINT:#} {value}\n"));
    line("came in", dedup.events.to_string());
    line("repetitions", format!("{} (the same source and id again, which does nothing)", dedup.repetitions));
    let (within, most) = (&dedup.within, dedup.most);
    line("recognised for", format!("{within}, and for the newest {most} events"));
    line("remembered now", dedup.remembered.to_string());
    line("event triggers", format!("{} watch, fired {}", triggers.events_monitored, triggers.events_fired));
    line("schedules", format!("{} watch, met {}", triggers.schedules_monitored, triggers.schedules_met));
    if !dedup.unheard.is_empty() {
        let shards: Vec<String> = dedup.unheard.iter().map(u16::to_string).collect();
        page.push_str(&format!(
            "shards {} did not answer: they are not in these numbers\n",
            shards.join(", ")
        ));
    }
    page
}

/// The page of `events recent`.
pub fn render_recent(recent: &RecentPage) -> String {
    let rows = recent.items.iter().map(|event| {
        [
            Cell::styled(&event.at, FAINT),
            Cell::new(&event.kind),
            Cell::new(&event.id),
            Cell::new(&event.source),
            Cell::new(&event.node),
            Cell::new(event.did.join("; ")),
        ]
    });
    let mut page = match recent.items.is_empty() {
        true => "no events\n".to_owned(),
        false => table(["CAME", "TYPE", "ID", "SOURCE", "NODE", "DID"], rows),
    };
    page.push_str(&window_words(&recent.window));
    page
}
