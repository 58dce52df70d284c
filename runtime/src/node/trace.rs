//! Follows an event from its door to its last effect: which instances it started, what they did, what they raised.
//!
//! The ids of instances follow from triggers and events, and those of raised events from instances and tasks, so most of the
//! way is found from live state alone. The logs add the steps in between, as far as they are not behind a checkpoint.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use impresario_model::definition::TaskKind;
use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, RouterEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{self, ActorId, ActorKind};
use impresario_model::instance::{from_rfc3339, rfc3339};
use impresario_persistence::Offset;
use serde_json::Value;

use super::blocking;
use super::entries::{Read, go_on};
use super::entry_views;
use super::local::Local;
use crate::inspect::{EntryView, Trace, TraceQuery, TraceStep};
use crate::orchestrator::{ActivityDetail, InstanceDetail, Refusal};

/// How many entries of the logs are looked at.
const SCANNED_MAX: usize = 50_000;
/// How many events that came through the doors last are looked at.
const RECENT_MAX: usize = 10_000;
/// How many instances are followed.
const INSTANCES_MAX: usize = 100;
/// How often it is asked whether there is an instance of an id.
const LOOKUPS_MAX: usize = 1_000;
/// So many of these at once.
const LOOKUPS_AT_ONCE: usize = 16;
/// How many events of one instance are guessed.
const RAISED_MAX: usize = 200;
/// How deep it goes.
const DEPTH_MAX: usize = 16;
/// How many entries of an actor that is no instance are shown.
const ENTRIES_MAX: usize = 100;

/// An event, as far as it is known.
#[derive(Clone, Debug)]
struct Followed {
    source: String,
    id: String,
    /// Its type, when it came, and how (as `came in by a door`), if somebody knows that.
    known: Option<(String, u64, String)>,
}

/// A step with those that follow from it.
struct Branch {
    step: TraceStep,
    below: Vec<Branch>,
}

/// An entry that has to do with events.
struct Seen {
    shard: u16,
    offset: Offset,
    to: ActorId,
    summary: String,
    events: Vec<CloudEvent>,
    /// Whether it is a router that takes the event in; and if so, from an actor or a door.
    taken: Option<bool>,
}

/// What is used up on the way.
struct Follow<'n> {
    node: &'n Local,
    seen: Vec<Seen>,
    visited: HashSet<String>,
    lookups: usize,
    gaps: Vec<String>,
    triggers: Vec<String>,
}

impl Local {
    /// Follows what is asked for.
    pub(super) async fn follow(&self, query: TraceQuery) -> Result<Trace, Refusal> {
        let invalid = || {
            Refusal::Invalid(
                "expected the id of an event (and its source), or an actor, found both or neither".to_owned(),
            )
        };
        let (seen, cut) = self.seen_events().await?;
        let newest = self.definitions.newest();
        let triggers = newest.iter().flat_map(|one| one.triggers.iter().map(|trigger| trigger.name.clone()));
        let mut follow = Follow {
            node: self,
            seen,
            visited: HashSet::new(),
            lookups: 0,
            gaps: Vec::new(),
            triggers: triggers.collect(),
        };
        if cut {
            follow.gap(format!(
                "the logs have more than {SCANNED_MAX} entries: only the oldest were looked at"
            ));
        }
        let (subject, branches) = match (query.event, query.actor) {
            (Some(id), None) => {
                let event = follow.find(&id, query.source).await?;
                (format!("event {} of {}", event.id, event.source), vec![follow.event(event, 0).await?])
            }
            (None, Some(name)) if query.source.is_none() => {
                let actor = self.actor_id(&name).await?;
                let branches = follow.actor(&actor).await?;
                (actor.to_string(), branches)
            }
            _ => return Err(invalid()),
        };
        let mut steps = Vec::new();
        flatten(branches, 0, &mut steps);
        Ok(Trace { subject, steps, gaps: follow.gaps })
    }

    /// The entries that the logs still have and that bring events; and whether there were too many to look at.
    async fn seen_events(&self) -> Result<(Vec<Seen>, bool), Refusal> {
        let shards: Vec<u16> = (0..self.shards()).collect();
        let mut places = vec![Offset::ZERO; shards.len()];
        let (mut seen, mut scanned) = (Vec::new(), 0);
        while scanned < SCANNED_MAX {
            let read = self.read_some(&shards, &places).await?;
            if read.is_empty() {
                return Ok((seen, false));
            }
            scanned += read.len();
            read.iter().for_each(|read| go_on(&mut places, read));
            let work = move || read.iter().filter_map(seen_of).collect::<Vec<Seen>>();
            seen.extend(blocking(work).await.map_err(|error| Refusal::later(error.to_string()))?);
        }
        Ok((seen, true))
    }
}

