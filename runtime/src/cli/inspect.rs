//! `inspect`, `tail` and `trace`: a look into one actor, into the logs, and along the way of an event.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{ACTIVE, BAD, FAINT, HEADING, of_status};
use crate::inspect::{ActorDetail, EntryPage, EntryView, Trace, TraceStep};

/// How long a node waits for something new while its log is followed.
const WAIT: &str = "20s";
/// Longer than a page of entries takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// Show one actor: its state, where it is, what it waits for, and its last entries.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The actor, such as process/…, trigger/…, router/3; or an instance, or the first 8 characters of it or more.
    pub(super) actor: String,
    #[command(flatten)]
    pub(super) folder: Folder,
}

/// Show the entries of the mailbox logs as they come.
#[derive(Debug, Args)]
#[command(after_help = "A log keeps only what is not in a checkpoint yet, which is a matter of seconds.")]
pub(super) struct Tail {
    /// Only of this actor, or instance.
    #[arg(long, value_name = "ACTOR")]
    pub(super) actor: Option<String>,
    /// Only of this shard.
    #[arg(long, value_name = "NUMBER")]
    pub(super) shard: Option<u16>,
    /// Only of kinds that begin with this, such as process or process.report.
    #[arg(long, value_name = "KIND")]
    pub(super) kind: Option<String>,
    /// Only those that contain this text.
    #[arg(long, value_name = "TEXT")]
    pub(super) text: Option<String>,
    /// Go on with what comes, until it is interrupted.
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Begin with so many that are there already.
    #[arg(short = 'n', long = "lines", value_name = "COUNT", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) lines: u16,
    #[command(flatten)]
    pub(super) folder: Folder,
}

/// Follow an event from its door to its last effect, or an actor.
#[derive(Debug, Args)]
pub(super) struct Follow {
    /// The id of an event; or an actor or instance, such as process/….
    #[arg(value_name = "EVENT|ACTOR")]
    pub(super) subject: String,
    /// The source of the event, where it is not remembered any more.
    #[arg(long, value_name = "SOURCE")]
    pub(super) source: Option<String>,
    /// What is named is an actor or an instance.
    #[arg(long, conflicts_with = "source")]
    pub(super) actor: bool,
    #[command(flatten)]
    pub(super) folder: Folder,
}

pub(super) async fn inspect(global: &Global, client: &Client, asked: Inspect) -> Result<ExitCode, CliError> {
    let mut segments = vec!["api", "v1", "actors"];
    segments.extend(asked.actor.split('/'));
    let actor: ActorDetail = client.get_at(&segments).await?;
    page::print(global, &actor, render_actor)
}

pub(super) async fn tail(global: &Global, client: &Client, asked: Tail) -> Result<ExitCode, CliError> {
    let client = client.patient(PATIENCE)?;
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(asked.actor.map(|actor| ("actor", actor)));
    query.extend(asked.shard.map(|shard| ("shard", shard.to_string())));
    query.extend(asked.kind.map(|kind| ("kind", kind)));
    query.extend(asked.text.map(|text| ("text", text)));
    let mut first = query.clone();
    first.push(("limit", asked.lines.to_string()));
    let mut shown: EntryPage = client.query("/api/v1/entries", &first).await?;
    if !asked.follow {
        return page::print(global, &shown.items, |items| render_entries(items));
    }
    loop {
        for entry in &shown.items {
            let line = match global.json {
                true => {
                    serde_json::to_string(entry).map_err(|error| CliError::Failed(error.to_string()))? + "\n"
                }
                false => render_entry(entry),
            };
            page::write_out(&line)?;
        }
        let mut next = query.clone();
        next.extend([("after", shown.next), ("wait", WAIT.to_owned()), ("limit", "1000".to_owned())]);
        shown = client.query("/api/v1/entries", &next).await?;
    }
}

pub(super) async fn trace(global: &Global, client: &Client, asked: Follow) -> Result<ExitCode, CliError> {
    let mut query = Vec::new();
    if asked.actor || crate::inspect::is_actor(&asked.subject) {
        query.push(("actor", asked.subject));
    } else {
        query.push(("event", asked.subject));
        query.extend(asked.source.map(|source| ("source", source)));
    }
    let trace: Trace = client.query("/api/v1/trace", &query).await?;
    page::print(global, &trace, render_trace)
}

