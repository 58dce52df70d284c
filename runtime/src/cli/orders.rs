//! `resolve` and `rerun`.

use std::process::ExitCode;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::style::{FAINT, GOOD};
use super::{input, page};
use crate::orchestrator::{InstanceDetail, Started};
use crate::orders::{DecisionWord, RerunRequest, ResolveReply, ResolveRequest};

/// Decide about an activity of which nobody knows whether it was done.
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Look first whether it was done: `impresario show INSTANCE` has its arguments and its key."
)]
pub(super) struct Resolve {
    /// The instance, or the first 8 characters of it or more.
    pub(super) id: String,
    /// The number of the activity; the only one that is uncertain by default.
    pub(super) activity: Option<u64>,
    /// What is to become of it.
    #[arg(value_enum)]
    pub(super) decision: DecisionWord,
    /// With accept, its output: JSON, @FILE or - for standard input.
    #[arg(long, value_name = "JSON", required_if_eq("decision", "accept"))]
    pub(super) output: Option<String>,
    /// With fail, why.
    #[arg(long)]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

/// Run an instance again, as a new one of the same definition.
#[derive(Debug, Args)]
pub(super) struct Rerun {
    /// The instance, or the first 8 characters of it or more.
    pub(super) id: String,
    /// Begin at this start point (metadata.ops.startPoint), with the data that was there; from the beginning by default.
    #[arg(long, value_name = "START_POINT")]
    pub(super) from: Option<String>,
    /// Another input for what it begins with: JSON, @FILE or - for standard input.
    #[arg(long, value_name = "JSON")]
    pub(super) input: Option<String>,
    /// An idempotency key: the same key runs the instance again at most once.
    #[arg(long)]
    pub(super) key: Option<String>,
    #[command(flatten)]
    pub(super) folder: Folder,
}

pub(super) async fn resolve(global: &Global, client: &Client, order: Resolve) -> Result<ExitCode, CliError> {
    let output = order.output.as_deref().map(|text| input::json("--output", text)).transpose()?;
    // The attempt that is seen is the one that is decided about, whatever happens in between.
    let detail: InstanceDetail = client.get(&format!("/api/v1/instances/{}", order.id)).await?;
    let id = &detail.summary.id;
    let (activity, attempt) = match order.activity {
        Some(number) => {
            let seen = detail.activities.iter().find(|activity| activity.number == number);
            (number, seen.map(|activity| activity.attempts))
        }
        None => only_uncertain(&detail)?,
    };
    let request =
        ResolveRequest { decision: order.decision, output, reason: order.reason, attempt, key: None };
    let path = format!("/api/v1/instances/{id}/activities/{activity}/resolve");
    let reply: ResolveReply = client.post(&path, "application/json", &request).await?;
    page::print(global, &reply, |reply| {
        format!(
            "{GOOD}decided{GOOD:#} activity {} of {} {FAINT}(durable: {}){FAINT:#}\n",
            reply.activity, reply.id, reply.durability
        )
    })
}

/// The number and the attempt of the only activity in doubt.
fn only_uncertain(detail: &InstanceDetail) -> Result<(u64, Option<u32>), CliError> {
    let id = &detail.summary.id;
    let in_doubt: Vec<_> =
        detail.activities.iter().filter(|activity| activity.status == "uncertain").collect();
    match in_doubt.as_slice() {
        [only] => Ok((only.number, Some(only.attempts))),
        [] => Err(CliError::Refused(format!(
            "expected an activity of {id} that is uncertain, found none: it is {}",
            detail.summary.status
        ))),
        several => {
            let numbers: Vec<String> = several.iter().map(|activity| activity.number.to_string()).collect();
            let numbers = numbers.join(", ");
            Err(CliError::Usage(format!(
                "{id} has several uncertain activities ({numbers}): name one: `impresario resolve {id} NUMBER …`"
            )))
        }
    }
}

pub(super) async fn rerun(global: &Global, client: &Client, order: Rerun) -> Result<ExitCode, CliError> {
    let input = order.input.as_deref().map(|text| input::json("--input", text)).transpose()?;
    let request = RerunRequest { from: order.from, input, key: order.key };
    let path = format!("/api/v1/instances/{}/rerun", order.id);
    let started: Started = client.post(&path, "application/json", &request).await?;
    page::print(global, &started, |started| {
        let word = if started.created { "started" } else { "exists already" };
        format!(
            "{GOOD}{word}{GOOD:#} {} of {} {FAINT}(durable: {}){FAINT:#}\n",
            started.id, started.definition, started.durability
        )
    })
}
