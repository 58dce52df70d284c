//! Who hears what of a subscription, and how much it keeps.

use serde_json::json;

use super::*;

fn event(id: u64, bytes: usize) -> CloudEvent {
    CloudEvent::from_json(json!({
        "specversion": "1.0", "id": id.to_string(), "source": "/t", "type": "t", "data": "x".repeat(bytes),
    }))
    .unwrap()
}

/// A subscription, and everything that it has told, by instance.
#[derive(Default)]
struct Bench {
    subscription: Subscription,
    offset: u64,
    now: u64,
    told: Vec<(String, News)>,
    going_on: bool,
}

impl Bench {
    fn apply(&mut self, event: &SubscriptionEvent) -> usize {
        self.offset += 1;
        let moment = Moment { offset: self.offset, now: self.now };
        let messages = self.subscription.apply("k", event, moment);
        assert_eq!(self.subscription.apply("k", event, moment), [], "seen before");
        let stored = crate::encoding::encode(&self.subscription).unwrap();
        assert_eq!(crate::encoding::decode::<Subscription>(&stored).unwrap(), self.subscription);
        let count = messages.len();
        for message in messages {
            match message.body {
                Body::Process(ProcessEvent::Told(told)) => {
                    assert_eq!((told.listener, told.subscription.as_str()), (1, "k"));
                    self.told.push((message.to.key().to_owned(), told.news));
                }
                Body::Subscription(SubscriptionEvent::GoOn) => {
                    assert!(!self.going_on, "one is enough");
                    self.going_on = true;
                }
                other => panic!("{other:?}"),
            }
        }
        count
    }

    fn event(&mut self, id: u64) -> usize {
        self.sized(id, 8)
    }

    fn sized(&mut self, id: u64, bytes: usize) -> usize {
        let received = Received { at: self.now, event: Box::new(event(id, bytes)) };
        self.apply(&SubscriptionEvent::Event { received, keep_ms: 1_000 })
    }

    fn subscribe(&mut self, instance: &str, since: u64) {
        let (instance, about) = (instance.to_owned(), "t".to_owned());
        self.apply(&SubscriptionEvent::Subscribe { instance, listener: 1, since, about });
    }

    fn unsubscribe(&mut self, instance: &str) {
        self.apply(&SubscriptionEvent::Unsubscribe { instance: instance.to_owned(), listener: 1 });
    }

    fn go_on(&mut self) {
        while std::mem::take(&mut self.going_on) {
            let messages = self.apply(&SubscriptionEvent::GoOn);
            assert!(messages <= TOLD_AT_ONCE.0 + 1, "{messages}");
        }
    }

    /// The ids that an instance has heard, those that came early first; and why it heard no more.
    fn heard(&self, instance: &str) -> (Vec<String>, Option<Unheard>) {
        let (mut ids, mut end) = (Vec::new(), None);
        for (_, news) in self.told.iter().filter(|(to, _)| to == instance) {
            match news {
                News::Listening(early) => ids.extend(early.iter().map(|received| received.event.id.clone())),
                News::Event(received) => ids.push(received.event.id.clone()),
                News::Unheard(why) => end = Some(*why),
            }
        }
        (ids, end)
    }
}

#[test]
fn one_event_serves_many_and_each_hears_it_once() {
    let mut bench = Bench::default();
    bench.subscribe("a", 0);
    bench.subscribe("b", 0);
    bench.event(1);
    bench.event(1);
    bench.unsubscribe("a");
    bench.event(2);
    assert_eq!(bench.heard("a").0, ["1"]);
    assert_eq!(bench.heard("b").0, ["1", "2"]);
}

#[test]
fn who_comes_later_hears_what_came_in_its_window() {
    let mut bench = Bench { now: 100, ..Bench::default() };
    bench.event(1);
    bench.now = 200;
    bench.event(2);
    bench.now = 300;
    bench.subscribe("a", 200);
    bench.event(3);
    assert_eq!(bench.heard("a").0, ["2", "3"]);
    bench.now = 1_201;
    bench.subscribe("b", 0);
    assert_eq!(bench.heard("b").0, ["3"], "the others are too old");
}

