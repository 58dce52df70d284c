//! What the hosts of an adapter observe for monitors. Pure: no lock, no clock, no process.
//!
//! Something that is observed outlives every process: whichever takes new work begins it at the last place that became
//! durable. What a process observed and nobody has taken yet is dropped then, as the next one observes it again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use impresario_adapter::message::{
    Answer, CURSOR_BYTES_MAX, EVENTS_AHEAD_MAX, ErrorObject, Observed, Taken, Unwatch, Watch,
};
use impresario_adapter::{Failure, NodeMessage};
use serde_json::Value;
use tokio::sync::Notify;

use super::ledger::Refusal;
use crate::secrets::Mask;

/// Each is a monitor; a host of this project's crate takes as many.
const WATCHES_MAX: usize = 256;

/// Why nothing more is observed.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEnd {
    /// The adapter cannot go on.
    Failed {
        /// What it says.
        failure: Failure,
        /// Whether it would say the same again.
        lasting: bool,
    },
    /// The adapter takes nothing any more.
    Refused(Refusal),
}

/// What was observed since the last look.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Some messages, in order.
    Events {
        /// Which beginning of the watch they belong to.
        round: u64,
        /// What they say.
        messages: Vec<Observed>,
    },
    /// There will be no more.
    Ended(WatchEnd),
}

#[derive(Debug, Default)]
pub(super) struct Watches {
    /// Numbers what is observed, and each beginning of it.
    count: u64,
    by_key: BTreeMap<u64, Sub>,
    /// What processes are observing now, by the id of the watch.
    open: HashMap<String, u64>,
    /// What processes were told to end, with the generation, until they answer.
    ending: HashMap<String, u64>,
    /// What is to be said, by generation.
    words: HashMap<u64, Vec<NodeMessage>>,
}

#[derive(Debug)]
struct Sub {
    name: String,
    /// What to observe, and the last place that is durable.
    watch: Watch,
    mask: Mask,
    /// The process that observes it; none while it waits for one.
    open: Option<Open>,
    /// What was observed and is not taken yet: no more than a watch may be ahead.
    queue: VecDeque<Observed>,
    end: Option<WatchEnd>,
    news: Arc<Notify>,
}

#[derive(Debug)]
struct Open {
    id: String,
    generation: u64,
    round: u64,
    /// How many messages have come.
    come: u64,
    /// How many of them are durable.
    taken: u64,
}

impl Watches {
    /// Takes something on: its key; nothing if there are too many.
    pub(super) fn ask(&mut self, name: &str, watch: Watch, mask: Mask, news: Arc<Notify>) -> Option<u64> {
        if self.by_key.len() >= WATCHES_MAX {
            return None;
        }
        self.count += 1;
        let sub =
            Sub { name: name.to_owned(), watch, mask, open: None, queue: VecDeque::new(), end: None, news };
        self.by_key.insert(self.count, sub);
        Some(self.count)
    }

    /// What a generation is to be told; the one that takes new work begins what waits.
    pub(super) fn take(&mut self, generation: u64, current: bool) -> Vec<NodeMessage> {
        let mut words = self.words.remove(&generation).unwrap_or_default();
        if !current {
            return words;
        }
        for (key, sub) in &mut self.by_key {
            if sub.end.is_some() || sub.open.as_ref().is_some_and(|open| open.generation == generation) {
                continue;
            }
            // A process that is replaced ends it by itself; what it still says comes again from the new one.
            if let Some(before) = sub.open.take() {
                self.open.remove(&before.id);
                self.ending.insert(before.id, before.generation);
            }
            self.count += 1;
            let id = format!("{}#{}", sub.name, self.count);
            sub.queue.clear();
            sub.open = Some(Open { id: id.clone(), generation, round: self.count, come: 0, taken: 0 });
            self.open.insert(id.clone(), *key);
            words.push(NodeMessage::Watch(Watch { watch: id, ..sub.watch.clone() }));
        }
        words
    }

