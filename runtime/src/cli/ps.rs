//! `ps`: the list of instances, and what it is asked for.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{FAINT, PAUSED, of_status};
use super::table::{Cell, table};
use crate::instances::InstancePage;

/// List instances, newest first. All that is given has to hold.
#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Only instances of this status; several with commas between them.
    #[arg(long)]
    status: Option<String>,
    /// Only instances of this definition.
    #[arg(long)]
    definition: Option<String>,
    /// Only those that started at this time or later: RFC 3339, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    after: Option<String>,
    /// Only those that started before this time: RFC 3339, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<String>,
    /// Only those whose id has this in it.
    #[arg(long)]
    id: Option<String>,
    /// Only what was started, or run again, with this idempotency key.
    #[arg(long)]
    key: Option<String>,
    /// Only what this has started: api, "trigger NAME", or only the first word.
    #[arg(long, value_name = "WHO")]
    started_by: Option<String>,
    /// Only instances with an activity on this target.
    #[arg(long)]
    target: Option<String>,
    /// Only instances with this text in an error.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// The page after; a page that has one names it.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

/// A moment in the form of the API.
fn moment(text: &str) -> Result<String, String> {
    let Ok(ago) = humantime::parse_duration(text) else {
        // The node says what it expects.
        return Ok(text.to_owned());
    };
    let moment = SystemTime::now().checked_sub(ago).ok_or("expected a shorter time ago")?;
    Ok(humantime::format_rfc3339_millis(moment).to_string())
}

pub(super) async fn list(global: &Global, client: &Client, ps: Ps) -> Result<ExitCode, CliError> {
    let Ps { status, definition, after, before, id, key, started_by, target, error, limit, cursor, .. } = ps;
    let given = [
        ("status", status),
        ("definition", definition),
        ("started_after", after),
        ("started_before", before),
        ("id", id),
        ("key", key),
        ("started_by", started_by),
        ("target", target),
        ("error", error),
        ("limit", Some(limit.to_string())),
        ("cursor", cursor),
    ];
    let query: Vec<(&str, String)> =
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let list: InstancePage = client.query("/api/v1/instances", &query).await?;
    page::print(global, &list, |list| render_list(list, SystemTime::now()))
}

/// The page of `ps`.
pub fn render_list(list: &InstancePage, now: SystemTime) -> String {
    let rows = list.items.iter().map(|item| {
        let took = page::between(&item.started_at, item.ended_at.as_deref());
        [
            Cell::new(&item.id),
            Cell::new(&item.definition),
            Cell::styled(&item.status, of_status(&item.status)),
            Cell::new(page::age(&item.started_at, now)),
            Cell::styled(took.unwrap_or_default(), FAINT),
        ]
    });
    let mut text = match list.items.is_empty() {
        true if list.next.is_some() => String::new(),
        true => "no instances\n".to_owned(),
        false => table(["INSTANCE", "DEFINITION", "STATUS", "AGE", "TOOK"], rows),
    };
    if !list.unheard.is_empty() {
        let shards: Vec<String> = list.unheard.iter().map(u16::to_string).collect();
        let word = if shards.len() == 1 { "shard" } else { "shards" };
        text.push_str(&format!(
            "{PAUSED}{word} {} did not answer: what is new there is missing{PAUSED:#}\n",
            shards.join(", ")
        ));
    }
    if let Some(looked_at) = list.looked_at {
        text.push_str(&format!(
            "{PAUSED}looked at {looked_at} instances so far; there are older ones{PAUSED:#}\n"
        ));
    }
    if let Some(next) = &list.next {
        text.push_str(&format!("{FAINT}more: --cursor {next}{FAINT:#}\n"));
    }
    text
}