#[test]
fn nothing_is_left_when_nobody_listens_and_what_was_kept_is_too_old() {
    let mut bench = Bench { now: 100, ..Bench::default() };
    bench.subscribe("a", 0);
    assert_eq!(bench.subscription.due(), None, "it waits for an event alone");
    bench.event(1);
    bench.unsubscribe("a");
    assert!(!bench.subscription.is_empty());
    let due = bench.subscription.due().unwrap();
    bench.now = due - 1;
    bench.apply(&SubscriptionEvent::Timer);
    assert!(!bench.subscription.is_empty(), "not yet");
    bench.now = due;
    bench.apply(&SubscriptionEvent::Timer);
    assert!(bench.subscription.is_empty());
}

#[test]
fn what_is_kept_is_bounded_in_number_and_in_bytes() {
    let mut bench = Bench::default();
    for id in 0..1_000 {
        bench.event(id);
    }
    assert_eq!(bench.subscription.events.len(), EARLY_MAX);
    assert_eq!(bench.subscription.events.back().unwrap().received.event.id, "999", "the newest");
    bench.sized(2_000, EARLY_BYTES - 1_000);
    assert!(bench.subscription.events.len() < 10, "{}", bench.subscription.events.len());
    bench.sized(2_001, 2 * EARLY_BYTES);
    assert_eq!(bench.subscription.events.len(), 1, "a large one is kept alone");
}

#[test]
fn a_crowd_is_told_in_steps_and_nobody_twice() {
    let mut bench = Bench::default();
    let names: Vec<String> = (0..1_000).map(|n| format!("i{n}")).collect();
    names.iter().for_each(|name| bench.subscribe(name, 0));
    for id in 1..=3 {
        let messages = bench.event(id);
        assert!(messages <= TOLD_WITH_EVENT.0 + 1, "{messages}");
    }
    bench.go_on();
    for name in &names {
        assert_eq!(bench.heard(name), (vec!["1".to_owned(), "2".to_owned(), "3".to_owned()], None));
    }
    // A large event is told to few at a time.
    let messages = bench.sized(4, 1 << 20);
    assert!(messages <= 2, "{messages}");
    bench.go_on();
    assert_eq!(bench.heard("i999").0.len(), 4);
}

#[test]
fn more_listeners_than_it_takes_are_refused() {
    let mut bench = Bench::default();
    let subscriber = |n| Subscriber { instance: format!("i{n}"), listener: 1, told: 0 };
    bench.subscription.subscribers = (0..SUBSCRIBERS_MAX).map(subscriber).collect();
    bench.subscribe("late", 0);
    assert_eq!(bench.heard("late").1, Some(Unheard::Crowded(SUBSCRIBERS_MAX)));
    bench.unsubscribe("i7");
    bench.subscribe("late", 0);
    assert!(bench.subscription.subscribers.iter().any(|one| one.instance == "late"));
}

/// A storm that nobody can be told of in time: memory stays bounded, and who misses something is told that.
#[test]
fn a_storm_over_a_crowd_is_bounded_and_said() {
    let mut bench = Bench::default();
    (0..500).for_each(|n| bench.subscribe(&format!("i{n}"), 0));
    for id in 0..(UNTOLD_MAX as u64 + 200) {
        bench.event(id);
        assert!(bench.subscription.events.len() <= UNTOLD_MAX);
    }
    let behind = (0..500).filter(|n| bench.heard(&format!("i{n}")).1.is_some()).count();
    assert!(behind > 0);
    assert_eq!(bench.subscription.subscribers.len(), 500 - behind);
    bench.go_on();
    for n in 0..500 {
        let (ids, end) = bench.heard(&format!("i{n}"));
        match end {
            None => assert_eq!(ids.len(), UNTOLD_MAX + 200, "i{n} heard all"),
            Some(Unheard::Behind(_)) => {
                let first: Vec<String> = (0..ids.len()).map(|id| id.to_string()).collect();
                assert_eq!(ids, first, "i{n} heard all up to there");
            }
            other => panic!("{other:?}"),
        }
    }
}
