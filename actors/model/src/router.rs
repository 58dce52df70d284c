//! The state machine of a router: the one place of a shard where events come in.
//!
//! A router drops an event whose (source, id) it has seen within its window. It tells every trigger that wants to see
//! events of that type, and every subscription that the event belongs to. The window is bounded by time and by count;
//! both are settings.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::correlation::{self, FindDefinition, ListenerRoute, Listeners};
use crate::definition::DefinitionId;
use crate::entry::{Body, Message, RaisedRoute, Route, RouterEvent, SinkEvent, TriggerEvent};
use crate::event::CloudEvent;
use crate::ids::{ActorId, ActorKind, event_digest};
use crate::instance::Moment;
use crate::lifecycle::is_lifecycle;
use crate::subscription::{Received, SubscriptionEvent};

/// How many ids one stored chunk of the window holds.
const CHUNK: usize = 1024;

/// How long, and for how many events, a router remembers what it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// In milliseconds.
    pub millis: u64,
    /// Events of one shard.
    pub count: usize,
}

/// A part of the window: what a checkpoint stores as one row, so that a checkpoint writes only what is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Counted from 1.
    pub number: u64,
    /// The time of the newest id in it, in milliseconds since the Unix epoch.
    pub newest: u64,
    /// The first half of the SHA-256 of each (source, id).
    #[serde(with = "serde_bytes")]
    pub ids: Vec<u8>,
}

/// The stored part of a router besides its window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouterSnapshot {
    /// Who wants to see which events.
    pub routes: Vec<Route>,
    /// Who wants to see which of the events that are raised here.
    #[serde(default)]
    pub raised: Vec<RaisedRoute>,
    /// The version of them.
    #[serde(default)]
    pub raised_version: u64,
    /// The listeners that instances may have.
    #[serde(default)]
    pub listeners: Vec<ListenerRoute>,
    /// How many events came in.
    pub events: u64,
    /// How many of them were dropped as repetitions.
    pub repeated: u64,
    /// The offset of the newest entry applied.
    pub applied: u64,
    /// The number of the first chunk of the window that is still kept.
    pub first_chunk: u64,
}

impl RaisedRoute {
    /// What is told of an event that was raised, if it is wanted.
    fn message(&self, event: &CloudEvent) -> Option<Message> {
        let wanted = match &self.types {
            _ if is_lifecycle(&event.kind) => self.lifecycle.contains(&event.kind),
            None => true,
            Some(types) => types.contains(&event.kind),
        };
        let event = Box::new(event.clone());
        let body = match self.to.kind().filter(|_| wanted)? {
            ActorKind::Sink => Body::Sink(SinkEvent::Event(event)),
            ActorKind::Trigger => Body::Trigger(TriggerEvent::Event(event)),
            ActorKind::Process
            | ActorKind::Router
            | ActorKind::Target
            | ActorKind::Monitor
            | ActorKind::Subscription
            | ActorKind::Overlap => return None,
        };
        Some(Message { to: self.to.clone(), body })
    }
}

/// The router of one shard.
#[derive(Clone, Debug)]
pub struct Router {
    /// What is stored of it besides the window.
    pub state: RouterSnapshot,
    listeners: Listeners,
    window: Window,
    chunks: VecDeque<Chunk>,
    seen: HashSet<u128>,
    /// The number of the first chunk that changed since the last [`Router::take_changes`].
    changed_from: u64,
    dropped: Vec<u64>,
}

/// Which chunks a checkpoint must write and remove.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkChanges {
    /// New or longer.
    pub put: Vec<Chunk>,
    /// Out of the window.
    pub remove: Vec<u64>,
}

impl Router {
    /// A router as its checkpoint left it.
    pub fn new(state: RouterSnapshot, mut chunks: Vec<Chunk>, window: Window) -> Self {
        chunks.sort_by_key(|chunk| chunk.number);
        chunks.retain(|chunk| chunk.number >= state.first_chunk);
        let seen = chunks.iter().flat_map(|chunk| chunk.ids.chunks_exact(16)).map(number_of).collect();
        let changed_from = chunks.last().map_or(state.first_chunk, |chunk| chunk.number + 1);
        let listeners = Listeners::new(&state.listeners);
        Router { state, listeners, window, chunks: chunks.into(), seen, changed_from, dropped: Vec::new() }
    }

