//! Sinks, entry by entry.

use serde_json::json;

use super::*;
use crate::fault::{Fault, FaultKind};

fn spec(change: Value) -> SinkSpec {
    let mut spec = json!({ "uri": "http://localhost/in" });
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn event(id: &str, kind: &str) -> CloudEvent {
    let event = json!({ "specversion": "1.0", "id": id, "source": "/s", "type": kind, "data": { "n": 7 } });
    CloudEvent::from_json(event).unwrap()
}

/// A sink, and the entries that it gets.
struct Log {
    sink: Sink,
    filters: Vec<SinkFilter>,
    offset: u64,
    now: u64,
}

impl Log {
    fn of(change: Value) -> Self {
        let spec = spec(change);
        let filters = spec.filters().unwrap();
        let mut log = Log { sink: Sink::new("s"), filters, offset: 0, now: 1_000_000 };
        log.apply(SinkEvent::Want { spec: Some(Box::new(spec)), paused: false, version: 1 });
        log
    }

    /// The attempts that an entry begins.
    fn apply(&mut self, event: SinkEvent) -> Vec<Attempt> {
        self.offset += 1;
        let moment = Moment { offset: self.offset, now: self.now };
        let effects = self.sink.apply(&event, &self.filters, moment);
        let attempts = effects.into_iter().filter_map(|effect| match effect {
            Effect::Run(attempt) => Some(attempt),
            _ => None,
        });
        attempts.collect()
    }

    fn event(&mut self, id: &str) -> Vec<Attempt> {
        self.apply(SinkEvent::Event(Box::new(event(id, "t"))))
    }

    fn report(&mut self, attempt: &Attempt, outcome: ActivityOutcome) -> Vec<Attempt> {
        let (activity, token) = (attempt.activity, attempt.token.clone());
        self.apply(SinkEvent::Report { activity, token, outcome })
    }

    fn answer(&mut self, attempt: &Attempt, status: u64) -> Vec<Attempt> {
        self.report(attempt, ActivityOutcome::Completed(json!({ "statusCode": status })))
    }
}

fn only(attempts: Vec<Attempt>) -> Attempt {
    match <[Attempt; 1]>::try_from(attempts) {
        Ok([attempt]) => attempt,
        Err(attempts) => panic!("{attempts:?}"),
    }
}

fn id(attempt: &Attempt) -> &str {
    attempt.arguments["event"]["id"].as_str().unwrap()
}

#[test]
fn events_are_delivered_in_order_and_each_until_it_is_taken() {
    let mut log = Log::of(json!({}));
    let first = only(log.event("a"));
    assert!(log.event("b").is_empty(), "in order: one at a time");
    assert!(log.answer(&first, 503).is_empty());
    assert_eq!((log.sink.word(), log.sink.failed), ("failing", 1));
    let due = log.sink.due().unwrap();
    assert!((500..=1_000).contains(&(due - log.now)), "{due}");
    log.now = due;
    let again = only(log.apply(SinkEvent::Timer));
    assert_eq!((id(&again), again.activity, again.attempt), ("a", first.activity, 2));
    assert_ne!(again.token, first.token);
    assert!(log.answer(&first, 200).is_empty(), "a late answer to the attempt before");
    let second = only(log.answer(&again, 204));
    assert_eq!(id(&second), "b");
    log.answer(&second, 200);
    assert_eq!((log.sink.delivered, log.sink.queue.len(), log.sink.due()), (2, 0, None));
    assert_eq!(log.sink.problem, None);
}

#[test]
fn several_at_a_time_overtake_one_that_waits() {
    let mut log = Log::of(json!({ "parallel": 2 }));
    let (a, b) = (only(log.event("a")), only(log.event("b")));
    assert!(log.event("c").is_empty());
    assert_eq!(id(&only(log.answer(&a, 500))), "c");
    log.answer(&b, 200);
    assert_eq!(log.sink.in_flight().len(), 1);
}

#[test]
fn what_is_given_up_is_a_dead_letter_that_can_be_sent_again_or_dropped() {
    let mut log = Log::of(json!({ "retry": { "attempts": 2 } }));
    let mut attempt = only(log.event("a"));
    let fault = Fault::new(FaultKind::Communication, "Refused", "nobody listens", "");
    log.report(&attempt, ActivityOutcome::Failed(fault));
    log.now = log.sink.due().unwrap();
    attempt = only(log.apply(SinkEvent::Timer));
    log.report(&attempt, ActivityOutcome::Lost { reason: "gone".to_owned() });
    let unwanted = only(log.event("b"));
    log.answer(&unwanted, 410);
    let letters = log.sink.letters();
    assert_eq!((&letters[0]["reason"], &letters[0]["tries"]), (&json!("gone"), &json!(2)));
    assert_eq!((&letters[1]["event"]["id"], &letters[1]["tries"]), (&json!("b"), &json!(1)));
    let number = log.sink.dead[0].number;
    let again = only(log.apply(SinkEvent::Retry { numbers: vec![number] }));
    assert_eq!(id(&again), "a");
    assert!(again.activity > unwanted.activity);
    log.apply(SinkEvent::Drop { numbers: vec![] });
    assert!(log.sink.dead.is_empty());
    log.answer(&again, 200);
    assert_eq!(log.sink.delivered, 1);
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let mut log = Log::of(json!({}));
    let attempt = only(log.event("a"));
    let busy = json!({ "statusCode": 429, "retryAfterSeconds": 90 });
    log.report(&attempt, ActivityOutcome::Completed(busy));
    assert_eq!(log.sink.due(), Some(log.now + 90_000));
    // An operator need not wait.
    assert_eq!(id(&only(log.apply(SinkEvent::Again))), "a");
}

#[test]
fn when_too_much_waits_the_oldest_is_given_up_and_of_too_many_dead_the_oldest_is_dropped() {
    let mut log = Log::of(json!({ "queue": 3, "deadLetters": { "count": 2, "days": 1 } }));
    let first = only(log.event("0"));
    for number in 1..=7 {
        log.event(&number.to_string());
    }
    let ids = |sink: &Sink| sink.queue.iter().map(|queued| queued.event.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&log.sink), ["0", "6", "7"], "what is under way stays");
    assert_eq!((log.sink.dead.len(), log.sink.dropped), (2, 3));
    log.now += 25 * 3_600_000;
    log.answer(&first, 200);
    assert_eq!((log.sink.dead.len(), log.sink.dropped), (0, 5), "they are too old");
    let mut log = Log::of(json!({}));
    for number in 0..10 {
        let mut large = event(&number.to_string(), "t");
        large.data = Some(json!("x".repeat(1_000_000)));
        log.apply(SinkEvent::Event(Box::new(large)));
    }
    assert!(waiting(&log.sink.queue) <= BYTES_MAX, "{}", waiting(&log.sink.queue));
    assert!(log.sink.dead.iter().map(|dead| dead.bytes).sum::<usize>() <= BYTES_MAX);
    assert_eq!(log.sink.queue.len() + log.sink.dead.len() + usize::try_from(log.sink.dropped).unwrap(), 10);
}

