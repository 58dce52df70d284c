//! `targets`, `target-types`, `groups` and `calendars`.

use std::path::Path;
use std::process::ExitCode;

use impresario_model::calendar::Days;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::args::{Global, InventoryCommand};
use super::client::Client;
use super::error::CliError;
use super::style::{FAINT, GOOD, HEADING, PAUSED};
use super::table::{Cell, table};
use super::{input, page};
use crate::inventory::{EntryKind, InventoryDocument, InventoryEntry};

/// A file beyond this is no inventory.
const FILE_LIMIT: u64 = 64 << 20;
/// Properties and schemas are cut to a line; `--json` has them whole.
const VALUE_LIMIT: usize = 100;

/// Does what was asked for; lists if nothing was.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    kind: EntryKind,
    command: Option<InventoryCommand>,
) -> Result<ExitCode, CliError> {
    match command.unwrap_or(InventoryCommand::List) {
        InventoryCommand::List => {
            page::print(global, &all(client, kind).await?, |entries| render_entries(kind, entries))
        }
        InventoryCommand::Show { name } => {
            let entry: InventoryEntry = client.get_at(&["api", "v1", kind.plural(), &name]).await?;
            page::print(global, &entry, render_entry)
        }
        InventoryCommand::Set { name, changes, spec } => {
            let before = async || {
                let known = all(client, kind).await?.into_iter().find(|entry| entry.name == name);
                Ok(known.map(|entry| entry.spec).unwrap_or_default())
            };
            let spec = changed(spec, &changes, before).await?;
            let entry = put(client, kind, &name, &spec).await?;
            page::print(global, &entry, |entry| format!("{GOOD}set{GOOD:#} {kind} {}\n", entry.name))
        }
        InventoryCommand::Remove { name } => {
            client.order(Method::DELETE, &["api", "v1", kind.plural(), &name]).await?;
            page::print(global, &json!({ "name": name, "removed": true }), |_| {
                format!("{GOOD}removed{GOOD:#} {kind} {name}\n")
            })
        }
        InventoryCommand::Import { file } => import(global, client, &file).await,
    }
}

async fn all(client: &Client, kind: EntryKind) -> Result<Vec<InventoryEntry>, CliError> {
    client.get(&format!("/api/v1/{}", kind.plural())).await
}

async fn put(client: &Client, kind: EntryKind, name: &str, spec: &Value) -> Result<InventoryEntry, CliError> {
    client.put(&["api", "v1", kind.plural(), name], spec).await
}

