//! One actor as a tree: facts, what it waits for, its activities, its state, its entries.

use std::collections::HashMap;
use std::time::SystemTime;

use serde_json::Value;

use super::outline::{Branch, of_value};
use super::page::{Detail, Trouble};
use super::table::Cell;
use super::text;
use crate::explain::Explanation;
use crate::inspect::{ActorDetail, EntryView};
use crate::orchestrator::{ActivityDetail, InstanceDetail};

/// The head of the page: a word for its state, and why it is in it.
pub(super) fn sentence(detail: &Detail) -> (String, String) {
    let instance = detail.instance.as_ref().and_then(|told| told.as_ref().ok());
    let state = match (&detail.explanation, &detail.inside, instance) {
        (Ok(explanation), _, _) => explanation.state.clone(),
        (_, Ok(actor), _) => actor.status.clone(),
        (_, _, Some(instance)) => instance.summary.status.clone(),
        _ => "not known".to_owned(),
    };
    let known = detail.inside.is_ok() || instance.is_some();
    let text = match &detail.explanation {
        Ok(explanation) => explanation.text.clone(),
        Err(trouble) => told(trouble, known, "explain"),
    };
    (state, text)
}

/// Why there is no answer. Where the node knows the actor, what it does not find is the question.
fn told(trouble: &Trouble, known: bool, what: &str) -> String {
    match trouble {
        Trouble::NotFound(_) if known => format!("this node does not offer it ({what})"),
        trouble => trouble.words().to_owned(),
    }
}

/// The page below its head.
pub(super) fn branches(detail: &Detail, now: SystemTime) -> Vec<Branch> {
    let instance = detail.instance.as_ref().and_then(|told| told.as_ref().ok());
    let mut branches = Vec::new();
    if let Some(instance) = instance {
        of_instance(&mut branches, instance, now);
    }
    match &detail.inside {
        Ok(actor) => of_actor(&mut branches, actor, instance.is_some(), now),
        Err(trouble) => {
            let words = told(trouble, instance.is_some(), "its state and entries");
            branches.push(Branch::fact("inside", words));
        }
    }
    if let Some(Err(trouble)) = &detail.instance {
        branches.push(Branch::fact("instance", told(trouble, detail.inside.is_ok(), "instance")));
    }
    if let Ok(explanation) = &detail.explanation {
        branches.extend(of_explanation(explanation, now));
    }
    // Two of the same name would be folded together.
    let mut names: HashMap<String, usize> = HashMap::new();
    for branch in &mut branches {
        let number = names.entry(branch.key.clone()).or_default();
        *number += 1;
        if *number > 1 {
            branch.key = format!("{} {number}", branch.key);
        }
    }
    branches
}

fn of_instance(branches: &mut Vec<Branch>, instance: &InstanceDetail, now: SystemTime) {
    let summary = &instance.summary;
    let mut fact = |name: &str, text: &str| branches.push(Branch::fact(name, text));
    fact("definition", &summary.definition);
    fact("started by", &instance.started_by);
    fact("started", &format!("{} ({} ago)", summary.started_at, text::age(&summary.started_at, now)));
    if let Some(ended) = &summary.ended_at {
        fact("ended", &format!("{ended} ({} ago)", text::age(ended, now)));
    }
    instance.rerun_of.iter().for_each(|of| fact("rerun of", of));
    for wait in &instance.waits_for {
        fact("waits for", wait);
    }
    if let Some(error) = &instance.error {
        branches.push(of_value("error", error, true));
    }
    if !instance.activities.is_empty() {
        let mut children: Vec<Branch> = instance.activities.iter().map(activity).collect();
        if instance.activities_dropped > 0 {
            let words = format!("{} older ones are no longer kept", instance.activities_dropped);
            children.insert(0, Branch::new("older", vec![Cell::faint(words)]));
        }
        branches.push(Branch::group("activities", true, children));
    }
    branches.push(of_value("input", &instance.input, false));
    branches.extend(instance.output.as_ref().map(|output| of_value("output", output, true)));
}

