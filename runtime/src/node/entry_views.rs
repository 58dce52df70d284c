//! How an entry of a mailbox log looks to people.

use impresario_model::encoding;
use impresario_model::entry::{
    ActivityOutcome, Body, Entry, MonitorEvent, OverlapEvent, ProcessEvent, Remedy, RouterEvent, SinkEvent,
    TargetEvent, TriggerEvent, TurnAnswer,
};
use impresario_model::event::CloudEvent;
use impresario_model::instance::rfc3339;
use impresario_model::subscription::{News, SubscriptionEvent};
use impresario_persistence::{Offset, Record};
use serde_json::Value;

use super::mask::masked_deep;
use crate::inspect::EntryView;
use crate::orchestrator::Refusal;

/// How much of a text is in a summary.
const WORDS_MAX: usize = 120;

/// An entry as it was appended.
pub(super) fn of_record(shard: u16, record: &Record) -> EntryView {
    match encoding::decode::<Entry>(&record.bytes) {
        Ok(entry) => view(shard, record.offset, &entry),
        // A newer program wrote it.
        Err(error) => EntryView {
            shard,
            offset: record.offset.to_string(),
            at: rfc3339(record.offset.millis()),
            actor: String::new(),
            kind: "unknown".to_owned(),
            origin: None,
            summary: format!("cannot be read by this version: {error}"),
            body: Value::Null,
        },
    }
}

/// An entry at its place.
pub(super) fn view(shard: u16, offset: Offset, entry: &Entry) -> EntryView {
    let body = serde_json::to_value(&entry.body).unwrap_or_default();
    EntryView {
        shard,
        offset: offset.to_string(),
        at: rfc3339(offset.millis()),
        actor: entry.to.to_string(),
        kind: kind(&body),
        origin: entry.origin.map(|origin| format!("{}/{}", origin.shard, Offset(origin.offset))),
        summary: summary(&entry.body),
        body: masked_deep(&body),
    }
}

/// Reads an offset as it is shown.
pub(super) fn parse_offset(text: &str) -> Result<u64, Refusal> {
    let parts = text.split_once('-').and_then(|(millis, sequence)| {
        let (millis, sequence) = (millis.parse::<u64>().ok()?, sequence.parse::<u32>().ok()?);
        let fits = millis < 1 << (64 - Offset::SEQUENCE_BITS) && sequence < 1 << Offset::SEQUENCE_BITS;
        fits.then(|| Offset::new(millis, sequence).0)
    });
    parts.ok_or_else(|| {
        Refusal::Invalid(format!("expected the offset of an entry, such as 1795276490770-3, found '{text}'"))
    })
}

/// The kind of an entry by its stored form, such as `process.start`.
fn kind(body: &Value) -> String {
    let Some((outer, inner)) = body.as_object().and_then(|members| members.iter().next()) else {
        return "unknown".to_owned();
    };
    let inner = match inner {
        _ if outer == "TakeBack" => None,
        Value::String(name) => Some(name.as_str()),
        Value::Object(members) => members.keys().next().map(String::as_str),
        _ => None,
    };
    match inner {
        Some(inner) => format!("{}.{}", snake(outer), snake(inner)),
        None => snake(outer),
    }
}

