//! The command line: `serve` runs a node; every other command asks a running one over its API, or reads files.
//!
//! Exit codes: 0 done, 1 failed, 2 refused by the node, 64 bad usage.

mod adapter_test;
mod adapters;
mod approve;
mod args;
mod ask;
mod check;
pub(crate) mod client;
mod config;
mod console;
mod declared;
pub(crate) mod error;
mod events;
mod hidden;
mod input;
mod instances;
mod inventory;
mod key;
mod lists;
mod local;
mod log;
mod nodes;
mod orders;
mod page;
mod send;
mod show;
pub mod style;
mod table;
mod tree;
mod triggers;
mod users;
mod webhooks;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command, Global, KeyArguments, KeyCommand, Nodes, NodesCommand};
use self::client::Client;
use self::error::CliError;
use crate::declared::DeclaredKind;
use crate::inventory::EntryKind;

/// Renders pages of the command line, for tests and other front ends.
pub mod render {
    pub use super::adapters::{render_adapter, render_adapters};
    pub use super::events::{render_recent, render_summary};
    pub use super::instances::render_list;
    pub use super::nodes::render_nodes;
    pub use super::show::render_instance;
    pub use super::tree::render_tree;
    pub use super::triggers::{render_test, render_trigger, render_triggers};
}

/// What `EX_USAGE` of sysexits.h is.
const USAGE: u8 = 64;

/// Parses and runs a command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // When even the message cannot be written, the code has to do.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("{}error{:#}: {error}", style::BAD, style::BAD);
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let Cli { mut global, folder, command } = cli;
    global.data = command.folder().and_then(|folder| folder.data.clone()).or(folder.data);
    match command {
        Command::Serve(serve) => local::serve(&global, serve),
        Command::Check { path } => check::check(&global, &path),
        Command::Config { reference, .. } => config::config(&global, reference),
        Command::Repair(_) => local::repair(&global),
        Command::AdapterTest(test) => adapter_test::adapter_test(&global, test),
        Command::AdapterHost(host) => local::adapter_host(&host),
        Command::Completions { shell } => local::completions(shell),
        Command::Console(asked) => console::console(&global, asked),
        Command::Key(KeyArguments { command, .. }) if !matches!(command, KeyCommand::Rotate) => {
            key::local(&global, command)
        }
        asking => ask(&global, asking),
    }
}

/// The commands that ask a running node.
fn ask(global: &Global, command: Command) -> Result<ExitCode, CliError> {
    let client = Client::find(global)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Send(send) => send::send(global, &client, send).await,
            Command::Ask(asked) => ask::ask(global, &client, asked).await,
            Command::Start(start) => instances::start(global, &client, start).await,
            Command::Ps(ps) => instances::list(global, &client, ps).await,
            Command::Show { id, .. } => show::show(global, &client, &id).await,
            Command::Cancel { id, reason, .. } => instances::cancel(global, &client, &id, reason).await,
            Command::Resolve(order) => orders::resolve(global, &client, order).await,
            Command::Rerun(order) => orders::rerun(global, &client, order).await,
            Command::Tree(_) => tree::tree(global, &client).await,
            Command::Nodes(Nodes { command: None, .. }) => nodes::list(global, &client).await,
            Command::Nodes(Nodes { command: Some(NodesCommand::Remove { name, .. }), .. }) => {
                nodes::remove(global, &client, &name).await
            }
            Command::Adapters(orders) => adapters::adapters(global, &client, orders).await,
            Command::Drain(drain) => nodes::drain(global, &client, drain).await,
            Command::Log(asked) => log::log(global, &client, asked).await,
            Command::Targets(asked) => {
                inventory::run(global, &client, EntryKind::Target, asked.command).await
            }
            Command::TargetTypes(asked) => {
                inventory::run(global, &client, EntryKind::TargetType, asked.command).await
            }
            Command::Groups(asked) => inventory::run(global, &client, EntryKind::Group, asked.command).await,
            Command::Monitors(asked) => {
                declared::run(global, &client, DeclaredKind::Monitor, asked.command).await
            }
            Command::Sinks(asked) => declared::sinks(global, &client, asked.command).await,
            Command::Calendars(asked) => {
                inventory::run(global, &client, EntryKind::Calendar, asked.command).await
            }
            Command::Users(asked) => users::run(global, &client, asked.command).await,
            Command::Webhooks(asked) => webhooks::webhooks(global, &client, asked).await,
            Command::Key(_) => key::rotate(global, &client).await,
            Command::Triggers(asked) => triggers::run(global, &client, asked).await,
            Command::Events(asked) => events::run(global, &client, asked).await,
            Command::Definitions(_) => lists::definitions(global, &client).await,
            Command::Serve(_)
            | Command::Check { .. }
            | Command::Config { .. }
            | Command::Repair(_)
            | Command::AdapterTest(_)
            | Command::AdapterHost(_)
            | Command::Console(_)
            | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}