    /// Applies one entry: the messages it asks for. Definitions never change, so `find` is part of no state.
    ///
    /// # Errors
    /// A definition that is not known here, and whose listeners the event may concern; it is not applied then.
    pub fn apply(
        &mut self,
        event: &RouterEvent,
        find: FindDefinition<'_>,
        moment: Moment,
    ) -> Result<Vec<Message>, DefinitionId> {
        if moment.offset <= self.state.applied {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        match event {
            RouterEvent::Routes(routes) => self.state.routes.clone_from(routes),
            RouterEvent::Listeners(routes) => {
                correlation::merge(&mut self.state.listeners, routes);
                self.listeners = Listeners::new(&self.state.listeners);
            }
            RouterEvent::Event(event) => messages = self.route(event, find, moment.now, false)?,
            RouterEvent::Raised(event) => {
                let repeated = self.state.repeated;
                messages = self.route(event, find, moment.now, true)?;
                if self.state.repeated == repeated {
                    messages.extend(self.state.raised.iter().filter_map(|route| route.message(event)));
                }
            }
            RouterEvent::RaisedRoutes { routes, version } => {
                if *version >= self.state.raised_version {
                    self.state.raised.clone_from(routes);
                    self.state.raised_version = *version;
                }
            }
        }
        self.state.applied = moment.offset;
        Ok(messages)
    }

    fn route(
        &mut self,
        event: &CloudEvent,
        find: FindDefinition<'_>,
        now: u64,
        raised: bool,
    ) -> Result<Vec<Message>, DefinitionId> {
        self.forget(now);
        let id = event_digest(&event.source, &event.id);
        let known = self.seen.contains(&id);
        let subscriptions = if known { Vec::new() } else { self.listeners.of(event, find)? };
        self.state.events += 1;
        if !self.remember(id, now) {
            self.state.repeated += 1;
            return Ok(Vec::new());
        }
        let wants = |route: &&Route| match &route.types {
            // They go to those alone who ask for them, which their routes cannot tell.
            _ if raised && is_lifecycle(&event.kind) => false,
            None => true,
            Some(types) => types.contains(&event.kind),
        };
        let tell = |route: &Route| Message {
            to: ActorId::trigger(&route.trigger),
            body: Body::Trigger(TriggerEvent::Event(Box::new(event.clone()))),
        };
        let pass_on = |(key, keep_ms): (String, u64)| {
            let received = Received { at: now, event: Box::new(event.clone()) };
            Message {
                to: ActorId::subscription(&key),
                body: Body::Subscription(SubscriptionEvent::Event { received, keep_ms }),
            }
        };
        let triggers = self.state.routes.iter().filter(wants).map(tell);
        Ok(triggers.chain(subscriptions.into_iter().map(pass_on)).collect())
    }

    /// Notes an id; false if it was known.
    fn remember(&mut self, id: u128, now: u64) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        if self.chunks.back().is_none_or(|chunk| chunk.ids.len() >= CHUNK * 16) {
            let number = self.chunks.back().map_or(self.state.first_chunk.max(1), |chunk| chunk.number + 1);
            self.chunks.push_back(Chunk { number, newest: now, ids: Vec::with_capacity(256) });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.newest = now;
            chunk.ids.extend_from_slice(&id.to_be_bytes());
            self.changed_from = self.changed_from.min(chunk.number);
        }
        true
    }

    /// Drops the chunks that are out of the window.
    fn forget(&mut self, now: u64) {
        while let Some(oldest) = self.chunks.front() {
            let too_old = oldest.newest.saturating_add(self.window.millis) < now;
            let too_many =
                self.seen.len().saturating_sub(oldest.ids.len() / 16) >= self.window.count.max(CHUNK);
            if !too_old && !too_many {
                return;
            }
            if let Some(oldest) = self.chunks.pop_front() {
                for id in oldest.ids.chunks_exact(16).map(number_of) {
                    self.seen.remove(&id);
                }
                self.dropped.push(oldest.number);
                self.state.first_chunk = oldest.number + 1;
                self.changed_from = self.changed_from.max(oldest.number + 1);
            }
        }
    }

    /// How many ids are remembered.
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// The chunks that changed since the last call.
    pub fn take_changes(&mut self) -> ChunkChanges {
        let put = self.chunks.iter().filter(|chunk| chunk.number >= self.changed_from).cloned().collect();
        self.changed_from = u64::MAX;
        ChunkChanges { put, remove: std::mem::take(&mut self.dropped) }
    }
}