fn snake(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// What an entry says, in a few words.
fn summary(body: &Body) -> String {
    let words = match body {
        Body::Process(event) => of_process(event),
        Body::Trigger(event) => of_trigger(event),
        Body::Router(RouterEvent::Event(event)) => of_event("came in", event),
        Body::Router(RouterEvent::Raised(event)) => of_event("was raised", event),
        Body::Router(RouterEvent::Routes(routes)) => format!("{} routes to triggers", routes.len()),
        Body::Router(RouterEvent::RaisedRoutes { routes, .. }) => {
            format!("{} routes for what is raised", routes.len())
        }
        Body::Router(RouterEvent::Listeners(listeners)) => format!("{} listeners", listeners.len()),
        Body::Target(TargetEvent::Ask { instance, activity, .. }) => {
            format!("activity {activity} of {instance} asks for a place")
        }
        Body::Target(TargetEvent::Leave { instance, activity }) => {
            format!("activity {activity} of {instance} leaves its place")
        }
        Body::Target(TargetEvent::Limit(limit)) => match limit.most {
            Some(most) => format!("its limit is {most}"),
            None => "it has no limit".to_owned(),
        },
        Body::Monitor(event) => of_monitor(event),
        Body::Sink(event) => of_sink(event),
        Body::Subscription(event) => of_subscription(event),
        Body::Overlap(OverlapEvent::Ask { instance, .. }) => format!("{instance} asks for its turn"),
        Body::Overlap(OverlapEvent::Leave { instance }) => format!("{instance} has ended"),
        Body::TakeBack(order) => {
            let word = match &order.remedy {
                Remedy::Retry => "retry",
                Remedy::Skip => "skip",
                Remedy::Edit(_) => "edit",
            };
            format!("an operator takes it back: {word} entry {}", Offset(order.entry))
        }
    };
    match words.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

fn of_event(what: &str, event: &CloudEvent) -> String {
    format!("{} {what}, id {} of {}", event.kind, event.id, event.source)
}

fn of_process(event: &ProcessEvent) -> String {
    match event {
        ProcessEvent::Start(start) => format!("it begins: {} by {}", start.definition, start.started_by),
        ProcessEvent::Continue => "it goes on".to_owned(),
        ProcessEvent::Timer => "a timer is due".to_owned(),
        ProcessEvent::Marker { activity, .. } => format!("activity {activity} is about to start"),
        ProcessEvent::Report { activity, outcome, .. } => format!("activity {activity} {}", ended(outcome)),
        ProcessEvent::Saved { activity, .. } => format!("activity {activity} saved where it is"),
        ProcessEvent::Probed { activity, .. } => {
            format!("its adapter tells what became of activity {activity}")
        }
        ProcessEvent::Resolve(resolution) => {
            format!("an operator decides about activity {}", resolution.activity)
        }
        ProcessEvent::Rerun(_) => "an operator has it run again".to_owned(),
        ProcessEvent::Limited { activity, .. } => format!("activity {activity} needs a place at its target"),
        ProcessEvent::Placed { activity, target } => format!("activity {activity} has a place at {target}"),
        ProcessEvent::Crowded { activity, waiting } => {
            format!("activity {activity} gets no place: {waiting} wait")
        }
        ProcessEvent::Told(told) => match &told.news {
            News::Listening(early) => {
                format!(
                    "listener {} hears from now on, and {} events from before",
                    told.listener,
                    early.len()
                )
            }
            News::Event(received) => of_event(&format!("for listener {}", told.listener), &received.event),
            News::Unheard(_) => format!("listener {} hears nothing more", told.listener),
        },
        ProcessEvent::Turn(TurnAnswer::Run) => "it is its turn".to_owned(),
        ProcessEvent::Turn(TurnAnswer::Skip { reason }) => format!("it is never its turn: {reason}"),
        ProcessEvent::Cancel { reason: Some(reason) } => format!("it is to stop: {reason}"),
        ProcessEvent::Cancel { reason: None } => "it is to stop".to_owned(),
    }
}

fn ended(outcome: &ActivityOutcome) -> String {
    match outcome {
        ActivityOutcome::Completed(_) => "completed".to_owned(),
        ActivityOutcome::Failed(fault) => {
            format!("failed: {}", fault.title.as_deref().unwrap_or(&fault.kind))
        }
        ActivityOutcome::Lost { reason } => format!("is lost: {reason}"),
        ActivityOutcome::NotStarted => "has not started, and is tried again".to_owned(),
        ActivityOutcome::Refused { reason } => format!("is refused: {reason}"),
    }
}

fn of_trigger(event: &TriggerEvent) -> String {
    match event {
        TriggerEvent::Arm { definition, .. } => format!("it watches for {definition}"),
        TriggerEvent::Retire { .. } | TriggerEvent::Disarm => "it watches no more".to_owned(),
        TriggerEvent::Approve { .. } => "an operator decided about missed times".to_owned(),
        TriggerEvent::Timer => "a time may have come".to_owned(),
        TriggerEvent::Event(event) => of_event("for it", event),
        TriggerEvent::Ended { instance } => format!("{instance} has ended"),
        TriggerEvent::Pause { reason } => {
            format!(
                "it is paused{}",
                reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
            )
        }
        TriggerEvent::Resume => "it is resumed".to_owned(),
        TriggerEvent::Fire(order) => format!("an operator fires it: {}", order.instance),
    }
}

fn of_monitor(event: &MonitorEvent) -> String {
    match event {
        MonitorEvent::Want { spec: Some(_), version, .. } => format!("it is wanted, version {version}"),
        MonitorEvent::Want { spec: None, .. } => "it is removed".to_owned(),
        MonitorEvent::Observed { event: Some(event), .. } => of_event("was observed", event),
        MonitorEvent::Observed { invalid: Some(invalid), .. } => {
            format!("what was observed is no event: {invalid}")
        }
        MonitorEvent::Observed { .. } => "its place has moved".to_owned(),
        MonitorEvent::Ended { problem, .. } => format!("its adapter cannot go on: {problem}"),
        MonitorEvent::Again => "it is to try at once".to_owned(),
        MonitorEvent::Timer => "a wait may be over".to_owned(),
    }
}

fn of_sink(event: &SinkEvent) -> String {
    match event {
        SinkEvent::Want { spec: Some(_), version, .. } => format!("it is wanted, version {version}"),
        SinkEvent::Want { spec: None, .. } => "it is removed".to_owned(),
        SinkEvent::Event(event) => of_event("is to be delivered", event),
        SinkEvent::Report { activity, outcome, .. } => format!("delivery {activity} {}", ended(outcome)),
        SinkEvent::Retry { .. } => "dead letters are to be sent again".to_owned(),
        SinkEvent::Drop { .. } => "dead letters are to be forgotten".to_owned(),
        SinkEvent::Again => "what waits is to be tried at once".to_owned(),
        SinkEvent::Timer => "a wait may be over".to_owned(),
    }
}

fn of_subscription(event: &SubscriptionEvent) -> String {
    match event {
        SubscriptionEvent::Event { received, .. } => of_event("for its listeners", &received.event),
        SubscriptionEvent::Subscribe { instance, listener, about, .. } => {
            format!("listener {listener} of {instance} hears {about}")
        }
        SubscriptionEvent::Unsubscribe { instance, listener } => {
            format!("listener {listener} of {instance} hears no more")
        }
        SubscriptionEvent::Timer => "what is kept may be too old".to_owned(),
        SubscriptionEvent::GoOn => "there is more to tell".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use impresario_model::entry::Origin;
    use impresario_model::ids::ActorId;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_shown_with_its_kind_and_without_secrets() {
        let outcome = ActivityOutcome::Completed(json!({ "headers": { "authorization": "Bearer x" } }));
        let event = ProcessEvent::Report { activity: 3, token: "t".to_owned(), outcome };
        let origin = Some(Origin { shard: 2, offset: Offset::new(5, 1).0, index: 0 });
        let entry = Entry { to: ActorId::process("a"), origin, body: Body::Process(event) };
        let shown = view(4, Offset::new(1_700_000_000_000, 7), &entry);
        assert_eq!(
            (shown.kind.as_str(), shown.offset.as_str(), shown.summary.as_str(), shown.origin.as_deref()),
            ("process.report", "1700000000000-7", "activity 3 completed", Some("2/5-1"))
        );
        assert_eq!(
            shown.body["Process"]["Report"]["outcome"]["Completed"]["headers"]["authorization"],
            "***"
        );
        assert_eq!(parse_offset(&shown.offset), Ok(Offset::new(1_700_000_000_000, 7).0));
        for wrong in ["", "7", "-", "x-1", "1-1048576", "99999999999999999999-1"] {
            assert!(parse_offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kinds_are_words() {
        let kind_of = |body: Body| kind(&serde_json::to_value(&body).unwrap());
        assert_eq!(kind_of(Body::Process(ProcessEvent::Timer)), "process.timer");
        assert_eq!(kind_of(Body::Router(RouterEvent::Listeners(vec![]))), "router.listeners");
        assert_eq!(
            kind_of(Body::Router(RouterEvent::RaisedRoutes { routes: vec![], version: 1 })),
            "router.raised_routes"
        );
        let order = impresario_model::entry::TakeBack { entry: 1, remedy: Remedy::Skip };
        assert_eq!(kind_of(Body::TakeBack(order)), "take_back");
    }
}
