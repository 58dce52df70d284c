//! Why a trigger, an adapter, a target, a subscription or the turns of a definition stand as they do; and an actor
//! that is set aside, or whose shard cannot tell.

use impresario_model::definition::{Consumption, Definition, Misfire, Strategy, Watch};
use impresario_model::instance::rfc3339;
use impresario_model::overlap::Turns;
use impresario_model::places::Places;
use impresario_model::subscription::Subscription;
use impresario_model::trigger::Trigger;
use impresario_persistence::ShardId;

use super::instance::trouble;
use super::reason::{count, plain};
use crate::adapters::AdapterSummary;
use crate::cluster::ClusterView;
use crate::explain::Explanation;
use crate::known::{Aside, Known, Replaying};

/// How many of those who hold or wait are told one by one.
const TOLD: usize = 10;

/// A trigger. `before` is the explanation of the instance whose end it waits for, if it does.
pub(super) fn trigger(
    trigger: &Trigger,
    definition: Option<&Definition>,
    before: Option<&Explanation>,
    now: u64,
) -> Explanation {
    let name = &trigger.name;
    let subject = format!("trigger/{name}");
    let mut explanation = state_of_trigger(subject, trigger, definition, before, now);
    let since = trigger.paused.as_ref().map(|paused| paused.since);
    let since = since.or(trigger.plan.as_ref().map(|plan| plan.since)).or(trigger.last);
    explanation.since = since.map(rfc3339);
    let last = trigger.last.map_or_else(|| "never yet".to_owned(), rfc3339);
    explanation.evidence.push(format!("it fired {}, last {last}", count_times(trigger.fired)));
    if let Some(fire) = trigger.history.back() {
        explanation
            .evidence
            .push(format!("the last fire started instance {} for {}", fire.instance, fire.cause));
    }
    if let Some(calendar) = &trigger.calendar {
        explanation.evidence.push(format!("it fires on days of calendar {} alone", calendar.name));
    }
    if trigger.skipped > 0 {
        explanation.evidence.push(format!("{} missed times were skipped", trigger.skipped));
    }
    let passed = &trigger.passed;
    for (count, what) in [
        (passed.paused, "events matched while it was paused"),
        (passed.inactive, "events matched out of its hours"),
        (passed.limited, "fires were beyond its rate"),
        (passed.expired, "sets of events waited too long"),
        (passed.dropped, "sets and events found no room, or were of another version"),
        (passed.failed, "events could not be matched because an expression failed"),
    ] {
        if count > 0 {
            explanation.evidence.push(format!("{count} {what}"));
        }
    }
    explanation
        .evidence
        .extend(passed.failure.as_ref().map(|failure| format!("the last failure: {failure}")));
    explanation.can_do.push(format!("impresario triggers show {name}"));
    explanation
}