fn number_of(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, kind: &str) -> RouterEvent {
        RouterEvent::Event(Box::new(CloudEvent {
            id: id.to_owned(),
            source: "/test".to_owned(),
            kind: kind.to_owned(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            data: None,
            data_base64: None,
            extensions: serde_json::Map::new(),
        }))
    }

    fn at(offset: u64, now: u64) -> Moment {
        Moment { offset, now }
    }

    fn apply(router: &mut Router, event: &RouterEvent, moment: Moment) -> Vec<Message> {
        router.apply(event, &|_| None, moment).unwrap()
    }

    fn routed() -> Router {
        let window = Window { millis: 1_000, count: 2_000 };
        let mut router = Router::new(RouterSnapshot::default(), Vec::new(), window);
        let routes = vec![
            Route { trigger: "disk".to_owned(), types: Some(vec!["full".to_owned()]) },
            Route { trigger: "all".to_owned(), types: None },
        ];
        router.apply(&RouterEvent::Routes(routes), &|_| None, at(1, 0)).unwrap();
        router
    }

    #[test]
    fn tells_those_who_want_the_type_once() {
        let mut router = routed();
        let told = |messages: Vec<Message>| messages.iter().map(|m| m.to.to_string()).collect::<Vec<_>>();
        assert_eq!(told(apply(&mut router, &event("a", "full"), at(2, 0))), ["trigger/disk", "trigger/all"]);
        assert_eq!(told(apply(&mut router, &event("b", "other"), at(3, 0))), ["trigger/all"]);
        assert!(apply(&mut router, &event("a", "full"), at(4, 10)).is_empty(), "a repetition");
        assert!(apply(&mut router, &event("c", "full"), at(3, 0)).is_empty(), "an entry applied before");
        assert_eq!((router.state.events, router.state.repeated), (3, 1));
    }

    #[test]
    fn what_is_raised_goes_to_sinks_too_and_lifecycle_events_only_where_they_are_asked_for() {
        let mut router = routed();
        let ended = "io.serverlessworkflow.workflow.completed.v1";
        let route = |to, types: Option<&str>, lifecycle: &[&str]| RaisedRoute {
            to,
            types: types.map(|kind| vec![kind.to_owned()]),
            lifecycle: lifecycle.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        let routes = vec![
            route(ActorId::sink("all"), None, &[]),
            route(ActorId::sink("ends"), Some("none"), &[ended]),
            route(ActorId::trigger("after"), Some("none"), &[ended]),
        ];
        let newer = RouterEvent::RaisedRoutes { routes, version: 2 };
        apply(&mut router, &newer, at(2, 0));
        apply(&mut router, &RouterEvent::RaisedRoutes { routes: vec![], version: 1 }, at(3, 0));
        let raised = |id: &str, kind: &str| match event(id, kind) {
            RouterEvent::Event(event) => RouterEvent::Raised(event),
            other => other,
        };
        let told = |messages: Vec<Message>| messages.iter().map(|m| m.to.to_string()).collect::<Vec<_>>();
        let full = told(apply(&mut router, &raised("a", "full"), at(4, 0)));
        assert_eq!(full, ["trigger/disk", "trigger/all", "sink/all"]);
        assert!(apply(&mut router, &raised("a", "full"), at(5, 0)).is_empty(), "a repetition");
        let end = told(apply(&mut router, &raised("b", ended), at(6, 0)));
        assert_eq!(end, ["sink/ends", "trigger/after"]);
        // From outside it is an event like any other.
        assert_eq!(told(apply(&mut router, &event("c", ended), at(7, 0))), ["trigger/all"]);
    }

    #[test]
    fn the_window_is_bounded_and_survives_its_checkpoint() {
        let mut router = routed();
        let mut stored: std::collections::BTreeMap<u64, Chunk> = Default::default();
        for n in 0..5_000_u64 {
            apply(&mut router, &event(&n.to_string(), "full"), at(n + 2, 0));
            if n % 700 == 0 {
                save(&mut router, &mut stored);
            }
        }
        save(&mut router, &mut stored);
        assert!(router.remembered() <= 2_000 + CHUNK, "{}", router.remembered());
        let mut again = Router::new(router.state.clone(), stored.into_values().collect(), router.window);
        assert_eq!(again.remembered(), router.remembered());
        assert!(apply(&mut again, &event("4999", "full"), at(6_000, 0)).is_empty(), "still known");
        assert!(!apply(&mut again, &event("4999", "full"), at(6_001, 5_000)).is_empty(), "out of the window");
    }

    fn save(router: &mut Router, stored: &mut std::collections::BTreeMap<u64, Chunk>) {
        let changes = router.take_changes();
        changes.remove.iter().for_each(|number| drop(stored.remove(number)));
        stored.extend(changes.put.into_iter().map(|chunk| (chunk.number, chunk)));
    }
}