    /// A host has observed something; false if nobody asked for it, or not any more.
    ///
    /// # Errors
    /// How the host breaks the protocol. Then the watch has ended: to go on behind what was dropped would lose it.
    pub(super) fn observed(&mut self, generation: u64, observed: Observed) -> Result<bool, String> {
        let Some(sub) = self.open.get(&observed.watch).and_then(|key| self.by_key.get_mut(key)) else {
            return Ok(false);
        };
        let Some(open) = sub.open.as_mut().filter(|open| open.generation == generation) else {
            return Ok(false);
        };
        open.come += 1;
        if open.come - open.taken > EVENTS_AHEAD_MAX {
            let found = format!("it is more than {EVENTS_AHEAD_MAX} messages ahead of what was taken");
            self.cut(
                &observed.watch,
                Failure::runtime("the adapter broke the protocol").with_detail(&found),
                false,
            );
            return Err(found);
        }
        let Observed { watch, event, cursor } = observed;
        if let Some(cursor) = &cursor {
            let bytes = cursor.to_string().len();
            if bytes > CURSOR_BYTES_MAX {
                let detail = format!("expected a cursor of at most {CURSOR_BYTES_MAX} bytes, found {bytes}");
                self.cut(&watch, Failure::runtime("the cursor is too large").with_detail(detail), false);
                return Ok(true);
            }
            // It is stored, and goes back to the adapter as it is.
            if sub.mask.value(cursor.clone()) != *cursor {
                let detail = "expected a place in what is observed, found a secret in it";
                self.cut(&watch, Failure::configuration("the cursor has a secret").with_detail(detail), true);
                return Ok(true);
            }
        }
        let event = event.map(|event| sub.mask.value(event));
        sub.queue.push_back(Observed { watch, event, cursor });
        sub.news.notify_one();
        Ok(true)
    }

    /// Ends a watch from this side.
    fn cut(&mut self, id: &str, failure: Failure, lasting: bool) {
        let Some(sub) = self.open.remove(id).and_then(|key| self.by_key.get_mut(&key)) else { return };
        if let Some(open) = sub.open.take() {
            self.ending.insert(open.id.clone(), open.generation);
            let unwatch = NodeMessage::Unwatch(Unwatch { watch: open.id });
            self.words.entry(open.generation).or_default().push(unwatch);
        }
        sub.end = Some(WatchEnd::Failed { failure, lasting });
        sub.news.notify_one();
    }

    /// What was observed since the last look, at most `max` messages.
    pub(super) fn seen(&mut self, key: u64, max: usize) -> Option<Seen> {
        let sub = self.by_key.get_mut(&key)?;
        if let Some(round) = sub.open.as_ref().map(|open| open.round)
            && !sub.queue.is_empty()
        {
            let count = sub.queue.len().min(max);
            return Some(Seen::Events { round, messages: sub.queue.drain(..count).collect() });
        }
        sub.end.clone().map(Seen::Ended)
    }

    /// Messages of a round are durable, and the place to go on from with them.
    pub(super) fn taken(&mut self, key: u64, round: u64, count: u64, cursor: Option<Value>) {
        let Some(sub) = self.by_key.get_mut(&key) else { return };
        if cursor.is_some() {
            sub.watch.cursor.clone_from(&cursor);
        }
        let Some(open) = sub.open.as_mut().filter(|open| open.round == round) else { return };
        open.taken += count;
        let words = self.words.entry(open.generation).or_default();
        // Of several that were not said yet, the last says it all.
        words.retain(|word| !matches!(word, NodeMessage::Taken(taken) if taken.watch == open.id));
        words.push(NodeMessage::Taken(Taken { watch: open.id.clone(), count: open.taken, cursor }));
    }

    /// Nobody wants it observed any more.
    pub(super) fn forget(&mut self, key: u64) {
        let Some(sub) = self.by_key.remove(&key) else { return };
        if let Some(open) = sub.open
            && self.open.remove(&open.id).is_some()
        {
            self.ending.insert(open.id.clone(), open.generation);
            let unwatch = NodeMessage::Unwatch(Unwatch { watch: open.id });
            self.words.entry(open.generation).or_default().push(unwatch);
        }
    }