fn seen_of(read: &Read) -> Option<Seen> {
    let entry: Entry = encoding::decode(&read.record.bytes).ok()?;
    let events: Vec<CloudEvent> = entry.body.events().into_iter().cloned().collect();
    if events.is_empty() {
        return None;
    }
    let taken = match &entry.body {
        Body::Router(RouterEvent::Event(_) | RouterEvent::Raised(_)) => Some(entry.origin.is_some()),
        _ => None,
    };
    let EntryView { summary, .. } = entry_views::view(read.shard, read.record.offset, &entry);
    Some(Seen { shard: read.shard, offset: read.record.offset, to: entry.to, summary, events, taken })
}

impl Follow<'_> {
    fn gap(&mut self, gap: String) {
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }

    /// The event of an id, wherever it is still known.
    async fn find(&mut self, id: &str, source: Option<String>) -> Result<Followed, Refusal> {
        let mut found = self.in_logs(id, source.as_deref());
        if found.is_none() {
            let (recent, window) = self.node.recent(None, RECENT_MAX).await;
            let of_id = |event: &CloudEvent| {
                event.id == id && source.as_ref().is_none_or(|source| *source == event.source)
            };
            // The first one counts; those that came later are repetitions of it.
            found = recent.into_iter().rev().find(|recent| of_id(&recent.event)).map(|recent| Followed {
                source: recent.event.source,
                id: recent.event.id,
                known: Some((recent.event.kind, recent.at, format!("came in at node {}", recent.node))),
            });
            if !window.unheard.is_empty() {
                let unheard = window.unheard.join(", ");
                self.gap(format!("no answer from {unheard}: what came through their doors is not known"));
            }
        }
        if let Some(found) = found {
            return Ok(found);
        }
        let Some(source) = source else {
            return Err(Refusal::NotFound(format!(
                "expected the id of an event that the logs or the doors of the nodes remember, found '{id}': name its source \
                 too, and what it started is found by its ids"
            )));
        };
        Ok(Followed { source, id: id.to_owned(), known: None })
    }

    fn in_logs(&self, id: &str, source: Option<&str>) -> Option<Followed> {
        let taken = self.seen.iter().find_map(|seen| {
            let raised = seen.taken?;
            let event = seen.events.first()?;
            let fits = event.id == id && source.is_none_or(|source| source == event.source);
            let by = if raised { "was raised" } else { "came in by a door" };
            let known = Some((event.kind.clone(), seen.offset.millis(), by.to_owned()));
            fits.then(|| Followed { source: event.source.clone(), id: event.id.clone(), known })
        });
        taken
    }

    /// What came of an event.
    fn event(&mut self, event: Followed, depth: usize) -> BoxFuture<'_, Result<Branch, Refusal>> {
        Box::pin(async move {
            let shard = ids::event_shard(&event.source, &event.id, self.node.shards());
            let (at, what) = match &event.known {
                Some((kind, at, by)) => {
                    (rfc3339(*at), format!("{kind}, id {} of {}, {by}", event.id, event.source))
                }
                None => (String::new(), format!("event {} of {}", event.id, event.source)),
            };
            let mut below = self.told(&event);
            let of_event =
                |seen: &Seen| seen.events.iter().any(|one| one.id == event.id && one.source == event.source);
            if !self.seen.iter().any(|seen| seen.taken.is_some() && of_event(seen)) {
                self.gap(format!(
                    "the entries of event {} are behind a checkpoint: what it told triggers, listeners and sinks is not in the \
                     logs any more, and what it started is found by ids",
                    event.id
                ));
            }
            let triggers = self.triggers.clone();
            let ids =
                triggers.iter().map(|trigger| ids::instance_of_event(trigger, &event.source, &event.id));
            for detail in self.existing(ids.collect()).await? {
                below.push(self.instance(detail, depth + 1).await?);
            }
            Ok(branch(&at, ActorId::router(shard).as_str(), what, None, None, below))
        })
    }

    /// Whom the logs say an event was given to.
    fn told(&self, event: &Followed) -> Vec<Branch> {
        let told = self.seen.iter().filter(|seen| {
            seen.taken.is_none()
                && seen.to.kind() != Some(ActorKind::Monitor)
                && seen.events.iter().any(|one| one.id == event.id && one.source == event.source)
        });
        told.map(|seen| {
            let place = format!("{} (entry {} of shard {})", seen.summary, seen.offset, seen.shard);
            branch(&rfc3339(seen.offset.millis()), seen.to.as_str(), place, None, None, Vec::new())
        })
        .collect()
    }

    /// Those instances of some ids that there are, and that were not met before.
    async fn existing(&mut self, ids: Vec<String>) -> Result<Vec<InstanceDetail>, Refusal> {
        let mut wanted: Vec<String> = ids.into_iter().filter(|id| !self.visited.contains(id)).collect();
        let left = LOOKUPS_MAX.saturating_sub(self.lookups);
        if wanted.len() > left {
            wanted.truncate(left);
            self.gap(format!(
                "it was asked for {LOOKUPS_MAX} instances that may have been started, and not for more"
            ));
        }
        self.lookups += wanted.len();
        let node = self.node;
        let asked = stream::iter(wanted).map(|id| async move { node.instance_of(&id).await });
        let found: Vec<_> = asked.buffered(LOOKUPS_AT_ONCE).collect().await;
        let mut existing = Vec::new();
        for answer in found {
            match answer {
                Ok(detail) => existing.extend(detail.map(|detail| *detail)),
                Err(Refusal::Unavailable { reason, .. }) => self.gap(reason),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(existing)
    }

    /// What an instance did.
    fn instance(&mut self, detail: InstanceDetail, depth: usize) -> BoxFuture<'_, Result<Branch, Refusal>> {
        Box::pin(async move {
            let id = detail.summary.id.clone();
            self.visited.insert(id.clone());
            let mut below: Vec<Branch> = detail.activities.iter().map(activity).collect();
            if detail.activities_dropped > 0 {
                let dropped = detail.activities_dropped;
                self.gap(format!("{dropped} older activities of {id} are no longer kept"));
            }
            if self.visited.len() > INSTANCES_MAX || depth >= DEPTH_MAX {
                self.gap(format!(
                    "{INSTANCES_MAX} instances, and {DEPTH_MAX} steps in depth, are followed, and not more"
                ));
            } else {
                below.extend(self.raised(&detail, depth + 1).await?);
            }
            let summary = &detail.summary;
            let what = format!("{}, started by {}", summary.definition, detail.started_by);
            let took = took(&summary.started_at, summary.ended_at.as_deref());
            let actor = ActorId::process(&id);
            let status = Some(summary.status.clone());
            Ok(branch(&summary.started_at, actor.as_str(), what, status, took, below))
        })
    }

    /// What came of the events that an instance raised. Their ids follow from its tasks, unless its definition gives others.
    async fn raised(&mut self, detail: &InstanceDetail, depth: usize) -> Result<Vec<Branch>, Refusal> {
        let actor = ActorId::process(&detail.summary.id);
        let Some(definition) = self.node.definitions.find(&detail.summary.definition) else {
            self.gap(format!("definition {} is not known here", detail.summary.definition));
            return Ok(Vec::new());
        };
        let emits = definition.tasks.iter().filter(|task| matches!(task.kind, TaskKind::Emit(_)));
        let pointers: Vec<&str> = emits.map(|task| task.pointer.as_str()).collect();
        if pointers.is_empty() {
            return Ok(Vec::new());
        }
        let Some(state) = self.node.actor_anywhere(&actor).await?.map(|shown| shown.state) else {
            return Ok(Vec::new());
        };
        let runs = state.get("tasks_run").and_then(Value::as_u64).unwrap_or_default();
        let guessed = (0..=runs).flat_map(|run| pointers.iter().map(move |pointer| (run, *pointer)));
        let ids: Vec<String> = guessed
            .take(RAISED_MAX)
            .map(|(run, pointer)| ids::event_of_task(&detail.summary.id, pointer, run))
            .collect();
        if (runs + 1).saturating_mul(pointers.len() as u64) > RAISED_MAX as u64 {
            self.gap(format!("only the first events that {actor} may have raised are followed"));
        }
        let id = &definition.id;
        let source = format!("/{}/{}/{}", id.namespace, id.name, id.version);
        let mut below = Vec::new();
        for event in ids {
            if let Some(mut known) = self.in_logs(&event, None) {
                if let Some((_, _, by)) = &mut known.known {
                    *by = format!("was raised by {actor}");
                }
                below.push(self.event(known, depth).await?);
                continue;
            }
            let triggers = self.triggers.clone();
            let started = triggers.iter().map(|trigger| ids::instance_of_event(trigger, &source, &event));
            let mut started_by_it = Vec::new();
            for child in self.existing(started.collect()).await? {
                let kind = first_event(&child.input).map(|(kind, _, _)| kind).unwrap_or_default();
                let at = child.summary.started_at.clone();
                started_by_it.push((kind, at, self.instance(child, depth + 1).await?));
            }
            if let Some((kind, at, _)) = started_by_it.first() {
                let (at, what) =
                    (at.clone(), format!("{kind}, id {event} of {source}, was raised by {actor}"));
                let shard = ids::event_shard(&source, &event, self.node.shards());
                let children = started_by_it.into_iter().map(|(_, _, child)| child).collect();
                below.push(branch(&at, ActorId::router(shard).as_str(), what, None, None, children));
            }
        }
        Ok(below)
    }

    /// What an actor did, and what made it do so.
    async fn actor(&mut self, actor: &ActorId) -> Result<Vec<Branch>, Refusal> {
        match actor.kind() {
            Some(ActorKind::Process) => {
                let Some(detail) = self.node.instance_of(actor.key()).await? else {
                    return self.entries(actor).await;
                };
                let cause = first_event(&detail.input).filter(|_| detail.started_by.starts_with("trigger "));
                let instance = self.instance(*detail, 1).await?;
                let Some((kind, source, id)) = cause else { return Ok(vec![instance]) };
                let shard = ids::event_shard(&source, &id, self.node.shards());
                let at = self.in_logs(&id, Some(&source)).and_then(|event| event.known);
                let at = at.map_or_else(String::new, |(_, at, _)| rfc3339(at));
                let what = format!("{kind}, id {id} of {source}");
                Ok(vec![branch(&at, ActorId::router(shard).as_str(), what, None, None, vec![instance])])
            }
            Some(ActorKind::Trigger) => {
                let mut branches = self.entries(actor).await?;
                let Some(trigger) = self.node.trigger_of(actor.key()).await? else { return Ok(branches) };
                for fire in trigger.history {
                    let started = self.existing(vec![fire.instance.clone()]).await?;
                    let mut below = Vec::new();
                    for detail in started {
                        below.push(self.instance(detail, 1).await?);
                    }
                    branches.push(branch(
                        &fire.at,
                        actor.as_str(),
                        format!("fired: {}", fire.cause),
                        None,
                        None,
                        below,
                    ));
                }
                Ok(branches)
            }
            Some(_) | None => self.entries(actor).await,
        }
    }

    /// What the log still has of an actor.
    async fn entries(&mut self, actor: &ActorId) -> Result<Vec<Branch>, Refusal> {
        let entries = self.node.last_entries(actor, ENTRIES_MAX).await?;
        self.gap(format!("of {actor}, what is behind a checkpoint is not in its log any more"));
        let shown = entries.into_iter().map(|entry| {
            let what = format!("{}: {}", entry.kind, entry.summary);
            branch(&entry.at, &entry.actor, what, None, None, Vec::new())
        });
        Ok(shown.collect())
    }
}

