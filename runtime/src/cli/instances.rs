//! `start`, `ps` and `cancel`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::args::{Global, Ps, Start};
use super::client::Client;
use super::error::CliError;
use super::style::{ACTIVE, FAINT, GOOD, PAUSED, of_status};
use super::table::{Cell, table};
use super::{input, page, show};
use crate::ask::goes_on;
use crate::http::CancelRequest;
use crate::orchestrator::{InstanceDetail, InstancePage, StartRequest, Started};

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

pub(super) async fn list(global: &Global, client: &Client, ps: Ps) -> Result<ExitCode, CliError> {
    let mut query = vec![("limit", ps.limit.to_string())];
    query.extend(ps.status.map(|status| ("status", status)));
    query.extend(ps.definition.map(|definition| ("definition", definition)));
    query.extend(ps.target.map(|target| ("target", target)));
    query.extend(ps.cursor.map(|cursor| ("cursor", cursor)));
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
    if let Some(next) = &list.next {
        text.push_str(&format!("{FAINT}more: --cursor {next}{FAINT:#}\n"));
    }
    text
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
