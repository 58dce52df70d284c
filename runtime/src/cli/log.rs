//! `log`: how much the nodes write to their logs.

use std::process::ExitCode;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{BAD, FAINT};
use super::table::{Cell, table};
use crate::log_levels::{LogChange, NodeLog};

/// Show how much the nodes write to their logs, or change it until they end.
#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// The levels to put in force, such as `debug` or `info,impresario_actors=trace`.
    levels: Option<String>,
    /// Only at this node; at all nodes if it is not given.
    #[arg(long, requires = "levels")]
    node: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

pub(super) async fn log(global: &Global, client: &Client, asked: LogArguments) -> Result<ExitCode, CliError> {
    let logs: Vec<NodeLog> = match asked.levels {
        None => client.get("/api/v1/log").await?,
        Some(levels) => client.put(&["api", "v1", "log"], &LogChange { levels, node: asked.node }).await?,
    };
    let failed = logs.iter().any(|log| log.problem.is_some());
    page::print(global, &logs, |logs| {
        let rows = logs.iter().map(|log| {
            [
                Cell::new(&log.node),
                match (&log.levels, &log.problem) {
                    (_, Some(problem)) => Cell::styled(problem, BAD),
                    (Some(levels), None) => Cell::new(levels),
                    (None, None) => Cell::styled("somebody else's", FAINT),
                },
            ]
        });
        table(["NODE", "LEVELS"], rows)
    })?;
    // A node that did not take the change is no success.
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