fn state_of_trigger(
    subject: String,
    trigger: &Trigger,
    definition: Option<&Definition>,
    before: Option<&Explanation>,
    now: u64,
) -> Explanation {
    let name = &trigger.name;
    let Some(armed) = &trigger.definition else {
        let mut explanation =
            plain(subject, "disarmed", "It watches nothing: no definition that is deployed has it.");
        explanation.wakes = Some("a deployment of its definition".to_owned());
        return explanation;
    };
    if let Some(problem) = &trigger.problem {
        let text =
            format!("It cannot watch: {problem}. It fires nothing until {armed} or what it names is mended.");
        let mut explanation = plain(subject, "problem", text);
        explanation.wakes = Some("a deployment that mends it".to_owned());
        return explanation;
    }
    if let Some(paused) = &trigger.paused {
        let why =
            paused.reason.as_ref().map_or_else(|| "no reason was given".to_owned(), |why| format!("'{why}'"));
        let text =
            format!("An operator has paused it at {} ({why}), so it starts nothing.", rfc3339(paused.since));
        let mut explanation = plain(subject, "paused", text);
        explanation.wakes = Some("an operator who resumes it".to_owned());
        explanation.can_do.push(format!("impresario triggers resume {name}"));
        return explanation;
    }
    let spec = definition.and_then(|definition| {
        definition.triggers.iter().find(|spec| spec.name == *name).map(|spec| &spec.watch)
    });
    let mut explanation = match (&trigger.waits_for, trigger.due(), spec) {
        (Some(instance), ..) => {
            let text = format!(
                "It counts from the end of instance {instance}, which it started at {} and which has not ended.",
                trigger.last.map(rfc3339).unwrap_or_default()
            );
            let mut explanation = plain(subject, "enabled", text);
            explanation.wakes = Some(format!("the end of instance {instance}"));
            explanation.evidence.extend(before.map(|before| format!("{instance}: {}", before.text)));
            explanation.can_do.push(format!("impresario explain {instance}"));
            explanation
        }
        (None, Some(due), watch) if !matches!(watch, Some(Watch::Event(_))) => {
            let word = if due <= now { "It is about to fire for" } else { "It waits for its next time," };
            let text = format!("{word} {} ({}).", rfc3339(due), trigger.watches);
            let mut explanation = plain(subject, "enabled", text);
            explanation.wakes = Some(format!("its timer, at {}", rfc3339(due)));
            explanation.can_do.push(format!("impresario triggers fire {name}"));
            explanation
        }
        (None, _, Some(Watch::Event(consumption))) => events(subject, trigger, consumption, definition, now),
        (None, _, _) => {
            let text = format!("It waits for what it watches: {}.", trigger.watches);
            let mut explanation = plain(subject, "enabled", text);
            explanation.wakes = Some(trigger.watches.clone());
            explanation
        }
    };
    if let Some(plan) = &trigger.plan {
        let rule = trigger.missed.as_ref().map_or(Misfire::Plan, |missed| missed.rule);
        explanation.text.push_str(&format!(
            " An operator is to decide about {} that it missed (misfire rule {rule:?}).",
            count(plan.times.len(), "time", "times")
        ));
        explanation.can_do.insert(0, format!("impresario triggers approve {name}"));
    }
    explanation
}

/// A trigger that watches events.
fn events(
    subject: String,
    trigger: &Trigger,
    consumption: &Consumption,
    definition: Option<&Definition>,
    now: u64,
) -> Explanation {
    let out_of_hours = definition.is_some_and(|definition| !trigger.is_active(definition, now));
    let types: Vec<&str> = consumption.filters.iter().filter_map(|filter| filter.event_type()).collect();
    let types = if types.is_empty() { "events of any type".to_owned() } else { types.join(", ") };
    let mut text = match (out_of_hours, trigger.waiting.sets.len()) {
        (true, _) => {
            format!("It is out of its hours now, so what matches ({types}) is counted and starts nothing.")
        }
        (false, 0) => format!("It waits for an event: {}.", trigger.watches),
        (false, sets) => {
            let some = if consumption.strategy == Strategy::All {
                "not all of their events"
            } else {
                "not enough events"
            };
            format!(
                "It waits for an event: {} have {some} yet ({}).",
                count(sets, "set", "sets"),
                trigger.watches
            )
        }
    };
    if trigger.fired == 0 && trigger.matched == 0 {
        text.push_str(" No event has matched so far.");
    }
    let mut explanation = plain(subject, if out_of_hours { "out of hours" } else { "enabled" }, text);
    explanation.wakes = Some(format!("an event of {types} that its filters let through"));
    explanation.evidence.push(format!("{} events matched so far", trigger.matched));
    for set in trigger.waiting.sets.iter().take(TOLD) {
        let keys: Vec<String> = set.keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        explanation.evidence.push(format!(
            "a set ({}) has {} since {}",
            keys.join(", "),
            count(set.events.len(), "event", "events"),
            rfc3339(set.since)
        ));
    }
    explanation.can_do.push(format!("impresario triggers test {}", trigger.name));
    explanation
}

fn count_times(fired: u64) -> String {
    if fired == 1 { "once".to_owned() } else { format!("{fired} times") }
}

