//! `monitors` and `sinks`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::args::{DeclaredCommand, Global, SinksCommand};
use super::client::Client;
use super::error::CliError;
use super::inventory::changed;
use super::page;
use super::style::{BAD, FAINT, GOOD, HEADING, PAUSED};
use super::table::{Cell, table};
use crate::declared::{Declared, DeclaredKind, DeclaredOrder};

/// Values are cut to a line; `--json` has them whole.
const VALUE_LIMIT: usize = 100;

/// Does what was asked for; lists if nothing was.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    kind: DeclaredKind,
    command: Option<DeclaredCommand>,
) -> Result<ExitCode, CliError> {
    match command.unwrap_or(DeclaredCommand::List) {
        DeclaredCommand::List => page::print(global, &all(client, kind).await?, |all| render_all(kind, all)),
        DeclaredCommand::Show { name } => {
            let one: Declared = client.get_at(&["api", "v1", kind.plural(), &name]).await?;
            page::print(global, &one, render_one)
        }
        DeclaredCommand::Set { name, changes, spec } => {
            let before = async || {
                let known = all(client, kind).await?.into_iter().find(|one| one.name == name);
                Ok(known.map(|one| one.spec).unwrap_or_default())
            };
            let spec = changed(spec, &changes, before).await?;
            let one: Declared = client.put(&["api", "v1", kind.plural(), &name], &spec).await?;
            said(global, &one, "set", kind)
        }
        DeclaredCommand::Remove { name } => {
            client.order(Method::DELETE, &["api", "v1", kind.plural(), &name]).await?;
            page::print(global, &json!({ "name": name, "removed": true }), |_| {
                format!("{GOOD}removed{GOOD:#} {kind} {name}\n")
            })
        }
        DeclaredCommand::Pause { name } => {
            said(global, &order(client, kind, &name, &DeclaredOrder::Pause).await?, "paused", kind)
        }
        DeclaredCommand::Resume { name } => {
            said(global, &order(client, kind, &name, &DeclaredOrder::Resume).await?, "resumed", kind)
        }
    }
}

/// The same for sinks, which have dead letters.
pub(super) async fn sinks(
    global: &Global,
    client: &Client,
    command: Option<SinksCommand>,
) -> Result<ExitCode, CliError> {
    let kind = DeclaredKind::Sink;
    match command {
        None => run(global, client, kind, None).await,
        Some(SinksCommand::Declared(command)) => run(global, client, kind, Some(command)).await,
        Some(SinksCommand::Dead { name }) => {
            let sink = order(client, kind, &name, &DeclaredOrder::Dead).await?;
            let letters = sink.status.get("letters").cloned().unwrap_or_default();
            page::print(global, &letters, render_letters)
        }
        Some(SinksCommand::Retry { name, numbers }) => {
            let sink = order(client, kind, &name, &DeclaredOrder::Retry { numbers }).await?;
            said(global, &sink, "sent again", kind)
        }
        Some(SinksCommand::Drop { name, numbers }) => {
            let sink = order(client, kind, &name, &DeclaredOrder::Drop { numbers }).await?;
            said(global, &sink, "dropped", kind)
        }
    }
}

fn render_letters(letters: &Value) -> String {
    let letters = letters.as_array().cloned().unwrap_or_default();
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let text = |letter: &Value, pointer: &str| {
        letter.pointer(pointer).map(|value| page::shortened(value, VALUE_LIMIT)).unwrap_or_default()
    };
    let row = |letter: &Value| {
        [
            Cell::new(text(letter, "/number")),
            Cell::styled(text(letter, "/at"), FAINT),
            Cell::new(text(letter, "/tries")),
            Cell::new(text(letter, "/event/type")),
            Cell::new(text(letter, "/event/id")),
            Cell::new(text(letter, "/reason")),
        ]
    };
    table(["NUMBER", "AT", "TRIES", "TYPE", "ID", "REASON"], letters.iter().map(row))
}

async fn all(client: &Client, kind: DeclaredKind) -> Result<Vec<Declared>, CliError> {
    client.get(&format!("/api/v1/{}", kind.plural())).await
}

async fn order(
    client: &Client,
    kind: DeclaredKind,
    name: &str,
    order: &DeclaredOrder,
) -> Result<Declared, CliError> {
    client.post_at(&["api", "v1", kind.plural(), name], order).await
}

fn said(global: &Global, one: &Declared, word: &str, kind: DeclaredKind) -> Result<ExitCode, CliError> {
    page::print(global, one, |one| format!("{GOOD}{word}{GOOD:#} {kind} {}: {}\n", one.name, one.state()))
}

fn state(one: &Declared) -> Cell {
    let style = match one.state() {
        "failing" | "stuck" => BAD,
        "paused" | "disabled" => PAUSED,
        _ => GOOD,
    };
    Cell::styled(one.state(), style)
}

/// A member of what it is to do, or of what it does.
fn member(of: &serde_json::Map<String, Value>, name: &str) -> String {
    of.get(name).map(|value| page::shortened(value, VALUE_LIMIT)).unwrap_or_default()
}

/// The page of a list.
fn render_all(kind: DeclaredKind, all: &[Declared]) -> String {
    if all.is_empty() {
        return format!("no {}: `impresario {} set` declares one\n", kind.plural(), kind.plural());
    }
    match kind {
        DeclaredKind::Monitor => {
            let row = |one: &Declared| {
                [
                    Cell::new(&one.name),
                    state(one),
                    Cell::new(member(&one.spec, "function")),
                    Cell::new(member(&one.status, "events")),
                    Cell::styled(member(&one.status, "lastEvent"), FAINT),
                    Cell::styled(&one.by, FAINT),
                    Cell::new(member(&one.status, "problem")),
                ]
            };
            table(["MONITOR", "STATE", "FUNCTION", "EVENTS", "LAST", "BY", "PROBLEM"], all.iter().map(row))
        }
        DeclaredKind::Sink => {
            let row = |one: &Declared| {
                [
                    Cell::new(&one.name),
                    state(one),
                    Cell::new(member(&one.spec, "uri")),
                    Cell::new(member(&one.status, "delivered")),
                    Cell::new(member(&one.status, "waiting")),
                    Cell::new(member(&one.status, "dead")),
                    Cell::styled(&one.by, FAINT),
                    Cell::new(member(&one.status, "problem")),
                ]
            };
            let head = ["SINK", "STATE", "URI", "DELIVERED", "WAITING", "DEAD", "BY", "PROBLEM"];
            table(head, all.iter().map(row))
        }
    }
}

/// The page of one.
fn render_one(one: &Declared) -> String {
    let mut lines = vec![format!("{HEADING}{}{HEADING:#}  {FAINT}by {}{FAINT:#}", one.name, one.by)];
    for (name, value) in one.spec.iter().chain(&one.status) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.push(format!("  {FAINT}{name:<13}{FAINT:#} {value}"));
    }
    lines.push(String::new());
    lines.join("\n")
}
