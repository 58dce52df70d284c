//! Whether the ledger, the nodes and the clients tell the same story.

use std::collections::BTreeMap;
use std::fmt;

use impresario::orchestrator::{ActivityDetail, InstanceDetail};

use super::ledger::{Ledger, Work};
use super::{Harm, Placed, Placements, pack};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Instances that completed.
    pub completed: usize,
    /// Instances that wait for an operator because an activity was interrupted, and say so.
    pub interrupted: usize,
    /// Activities in the ledger.
    pub activities: usize,
    /// Of these, restartable ones that were started more than once.
    pub repeated: usize,
    /// Acknowledged orders of which nothing came.
    pub lost: usize,
    /// Orders with more than one instance, and activities that ran twice and must not.
    pub duplicated: usize,
    /// Everything that is not in good order, in words; the lost and the duplicated too.
    pub wrong: Vec<String>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} instances completed, {} interrupted; {} activities ran, {} of them more than once",
            self.completed, self.interrupted, self.activities, self.repeated
        )
    }
}

/// Compares the accounts.
pub fn judge(harm: Harm, placed: &Placements, instances: &[InstanceDetail], ledger: &Ledger) -> Account {
    let mut account = Account { activities: ledger.len(), ..Account::default() };
    let by_order = one_instance_each(placed, instances, &mut account);
    for (order, instance) in &by_order {
        let mut findings = Vec::new();
        ending(instance, &mut account, &mut findings);
        for (task, restartable) in pack::TASKS {
            let work = ledger.get(&((*order).to_owned(), task.to_owned())).cloned().unwrap_or_default();
            let activity = instance.activities.iter().find(|activity| activity.task == task);
            judge_activity(harm, (task, restartable), activity, &work, &mut findings);
            match (work.begun.len() > 1, restartable) {
                (true, true) => account.repeated += 1,
                (true, false) => account.duplicated += 1,
                (false, _) => {}
            }
        }
        let name = |finding| format!("{order} ({}): {finding}", instance.summary.id);
        account.wrong.extend(findings.into_iter().map(name));
    }
    let orphans = ledger.keys().filter(|(order, _)| !by_order.contains_key(order.as_str()));
    account.wrong.extend(orphans.map(|key| format!("{key:?} is in the ledger, ordered by nobody")));
    limits(harm, &mut account);
    account
}

/// No more may be interrupted or repeated than was at work when something was broken.
fn limits(harm: Harm, account: &mut Account) {
    let most = match harm {
        Harm::None => 0,
        Harm::InDoubt(most) | Harm::Zombie(most) => most,
    };
    for (count, what) in [(account.interrupted, "interrupted"), (account.repeated, "repeated")] {
        if count > most {
            account
                .wrong
                .push(format!("{count} activities were {what}, and at most {most} can have been at work"));
        }
    }
}

/// Every acknowledged order has exactly one instance, and nothing else has any.
fn one_instance_each<'a>(
    placed: &'a Placements,
    instances: &'a [InstanceDetail],
    account: &mut Account,
) -> BTreeMap<&'a str, &'a InstanceDetail> {
    let mut by_order = BTreeMap::new();
    for instance in instances {
        let input = if instance.input.is_array() { &instance.input[0]["data"] } else { &instance.input };
        let (id, order) = (&instance.summary.id, input["order"].as_str().unwrap_or_default());
        if let Some(other) = by_order.insert(order, instance) {
            account.duplicated += 1;
            let other = &other.summary.id;
            account.wrong.push(format!("{order} started two instances: {id} and {other}"));
        }
        match placed.get(order) {
            None => account.wrong.push(format!("{id} was ordered by nobody: {}", instance.input)),
            Some(Placed::Start(told)) if told != id => {
                account.wrong.push(format!("{order} was acknowledged as {told}, found as {id}"));
            }
            Some(Placed::Start(_) | Placed::Event) => {}
        }
    }
    for order in placed.keys().filter(|order| !by_order.contains_key(order.as_str())) {
        account.lost += 1;
        account.wrong.push(format!("{order} was acknowledged and started nothing"));
    }
    by_order
}

