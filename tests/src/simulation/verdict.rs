//! Whether the ledger, the rows and the clients tell the same story.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use impresario_model::encoding;
use impresario_model::instance::Instance;
use impresario_persistence::Row;

use super::hosts::Work;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Instances that completed.
    pub completed: usize,
    /// Instances of which an activity was interrupted, and say so.
    pub interrupted: usize,
    /// Activities that began.
    pub activities: usize,
    /// Those that began more than once.
    pub repeated: usize,
    /// What must not be, in words.
    pub wrong: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} completed, {} interrupted; {} activities ran, {} of them more than once; {} wrong",
            self.completed,
            self.interrupted,
            self.activities,
            self.repeated,
            self.wrong.len()
        )?;
        self.wrong.iter().try_for_each(|wrong| write!(f, "\n  {wrong}"))
    }
}

/// The tasks of the definition that do something, and whether each may be done again.
pub const TASKS: [(&str, bool); 3] = [("prepare", true), ("act", false), ("finish", true)];

/// Compares what was acknowledged, what the rows hold, and what was done.
pub fn judge(acknowledged: &BTreeSet<u64>, rows: &[Row], ledger: &BTreeMap<String, Work>) -> Verdict {
    let mut verdict = Verdict { activities: ledger.len(), ..Verdict::default() };
    let mut by_order: BTreeMap<u64, Instance> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for row in rows {
        let instance: Instance = match encoding::decode(&row.snapshot) {
            Ok(instance) => instance,
            Err(error) => {
                verdict.wrong.push(format!("the row of {} is {error}", row.actor));
                continue;
            }
        };
        let Some(order) = order_of(&instance) else {
            verdict.wrong.push(format!("{} was ordered by nobody: {}", row.actor, instance.input));
            continue;
        };
        activities(order, &instance, ledger, &mut known, &mut verdict);
        if let Some(other) = by_order.insert(order, instance) {
            verdict.wrong.push(format!("order {order} has two instances, {} and {}", other.id, row.actor));
        }
    }
    for order in acknowledged.iter().filter(|order| !by_order.contains_key(order)) {
        verdict.wrong.push(format!("order {order} was acknowledged, and nothing came of it"));
    }
    for (key, work) in ledger.iter().filter(|(key, _)| !known.contains(*key)) {
        verdict.wrong.push(format!("{key} was done for nobody: {work:?}"));
    }
    verdict
}

fn order_of(instance: &Instance) -> Option<u64> {
    let order = instance.input.get("order").or_else(|| instance.input.pointer("/0/data/order"))?;
    order.as_u64()
}

fn activities(
    order: u64,
    instance: &Instance,
    ledger: &BTreeMap<String, Work>,
    known: &mut BTreeSet<String>,
    verdict: &mut Verdict,
) {
    let status = instance.status.word();
    let states: Vec<&str> = instance.activities.kept.iter().map(|activity| activity.status()).collect();
    match status {
        "completed" if states == ["completed"; TASKS.len()] => verdict.completed += 1,
        "uncertain" if states.last() == Some(&"uncertain") => verdict.interrupted += 1,
        _ => verdict.wrong.push(format!("order {order} is {status} with {states:?}")),
    }
    for (activity, (task, restartable)) in instance.activities.kept.iter().zip(TASKS) {
        let key = activity.key(&instance.id);
        let work = ledger.get(&key).cloned().unwrap_or_default();
        let begun = work.begun.len();
        verdict.repeated += usize::from(begun > 1);
        let mut wrong = |what: &str| {
            verdict.wrong.push(format!("{task} of order {order} {what}: {work:?}, {activity:?}"));
        };
        if begun > 1 && !restartable {
            wrong("began more than once");
        }
        match activity.status() {
            "completed" if work.ended.is_empty() => wrong("completed and was not done"),
            "uncertain" if restartable => wrong("was given up and may be done again"),
            _ => {}
        }
        known.insert(key);
    }
}
