//! `send`: events to the node.

use std::process::ExitCode;

use serde_json::{Value, json};
use uuid::Uuid;

use super::args::{Global, Send};
use super::client::Client;
use super::error::CliError;
use super::style::GOOD;
use super::{input, page};
use crate::orchestrator::Accepted;

/// Events of one request; their ids alone stay far below the smallest limit on bodies.
const BATCH: u32 = 200;

pub(super) async fn send(global: &Global, client: &Client, send: Send) -> Result<ExitCode, CliError> {
    let accepted = match &send.event {
        Some(path) => post(client, &input::file("--event", path)?).await?,
        None => send_many(client, &send).await?,
    };
    page::print(global, &accepted, |accepted| {
        let events = if accepted.accepted == 1 { "event" } else { "events" };
        format!("{GOOD}accepted{GOOD:#} {} {events} (durable: {})\n", accepted.accepted, accepted.durability)
    })
}

async fn send_many(client: &Client, send: &Send) -> Result<Accepted, CliError> {
    let data = send.data.as_deref().map(|text| input::json("--data", text)).transpose()?;
    let base = send.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let event = |number: u32| {
        let id = if send.count == 1 { base.clone() } else { format!("{base}-{number}") };
        let mut event = json!({"specversion": "1.0", "id": id, "source": send.source, "type": send.kind});
        if let Some(subject) = &send.subject {
            event["subject"] = json!(subject);
        }
        if let Some(data) = &data {
            event["datacontenttype"] = json!("application/json");
            event["data"] = data.clone();
        }
        event
    };
    let mut total = Accepted { accepted: 0, durability: String::new() };
    let mut sent = 0;
    while sent < send.count {
        let next = (sent + BATCH).min(send.count);
        let events: Value = (sent..next).map(|number| event(number + 1)).collect();
        let accepted = post(client, &events).await.map_err(|error| after(error, sent))?;
        total.accepted += accepted.accepted;
        total.durability = accepted.durability;
        sent = next;
    }
    Ok(total)
}

/// Says what was accepted before something went wrong.
fn after(error: CliError, sent: u32) -> CliError {
    match error {
        error if sent == 0 => error,
        CliError::NotFound(text) | CliError::Refused(text) => {
            CliError::Refused(format!("{text} ({sent} events were accepted before)"))
        }
        CliError::Failed(text) => CliError::Failed(format!("{text} ({sent} events were accepted before)")),
        CliError::Usage(text) => CliError::Usage(text),
    }
}

async fn post(client: &Client, body: &Value) -> Result<Accepted, CliError> {
    let media_type = match body {
        Value::Array(_) => "application/cloudevents-batch+json",
        _ => "application/cloudevents+json",
    };
    client.post("/events", media_type, body).await
}