#[test]
fn a_pause_keeps_what_comes_and_a_removal_nothing() {
    let mut log = Log::of(json!({}));
    let attempt = only(log.event("a"));
    let wish = |paused, version| SinkEvent::Want { spec: Some(Box::new(spec(json!({})))), paused, version };
    log.apply(wish(true, 2));
    assert!(log.event("b").is_empty() && log.answer(&attempt, 200).is_empty());
    assert_eq!((log.sink.word(), log.sink.due(), log.sink.queue.len()), ("paused", None, 1));
    assert_eq!(id(&only(log.apply(wish(false, 3)))), "b");
    assert!(log.apply(wish(true, 2)).is_empty(), "an older wish");
    assert_eq!(log.sink.word(), "delivering");
    log.apply(SinkEvent::Want { spec: None, paused: false, version: 4 });
    assert!(log.event("c").is_empty());
    assert_eq!((log.sink.queue.len(), log.sink.removed), (0, Some(log.now)));
}

#[test]
fn a_filter_lets_pass_what_it_matches_and_lifecycle_events_only_where_it_asks_for_them() {
    let wants = |events: Value, event: &CloudEvent| {
        super::spec::wants(&spec(json!({ "events": events })).filters().unwrap(), event)
    };
    let (own, ended) =
        (event("1", "com.example.a"), event("2", "io.serverlessworkflow.workflow.completed.v1"));
    for (events, passes) in [
        (json!([]), (true, false)),
        (json!([{ "type": "com.example.a" }]), (true, false)),
        (json!([{ "type": "com.example.b" }]), (false, false)),
        (json!([{ "source": "/s" }]), (true, false)),
        (json!([{ "data": "${ .n == 7 }" }]), (true, false)),
        (json!([{ "data": "${ .n == 8 }" }, { "type": "^com\\..*$" }]), (true, false)),
        (json!([{ "type": "^io\\.serverlessworkflow\\..*$" }]), (false, true)),
        (
            json!([{ "type": "io.serverlessworkflow.workflow.completed.v1", "source": "/other" }]),
            (false, false),
        ),
        (json!([{ "type": "${ endswith(\".completed.v1\") }" }]), (false, true)),
    ] {
        assert_eq!((wants(events.clone(), &own), wants(events.clone(), &ended)), passes, "{events}");
    }
    let asks = spec(json!({ "events": [{ "type": "^.*\\.(completed|faulted)\\.v1$" }] }));
    assert_eq!((asks.lifecycle().len(), asks.types()), (2, None));
}

#[test]
fn a_spec_that_makes_no_sense_is_told() {
    for (change, words) in [
        (json!({ "uri": "ftp://x" }), "http or https"),
        (json!({ "uri": "http://ada:secret@x/" }), "no credentials"),
        (json!({ "events": [{}] }), "at least one"),
        (json!({ "events": [{ "type": "^($" }] }), "regular expression"),
        (json!({ "events": [{ "data": "${ . | }" }] }), "data"),
        (json!({ "parallel": 17 }), "parallel"),
        (json!({ "headers": { "ce-id": "1" } }), "'ce-id'"),
        (json!({ "headers": { "a b": "1" } }), "'a b'"),
        (json!({ "signatureHeader": "x-sig", "mode": "binary", "runtimeUser": "u" }), "structured"),
        (json!({ "signatureHeader": "x-sig" }), "hmacKey"),
    ] {
        let error = spec(change).check().unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(spec(json!({ "signatureHeader": "x-sig", "runtimeUser": "u" })).check(), Ok(()));
}