fn activity(activity: &ActivityDetail) -> Branch {
    let ActivityDetail { number, task, function, attempts, .. } = activity;
    let on = activity.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
    let times = if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let what = format!("activity {number} '{task}'{on}, {times}");
    let took = took(&activity.started_at, activity.ended_at.as_deref());
    branch(&activity.started_at, function, what, Some(activity.status.clone()), took, Vec::new())
}

/// Type, source and id of the first event that an instance was started with.
fn first_event(input: &Value) -> Option<(String, String, String)> {
    let event = input.get(0)?;
    let of = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((of("type")?, of("source")?, of("id")?))
}

fn took(from: &str, to: Option<&str>) -> Option<u64> {
    Some(from_rfc3339(to?)?.saturating_sub(from_rfc3339(from)?))
}

fn branch(
    at: &str,
    actor: &str,
    what: String,
    status: Option<String>,
    took_ms: Option<u64>,
    below: Vec<Branch>,
) -> Branch {
    let step = TraceStep { depth: 0, at: at.to_owned(), actor: actor.to_owned(), what, status, took_ms };
    Branch { step, below }
}

/// Puts what follows from a step behind it, in order of time.
fn flatten(mut branches: Vec<Branch>, depth: usize, steps: &mut Vec<TraceStep>) {
    branches.sort_by(|a, b| a.step.at.cmp(&b.step.at));
    for Branch { step, below } in branches {
        steps.push(TraceStep { depth, ..step });
        flatten(below, depth + 1, steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_behind_what_they_follow_from_in_order_of_time() {
        let leaf = |at: &str, below| branch(at, "a", at.to_owned(), None, None, below);
        let mut steps = Vec::new();
        flatten(
            vec![leaf("2", vec![leaf("4", vec![]), leaf("3", vec![])]), leaf("1", vec![])],
            0,
            &mut steps,
        );
        let shown: Vec<(usize, &str)> = steps.iter().map(|step| (step.depth, step.at.as_str())).collect();
        assert_eq!(shown, [(0, "1"), (0, "2"), (1, "3"), (1, "4")]);
        assert_eq!(took("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:01.5Z")), Some(1_500));
    }
}
