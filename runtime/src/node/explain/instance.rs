//! Why an instance waits, or why it ended so; and the same of one of its activities.

use std::collections::BTreeMap;

use impresario_actors::shard::AttemptPlace;
use impresario_model::definition::{Definition, TaskKind};
use impresario_model::instance::{
    Activity, ActivityState, Instance, ListenRun, Place, Status, TaskRun, TaskState, TryPhase, rfc3339,
};
use impresario_model::overlap::Turns;
use impresario_model::places::Places;
use impresario_model::subscription::Subscription;

use super::reason::{Rank, Reason, count, fault_words, plain, waiting};
use crate::adapters::AdapterSummary;
use crate::explain::Explanation;
use crate::known::Known;

/// What other actors say about what an instance waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// The places at targets, by name; of one that nobody asked for a place there is nothing.
    pub(super) places: BTreeMap<String, Option<Places>>,
    /// The subscriptions, by key; a missing one is nothing.
    pub(super) subscriptions: BTreeMap<String, Option<Subscription>>,
    /// Its turns.
    pub(super) turns: Option<Turns>,
}

/// What is asked of other actors before an instance is explained.
pub(super) fn targets(instance: &Instance) -> Vec<&str> {
    let asked = |activity: &&Activity| activity.place == Some(Place::Asked);
    let mut names: Vec<&str> =
        instance.activities.open().filter(asked).filter_map(|activity| activity.target.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The keys of the subscriptions by which it listens.
pub(super) fn subscriptions(instance: &Instance) -> Vec<&str> {
    let places = instance.listeners.open.iter().flat_map(|listener| &listener.places);
    places.map(|place| place.subscription.as_str()).collect()
}

/// Everything that is at hand to explain an instance.
pub(super) struct Case<'a> {
    pub(super) instance: &'a Instance,
    pub(super) definition: Option<&'a Definition>,
    pub(super) known: &'a Known,
    pub(super) around: &'a Around,
}

impl Case<'_> {
    /// The whole instance.
    pub(super) fn explain(&self) -> Explanation {
        let subject = format!("process/{}", self.instance.id);
        if self.instance.status.ended() {
            return self.ended(subject);
        }
        let mut explanation = waiting(subject, self.instance.status.word(), self.reasons());
        if explanation.since.is_none() {
            explanation.since = Some(rfc3339(self.instance.started));
        }
        explanation.can_do.push(format!("impresario cancel {}", self.instance.id));
        explanation
    }

    /// One activity; nothing if there is none of that number.
    pub(super) fn explain_activity(&self, number: u64) -> Option<Explanation> {
        let activity = self.instance.activities.get(number)?;
        let subject = format!("activity {}#{number}", self.instance.id);
        let what = self.named(activity);
        let tried = format!("{what}, attempt {}", activity.attempt);
        let ended = activity.ended.map(rfc3339).unwrap_or_default();
        let explanation = match &activity.state {
            ActivityState::Completed(_) => {
                plain(subject, "completed", format!("{tried}, completed at {ended}."))
            }
            ActivityState::Failed(fault) => {
                let text = format!("{tried}, failed at {ended} with {}.", fault_words(fault));
                let mut explanation = plain(subject, "failed", text);
                explanation.evidence.extend(self.pointer(activity));
                explanation
            }
            ActivityState::Skipped => {
                plain(subject, "skipped", format!("{tried}, was passed over by an operator at {ended}."))
            }
            ActivityState::Cancelled => plain(
                subject,
                "cancelled",
                format!(
                    "{tried}, was given up at {ended}, because its task or its instance ended before it did."
                ),
            ),
            ActivityState::Running
            | ActivityState::Retrying(_)
            | ActivityState::Probing(_)
            | ActivityState::Uncertain(_) => {
                waiting(subject, activity.status(), vec![self.activity(activity, None)])
            }
        };
        Some(Explanation { since: explanation.since.or(Some(rfc3339(activity.started))), ..explanation })
    }

    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some(current) = self.instance.root.as_ref().and_then(|root| root.current.as_ref()) {
            current.visit(&mut |task| reasons.extend(self.of_task(task)));
        }
        reasons.extend(self.turn());
        if self.instance.continuing && reasons.is_empty() {
            reasons.push(Reason {
                rank: Rank::Usual,
                waits_for: "its next turn: the last one used up what one turn may do".to_owned(),
                wakes: Some("an entry that is on its way in the mailbox log".to_owned()),
                evidence: vec![format!("{} tasks were run so far", self.instance.tasks_run)],
                ..Reason::default()
            });
        }
        reasons
    }

    fn of_task(&self, task: &TaskRun) -> Option<Reason> {
        match &task.state {
            TaskState::Wait(until) => Some(Reason {
                rank: Rank::Usual,
                waits_for: format!("task {} to have waited until {}", self.name(task), rfc3339(*until)),
                since: Some(task.started),
                wakes: Some(format!("its timer, at {}", rfc3339(*until))),
                ..Reason::default()
            }),
            TaskState::Try(run) => {
                let TryPhase::Backoff { until, fault } = &run.phase else { return None };
                Some(Reason {
                    rank: Rank::Usual,
                    waits_for: format!(
                        "retry {} of task {} at {}, after {}",
                        run.retries + 1,
                        self.name(task),
                        rfc3339(*until),
                        fault_words(fault)
                    ),
                    since: Some(task.started),
                    wakes: Some(format!("its timer, at {}", rfc3339(*until))),
                    evidence: fault.instance.iter().map(|at| format!("the error came from {at}")).collect(),
                    ..Reason::default()
                })
            }
            TaskState::Activity(number) | TaskState::Selecting(number) => {
                let activity = self.instance.activities.get(*number)?;
                Some(self.activity(activity, self.limit(task)))
            }
            TaskState::Listen(run) if run.current.is_none() => self.listen(task, run),
            TaskState::Do(_)
            | TaskState::For(_)
            | TaskState::FanOut(_)
            | TaskState::Fork(_)
            | TaskState::Listen(_)
            | TaskState::Function(_) => None,
        }
    }

    /// When the task, or one that it is a part of, times out.
    fn limit(&self, task: &TaskRun) -> Option<u64> {
        let mut limits: Vec<u64> = self.instance.deadline.into_iter().collect();
        let pointer = self.definition.map(|definition| definition.task(task.task).pointer.as_str());
        if let Some(current) = self.instance.root.as_ref().and_then(|root| root.current.as_ref()) {
            current.visit(&mut |other| {
                let above = self.definition.map(|definition| definition.task(other.task).pointer.as_str());
                let around = match (pointer, above) {
                    (Some(pointer), Some(above)) => pointer.starts_with(above),
                    _ => other.task == task.task,
                };
                limits.extend(other.deadline.filter(|_| around));
                if let (TaskState::Try(run), true) = (&other.state, around) {
                    limits.extend(run.attempt_deadline);
                }
            });
        }
        limits.into_iter().min()
    }

    fn activity(&self, activity: &Activity, limit: Option<u64>) -> Reason {
        let what = self.named(activity);
        let id = &self.instance.id;
        let limit = limit.map_or_else(
            || "it has no time limit".to_owned(),
            |at| format!("it times out at {}", rfc3339(at)),
        );
        let usual = Reason { rank: Rank::Usual, since: Some(activity.started), ..Reason::default() };
        match &activity.state {
            _ if activity.place == Some(Place::Asked) => self.place(activity, usual),
            ActivityState::Retrying(at) => Reason {
                waits_for: format!(
                    "{what} to be tried again at {}: attempt {} was lost with its host or node",
                    rfc3339(*at),
                    activity.attempt
                ),
                wakes: Some(format!("its timer, at {}", rfc3339(*at))),
                evidence: vec![format!("{} of its attempts were lost so far", activity.lost)],
                ..usual
            },
            ActivityState::Probing(reason) => Reason {
                waits_for: format!(
                    "an answer of adapter {}, which is asked what became of {what}, attempt {} ({reason})",
                    activity.adapter, activity.attempt
                ),
                wakes: Some("the answer, within a minute; without one an operator decides".to_owned()),
                evidence: self.adapter_facts(activity),
                ..usual
            },
            ActivityState::Uncertain(reason) => Reason {
                rank: Rank::Person,
                waits_for: format!(
                    "an operator to decide whether {what}, attempt {}, was done: nobody knows ({reason})",
                    activity.attempt
                ),
                wakes: Some("the decision".to_owned()),
                can_do: vec![
                    format!("impresario resolve {id} {} retry", activity.number),
                    format!("impresario resolve {id} {} accept --output JSON", activity.number),
                    format!("impresario resolve {id} {} skip", activity.number),
                    format!("impresario resolve {id} {} fail", activity.number),
                ],
                ..usual
            },
            ActivityState::Running
            | ActivityState::Completed(_)
            | ActivityState::Failed(_)
            | ActivityState::Skipped
            | ActivityState::Cancelled => self.running(activity, &limit, usual),
        }
    }

    /// An activity of which an attempt is under way, or about to be.
    fn running(&self, activity: &Activity, limit: &str, usual: Reason) -> Reason {
        let (what, node, adapter) = (self.named(activity), &self.known.node, &activity.adapter);
        let host = format!("adapter {adapter} at node {node}");
        let mut reason = Reason { evidence: self.adapter_facts(activity), ..usual };
        reason.evidence.insert(0, limit.to_owned());
        let place = self.known.attempts.get(&activity.number).copied();
        let trouble = self.adapter(activity).and_then(trouble);
        (reason.waits_for, reason.wakes) = match place {
            Some(AttemptPlace::AtWork) => (
                format!("{what}, attempt {}, which {host} works on", activity.attempt),
                Some("its end, which the adapter reports".to_owned()),
            ),
            Some(AttemptPlace::Ended) => (
                format!(
                    "the report of {what}, attempt {}, to be durable: it has ended at {host}",
                    activity.attempt
                ),
                Some("its report, once the store has it".to_owned()),
            ),
            Some(AttemptPlace::Queued | AttemptPlace::Ready | AttemptPlace::Marked) => (
                format!("a free slot of {host} for {what}, attempt {}", activity.attempt),
                Some("the end of another activity there".to_owned()),
            ),
            Some(AttemptPlace::Asked) => (
                format!("an answer of {host}, which is asked what became of {what}"),
                Some("the answer, within a minute".to_owned()),
            ),
            Some(AttemptPlace::Nowhere) | None => {
                reason.rank = Rank::Trouble;
                (
                    format!(
                        "{what}, attempt {}, which no host of node {node} has: it is on its way between log and \
                         host, or lost",
                        activity.attempt
                    ),
                    Some("its host, if it is on its way; impresario audit names it if it is lost".to_owned()),
                )
            }
        };
        if let Some((word, can_do)) = trouble.filter(|_| place != Some(AttemptPlace::AtWork)) {
            reason.rank = if can_do.is_some() { Rank::Person } else { Rank::Trouble };
            reason.waits_for.push_str(&format!(": the adapter is {word}"));
            reason.wakes = Some(format!("adapter {adapter}, once it takes work again"));
            reason.can_do.extend(can_do);
        }
        reason
    }

    /// An activity that waits for a place at its target.
    fn place(&self, activity: &Activity, usual: Reason) -> Reason {
        let target = activity.target.as_deref().unwrap_or_default();
        let what = self.named(activity);
        let mut reason = Reason {
            waits_for: format!("a place at target {target} for {what}"),
            wakes: Some(format!("an activity that leaves {target}")),
            ..usual
        };
        let Some(places) = self.around.places.get(target) else {
            reason.evidence.push(format!("the owner of target/{target} did not answer"));
            return reason;
        };
        let places = places.clone().unwrap_or_default();
        let mine = |claim: &&impresario_model::places::Claim| {
            claim.instance == self.instance.id && claim.activity == activity.number
        };
        let most =
            places.limit.most.map_or_else(|| "no limit".to_owned(), |most| format!("a limit of {most}"));
        reason.evidence.push(format!(
            "target/{target} has {most}, {} at work and {} waiting",
            places.holders.len(),
            places.queue.len()
        ));
        if let Some(longest) = places.holders.front() {
            reason.waits_for.push_str(&format!(
                ", which instance {} holds with activity {} since {}",
                longest.instance,
                longest.activity,
                rfc3339(longest.since)
            ));
            reason.can_do.push(format!("impresario explain {}", longest.instance));
        }
        for claim in places.holders.iter().skip(1).take(4) {
            reason.evidence.push(format!(
                "activity {} of instance {} has a place since {}",
                claim.activity,
                claim.instance,
                rfc3339(claim.since)
            ));
        }
        match places.queue.iter().position(|claim| mine(&claim)) {
            Some(0) => reason.evidence.push("it is next in line".to_owned()),
            Some(before) => reason.evidence.push(format!("{before} are before it")),
            None => {
                reason.evidence.push("it is not in the line (any more): its answer is on its way".to_owned())
            }
        }
        reason
    }

    fn listen(&self, task: &TaskRun, run: &ListenRun) -> Option<Reason> {
        let listener = self.instance.listeners.get(run.listener)?;
        let about = match self.definition.map(|definition| &definition.task(task.task).kind) {
            Some(TaskKind::Listen(listen)) => listener.about(listen),
            _ => "events of which this node does not know the definition".to_owned(),
        };
        let mut reason = Reason {
            rank: Rank::Usual,
            waits_for: format!("an event {about}, for which task {} listens", self.name(task)),
            since: Some(task.started),
            wakes: Some("the event, or the end of its task".to_owned()),
            evidence: vec![format!("{} consumed so far", count(run.items.len(), "event", "events"))],
            can_do: vec![format!("impresario send TYPE: for {about}")],
        };
        for place in &listener.places {
            let key = &place.subscription;
            let (words, missing) = match self.around.subscriptions.get(key) {
                None => (format!("the owner of subscription/{key} did not answer"), false),
                Some(None) if place.holds => {
                    (format!("subscription/{key} does not exist: no event will come from there"), true)
                }
                Some(None) => (format!("subscription/{key} was asked for and does not exist yet"), false),
                Some(Some(subscription)) => {
                    let there = subscription
                        .subscribers
                        .iter()
                        .any(|one| one.instance == self.instance.id && one.listener == listener.number);
                    let words = if there { "has it among" } else { "does not have it among" };
                    (
                        format!(
                            "subscription/{key} {words} its {}",
                            count(subscription.subscribers.len(), "listener", "listeners")
                        ),
                        !there && place.holds,
                    )
                }
            };
            reason.evidence.push(words);
            if missing {
                reason.rank = Rank::Trouble;
            }
        }
        Some(reason)
    }

    fn turn(&self) -> Option<Reason> {
        let held = self.instance.held_turn.as_ref()?;
        let asked = held.asked?;
        let mut reason = Reason {
            rank: Rank::Usual,
            waits_for: "its turn, as only so many instances of its definition may run at the same time"
                .to_owned(),
            since: Some(asked),
            wakes: Some("an instance that ends".to_owned()),
            ..Reason::default()
        };
        let Some(turns) = &self.around.turns else {
            reason.evidence.push(format!("the owner of {} did not answer", held.of));
            return Some(reason);
        };
        let running = turns.running.len();
        reason.evidence.push(format!(
            "{} lets {} run, {running} run, {} wait",
            held.of,
            turns.max,
            turns.queue.len()
        ));
        if let Some(longest) = turns.running.front() {
            reason.waits_for.push_str(&format!(
                ": {} runs since {}",
                longest.instance,
                rfc3339(longest.since)
            ));
            reason.can_do.push(format!("impresario explain {}", longest.instance));
        }
        if let Some(before) = turns.before(&self.instance.id) {
            reason.evidence.push(if before == 0 {
                "it is next in line".to_owned()
            } else {
                format!("{before} are before it")
            });
        }
        Some(reason)
    }

    fn ended(&self, subject: String) -> Explanation {
        let instance = self.instance;
        let at = instance.ended.unwrap_or(instance.applied >> 20);
        let mut explanation = match (instance.status, &instance.fault) {
            (Status::Completed, _) => {
                let done = count(instance.activities.kept.len(), "activity", "activities");
                let text = format!("It did all its tasks, with {done} that it still knows of.");
                plain(subject, "completed", text)
            }
            (Status::Cancelled, fault) => {
                let why =
                    fault.as_ref().and_then(|fault| fault.detail.as_deref()).unwrap_or("without a reason");
                let by = fault.as_ref().and_then(|fault| fault.title.as_deref()).unwrap_or("Cancelled");
                plain(subject, "cancelled", format!("It was ended before it was done ({by}): {why}."))
            }
            (status, None) => plain(subject, status.word(), "It ended with an error that is not kept."),
            (status, Some(fault)) => {
                let place = fault.instance.as_deref().filter(|at| !at.is_empty());
                let place =
                    place.map_or_else(|| "the instance as a whole".to_owned(), |at| format!("task {at}"));
                let mut explanation = plain(
                    subject,
                    status.word(),
                    format!(
                        "It failed at {place} with {}, which nothing in its definition caught.",
                        fault_words(fault)
                    ),
                );
                explanation.evidence = self.attempts_of(fault.instance.as_deref());
                explanation.can_do.push(format!("impresario rerun {}", instance.id));
                explanation
            }
        };
        explanation.since = Some(rfc3339(at));
        explanation.evidence.push(format!("it was started by {}", instance.started_by));
        explanation.can_do.push(format!("impresario show {}", instance.id));
        explanation
    }

    /// What was tried at the task of an error.
    fn attempts_of(&self, pointer: Option<&str>) -> Vec<String> {
        let at_task = |activity: &&Activity| {
            let task = self.definition.map(|definition| definition.task(activity.task).pointer.as_str());
            pointer.is_none_or(|pointer| task.is_none_or(|task| pointer.starts_with(task)))
        };
        let tried: Vec<&Activity> = self.instance.activities.kept.iter().filter(at_task).collect();
        let last = tried.len().saturating_sub(5);
        let words = tried.iter().skip(last).map(|activity| {
            let how = match &activity.state {
                ActivityState::Failed(fault) => format!("failed with {}", fault_words(fault)),
                _ => activity.status().to_owned(),
            };
            format!(
                "{}, {}: {how}",
                self.named(activity),
                count(activity.attempt as usize, "attempt", "attempts")
            )
        });
        let earlier = (last > 0).then(|| format!("{} before", count(last, "activity", "activities")));
        earlier.into_iter().chain(words).collect()
    }

    fn adapter(&self, activity: &Activity) -> Option<&AdapterSummary> {
        self.known.adapters.iter().find(|summary| summary.name == activity.adapter)
    }

    fn adapter_facts(&self, activity: &Activity) -> Vec<String> {
        let Some(summary) = self.adapter(activity) else {
            return vec![format!("node {} has no adapter {}", self.known.node, activity.adapter)];
        };
        let mut facts = vec![format!(
            "adapter {} at node {} is {}, with {} at work and {} waiting",
            summary.name, self.known.node, summary.state, summary.in_flight, summary.queued
        )];
        facts.extend(summary.last_error.as_ref().map(|error| format!("its last error: {error}")));
        facts.extend(self.pointer(activity));
        facts
    }

    fn pointer(&self, activity: &Activity) -> Option<String> {
        let task = self.definition?.task(activity.task);
        Some(format!("its task is {}", task.pointer))
    }

    fn name(&self, task: &TaskRun) -> String {
        let name = self.definition.map(|definition| definition.task(task.task).name.as_str());
        format!("'{}'", name.unwrap_or("of an unknown definition"))
    }

    fn named(&self, activity: &Activity) -> String {
        let task = self.definition.map(|definition| definition.task(activity.task).name.as_str());
        let on = activity.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
        let task = task.map_or_else(String::new, |task| format!(" '{task}'"));
        format!("activity {}{task} ({}/{}{on})", activity.number, activity.adapter, activity.function)
    }
}

/// Why an adapter takes no work, and what to do about it, if it takes none.
pub(super) fn trouble(summary: &AdapterSummary) -> Option<(String, Option<String>)> {
    let name = &summary.name;
    let word = match summary.state.as_str() {
        "quarantined" => ("quarantined", Some(format!("impresario adapters release {name}"))),
        "stopped" => ("stopped by an operator", Some(format!("impresario adapters start {name}"))),
        "restarting" => ("being started again after it disappeared", None),
        "starting" => ("starting", None),
        _ => return None,
    };
    Some((word.0.to_owned(), word.1))
}
