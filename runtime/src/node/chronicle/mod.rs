//! The list of what happened to the cluster: written by the node that notices, read at any.
//!
//! Each node has a setting of the environment with what it noticed, bounded in count and age, so that writers do not stand in
//! each other's way; the list is all of them together. What is noticed waits in memory until the store takes it. Nothing
//! waits for that: if too much gathers, the oldest is dropped, and the log says how many.

mod notice;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use impresario_actors::shard::EvidenceQuery;
use impresario_model::entry::{Body, Entry, RouterEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{self, ActorId};
use impresario_model::instance::{from_rfc3339, rfc3339};
use impresario_persistence::Standing;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use self::notice::{Seen, SeenAdapter, SeenNode};
use super::local::Local;
use super::refusal::refusal;
use crate::orchestrator::Refusal;
use crate::settings::{self, SettingError, update};
use crate::system_events::{Severity, SystemEvent, SystemEventPage, SystemEventQuery};

/// Where the lists are.
const PREFIX: &str = "system-events/";
/// What the types of the CloudEvents begin with.
const TYPE: &str = impresario_model::lifecycle::SYSTEM;
/// How many of its events a node keeps, and for how long, in milliseconds.
const KEPT: (usize, u64) = (500, 30 * 86_400_000);
/// How many wait in memory for the store.
const WAITING_MOST: usize = 500;
/// How often a node looks what happened.
const LOOK: Duration = Duration::from_secs(1);
/// How long a store may take before it is asked again at the next look.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// How many characters of a message are kept.
const MESSAGE_CHARS: usize = 500;
/// How many a page has if nothing else is said, and at most.
const PAGE: (usize, usize) = (50, 1000);

/// What was noticed and is not stored yet; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Chronicle {
    waiting: Arc<Mutex<Waiting>>,
    more: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<SystemEvent>,
    /// How many were dropped because there was no room.
    dropped: u64,
    /// The last id: the time, and a number among those of the same millisecond.
    last: (u64, u32),
}

impl Chronicle {
    /// Notes what happened, at a time in milliseconds since the Unix epoch.
    fn note(&self, node: &str, now: u64, (severity, kind): (Severity, &str), subject: &str, message: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.last = if waiting.last.0 >= now { (waiting.last.0, waiting.last.1 + 1) } else { (now, 0) };
        let (millis, number) = waiting.last;
        let message: String = message.chars().take(MESSAGE_CHARS).collect();
        tracing::info!(kind, subject, message, "noticed");
        waiting.events.push_back(SystemEvent {
            id: format!("{millis:013}-{number:04}-{node}"),
            time: rfc3339(now),
            severity,
            kind: kind.to_owned(),
            node: node.to_owned(),
            subject: subject.to_owned(),
            message,
        });
        if waiting.events.len() > WAITING_MOST {
            waiting.events.pop_front();
            waiting.dropped += 1;
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// What waits now, and how many were dropped before.
    fn waiting(&self) -> (Vec<SystemEvent>, u64) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.events.iter().cloned().collect(), waiting.dropped)
    }

    /// All up to this one are stored.
    fn stored(&self, last: &str, dropped: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.events.retain(|event| event.id.as_str() > last);
        waiting.dropped -= dropped.min(waiting.dropped);
    }
}

impl Local {
    /// Notes what happened; never waits.
    pub(super) fn notice(&self, severity: Severity, kind: &str, subject: &str, message: &str) {
        let now = self.engine.store().clock()();
        self.chronicle.note(&self.node, now, (severity, kind), subject, message);
    }

    /// An operator has changed a setting.
    pub(super) fn notice_change(&self, subject: &str, what: &str) {
        self.notice(
            Severity::Info,
            "settings.changed",
            subject,
            &format!("{subject} was {what} by an operator"),
        );
    }

