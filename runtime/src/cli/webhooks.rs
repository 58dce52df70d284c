//! `webhooks`: which there are, what one is, and what it would make of a request.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::args::{Global, Webhooks, WebhooksCommand};
use super::client::Client;
use super::error::CliError;
use super::style::{BAD, FAINT, GOOD, HEADING, PAUSED};
use super::table::{Cell, table};
use super::{input, page};
use crate::webhook::{WebhookFindings, WebhookSummary, WebhookTrial};

pub(super) async fn webhooks(
    global: &Global,
    client: &Client,
    asked: Webhooks,
) -> Result<ExitCode, CliError> {
    match asked.command.unwrap_or(WebhooksCommand::List) {
        WebhooksCommand::List => {
            let all: Vec<WebhookSummary> = client.get("/api/v1/webhooks").await?;
            page::print(global, &all, |all| render_list(all))
        }
        WebhooksCommand::Show { name } => {
            let webhook: WebhookSummary = client.get_at(&["api", "v1", "webhooks", &name]).await?;
            page::print(global, &webhook, render_one)
        }
        WebhooksCommand::Test { name, body, headers, query } => {
            let trial = WebhookTrial {
                headers: pairs("--header", ':', &headers)?,
                query: pairs("--query", '=', &query)?,
                body: body.map(|path| input::text("--body", &path)).transpose()?.unwrap_or_default(),
            };
            let found: WebhookFindings =
                client.post_at(&["api", "v1", "webhooks", &name, "test"], &trial).await?;
            page::print(global, &found, render_findings)?;
            Ok(if found.verified { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn pairs(flag: &str, between: char, given: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let pair = |text: &String| match text.split_once(between) {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(CliError::Usage(format!("{flag}: expected NAME{between}VALUE, found '{text}'"))),
    };
    given.iter().map(pair).collect()
}

fn render_list(all: &[WebhookSummary]) -> String {
    if all.is_empty() {
        return "no webhooks: a pack brings them, as webhooks/NAME.yaml\n".to_owned();
    }
    let rows = all.iter().map(|webhook| {
        let open = webhook.verify == "none";
        [
            Cell::new(&webhook.name),
            Cell::styled(&webhook.verify, if open { PAUSED } else { GOOD }),
            Cell::styled(&webhook.by, FAINT),
            Cell::new(webhook.description.clone().unwrap_or_default()),
        ]
    });
    table(["WEBHOOK", "VERIFIES BY", "BY", "DESCRIPTION"], rows)
}

fn render_one(webhook: &WebhookSummary) -> String {
    let WebhookSummary { name, by, description, verify, spec } = webhook;
    let mut text = format!("{HEADING}{name}{HEADING:#}  {FAINT}by {by}{FAINT:#}\n");
    text += &format!("  takes        POST /hooks/{name}\n  verifies by  {verify}\n");
    text += &description.as_ref().map_or_else(String::new, |words| format!("  is           {words}\n"));
    let whole = spec.as_ref().and_then(|spec| serde_json::to_string_pretty(spec).ok());
    text + &whole.map_or_else(String::new, |whole| format!("{whole}\n"))
}

fn render_findings(found: &WebhookFindings) -> String {
    let mut text = match &found.reason {
        None => format!("{GOOD}verified{GOOD:#}\n"),
        Some(reason) => format!("{BAD}not verified{BAD:#}: {reason}\n"),
    };
    if found.events.is_empty() {
        text += "passed over: no event\n";
    }
    for event in &found.events {
        text += &serde_json::to_string_pretty(event).unwrap_or_default();
        text.push('\n');
    }
    text +=
        &found.reply.as_ref().map_or_else(String::new, |reply| format!("{FAINT}answers{FAINT:#} {reply}\n"));
    text
}
