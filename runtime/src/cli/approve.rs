//! `triggers approve`: the decision about times that a schedule missed.

use std::process::ExitCode;

use clap::Args;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::GOOD;
use super::triggers::order;
use crate::catch_up::{ApproveRequest, Chosen, Word};
use crate::triggers::TriggerDetail;

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The trigger, or its definition if that has only one: namespace/name.
    pub(super) name: String,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    pub(super) folder: Folder,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Choice {
    /// Fire for all times that wait, oldest first.
    #[arg(long)]
    all: bool,
    /// Fire for the last one.
    #[arg(long)]
    last: bool,
    /// Fire for none.
    #[arg(long)]
    none: bool,
    /// Fire for this time, as `triggers show` has it; may be given several times.
    #[arg(long, value_name = "TIME")]
    time: Vec<String>,
}

pub(super) async fn run(global: &Global, client: &Client, asked: Approve) -> Result<ExitCode, CliError> {
    let Approve { name, choice, .. } = asked;
    let shown: TriggerDetail = client.get_at(&["api", "v1", "triggers", &name]).await?;
    let name = shown.summary.name;
    let Some(plan) = shown.plan else {
        return Err(CliError::Refused(format!(
            "expected missed times of {name} that wait for a decision, found none"
        )));
    };
    let fire = match choice {
        Choice { all: true, .. } => Chosen::Word(Word::All),
        Choice { last: true, .. } => Chosen::Word(Word::Last),
        Choice { none: true, .. } => Chosen::Word(Word::None),
        Choice { time, .. } => Chosen::Times(time),
    };
    let words = match &fire {
        Chosen::Word(Word::All) => format!("it fires for {}", times(plan.times.len())),
        Chosen::Word(Word::Last) => format!("it fires for {}", plan.last),
        Chosen::Word(Word::None) => "it fires for none of them".to_owned(),
        Chosen::Times(wanted) => format!("it fires for {}", times(wanted.len())),
    };
    let request = ApproveRequest { plan: plan.id, fire };
    let trigger: TriggerDetail = order(client, &name, "approve", &request).await?;
    page::print(global, &trigger, |trigger| {
        format!("{GOOD}decided{GOOD:#} {}: {words}\n", trigger.summary.name)
    })
}

/// So many times, in words.
pub(super) fn times(count: usize) -> String {
    if count == 1 { "1 time".to_owned() } else { format!("{count} times") }
}
