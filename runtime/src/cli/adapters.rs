//! `adapters`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{ACTIVE, FAINT, GOOD, of_status};
use super::table::{Cell, table};
use crate::adapters::{AdapterOrder, AdapterSummary};

const PATH: &str = "/api/v1/adapters";
/// How much of an error stands in the list.
const ERROR_SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(super) struct Adapters {
    #[command(subcommand)]
    command: Option<AdaptersCommand>,
    #[command(flatten)]
    folder: Folder,
}

impl Adapters {
    /// The data folder, before or after the word that follows.
    pub(super) fn folder(&self) -> &Folder {
        use AdaptersCommand as C;
        let inner = self.command.as_ref().map(|command| match command {
            C::Show(Which { folder, .. })
            | C::Stop(Which { folder, .. })
            | C::Start(Which { folder, .. })
            | C::Remove(Which { folder, .. })
            | C::Add { folder, .. }
            | C::Restart { folder, .. }
            | C::Set { folder, .. }
            | C::Release { folder, .. } => folder,
        });
        inner.filter(|folder| folder.data.is_some()).unwrap_or(&self.folder)
    }
}

#[derive(Debug, Args)]
struct Which {
    /// The adapter.
    name: String,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Debug, Subcommand)]
enum AdaptersCommand {
    /// Show one adapter at all nodes, with its counters.
    Show(Which),
    /// Take a program up as an adapter, or another one in its place, once it has said hello.
    Add {
        /// Its name.
        name: String,
        /// A variable of its environment; may be repeated.
        #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
        env: Vec<(String, String)>,
        #[command(flatten)]
        folder: Folder,
        /// The program and its arguments.
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        command: Vec<String>,
    },
    /// Forget a program that was added.
    Remove(Which),
    /// Replace its processes by fresh ones, node after node; nothing that runs is cut off.
    Restart {
        /// The adapter.
        name: String,
        /// Only at this node.
        #[arg(long)]
        node: Option<String>,
        /// Why, for the log.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
    /// End its processes at all nodes; its work waits until it is started.
    Stop(Which),
    /// Undo a stop.
    Start(Which),
    /// Change its settings: concurrency, queue, memory_limit, idle_timeout, stop_timeout, retire_timeout, hello_timeout.
    Set {
        /// The adapter.
        name: String,
        /// A setting; without a value it is given back to the nodes.
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        folder: Folder,
    },
    /// Give it another chance where it is quarantined.
    Release {
        /// The adapter.
        name: String,
        /// Only at this node.
        #[arg(long)]
        node: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let found = text.split_once('=').filter(|(key, _)| !key.is_empty());
    found
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("expected KEY=VALUE, found '{text}'"))
}

pub(super) async fn adapters(
    global: &Global,
    client: &Client,
    adapters: Adapters,
) -> Result<ExitCode, CliError> {
    use AdaptersCommand as C;
    let order = |name: String, order: AdapterOrder, done: &'static str| async move {
        client.tell(&path(&name), &order).await?;
        page::print(global, &json!({"adapter": name, "done": done}), |_| {
            format!("{GOOD}{done}{GOOD:#} {name}: `impresario adapters` tells how far the nodes are\n")
        })
    };
    match adapters.command {
        None => {
            let all: Vec<AdapterSummary> = client.get(PATH).await?;
            page::print(global, &all, |all| render_adapters(all))
        }
        Some(C::Show(Which { name, .. })) => {
            let all: Vec<AdapterSummary> = client.get(&path(&name)).await?;
            page::print(global, &all, |all| all.iter().map(render_adapter).collect::<Vec<_>>().join("\n"))
        }
        Some(C::Add { name, env, command, .. }) => {
            let environment: BTreeMap<_, _> = env.into_iter().collect();
            order(name, AdapterOrder::Add { command, environment }, "added").await
        }
        Some(C::Remove(Which { name, .. })) => order(name, AdapterOrder::Remove, "removed").await,
        Some(C::Restart { name, node, reason, .. }) => {
            order(name, AdapterOrder::Restart { node, reason }, "restarting").await
        }
        Some(C::Stop(Which { name, .. })) => order(name, AdapterOrder::Stop, "stopped").await,
        Some(C::Start(Which { name, .. })) => order(name, AdapterOrder::Start, "started").await,
        Some(C::Set { name, settings, .. }) => {
            order(name, AdapterOrder::Set { settings: settings.into_iter().collect() }, "set").await
        }
        Some(C::Release { name, node, .. }) => order(name, AdapterOrder::Release { node }, "released").await,
    }
}