    /// Hands an answer on; gives back one that belongs to nothing here. `told` says whether its host was asked to end.
    pub(super) fn settle(&mut self, answer: Answer, told: bool) -> Option<Answer> {
        let Some(id) = answer.id.as_deref() else { return Some(answer) };
        if self.ending.remove(id).is_some() {
            return None;
        }
        let Some(sub) = self.open.remove(id).and_then(|key| self.by_key.get_mut(&key)) else {
            return Some(answer);
        };
        // What came before the answer still counts, and its round with it.
        let ended = |failure, lasting| Some(WatchEnd::Failed { failure, lasting });
        match answer.outcome {
            Ok(_) if told => sub.open = None,
            Ok(_) => sub.end = ended(Failure::runtime("the adapter ended the watch by itself"), false),
            Err(error) if told && error.is_refusal() => sub.open = None,
            Err(error) => {
                let unable =
                    [ErrorObject::METHOD_NOT_FOUND, ErrorObject::INVALID_PARAMS].contains(&error.code);
                let failure = error.into_failure();
                let lasting =
                    unable || [Failure::CONFIGURATION, Failure::VALIDATION].contains(&failure.kind.as_str());
                let detail = failure.detail.map(|detail| sub.mask.text(detail));
                sub.end = ended(Failure { title: sub.mask.text(failure.title), detail, ..failure }, lasting);
            }
        }
        sub.news.notify_one();
        None
    }

    /// A generation ended: what it observed waits for the next one.
    pub(super) fn close(&mut self, generation: u64) {
        for sub in self.by_key.values_mut() {
            if sub.open.as_ref().is_some_and(|open| open.generation == generation) {
                sub.open = None;
            }
        }
        let by_key = &self.by_key;
        self.open.retain(|id, key| {
            by_key.get(key).is_some_and(|sub| sub.open.as_ref().is_some_and(|open| open.id == *id))
        });
        self.ending.retain(|_, of| *of != generation);
        self.words.remove(&generation);
    }

    /// The adapter takes nothing any more.
    pub(super) fn end_all(&mut self, refusal: &Refusal) {
        for sub in self.by_key.values_mut() {
            sub.end.get_or_insert_with(|| WatchEnd::Refused(refusal.clone()));
            sub.news.notify_one();
        }
    }

    /// Whether a process is needed to observe something.
    pub(super) fn wait_for_host(&self) -> bool {
        self.by_key.values().any(|sub| sub.open.is_none() && sub.end.is_none())
    }