/// An instance completes with all its activities, or says which of them was interrupted.
fn ending(instance: &InstanceDetail, account: &mut Account, findings: &mut Vec<String>) {
    let interrupted = instance.activities.iter().filter(|activity| activity.status == "uncertain").count();
    match instance.summary.status.as_str() {
        "completed" => {
            account.completed += 1;
            let done: Vec<&str> = instance.activities.iter().map(|activity| activity.task.as_str()).collect();
            let expected: Vec<&str> = pack::TASKS.iter().map(|(task, _)| *task).collect();
            if done != expected || instance.activities.iter().any(|activity| activity.status != "completed") {
                findings.push(format!("completed with these activities: {:?}", instance.activities));
            }
        }
        "uncertain" => {
            account.interrupted += 1;
            let last = instance.activities.last().map(|activity| activity.status.as_str());
            if interrupted != 1 || last != Some("uncertain") {
                findings
                    .push(format!("uncertain, and not about its last activity: {:?}", instance.activities));
            }
        }
        other => findings.push(format!("ended as {other}")),
    }
}

fn judge_activity(
    harm: Harm,
    (task, restartable): (&str, bool),
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
    let two_may_run_it = restartable && matches!(harm, Harm::Zombie(_));
    if attempts.len() != work.begun.len() && !two_may_run_it {
        finding("ran the same attempt twice");
    }
    if !restartable && work.begun.len() > 1 {
        finding("ran more than once and must not");
    }
    match activity.status.as_str() {
        "completed" if work.ended.is_empty() => finding("completed and did not run to its end"),
        "uncertain" if restartable => finding("is restartable and was given up"),
        "completed" | "uncertain" => {}
        _ => finding("is left in between"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ORDER: &str = "start-1";

    /// One instance that completed, what its activities wrote, and its acknowledgement.
    fn in_good_order() -> (Placements, Vec<Value>, Ledger) {
        let activity = |(number, (task, restartable)): (usize, &(&str, bool))| {
            json!({
                "number": number + 1, "task": task, "pointer": "", "function": "command/shell",
                "status": "completed", "key": format!("i.{number}"), "attempts": 1, "restartable": restartable,
                "input": {}, "started_at": "",
            })
        };
        let activities: Vec<Value> = pack::TASKS.iter().enumerate().map(activity).collect();
        let instance = json!({
            "id": "i", "definition": "d", "status": "completed", "started_at": "", "ended_at": "",
            "started_by": "api", "input": { "order": ORDER }, "waits_for": [], "activities": activities,
            "activities_dropped": 0,
        });
        let work = |(number, (task, _)): (usize, &(&str, bool))| {
            let token = vec![format!("i.{number}.1")];
            let work = Work { keys: vec![format!("i.{number}")], begun: token.clone(), ended: token };
            ((ORDER.to_owned(), (*task).to_owned()), work)
        };
        let ledger = pack::TASKS.iter().enumerate().map(work).collect();
        (Placements::from([(ORDER.to_owned(), Placed::Start("i".to_owned()))]), vec![instance], ledger)
    }

    fn judged(harm: Harm, placed: &Placements, instances: &[Value], ledger: &Ledger) -> Account {
        let instances: Vec<InstanceDetail> = instances
            .iter()
            .map(|instance| serde_json::from_value(instance.clone()).expect("an instance"))
            .collect();
        judge(harm, placed, &instances, ledger)
    }

    /// What is found once something is changed.
    fn after(change: impl FnOnce(&mut Placements, &mut Vec<Value>, &mut Ledger)) -> Account {
        let (mut placed, mut instances, mut ledger) = in_good_order();
        change(&mut placed, &mut instances, &mut ledger);
        judged(Harm::InDoubt(1), &placed, &instances, &ledger)
    }

    fn work<'a>(ledger: &'a mut Ledger, task: &str) -> &'a mut Work {
        ledger.get_mut(&(ORDER.to_owned(), task.to_owned())).expect("a task of the pack")
    }

    #[test]
    fn accounts_that_agree_are_in_good_order() {
        let (placed, instances, ledger) = in_good_order();
        let account = judged(Harm::None, &placed, &instances, &ledger);
        assert_eq!(account, Account { completed: 1, activities: 5, ..Account::default() });
    }

    #[test]
    fn what_was_acknowledged_and_started_nothing_is_lost() {
        let account = after(|placed, _, _| {
            placed.insert("event-2".to_owned(), Placed::Event);
        });
        assert_eq!((account.lost, account.wrong.len()), (1, 1), "{account:?}");
    }

    #[test]
    fn what_started_two_instances_is_duplicated() {
        let account = after(|_, instances, _| {
            let mut second = instances[0].clone();
            second["id"] = "j".into();
            instances.push(second);
        });
        assert_eq!(account.duplicated, 1, "{account:?}");
        assert!(account.wrong.iter().any(|wrong| wrong.contains("acknowledged as i, found as j")));
    }

    #[test]
    fn what_ran_twice_is_duplicated_unless_it_is_restartable() {
        let account = after(|_, _, ledger| work(ledger, "charge").begun.push("i.1.2".to_owned()));
        assert_eq!((account.duplicated, account.wrong.len()), (1, 1), "{account:?}");
        let account = after(|_, _, ledger| work(ledger, "pack").begun.push("i.2.2".to_owned()));
        assert_eq!((account.repeated, account.wrong.len()), (1, 0), "{account:?}");
        let account = after(|_, _, ledger| work(ledger, "pack").begun.push("i.2.1".to_owned()));
        assert_eq!(account.wrong.len(), 1, "the same attempt twice: {account:?}");
    }

    #[test]
    fn the_same_attempt_runs_twice_only_where_a_node_may_not_know_that_it_is_one_too_many() {
        let (placed, instances, mut ledger) = in_good_order();
        work(&mut ledger, "pack").begun.push("i.2.1".to_owned());
        assert_eq!(judged(Harm::Zombie(1), &placed, &instances, &ledger).wrong.len(), 0);
        work(&mut ledger, "ship").begun.push("i.3.1".to_owned());
        let account = judged(Harm::Zombie(1), &placed, &instances, &ledger);
        assert_eq!((account.duplicated, account.wrong.len()), (1, 2), "{account:?}");
    }

    #[test]
    fn nothing_is_interrupted_or_repeated_unless_something_was_broken() {
        let (placed, mut instances, mut ledger) = in_good_order();
        instances[0]["status"] = "uncertain".into();
        instances[0].as_object_mut().expect("a map").remove("ended_at");
        instances[0]["activities"].as_array_mut().expect("a list").truncate(4);
        instances[0]["activities"][3]["status"] = "uncertain".into();
        ledger.remove(&(ORDER.to_owned(), "report".to_owned()));
        let broken = judged(Harm::InDoubt(1), &placed, &instances, &ledger);
        assert_eq!((broken.interrupted, broken.wrong.len()), (1, 0), "{broken:?}");
        let calm = judged(Harm::None, &placed, &instances, &ledger);
        assert_eq!(calm.wrong.len(), 1, "{calm:?}");
        work(&mut ledger, "reserve").begun.push("i.0.2".to_owned());
        let calm = judged(Harm::None, &placed, &instances, &ledger);
        assert_eq!((calm.repeated, calm.wrong.len()), (1, 2), "{calm:?}");
    }

    #[test]
    fn what_the_accounts_tell_differently_is_found() {
        type Change = fn(&mut Vec<Value>, &mut Ledger);
        let findings: [(&str, Change); 7] = [
            ("ordered by nobody", |instances, _| instances[0]["input"]["order"] = "start-2".into()),
            ("ended as running", |instances, _| instances[0]["status"] = "running".into()),
            ("did not run to its end", |_, ledger| work(ledger, "ship").ended.clear()),
            ("another idempotency key", |_, ledger| work(ledger, "ship").keys = vec!["other".to_owned()]),
            ("knows nothing of it", |instances, _| {
                instances[0]["activities"].as_array_mut().expect("a list").truncate(4);
            }),
            ("not about its last activity", |instances, _| instances[0]["status"] = "uncertain".into()),
            ("ended as faulted", |instances, _| instances[0]["status"] = "faulted".into()),
        ];
        for (words, change) in findings {
            let account = after(|_, instances, ledger| change(instances, ledger));
            assert!(
                account.wrong.iter().any(|wrong| wrong.contains(words)),
                "expected '{words}': {account:?}"
            );
        }
    }
}