fn activity(activity: &ActivityDetail) -> Branch {
    let on = activity.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
    let attempts =
        if activity.attempts > 1 { format!("{} attempts", activity.attempts) } else { String::new() };
    let label = vec![
        Cell::new(format!("{} {}", activity.number, activity.task)),
        Cell::status(&activity.status),
        Cell::faint(format!("{}{on} {attempts}", activity.function)),
    ];
    let mut children = vec![of_value("input", &activity.input, false)];
    children.extend(activity.output.as_ref().map(|output| of_value("output", output, true)));
    children.extend(activity.error.as_ref().map(|error| of_value("error", error, true)));
    let began = format!("{} (key {})", activity.started_at, activity.key);
    children.push(Branch::fact("started", began));
    let open = activity.ended_at.is_none() || activity.error.is_some();
    Branch { children, open, ..Branch::new(activity.number.to_string(), label) }
}

fn of_actor(branches: &mut Vec<Branch>, actor: &ActorDetail, is_instance: bool, now: SystemTime) {
    let place = format!(
        "shard {} at {}, epoch {}, offset {}, lag {}",
        actor.shard, actor.node, actor.epoch, actor.offset, actor.lag
    );
    branches.push(Branch::fact("where", place));
    branches.push(Branch::fact("in memory", if actor.live { "yes" } else { "no: as it was stored last" }));
    if let Some(due) = &actor.due {
        branches.push(Branch::fact("timer", format!("{due} ({})", text::until(due, now))));
    }
    if let Some(aside) = &actor.quarantined {
        let words = format!(
            "since {} ago, {} entries wait: {}",
            text::age(&aside.since, now),
            aside.held,
            aside.reason
        );
        let label = vec![Cell::status("quarantined"), Cell::new(words)];
        let children = aside.entry.iter().map(|entry| of_entry(entry, now)).collect();
        branches.push(Branch { children, open: true, ..Branch::new("quarantined", label) });
    }
    if !is_instance {
        actor.waits_for.iter().for_each(|wait| branches.push(Branch::fact("waits for", wait)));
    }
    branches.push(of_value("state", &actor.state, true));
    let entries = actor.entries.iter().rev().map(|entry| of_entry(entry, now)).collect();
    branches.push(Branch::group("entries, newest first", true, entries));
}

fn of_entry(entry: &EntryView, now: SystemTime) -> Branch {
    let label = vec![
        Cell::faint(format!("{} ago", text::age(&entry.at, now))),
        Cell::new(&entry.kind),
        Cell::new(&entry.summary),
    ];
    let mut children = vec![Branch::fact("offset", format!("{}/{}", entry.shard, entry.offset))];
    children.extend(entry.origin.as_ref().map(|origin| Branch::fact("origin", origin)));
    children.push(of_value("body", &entry.body, true));
    Branch { children, ..Branch::new(entry.offset.clone(), label) }
}

fn of_explanation(explanation: &Explanation, now: SystemTime) -> Vec<Branch> {
    let mut branches = Vec::new();
    if let Some(since) = &explanation.since {
        branches.push(Branch::fact("since", format!("{since} ({} ago)", text::age(since, now))));
    }
    branches.extend(explanation.wakes.as_ref().map(|wakes| Branch::fact("woken by", wakes)));
    let list = |name: &str, words: &[String]| {
        let line =
            |(number, words): (usize, &String)| Branch::new(number.to_string(), vec![Cell::new(words)]);
        Branch::group(name, true, words.iter().enumerate().map(line).collect())
    };
    for (name, words) in [("evidence", &explanation.evidence), ("what can be done", &explanation.can_do)] {
        if !words.is_empty() {
            branches.push(list(name, words));
        }
    }
    branches
}

/// A row, whole.
pub(super) fn record(value: &Value) -> Vec<Branch> {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| of_value(name, value, true)).collect(),
        other => vec![of_value("value", other, true)],
    }
}
