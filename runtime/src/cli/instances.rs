//! `start` and `cancel`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::args::{Global, Start};
use super::client::Client;
use super::error::CliError;
use super::style::{ACTIVE, FAINT, GOOD};
use super::{input, page, show};
use crate::ask::goes_on;
use crate::http::CancelRequest;
use crate::orchestrator::{InstanceDetail, StartRequest, Started};

/// How long a node is asked to wait with each answer.
const WAIT: Duration = Duration::from_secs(30);

pub(super) async fn start(global: &Global, client: &Client, start: Start) -> Result<ExitCode, CliError> {
    let input = start.input.as_deref().map(|text| input::json("--input", text)).transpose()?;
    let request = StartRequest { definition: start.definition, input, key: start.key, trace: None };
    let started: Started = client.post("/api/v1/instances", "application/json", &request).await?;
    if start.wait {
        return wait(global, client, &started.id).await;
    }
    page::print(global, &started, |started| {
        let word = if started.created { "started" } else { "exists already" };
        format!(
            "{GOOD}{word}{GOOD:#} {} of {} {FAINT}(durable: {}){FAINT:#}\n",
            started.id, started.definition, started.durability
        )
    })
}

async fn wait(global: &Global, client: &Client, id: &str) -> Result<ExitCode, CliError> {
    let query = [("wait", humantime::format_duration(WAIT).to_string())];
    let detail = loop {
        let detail: InstanceDetail = client.query(&format!("/api/v1/instances/{id}"), &query).await?;
        if !goes_on(&detail.summary.status) {
            break detail;
        }
    };
    if global.json {
        page::print_json(&detail)?;
    } else if detail.summary.status == "completed" {
        page::print_json(&detail.output)?;
    } else {
        page::write_out(&show::render_instance(&detail, SystemTime::now()))?;
    }
    Ok(if detail.summary.status == "completed" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn cancel(
    global: &Global,
    client: &Client,
    id: &str,
    reason: Option<String>,
) -> Result<ExitCode, CliError> {
    client.tell(&format!("/api/v1/instances/{id}/cancel"), &CancelRequest { reason }).await?;
    page::print(global, &json!({"id": id, "cancelling": true}), |_| {
        format!("{ACTIVE}cancelling{ACTIVE:#} {id}: `impresario show {id}` tells when it ended\n")
    })
}