/// Names may have any character: the URL is built so that each is one segment.
fn path(name: &str) -> String {
    let mut url = format!("{PATH}/");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// The page of `adapters`.
pub fn render_adapters(adapters: &[AdapterSummary]) -> String {
    let headings = [
        "ADAPTER",
        "NODE",
        "STATE",
        "VERSION",
        "GENERATION",
        "PID",
        "UP",
        "IN FLIGHT",
        "QUEUED",
        "MEMORY",
        "RESTARTS",
        "LAST ERROR",
    ];
    let number = |value: Option<u64>| Cell::new(value.map(|value| value.to_string()).unwrap_or_default());
    let rows = adapters.iter().map(|adapter| {
        let behind = adapter.restarts_wanted.saturating_sub(adapter.restarts_followed);
        let state =
            if behind > 0 { format!("{} (restart owed)", adapter.state) } else { adapter.state.clone() };
        let up = adapter.uptime_ms.map(|up| page::duration(Duration::from_millis(up)));
        let error = adapter.last_error.clone().unwrap_or_default();
        [
            Cell::new(&adapter.name),
            Cell::new(&adapter.node),
            Cell::styled(state, of_status(&adapter.state)),
            Cell::new(adapter.version.clone().unwrap_or_default()),
            number(adapter.generation),
            number(adapter.pid.map(u64::from)),
            Cell::new(up.unwrap_or_default()),
            Cell::new(adapter.in_flight.to_string()),
            Cell::new(adapter.queued.to_string()),
            Cell::new(adapter.memory_bytes.map(megabytes).unwrap_or_default()),
            Cell::new(restarts(adapter)),
            Cell::styled(error.chars().take(ERROR_SHOWN).collect::<String>(), FAINT),
        ]
    });
    table(headings, rows)
}

fn megabytes(bytes: u64) -> String {
    format!("{}MiB", bytes >> 20)
}

/// By cause, those that happened: `2 asked, 1 disappeared`.
fn restarts(adapter: &AdapterSummary) -> String {
    let counters = &adapter.counters;
    let causes = [
        (counters.disappearances, "disappeared"),
        (counters.operator_restarts, "by operator"),
        (counters.settings_restarts, "settings"),
        (counters.memory_restarts, "memory"),
        (counters.requested_restarts, "own wish"),
    ];
    let happened = causes.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = happened.map(|(count, cause)| format!("{count} {cause}")).collect();
    if words.is_empty() { "0".to_owned() } else { words.join(", ") }
}

/// One adapter at one node, of the page of `adapters show`.
pub fn render_adapter(adapter: &AdapterSummary) -> String {
    let style = of_status(&adapter.state);
    let mut page = format!(
        "{ACTIVE}{}{ACTIVE:#} at {}: {style}{}{style:#}\n",
        adapter.name, adapter.node, adapter.state
    );
    let counters = &adapter.counters;
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            page.push_str(&format!("  {name:<22} {value}\n"));
        }
    };
    line("version", adapter.version.clone().unwrap_or_default());
    line("command", adapter.command.join(" "));
    line("functions", adapter.functions.join(", "));
    let settings = adapter.settings.iter().map(|(key, value)| format!("{key}={value}"));
    line("settings", settings.collect::<Vec<_>>().join(" "));
    line("generation", adapter.generation.map(|number| number.to_string()).unwrap_or_default());
    line("process", adapter.pid.map(|pid| pid.to_string()).unwrap_or_default());
    line("memory", adapter.memory_bytes.map(megabytes).unwrap_or_default());
    line("restarts asked for", format!("{}, done {}", adapter.restarts_wanted, adapter.restarts_followed));
    line("last error", adapter.last_error.clone().unwrap_or_default());
    for (name, count) in [
        ("in flight", adapter.in_flight as u64),
        ("queued", adapter.queued as u64),
        ("old processes", adapter.retiring as u64),
        ("starts", counters.processes),
        ("disappearances", counters.disappearances),
        ("restarts by operators", counters.operator_restarts),
        ("restarts for settings", counters.settings_restarts),
        ("restarts for memory", counters.memory_restarts),
        ("restarts by own wish", counters.requested_restarts),
        ("idle shutdowns", counters.idle_shutdowns),
        ("activities run", counters.started),
        ("completed", counters.completed),
        ("failed", counters.failed),
        ("lost", counters.lost),
        ("refused", counters.refused),
        ("answers to nothing", counters.stray),
        ("observed", counters.observed),
        ("observed too late", counters.observed_late),
        ("lines of garbage", counters.garbage),
        ("log lines dropped", counters.stderr_dropped),
    ] {
        line(name, count.to_string());
    }
    page
}