/// The page of `inspect`.
pub fn render_actor(actor: &ActorDetail) -> String {
    let style = of_status(&actor.status);
    let mut page = format!("{HEADING}{}{HEADING:#}  {style}{}{style:#}\n", actor.actor, actor.status);
    let mut line = |name: &str, value: String| {
        page.push_str(&format!("  {FAINT}{name:<10}{FAINT:#} {value}\n"));
    };
    line("where", format!("shard {} at {}, epoch {}", actor.shard, actor.node, actor.epoch));
    let memory = if actor.live { "in memory" } else { "stored" };
    line("applied", format!("up to {}, lag {}, {memory}", actor.offset, actor.lag));
    if let Some(due) = &actor.due {
        line("due", due.clone());
    }
    for wait in &actor.waits_for {
        line("waits for", wait.clone());
    }
    if let Some(aside) = &actor.quarantined {
        let entry = aside.entry.as_ref().map_or_else(
            || "it cannot be loaded".to_owned(),
            |entry| format!("on {} at {}: {}", entry.kind, entry.offset, entry.summary),
        );
        line("aside", format!("{BAD}{}{BAD:#}, {entry}; {} entries wait", aside.reason, aside.held));
    }
    let state = serde_json::to_string_pretty(&actor.state).unwrap_or_default();
    page.push_str(&format!("\n{HEADING}state{HEADING:#}\n{state}\n"));
    page.push_str(&format!("\n{HEADING}entries that its log still has{HEADING:#}\n"));
    match actor.entries.is_empty() {
        true => page.push_str(&format!("{FAINT}none: all is in a checkpoint{FAINT:#}\n")),
        false => page.push_str(&render_entries(&actor.entries)),
    }
    page
}

/// The page of `tail`.
pub fn render_entries(entries: &[EntryView]) -> String {
    entries.iter().map(render_entry).collect()
}

fn render_entry(entry: &EntryView) -> String {
    let EntryView { shard, offset, at, actor, kind, summary, .. } = entry;
    let sequence = offset.split_once('-').map_or("", |(_, sequence)| sequence);
    format!(
        "{FAINT}{at}-{sequence} {shard:>3}{FAINT:#}  {HEADING}{actor}{HEADING:#}  {ACTIVE}{kind}{ACTIVE:#}  {summary}\n"
    )
}

/// The page of `trace`.
pub fn render_trace(trace: &Trace) -> String {
    let mut page = format!("{HEADING}{}{HEADING:#}\n", trace.subject);
    for (index, step) in trace.steps.iter().enumerate() {
        page.push_str(&format!(
            "{FAINT}{}{FAINT:#}{}\n",
            lines_before(&trace.steps, index),
            step_words(step)
        ));
    }
    for gap in &trace.gaps {
        page.push_str(&format!("{FAINT}gap: {gap}{FAINT:#}\n"));
    }
    page
}

fn step_words(step: &TraceStep) -> String {
    let TraceStep { at, actor, what, .. } = step;
    let status = step.status.as_ref().map_or_else(String::new, |status| {
        let style = of_status(status);
        format!("  {style}{status}{style:#}")
    });
    let took = step.took_ms.map_or_else(String::new, |took| {
        format!("  {FAINT}{}{FAINT:#}", page::duration(Duration::from_millis(took)))
    });
    let at = if at.is_empty() { "at an unknown time" } else { at };
    format!("{FAINT}{at}{FAINT:#}  {HEADING}{actor}{HEADING:#}  {what}{status}{took}")
}

/// The lines of the tree before a step.
fn lines_before(steps: &[TraceStep], index: usize) -> String {
    let Some(step) = steps.get(index) else { return String::new() };
    // Whether another step of a depth follows before the tree goes back up beyond it.
    let goes_on = |depth: usize| {
        let later = steps.iter().skip(index + 1).take_while(|later| later.depth >= depth);
        later.into_iter().any(|later| later.depth == depth)
    };
    let above = (0..step.depth).map(|depth| if goes_on(depth) { "│  " } else { "   " });
    let branch = if goes_on(step.depth) { "├─ " } else { "└─ " };
    above.chain([branch]).collect()
}
