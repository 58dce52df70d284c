//! `ask`: an event to the node, and the answers of the instances that it starts.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::args::{Ask, Global};
use super::client::Client;
use super::error::CliError;
use super::style::{FAINT, HEADING, PAUSED, of_status};
use super::{input, page};
use crate::ask::{AskReply, AskedInstance};

/// Done if every instance has completed; else 1.
pub(super) async fn ask(global: &Global, client: &Client, ask: Ask) -> Result<ExitCode, CliError> {
    let timeout = humantime::parse_duration(&ask.timeout).map_err(|error| {
        CliError::Usage(format!("--timeout: expected a duration such as 30s, found: {error}"))
    })?;
    let event = event(&ask)?;
    let path = format!("/api/v1/ask?timeout={}ms", timeout.as_millis());
    let client = client.patient(timeout + Duration::from_secs(60))?;
    let reply: AskReply = client.post(&path, "application/cloudevents+json", &event).await?;
    let completed = reply.complete && reply.instances.iter().all(|asked| asked.status == "completed");
    match (reply.instances.as_slice(), completed && !global.json) {
        // What a script wants is the answer alone.
        ([only], true) => page::print_json(&only.output)?,
        _ => drop(page::print(global, &reply, render)?),
    }
    Ok(if completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn event(ask: &Ask) -> Result<Value, CliError> {
    if let Some(path) = &ask.event {
        return input::file("--event", path);
    }
    let id = ask.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let mut event = json!({ "specversion": "1.0", "id": id, "source": ask.source, "type": ask.kind });
    if let Some(subject) = &ask.subject {
        event["subject"] = json!(subject);
    }
    if let Some(data) = &ask.data {
        event["datacontenttype"] = json!("application/json");
        event["data"] = input::json("--data", data)?;
    }
    Ok(event)
}

fn render(reply: &AskReply) -> String {
    let mut text = format!("{HEADING}event{HEADING:#} {} of {}\n", reply.id, reply.source);
    for asked in &reply.instances {
        let AskedInstance { id, trigger, definition, status, output, error } = asked;
        let style = of_status(status);
        text += &format!("{id}  {style}{status}{style:#}  {definition}  {FAINT}by {trigger}{FAINT:#}\n");
        for (word, value) in [("output", output), ("error", error)] {
            text += &value
                .as_ref()
                .map_or_else(String::new, |value| format!("  {FAINT}{word}{FAINT:#} {value}\n"));
        }
    }
    text += &reply.detail.as_ref().map_or_else(String::new, |detail| format!("{PAUSED}{detail}{PAUSED:#}\n"));
    text
}
