//! `show`: one instance as a page.

use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::Value;

use super::args::Global;
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{FAINT, HEADING, of_status};
use crate::orchestrator::{ActivityDetail, InstanceDetail};

/// Inputs and outputs are cut to a line; `--json` has them whole.
const VALUE_LIMIT: usize = 160;

pub(super) async fn show(global: &Global, client: &Client, id: &str) -> Result<ExitCode, CliError> {
    let detail: InstanceDetail = client.get(&format!("/api/v1/instances/{id}")).await?;
    page::print(global, &detail, |detail| render_instance(detail, SystemTime::now()))
}

/// The page of `show`.
pub fn render_instance(detail: &InstanceDetail, now: SystemTime) -> String {
    let summary = &detail.summary;
    let style = of_status(&summary.status);
    let mut lines = vec![format!("{HEADING}{}{HEADING:#}  {style}{}{style:#}", summary.id, summary.status)];
    let mut fact = |name: &str, value: String| lines.push(format!("  {FAINT}{name:<11}{FAINT:#} {value}"));
    fact("definition", summary.definition.clone());
    fact("started by", detail.started_by.clone());
    if let Some(rerun_of) = &detail.rerun_of {
        let from = detail.began_at.as_ref().map_or_else(String::new, |point| format!(", from '{point}'"));
        fact("rerun of", format!("{rerun_of}{from}"));
    }
    let age = page::age(&summary.started_at, now);
    fact("started", format!("{} ({age} ago)", summary.started_at));
    if let Some(ended) = &summary.ended_at {
        let took = page::between(&summary.started_at, Some(ended)).unwrap_or_default();
        fact("ended", format!("{ended} (after {took})"));
    }
    fact("input", page::shortened(&detail.input, VALUE_LIMIT));
    if let Some(output) = &detail.output {
        fact("output", page::shortened(output, VALUE_LIMIT));
    }
    if let Some(error) = &detail.error {
        fact("error", describe_error(error));
    }
    for wait in &detail.waits_for {
        fact("waits for", wait.clone());
    }
    for point in &detail.start_points {
        let title = point.title.as_ref().map_or_else(String::new, |title| format!(" '{title}'"));
        fact("start point", format!("{}{title} at {} ({})", point.id, point.task, point.data));
    }
    lines.push(String::new());
    match detail.activities.len() {
        0 => lines.push(format!("{FAINT}no activities{FAINT:#}")),
        _ => lines.push(format!("{HEADING}activities{HEADING:#}")),
    }
    if detail.activities_dropped > 0 {
        lines.push(format!("  {FAINT}{} older ones are no longer kept{FAINT:#}", detail.activities_dropped));
    }
    for activity in &detail.activities {
        push_activity(&mut lines, activity);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn push_activity(lines: &mut Vec<String>, activity: &ActivityDetail) {
    let style = of_status(&activity.status);
    let took = page::between(&activity.started_at, activity.ended_at.as_deref());
    let took = took.map_or_else(String::new, |took| format!(" in {took}"));
    let attempts = match activity.attempts {
        0 | 1 => String::new(),
        attempts => format!(", {attempts} attempts"),
    };
    let on = activity.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
    lines.push(format!(
        "  {:>3} {} {FAINT}({}{on}){FAINT:#}  {style}{}{style:#}{took}{attempts}",
        activity.number, activity.task, activity.function, activity.status
    ));
    let mut value = |name: &str, text: String| lines.push(format!("      {FAINT}{name:<6}{FAINT:#} {text}"));
    value("input", page::shortened(&activity.input, VALUE_LIMIT));
    if let Some(progress) = &activity.progress {
        let percent = progress.percent.map(|percent| format!("{percent:.0} %"));
        let parts: Vec<String> = percent.into_iter().chain(progress.message.clone()).collect();
        value("so far", parts.join(" · "));
    }
    if let Some(resolved) = &activity.resolved {
        value("order", format!("{} of attempt {}, at {}", resolved.decision, resolved.attempt, resolved.at));
    }
    if let Some(output) = &activity.output {
        value("output", page::shortened(output, VALUE_LIMIT));
    }
    if let Some(error) = &activity.error {
        value("error", describe_error(error));
    }
}

/// An error on one line: status, title, detail, and its kind without the host that standard ones are spelt with.
fn describe_error(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("type").rsplit('/').next().unwrap_or_default();
    let status = error.get("status").map(Value::to_string).unwrap_or_default();
    let parts = [kind, status.as_str(), text("title"), text("detail"), text("instance")];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match parts.is_empty() {
        true => page::shortened(error, VALUE_LIMIT),
        false => parts.join(" · "),
    }
}
