//! `quarantine`: actors that were set aside because they failed on an entry, and what becomes of them.

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::style::{BAD, FAINT, GOOD, HEADING};
use super::table::{Cell, table};
use super::{input, page};
use crate::inspect::{QuarantineOrder, QuarantinedActor};

const PATH: &str = "/api/v1/quarantine";
/// What edits if nothing is said.
const EDITOR: &str = "vi";

#[derive(Debug, Args)]
pub(super) struct Quarantine {
    #[command(subcommand)]
    command: Option<QuarantineCommand>,
    #[command(flatten)]
    folder: Folder,
}

impl Quarantine {
    /// The data folder, before or after the word that follows.
    pub(super) fn folder(&self) -> &Folder {
        use QuarantineCommand as C;
        let inner = self.command.as_ref().map(|command| match command {
            C::List(folder)
            | C::Show { folder, .. }
            | C::Retry { folder, .. }
            | C::Skip { folder, .. }
            | C::Edit { folder, .. } => folder,
        });
        inner.filter(|folder| folder.data.is_some()).unwrap_or(&self.folder)
    }
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List all of them, at all nodes.
    List(Folder),
    /// Show one with the entry that it fails on.
    Show {
        /// The actor, such as process/…, or an instance.
        actor: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Apply the entry again, and then all that came later: what to do once the cause is removed.
    Retry {
        /// The actor, such as process/…, or an instance.
        actor: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Drop the entry, and apply all that came later.
    Skip {
        /// The actor, such as process/…, or an instance.
        actor: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Put another entry in its place, and apply that and all that came later.
    Edit {
        /// The actor, such as process/…, or an instance.
        actor: String,
        /// The body of the entry as JSON: a file, or - for standard input. Without it the editor of $VISUAL or $EDITOR is
        /// opened on what is there. What is masked as *** stays as it is.
        #[arg(long, value_name = "FILE")]
        body: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
}

pub(super) async fn run(global: &Global, client: &Client, asked: Quarantine) -> Result<ExitCode, CliError> {
    use QuarantineCommand as C;
    let all: Vec<QuarantinedActor> = client.get(PATH).await?;
    match asked.command {
        None | Some(C::List(_)) => page::print(global, &all, |all| render_quarantine(all, SystemTime::now())),
        Some(C::Show { actor, .. }) => {
            page::print(global, &find(all, &actor)?, |one| render_quarantined(one, SystemTime::now()))
        }
        Some(C::Retry { actor, .. }) => {
            order(global, client, find(all, &actor)?, &QuarantineOrder::Retry).await
        }
        Some(C::Skip { actor, .. }) => {
            order(global, client, find(all, &actor)?, &QuarantineOrder::Skip).await
        }
        Some(C::Edit { actor, body, .. }) => {
            let one = find(all, &actor)?;
            let body = match body {
                Some(path) => input::file("--body", &path)?,
                None => edit(&one)?,
            };
            order(global, client, one, &QuarantineOrder::Edit { body }).await
        }
    }
}

/// The one that is meant: by its id, or that of its instance, or the first characters of that.
fn find(all: Vec<QuarantinedActor>, name: &str) -> Result<QuarantinedActor, CliError> {
    let instance = |one: &QuarantinedActor| {
        one.actor
            .strip_prefix("process/")
            .is_some_and(|id| id == name || (name.len() >= 8 && id.starts_with(name)))
    };
    let mut found: Vec<QuarantinedActor> =
        all.into_iter().filter(|one| one.actor == name || instance(one)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(CliError::Refused(format!(
            "expected an actor in quarantine, found '{name}', which is not: see `impresario quarantine`"
        ))),
        (Some(_), false) => {
            Err(CliError::Usage(format!("several actors begin with '{name}': name the whole id")))
        }
    }
}

async fn order(
    global: &Global,
    client: &Client,
    one: QuarantinedActor,
    order: &QuarantineOrder,
) -> Result<ExitCode, CliError> {
    let mut segments = vec!["api", "v1", "quarantine"];
    segments.extend(one.actor.split('/'));
    // What was seen is what is decided about, whatever happens in between.
    let entry = one.entry.as_ref().map(|entry| entry.offset.clone());
    let query: Vec<(&str, &str)> = entry.iter().map(|entry| ("entry", entry.as_str())).collect();
    client.tell_at(&segments, &query, order).await?;
    let word = match order {
        QuarantineOrder::Retry => "taken back, with the entry",
        QuarantineOrder::Skip => "taken back, without the entry",
        QuarantineOrder::Edit { .. } => "taken back, with the edited entry",
    };
    let reply = serde_json::json!({ "actor": one.actor, "order": order });
    page::print(global, &reply, |_| format!("{GOOD}{word}{GOOD:#} {}\n", one.actor))
}

/// What an operator makes of an entry in an editor.
fn edit(one: &QuarantinedActor) -> Result<Value, CliError> {
    let Some(entry) = &one.entry else {
        return Err(CliError::Refused(format!(
            "{} fails on no entry that could be edited: {}",
            one.actor, one.reason
        )));
    };
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot have the entry edited: {error}"));
    let text =
        serde_json::to_string_pretty(&entry.body).map_err(|error| CliError::Failed(error.to_string()))?;
    let place = Draft::new().map_err(failed)?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).open(&place.file).map_err(failed)?;
    file.write_all(format!("{text}\n").as_bytes()).map_err(failed)?;
    drop(file);
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| {
        impresario_config::process_variables()
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    });
    let editor = editor.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| EDITOR.to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(EDITOR);
    let status = std::process::Command::new(program).args(words).arg(&place.file).status();
    let status = status.map_err(|error| {
        CliError::Failed(format!("cannot start the editor '{editor}': {error}; set EDITOR, or use --body"))
    })?;
    if !status.success() {
        return Err(CliError::Failed(format!(
            "the editor '{editor}' ended with {status}: nothing was changed"
        )));
    }
    let body: Value = input::file("the edited entry", &place.file.to_string_lossy())?;
    match body == entry.body {
        true => Err(CliError::Failed(
            "the entry was not changed, so nothing was done: use `retry` to have it applied again".to_owned(),
        )),
        false => Ok(body),
    }
}

/// A file for an editor, in a folder that only this user can enter; gone in the end.
struct Draft {
    folder: std::path::PathBuf,
    file: std::path::PathBuf,
}

impl Draft {
    fn new() -> std::io::Result<Draft> {
        use std::os::unix::fs::DirBuilderExt;
        let folder = std::env::temp_dir().join(format!("impresario-{}", uuid::Uuid::new_v4()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let file = folder.join("entry.json");
        Ok(Draft { folder, file })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // If it cannot be removed, it is still nobody else's to read.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The page of `quarantine`.
pub fn render_quarantine(all: &[QuarantinedActor], now: SystemTime) -> String {
    if all.is_empty() {
        return "nothing is in quarantine\n".to_owned();
    }
    let headings = ["ACTOR", "ENTRY", "HELD", "SINCE", "NODE", "REASON"];
    let rows = all.iter().map(|one| {
        let entry = one.entry.as_ref().map_or_else(|| "none".to_owned(), |entry| entry.kind.clone());
        [
            Cell::new(&one.actor),
            Cell::new(entry),
            Cell::new(one.held.to_string()),
            Cell::styled(format!("{} ago", page::age(&one.since, now)), FAINT),
            Cell::new(&one.node),
            Cell::styled(&one.reason, BAD),
        ]
    });
    table(headings, rows)
}

/// The page of `quarantine show`.
pub fn render_quarantined(one: &QuarantinedActor, now: SystemTime) -> String {
    let mut page = format!("{HEADING}{}{HEADING:#}  {BAD}quarantined{BAD:#}\n", one.actor);
    let mut line = |name: &str, value: String| {
        page.push_str(&format!("  {FAINT}{name:<8}{FAINT:#} {value}\n"));
    };
    line("reason", one.reason.clone());
    line("since", format!("{} ({} ago)", one.since, page::age(&one.since, now)));
    line("where", format!("shard {} at {}", one.shard, one.node));
    let dropped = if one.dropped > 0 { format!(", and {} were dropped", one.dropped) } else { String::new() };
    line("held", format!("{} entries that came later{dropped}", one.held));
    match &one.entry {
        None => line("entry", "none: it cannot be loaded".to_owned()),
        Some(entry) => {
            line("entry", format!("{} at {}: {}", entry.kind, entry.offset, entry.summary));
            let body = serde_json::to_string_pretty(&entry.body).unwrap_or_default();
            page.push_str(&format!("\n{body}\n"));
        }
    }
    page.push_str(&format!(
        "\n{FAINT}what to do: `impresario quarantine retry|skip|edit {}`{FAINT:#}\n",
        one.actor
    ));
    page
}