/// The description to put: the given one, or what it is now, with the changes.
pub(super) async fn changed(
    spec: Option<String>,
    changes: &[String],
    before: impl AsyncFnOnce() -> Result<Map<String, Value>, CliError>,
) -> Result<Value, CliError> {
    let mut spec = match spec {
        Some(text) => input::json("--spec", &text)?,
        None if changes.is_empty() => {
            return Err(CliError::Usage("expected MEMBER=VALUE or --spec, found neither".to_owned()));
        }
        None => Value::Object(before().await?),
    };
    for change in changes {
        let Some((member, value)) = change.split_once('=') else {
            return Err(CliError::Usage(format!("expected MEMBER=VALUE, found '{change}'")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        let place = match (member.split_once('.'), spec.as_object_mut()) {
            (_, None) => break,
            (None, Some(members)) => Some((members, member)),
            (Some((outer, inner)), Some(members)) => {
                let outer = members.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                outer.as_object_mut().map(|members| (members, inner))
            }
        };
        match place {
            Some((members, member)) if value.is_null() => drop(members.remove(member)),
            Some((members, member)) => drop(members.insert(member.to_owned(), value)),
            None => return Err(CliError::Usage(format!("'{member}': expected a part of a map, found none"))),
        }
    }
    Ok(spec)
}

/// Describes everything that a file has; what was put before an error stays.
async fn import(global: &Global, client: &Client, file: &Path) -> Result<ExitCode, CliError> {
    let shown = file.display();
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot read {shown}: {error}"));
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > FILE_LIMIT {
        return Err(CliError::Failed(format!(
            "expected at most {FILE_LIMIT} bytes in {shown}, found {length}"
        )));
    }
    let document = InventoryDocument::parse(&std::fs::read_to_string(file).map_err(failed)?)
        .map_err(|error| CliError::Usage(format!("expected an inventory in {shown}, found: {error}")))?;
    let mut done = Vec::new();
    for (kind, name, spec) in document.entries() {
        let entry = put(client, kind, name, spec).await.map_err(|error| {
            let so_far = if done.is_empty() { String::new() } else { format!(" ({} were set)", done.len()) };
            match error {
                CliError::NotFound(reason) | CliError::Refused(reason) => {
                    CliError::Refused(format!("{reason}{so_far}"))
                }
                other => other,
            }
        })?;
        done.push(json!({ "kind": kind.to_string(), "name": entry.name }));
    }
    page::print(global, &done, |done| format!("{GOOD}set{GOOD:#} {} entries of {shown}\n", done.len()))
}

/// The page of a list.
fn render_entries(kind: EntryKind, entries: &[InventoryEntry]) -> String {
    if entries.is_empty() {
        return format!("no {}: `impresario {} set` describes one\n", kind.plural(), kind.plural());
    }
    let text = |entry: &InventoryEntry, member: &str| entry.text(member).unwrap_or_default().to_owned();
    let value = |entry: &InventoryEntry, member: &str| {
        entry.spec.get(member).map(|value| page::shortened(value, VALUE_LIMIT)).unwrap_or_default()
    };
    let names = |entry: &InventoryEntry, member: &str| {
        let names = entry.spec.get(member).and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let days = |entry: &InventoryEntry, member: &str| {
        let value = entry.spec.get(member)?;
        // What a newer node has is shown as it is.
        let words = serde_json::from_value::<Days>(value.clone()).map(|days| days.words());
        Some(words.unwrap_or_else(|_| page::shortened(value, VALUE_LIMIT)))
    };
    match kind {
        EntryKind::Target => {
            let row = |entry: &InventoryEntry| {
                let enabled = entry.spec.get("enabled") != Some(&Value::Bool(false));
                [
                    Cell::new(&entry.name),
                    Cell::new(text(entry, "type")),
                    Cell::styled(
                        if enabled { "enabled" } else { "disabled" },
                        if enabled { GOOD } else { PAUSED },
                    ),
                    Cell::new(value(entry, "limit")),
                    Cell::new(text(entry, "runtimeUser")),
                    Cell::styled(&entry.by, FAINT),
                    Cell::styled(value(entry, "properties"), FAINT),
                ]
            };
            table(["TARGET", "TYPE", "STATE", "LIMIT", "USER", "BY", "PROPERTIES"], entries.iter().map(row))
        }
        EntryKind::TargetType => {
            let row = |entry: &InventoryEntry| {
                [
                    Cell::new(&entry.name),
                    Cell::styled(&entry.by, FAINT),
                    Cell::new(text(entry, "description")),
                ]
            };
            table(["TYPE", "BY", "DESCRIPTION"], entries.iter().map(row))
        }
        EntryKind::Group => {
            let row = |entry: &InventoryEntry| {
                [
                    Cell::new(&entry.name),
                    Cell::new(names(entry, "members")),
                    Cell::new(text(entry, "criteria")),
                    Cell::new(names(entry, "groups")),
                    Cell::styled(&entry.by, FAINT),
                ]
            };
            table(["GROUP", "MEMBERS", "CRITERIA", "GROUPS", "BY"], entries.iter().map(row))
        }
        EntryKind::Calendar => {
            let row = |entry: &InventoryEntry| {
                [
                    Cell::new(&entry.name),
                    Cell::new(days(entry, "include").unwrap_or_else(|| "each day".to_owned())),
                    Cell::new(days(entry, "exclude").unwrap_or_default()),
                    Cell::styled(&entry.by, FAINT),
                    Cell::new(text(entry, "description")),
                ]
            };
            let head = ["CALENDAR", "INCLUDES", "EXCLUDES", "BY", "DESCRIPTION"];
            table(head, entries.iter().map(row))
        }
    }
}

/// The page of one.
fn render_entry(entry: &InventoryEntry) -> String {
    let mut lines = vec![format!("{HEADING}{}{HEADING:#}  {FAINT}by {}{FAINT:#}", entry.name, entry.by)];
    for (member, value) in &entry.spec {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.push(format!("  {FAINT}{member:<11}{FAINT:#} {value}"));
    }
    if let Some(targets) = &entry.targets {
        let listed = if targets.is_empty() { "none".to_owned() } else { targets.join(", ") };
        lines.push(format!("  {FAINT}targets now{FAINT:#} {listed}"));
    }
    for (word, list) in [("next days", &entry.days), ("used by", &entry.used_by)] {
        lines.extend(list.as_ref().map(|list| {
            let listed = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
            format!("  {FAINT}{word:<11}{FAINT:#} {listed}")
        }));
    }
    if let Some(places) = &entry.places {
        for (word, claims) in [("has a place", &places.holders), ("waits", &places.waiting)] {
            lines.extend(claims.iter().map(|claim| {
                let (instance, activity, since) = (&claim.instance, claim.activity, &claim.since);
                format!("  {FAINT}{word:<11}{FAINT:#} {instance} activity {activity} since {since}")
            }));
        }
        lines.extend((places.more > 0).then(|| format!("  {FAINT}and {} more wait{FAINT:#}", places.more)));
    }
    lines.push(String::new());
    lines.join("\n")
}