/// An adapter, at all nodes.
pub(super) fn adapter(name: &str, all: &[AdapterSummary]) -> Explanation {
    let subject = format!("adapter {name}");
    let facts = all.iter().map(|one| {
        let error =
            one.last_error.as_ref().map_or_else(String::new, |error| format!(", last error: {error}"));
        format!(
            "at node {}: {}, {} at work, {} waiting, {} restarts{error}",
            one.node, one.state, one.in_flight, one.queued, one.counters.restarts
        )
    });
    let facts: Vec<String> = facts.collect();
    let troubled: Vec<(&AdapterSummary, (String, Option<String>))> =
        all.iter().filter_map(|one| Some((one, trouble(one)?))).collect();
    let silent: Vec<&str> =
        all.iter().filter(|one| one.state == "no answer").map(|one| one.node.as_str()).collect();
    let mut explanation = match troubled.first() {
        Some((one, (word, can_do))) => {
            let nodes: Vec<&str> = troubled.iter().map(|(one, _)| one.node.as_str()).collect();
            let error = one.last_error.as_ref().map_or_else(String::new, |error| format!(" after '{error}'"));
            let text = format!(
                "At node {} it is {word}{error}, and its activities wait or are refused there.",
                nodes.join(", ")
            );
            let mut explanation = plain(subject, &one.state, text);
            explanation.wakes = Some(match can_do {
                Some(_) => "an operator".to_owned(),
                None => "its supervisor, which starts it again after a wait".to_owned(),
            });
            explanation.can_do.extend(can_do.clone());
            explanation
        }
        None => {
            let at_work: usize = all.iter().map(|one| one.in_flight).sum();
            let queued: usize = all.iter().map(|one| one.queued).sum();
            let text = match (at_work, queued) {
                (0, 0) => "It has nothing to do: its process starts with its next activity.".to_owned(),
                (_, 0) => format!("It works on {}.", count(at_work, "activity", "activities")),
                _ => format!(
                    "It works on {}, and {queued} more wait for a slot: that is as many at once as its setting \
                     'concurrency' lets it take.",
                    count(at_work, "activity", "activities")
                ),
            };
            let state = if at_work > 0 { "running" } else { "idle" };
            let mut explanation = plain(subject, state, text);
            explanation.wakes = Some("an activity".to_owned());
            explanation
        }
    };
    if !silent.is_empty() {
        explanation.text.push_str(&format!(" Of node {} there is no answer.", silent.join(", ")));
    }
    explanation.evidence = facts;
    explanation.can_do.push(format!("impresario adapters show {name}"));
    explanation
}

/// The places at a target.
pub(super) fn target(name: &str, places: Option<&Places>, now: u64) -> Explanation {
    let subject = format!("target/{name}");
    let nobody = Places::default();
    let places = places.unwrap_or(&nobody);
    let limit = places.limit.most;
    let mut explanation = match (limit, places.holders.len(), places.queue.len()) {
        (_, 0, 0) => plain(subject, "free", "Nothing works on it under its limit, and nothing waits for it."),
        (Some(most), at_work, waiting) if waiting > 0 => plain(
            subject,
            "full",
            format!("Its limit of {most} is used up: {at_work} work on it, {waiting} wait for a place."),
        ),
        (_, at_work, _) => plain(
            subject,
            "used",
            format!(
                "{} work on it, and nothing waits for a place.",
                count(at_work, "activity", "activities")
            ),
        ),
    };
    if let Some(first) = places.holders.front() {
        explanation.since = Some(rfc3339(first.since));
        explanation.wakes = Some("an activity that leaves".to_owned());
        let held = std::time::Duration::from_secs(now.saturating_sub(first.since) / 1000);
        explanation.evidence.push(format!(
            "activity {} of instance {} has its place for {}",
            first.activity,
            first.instance,
            humantime::format_duration(held)
        ));
        explanation.can_do.push(format!("impresario explain {}#{}", first.instance, first.activity));
    }
    for claim in places.holders.iter().skip(1).take(TOLD) {
        explanation
            .evidence
            .push(format!("activity {} of instance {} has a place", claim.activity, claim.instance));
    }
    for claim in places.queue.iter().take(TOLD) {
        explanation.evidence.push(format!(
            "activity {} of instance {} waits since {}",
            claim.activity,
            claim.instance,
            rfc3339(claim.since)
        ));
    }
    explanation.can_do.push(format!("impresario targets show {name}"));
    explanation
}

/// The turns of the instances of a definition.
pub(super) fn turns(subject: &str, turns: &Turns) -> Explanation {
    let (running, waiting) = (turns.running.len(), turns.queue.len());
    let state = if waiting > 0 { "full" } else { "open" };
    let text = format!(
        "It lets {} run at the same time: {running} run, {waiting} wait for their turn.",
        count(turns.max, "instance", "instances")
    );
    let mut explanation = plain(subject.to_owned(), state, text);
    explanation.since = turns.running.front().map(|turn| rfc3339(turn.since));
    explanation.wakes = (waiting > 0).then(|| "an instance that ends".to_owned());
    let runs = turns
        .running
        .iter()
        .take(TOLD)
        .map(|turn| format!("instance {} runs since {}", turn.instance, rfc3339(turn.since)));
    explanation.evidence.extend(runs);
    let waits = turns
        .queue
        .iter()
        .take(TOLD)
        .map(|turn| format!("instance {} waits since {}", turn.instance, rfc3339(turn.since)));
    explanation.evidence.extend(waits);
    explanation
        .can_do
        .extend(turns.running.front().map(|turn| format!("impresario explain {}", turn.instance)));
    explanation
}