    /// Looks what happens and has it stored, until the tasks are dropped.
    pub(super) fn chronicle_always(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (looking, storing) = (self.clone(), self.clone());
        tasks.spawn(async move {
            let mut before: Option<Seen> = None;
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let now = looking.look().await;
                for noticed in now.since(before.as_ref()) {
                    looking.notice(noticed.severity, noticed.kind, &noticed.subject, &noticed.message);
                }
                before = Some(now);
            }
        });
        tasks.spawn(async move {
            loop {
                storing.chronicle.more.notified().await;
                while !storing.chronicle.waiting().0.is_empty() {
                    let stored = tokio::time::timeout(STORE_PATIENCE, storing.store_waiting()).await;
                    if !matches!(stored, Ok(Ok(()))) {
                        tokio::time::sleep(LOOK).await;
                    }
                }
            }
        });
        tasks
    }

    /// What this node sees now.
    async fn look(&self) -> Seen {
        let view = self.view();
        let node = |node: &crate::cluster::NodeView| {
            let seen =
                SeenNode { name: node.name.clone(), alive: node.alive, draining: node.record.draining };
            (node.incarnation.clone(), seen)
        };
        let adapter = |one: crate::adapters::AdapterSummary| {
            let seen = SeenAdapter {
                state: one.state,
                disappearances: one.counters.disappearances,
                restarts: one.counters.restarts,
                last_error: one.last_error,
            };
            (one.name, seen)
        };
        let mut seen = Seen {
            me: view.me.clone(),
            nodes: view.nodes.iter().map(node).collect(),
            owners: view
                .shards
                .iter()
                .map(|owned| {
                    owned.owner.as_ref().map(|owner| (owner.node.clone(), owner.incarnation.clone()))
                })
                .collect(),
            adapters: self.adapters.list().into_iter().map(adapter).collect(),
            store_away: match &*self.engine.store().standing().borrow() {
                Standing::Up => None,
                Standing::Away(reason) => Some(reason.clone()),
            },
            alarms: self.engine.store().alarms().into_iter().collect(),
            audit: self.audits.borrow().clone(),
            ..Seen::default()
        };
        let mine = self.mine();
        let asked = mine.iter().map(|shard| self.engine.evidence(*shard, EvidenceQuery::default()));
        for (shard, evidence) in mine.iter().zip(join_all(asked).await) {
            if let Ok(evidence) = evidence {
                seen.asides.insert(*shard, evidence.asides.into_iter().collect());
            }
        }
        seen
    }

    /// Makes what waits durable: first as events, which start processes, then in the list. Repeated, neither happens twice.
    async fn store_waiting(&self) -> Result<(), Refusal> {
        let (events, dropped) = self.chronicle.waiting();
        let Some(last) = events.last().map(|event| event.id.clone()) else { return Ok(()) };
        let shards = self.shards();
        let entries = events.iter().map(|event| {
            let event = cloud_event(event);
            let to = ActorId::router(ids::event_shard(&event.source, &event.id, shards));
            Entry { to, origin: None, body: Body::Router(RouterEvent::Raised(Box::new(event))) }
        });
        let entries: Vec<Entry> = entries.collect();
        self.engine.post().accept(&entries).await.map_err(refusal)?;
        let now = self.engine.store().clock()();
        let key = format!("{PREFIX}{}", self.node);
        update(self.engine.store(), &key, |list: Option<Vec<SystemEvent>>| {
            let mut list = list.unwrap_or_default();
            let known = list.last().map(|event| event.id.clone()).unwrap_or_default();
            if dropped > 0 {
                tracing::warn!(dropped, "system events were dropped: the store was away for long");
            }
            list.extend(events.iter().filter(|event| event.id > known).cloned());
            list.retain(|event| from_rfc3339(&event.time).is_none_or(|at| at.saturating_add(KEPT.1) > now));
            let surplus = list.len().saturating_sub(KEPT.0);
            list.drain(..surplus);
            Ok::<_, SettingError>(Some(list))
        })
        .await?;
        self.chronicle.stored(&last, dropped);
        Ok(())
    }

    /// A page of what happened to the cluster, newest first.
    pub(super) async fn list_system_events(
        &self,
        query: SystemEventQuery,
    ) -> Result<SystemEventPage, Refusal> {
        let limit = query.limit.unwrap_or(PAGE.0);
        if !(1..=PAGE.1).contains(&limit) {
            return Err(Refusal::Invalid(format!("expected a limit of 1 to {}, found {limit}", PAGE.1)));
        }
        let settings = self.engine.store().settings(PREFIX.to_owned()).await;
        let mut all: Vec<SystemEvent> = Vec::new();
        for (key, setting) in settings.map_err(|error| refusal(error.into()))? {
            all.extend(settings::decode::<Vec<SystemEvent>>(&key, &setting.bytes)?);
        }
        all.sort_by(|a, b| b.id.cmp(&a.id));
        all.retain(|event| {
            query.severity.is_none_or(|least| event.severity >= least)
                && query.kind.as_ref().is_none_or(|kind| event.kind.starts_with(kind.as_str()))
                && query.cursor.as_ref().is_none_or(|cursor| event.id < *cursor)
        });
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|event| event.id.clone());
        Ok(SystemEventPage { items: all, next })
    }
}

/// The form in which processes see it.
fn cloud_event(event: &SystemEvent) -> CloudEvent {
    CloudEvent {
        id: event.id.clone(),
        source: format!("/nodes/{}", event.node),
        kind: format!("{TYPE}{}", event.kind),
        subject: Some(event.subject.clone()).filter(|subject| !subject.is_empty()),
        time: Some(event.time.clone()),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        data: Some(json!({
            "severity": event.severity,
            "kind": event.kind,
            "node": event.node,
            "subject": event.subject,
            "message": event.message,
        })),
        data_base64: None,
        extensions: serde_json::Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_store_is_bounded_and_its_ids_grow() {
        let chronicle = Chronicle::default();
        // The clock may stand still, and even go back.
        for number in 0..WAITING_MOST as u64 + 3 {
            let now = if number == 100 { 5 } else { 10 };
            chronicle.note("a", now, (Severity::Info, "node.up"), "a", "m");
        }
        let (events, dropped) = chronicle.waiting();
        assert_eq!((events.len(), dropped), (WAITING_MOST, 3));
        assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
        chronicle.note("a", 11, (Severity::Info, "node.up"), "a", "later");
        chronicle.stored(&events[WAITING_MOST - 1].id, dropped);
        let (left, dropped) = chronicle.waiting();
        assert_eq!((left.len(), left[0].message.as_str(), dropped), (1, "later", 1));
    }

    #[test]
    fn a_cloud_event_of_it_is_one() {
        let chronicle = Chronicle::default();
        chronicle.note("a", 1_769_848_200_000, (Severity::Critical, "node.down"), "b", "node b is gone");
        let event = cloud_event(&chronicle.waiting().0[0]);
        let told = event.envelope();
        assert_eq!(told["type"], "io.impresario.system.node.down");
        assert_eq!(told["data"]["severity"], "critical");
        assert_eq!(CloudEvent::from_json(told).unwrap(), event);
    }
}
