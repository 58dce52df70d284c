//! Whether the ledger, the node and the clients tell the same story.

use std::collections::BTreeMap;

use impresario::orchestrator::{ActivityDetail, InstanceDetail};

use super::ledger::{Ledger, Work};
use super::{CONCURRENCY, Nemesis, Placed, Plan, Tally, pack};

/// What was found in good order, or everything that was not.
pub(super) fn judge(
    plan: &Plan,
    placed: &BTreeMap<String, Placed>,
    instances: &[InstanceDetail],
    ledger: &Ledger,
) -> Result<Tally, Vec<String>> {
    let mut wrong = Vec::new();
    let by_order = one_instance_each(placed, instances, &mut wrong);
    let mut tally = Tally { activities: ledger.len(), ..Tally::default() };
    for (order, instance) in &by_order {
        let mut findings = Vec::new();
        ending(plan, instance, &mut tally, &mut findings);
        for (task, restartable) in pack::TASKS {
            let work = ledger.get(&((*order).to_owned(), task.to_owned())).cloned().unwrap_or_default();
            let activity = instance.activities.iter().find(|activity| activity.task == task);
            judge_activity(task, restartable, activity, &work, &mut findings);
            if restartable && work.begun.len() > 1 {
                tally.repeated += 1;
                if plan.nemesis == Nemesis::Terminate {
                    findings
                        .push(format!("{task} ran {} times in spite of friendly stops", work.begun.len()));
                }
            }
        }
        wrong.extend(
            findings.into_iter().map(|finding| format!("{order} ({}): {finding}", instance.summary.id)),
        );
    }
    let in_doubt = plan.ends as usize * CONCURRENCY;
    if tally.interrupted > in_doubt {
        wrong.push(format!(
            "{} instances were interrupted, and at most {in_doubt} activities can have been at work",
            tally.interrupted
        ));
    }
    let known = |order: &String| by_order.contains_key(order.as_str());
    wrong.extend(
        ledger
            .keys()
            .filter(|(order, _)| !known(order))
            .map(|key| format!("{key:?} is in the ledger, ordered by nobody")),
    );
    if wrong.is_empty() { Ok(tally) } else { Err(wrong) }
}

/// Every acknowledged order has exactly one instance, and nothing else has any.
fn one_instance_each<'a>(
    placed: &'a BTreeMap<String, Placed>,
    instances: &'a [InstanceDetail],
    wrong: &mut Vec<String>,
) -> BTreeMap<&'a str, &'a InstanceDetail> {
    let mut by_order = BTreeMap::new();
    for instance in instances {
        let input = if instance.input.is_array() { &instance.input[0]["data"] } else { &instance.input };
        let order = input["order"].as_str().unwrap_or_default();
        if let Some(other) = by_order.insert(order, instance) {
            wrong.push(format!(
                "{order} started two instances: {} and {}",
                instance.summary.id, other.summary.id
            ));
        }
        match placed.get(order) {
            None => wrong.push(format!("{} was ordered by nobody: {}", instance.summary.id, instance.input)),
            Some(Placed::Start(id)) if *id != instance.summary.id => {
                wrong.push(format!("{order} was acknowledged as {id}, found as {}", instance.summary.id));
            }
            Some(Placed::Start(_) | Placed::Event) => {}
        }
    }
    let missing = placed.keys().filter(|order| !by_order.contains_key(order.as_str()));
    wrong.extend(missing.map(|order| format!("{order} was acknowledged and started nothing")));
    by_order
}

/// An instance completes with all its activities, or says which of them was interrupted.
fn ending(plan: &Plan, instance: &InstanceDetail, tally: &mut Tally, findings: &mut Vec<String>) {
    let interrupted = instance.activities.iter().filter(|activity| activity.status == "interrupted").count();
    match instance.summary.status.as_str() {
        "completed" => {
            tally.completed += 1;
            let done: Vec<&str> = instance.activities.iter().map(|activity| activity.task.as_str()).collect();
            let expected: Vec<&str> = pack::TASKS.iter().map(|(task, _)| *task).collect();
            if done != expected || instance.activities.iter().any(|activity| activity.status != "completed") {
                findings.push(format!("completed with these activities: {:?}", instance.activities));
            }
        }
        "faulted" => {
            tally.interrupted += 1;
            let title = instance.error.as_ref().map(|error| error["title"].clone()).unwrap_or_default();
            let last = instance.activities.last().map(|activity| activity.status.as_str());
            if title != "interrupted" || interrupted != 1 || last != Some("interrupted") {
                findings.push(format!("faulted, and not by an interruption: {:?}", instance.error));
            }
            if plan.nemesis == Nemesis::Terminate {
                findings.push("was interrupted by a friendly stop".to_owned());
            }
        }
        other => findings.push(format!("ended as {other}")),
    }
}

fn judge_activity(
    task: &str,
    restartable: bool,
    activity: Option<&ActivityDetail>,
    work: &Work,
    findings: &mut Vec<String>,
) {
    let Some(activity) = activity else {
        if !work.begun.is_empty() {
            findings.push(format!("{task} ran, and the instance knows nothing of it: {work:?}"));
        }
        return;
    };
    let mut finding = |text: &str| findings.push(format!("{task} {text}: {work:?}, {activity:?}"));
    if activity.restartable != restartable {
        finding("has another restart rule than its definition");
    }
    if work.keys.len() > 1 || work.keys.first().is_some_and(|key| *key != activity.key) {
        finding("ran with another idempotency key");
    }
    let mut attempts = work.begun.clone();
    attempts.sort();
    attempts.dedup();
    if attempts.len() != work.begun.len() {
        finding("ran the same attempt twice");
    }
    if !restartable && work.begun.len() > 1 {
        finding("ran more than once and must not");
    }
    match activity.status.as_str() {
        "completed" if work.ended.is_empty() => finding("completed and did not run to its end"),
        "interrupted" if restartable => finding("is restartable and was given up"),
        "completed" | "interrupted" => {}
        _ => finding("is left in between"),
    }
}