/// A subscription.
pub(super) fn subscription(subject: &str, subscription: &Subscription) -> Explanation {
    let listeners = subscription.subscribers.len();
    let kept = subscription.events.len();
    let text = format!(
        "{} for {}, and {} for those who listen later.",
        count(listeners, "instance listens", "instances listen"),
        subscription.about,
        count(kept, "event is kept", "events are kept")
    );
    let mut explanation =
        plain(subject.to_owned(), if listeners > 0 { "listened to" } else { "keeping" }, text);
    explanation.wakes = Some("an event".to_owned());
    let listening = subscription.subscribers.iter().take(TOLD);
    explanation
        .evidence
        .extend(listening.map(|one| format!("listener {} of instance {}", one.listener, one.instance)));
    explanation
}

/// An actor that is set aside.
pub(super) fn aside(subject: &str, aside: &Aside, node: &str) -> Explanation {
    let on = aside.entry.as_ref().map_or_else(
        || "it cannot even be loaded".to_owned(),
        |entry| format!("it failed on the entry at {entry} of its log"),
    );
    let text = format!(
        "It is quarantined, alone: {on} ({}), and {} for it.",
        aside.reason,
        count(aside.held, "entry waits", "entries wait")
    );
    let mut explanation = plain(subject.to_owned(), "quarantined", text);
    explanation.since = Some(rfc3339(aside.since));
    explanation.wakes = Some("an operator who retries, skips or edits the entry".to_owned());
    explanation.evidence.push(format!("its shard is run by node {node}"));
    for order in ["show", "retry", "skip", "edit"] {
        explanation.can_do.push(format!("impresario quarantine {order} {subject}"));
    }
    explanation
}

/// An actor whose shard is being replayed.
pub(super) fn replaying(subject: &str, shard: u16, known: &Known, at: &Replaying) -> Explanation {
    let text = format!(
        "Shard {shard} is catching up at node {}: it replays its log, and the actor goes on once it is through.",
        known.node
    );
    let mut explanation = plain(subject.to_owned(), "catching up", text);
    explanation.wakes = Some("the end of the replay".to_owned());
    explanation.evidence.push(format!("the replay is at {} of {}", at.cursor, at.head));
    explanation.can_do.push("impresario nodes".to_owned());
    explanation
}

/// An actor whose shard does not answer.
pub(super) fn unreachable(subject: &str, shard: u16, view: &ClusterView, reason: &str) -> Explanation {
    let owned = view.shard(ShardId(shard));
    let owner = owned.and_then(|owned| owned.owner.as_ref());
    let text = match owner {
        None => {
            let offered = owned.and_then(|owned| owned.offered.as_ref()).map_or_else(
                || "any node that has room".to_owned(),
                |to| {
                    let node = view.nodes.iter().find(|node| node.incarnation == *to);
                    node.map_or_else(|| "another node".to_owned(), |node| format!("node {}", node.name))
                },
            );
            format!("Shard {shard}, in which it is, has no owner at the moment: {offered} is to claim it.")
        }
        Some(owner) if !view.lives(&owner.incarnation) => format!(
            "Shard {shard}, in which it is, was run by node {}, which is gone: another node claims it as soon as that \
             is certain.",
            owner.node
        ),
        Some(owner) => {
            format!("Shard {shard}, in which it is, is run by node {}, which does not answer.", owner.node)
        }
    };
    let mut explanation = plain(subject.to_owned(), "unreachable", text);
    explanation.wakes = Some("an owner of its shard, which replays the log and goes on".to_owned());
    explanation.evidence.push(reason.to_owned());
    let alive = view.nodes.iter().filter(|node| node.alive).map(|node| node.name.as_str());
    explanation.evidence.push(format!("nodes that are alive: {}", alive.collect::<Vec<_>>().join(", ")));
    explanation.can_do.push("impresario nodes".to_owned());
    explanation
}