    /// Whether nothing is to be observed, so that a process may go.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether a process observes this now.
    pub(super) fn is_open(&self, name: &str) -> bool {
        self.by_key.values().any(|sub| sub.name == name && sub.open.is_some() && sub.end.is_none())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked() -> (Watches, u64) {
        let mut watches = Watches::default();
        let watch = Watch { function: "f".to_owned(), cursor: Some(json!(1)), ..Watch::default() };
        let key = watches.ask("m", watch, Mask::default(), Arc::default()).unwrap();
        (watches, key)
    }

    /// The one watch that a generation is told to begin.
    fn begun(watches: &mut Watches, generation: u64) -> Watch {
        match watches.take(generation, true).pop() {
            Some(NodeMessage::Watch(watch)) => watch,
            other => panic!("{other:?}"),
        }
    }

    fn observed(watch: &Watch, number: u64) -> Observed {
        let event = Some(json!({ "number": number }));
        Observed { watch: watch.watch.clone(), event, cursor: Some(json!(number)) }
    }

    fn answer(watch: &Watch, outcome: Result<Value, ErrorObject>) -> Answer {
        Answer { id: Some(watch.watch.clone()), outcome }
    }

    fn count(seen: Option<Seen>) -> usize {
        match seen {
            Some(Seen::Events { messages, .. }) => messages.len(),
            Some(Seen::Ended(_)) | None => 0,
        }
    }

    #[test]
    fn the_next_process_begins_at_the_last_place_that_is_durable() {
        let (mut watches, key) = asked();
        let first = begun(&mut watches, 1);
        assert_eq!(first.cursor, Some(json!(1)));
        for number in 2..6 {
            assert_eq!(watches.observed(1, observed(&first, number)), Ok(true));
        }
        let Some(Seen::Events { round, messages }) = watches.seen(key, 2) else { panic!() };
        watches.taken(key, round, messages.len() as u64, messages[1].cursor.clone());
        let taken = Taken { watch: first.watch.clone(), count: 2, cursor: Some(json!(3)) };
        assert_eq!(watches.take(1, true), [NodeMessage::Taken(taken)]);
        // It is replaced before it is shut down: the new one goes on behind what is durable, and the old one has no say.
        let second = begun(&mut watches, 2);
        assert_eq!((second.cursor.clone(), second.watch != first.watch), (Some(json!(3)), true));
        assert_eq!(watches.seen(key, 9), None, "what was not taken comes again");
        assert_eq!(watches.observed(1, observed(&first, 6)), Ok(false));
        assert_eq!(watches.settle(answer(&first, Ok(json!({}))), true), None);
        watches.taken(key, round, 1, Some(json!(4)));
        assert_eq!(watches.take(2, true), [], "what belongs to the first is not counted for the second");
        watches.close(2);
        assert_eq!(begun(&mut watches, 3).cursor, Some(json!(4)));
    }

    #[test]
    fn one_that_runs_ahead_is_ended_and_nothing_of_it_is_skipped() {
        let (mut watches, key) = asked();
        let watch = begun(&mut watches, 1);
        for number in 0..EVENTS_AHEAD_MAX {
            assert_eq!(watches.observed(1, observed(&watch, number)), Ok(true));
        }
        assert!(watches.observed(1, observed(&watch, 999)).is_err());
        assert_eq!(watches.observed(1, observed(&watch, 1_000)), Ok(false));
        assert!(matches!(watches.seen(key, 9), Some(Seen::Ended(WatchEnd::Failed { lasting: false, .. }))));
        assert!(matches!(watches.take(1, true).as_slice(), [NodeMessage::Unwatch(_)]));
        assert!(!watches.wait_for_host());
        watches.forget(key);
        assert!(watches.is_empty());
    }

    #[test]
    fn what_an_answer_means_depends_on_who_wanted_the_end() {
        let refused = || ErrorObject::refused(ErrorObject::SHUTTING_DOWN, "going");
        let failed = |failure: Failure| ErrorObject::failed(failure);
        let unknown = || ErrorObject::new(ErrorObject::METHOD_NOT_FOUND, "watch?");
        for (outcome, told, lasting) in [
            (Ok(json!({})), true, None),
            (Err(refused()), true, None),
            (Ok(json!({})), false, Some(false)),
            (Err(failed(Failure::runtime("no"))), true, Some(false)),
            (Err(failed(Failure::validation("no"))), false, Some(true)),
            (Err(failed(Failure::configuration("no"))), false, Some(true)),
            (Err(unknown()), false, Some(true)),
        ] {
            let (mut watches, key) = asked();
            let watch = begun(&mut watches, 1);
            watches.observed(1, observed(&watch, 2)).unwrap();
            assert_eq!(watches.settle(answer(&watch, outcome.clone()), told), None);
            let Some(lasting) = lasting else {
                assert_eq!(begun(&mut watches, 2).cursor, Some(json!(1)), "{outcome:?}");
                continue;
            };
            assert_eq!(count(watches.seen(key, 9)), 1, "what came before still counts: {outcome:?}");
            let end = watches.seen(key, 9);
            assert!(
                matches!(&end, Some(Seen::Ended(WatchEnd::Failed { lasting: found, .. })) if *found == lasting),
                "{outcome:?}: {end:?}"
            );
        }
        let (mut watches, _) = asked();
        let stray = Answer { id: Some("else".to_owned()), outcome: Ok(json!({})) };
        assert_eq!(watches.settle(stray.clone(), false), Some(stray));
    }

    #[test]
    fn a_watch_that_nobody_wants_is_ended_and_its_late_words_are_passed_over() {
        let (mut watches, key) = asked();
        let watch = begun(&mut watches, 1);
        watches.forget(key);
        let unwatch = Unwatch { watch: watch.watch.clone() };
        assert_eq!(watches.take(1, true), [NodeMessage::Unwatch(unwatch)]);
        assert_eq!(watches.observed(1, observed(&watch, 2)), Ok(false));
        assert_eq!(watches.settle(answer(&watch, Ok(json!({}))), false), None);
        assert!(watches.is_empty() && watches.ending.is_empty() && watches.open.is_empty());
    }

    #[test]
    fn a_cursor_that_cannot_be_kept_ends_the_watch() {
        let (mut watches, key) = asked();
        let watch = begun(&mut watches, 1);
        let cursor = Some(json!("x".repeat(CURSOR_BYTES_MAX)));
        watches.observed(1, Observed { cursor, ..observed(&watch, 1) }).unwrap();
        let Some(Seen::Ended(WatchEnd::Failed { failure, .. })) = watches.seen(key, 9) else { panic!() };
        assert!(failure.detail.is_some_and(|detail| detail.contains("at most")));
    }
}
