//! What came in through the doors, and what it did.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use impresario_actors::behaviour::Inspection;
use impresario_actors::definitions::Definitions;
use impresario_model::definition::{Consumption, Definition, Outline, Strategy};
use impresario_model::ids::{self, ActorId};
use impresario_model::instance::rfc3339;
use impresario_model::trigger::match_event;

use super::app::blocking;
use super::local::Local;
use super::members::shards_of;
use super::triggers::{check_count, watched};
use crate::orchestrator::Refusal;
use crate::question::{Question, Reply};
use crate::triggers::{
    DedupWindow, EventsSummary, RecentEvent, RecentPage, RecentQuery, RecentWindow, RouterCount, ToldEvent,
};

/// How many recent events are told if nothing is said.
const RECENT_SHOWN: usize = 20;
/// More than this need not be asked what an event did.
const INSTANCES_ASKED: usize = 1_000;

/// What an event did to one trigger.
struct Match {
    trigger: String,
    /// The instance that it starts alone, if it needs no other.
    instance: Option<String>,
}

impl Local {
    /// What came in, and what it set going.
    pub(super) async fn events_summary(&self) -> Result<EventsSummary, Refusal> {
        let triggers = self.trigger_counters().await?;
        let mut dedup = DedupWindow {
            within: humantime::format_duration(self.dedup.0).to_string(),
            most: self.dedup.1.saturating_mul(usize::from(self.shards())),
            ..DedupWindow::default()
        };
        let counts = self.all_routers().await;
        let heard: BTreeSet<u16> = counts.iter().map(|count| count.shard).collect();
        dedup.unheard = (0..self.shards()).filter(|shard| !heard.contains(shard)).collect();
        for count in counts {
            dedup.remembered += count.remembered;
            dedup.events += count.events;
            dedup.repetitions += count.repeated;
        }
        Ok(EventsSummary { dedup, triggers })
    }

    async fn all_routers(&self) -> Vec<RouterCount> {
        let view = self.view();
        let others = view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me);
        let owning = others.filter(|node| shards_of(&view, &node.incarnation) > 0);
        let asked = join_all(owning.map(|node| self.ask_node(node, &Question::Routers)));
        let (mut counts, answers) = tokio::join!(self.own_routers(), asked);
        for answer in answers {
            if let Ok(Reply::Routers(heard)) = answer {
                counts.extend(heard);
            }
        }
        // A shard that has just moved may have been heard of twice.
        counts.sort_by_key(|count| count.shard);
        counts.dedup_by_key(|count| count.shard);
        counts
    }

    /// What the routers of this node counted.
    pub(super) async fn own_routers(&self) -> Vec<RouterCount> {
        let of = |shard| async move {
            match self.inspect_here(&ActorId::router(shard)).await {
                Ok(Inspection::Router(state, remembered)) => {
                    let (events, repeated) = (state.events, state.repeated);
                    Some(RouterCount { shard, remembered, events, repeated })
                }
                // Nothing ever came there.
                Ok(_) => Some(RouterCount { shard, ..RouterCount::default() }),
                Err(_) => None,
            }
        };
        join_all(self.mine().into_iter().map(of)).await.into_iter().flatten().collect()
    }

    /// The events that came last through the doors of all nodes, newest first.
    pub(super) async fn recent(
        &self,
        kind: Option<String>,
        limit: usize,
    ) -> (Vec<RecentEvent>, RecentWindow) {
        let view = self.view();
        let others: Vec<_> =
            view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me).collect();
        let question = Question::RecentEvents { kind: kind.clone(), limit };
        let answers = join_all(others.iter().map(|node| self.ask_node(node, &question))).await;
        let mut events = self.recent.newest(&self.node, kind.as_deref(), limit);
        let most = self.recent.most();
        let mut window = RecentWindow { kept: self.recent.kept(), most, unheard: Vec::new() };
        for (node, answer) in others.iter().zip(answers) {
            match answer {
                Ok(Reply::RecentEvents(heard, kept)) => {
                    events.extend(heard);
                    window.kept += kept;
                }
                _ => window.unheard.push(node.name.clone()),
            }
        }
        events.sort_by_key(|event| std::cmp::Reverse(event.at));
        events.truncate(limit);
        (events, window)
    }

    /// The recent events, and what each did.
    pub(super) async fn recent_events(&self, query: RecentQuery) -> Result<RecentPage, Refusal> {
        let limit = query.limit.unwrap_or(RECENT_SHOWN);
        check_count(limit)?;
        let (events, window) = self.recent(query.kind, limit).await;
        let definitions = Arc::clone(&self.definitions);
        // Expressions of others may be slow.
        let matched = blocking(move || {
            let mut newest = definitions.newest();
            newest.retain(|outline| outline.triggers.iter().any(|trigger| trigger.events.is_some()));
            let matches: Vec<Vec<Match>> =
                events.iter().map(|recent| matches_of(&definitions, &newest, recent)).collect();
            events.into_iter().zip(matches).collect::<Vec<_>>()
        });
        let matched = matched.await.map_err(|error| Refusal::later(error.to_string()))?;
        let mut earlier = BTreeSet::new();
        let mut items = Vec::with_capacity(matched.len());
        let mut asked = 0;
        // Oldest first, as only the first of an id does anything.
        for (recent, matches) in matched.into_iter().rev() {
            let event = recent.event;
            let mut did = Vec::new();
            if !earlier.insert((event.source.clone(), event.id.clone())) {
                did.push("repetition".to_owned());
            } else if matches.is_empty() {
                did.push("no trigger matches".to_owned());
            } else {
                for one in matches {
                    asked += 1;
                    did.push(self.did(one, asked <= INSTANCES_ASKED).await?);
                }
            }
            items.push(ToldEvent {
                at: rfc3339(recent.at),
                node: recent.node,
                id: event.id,
                source: event.source,
                kind: event.kind,
                subject: event.subject,
                did,
            });
        }
        items.reverse();
        Ok(RecentPage { items, window })
    }

    /// What a match came to, as far as the instance that it starts tells.
    async fn did(&self, one: Match, ask: bool) -> Result<String, Refusal> {
        let Match { trigger, instance } = one;
        Ok(match instance {
            None => format!("counted by {trigger}"),
            Some(instance) if ask => match self.instance_of(&instance).await? {
                Some(_) => format!("started {instance} ({trigger})"),
                None => format!("matched {trigger}, which has started nothing"),
            },
            Some(instance) => format!("matched {trigger}, for instance {instance}"),
        })
    }
}

fn matches_of(definitions: &Definitions, newest: &[Arc<Outline>], recent: &RecentEvent) -> Vec<Match> {
    let event = &recent.event;
    let mut matches = Vec::new();
    for (outline, trigger) in
        newest.iter().flat_map(|one| one.watching(&event.kind).map(move |trigger| (one, trigger)))
    {
        let Some(definition) = definitions.get(&outline.id) else { continue };
        let Some(consumption) = watched(&definition, &trigger.name) else { continue };
        let found = match_event(consumption, event);
        if found.filters.is_empty() && found.ending.is_empty() {
            continue;
        }
        let instance = starts_alone(&definition, consumption)
            .then(|| ids::instance_of_event(&trigger.name, &event.source, &event.id));
        matches.push(Match { trigger: trigger.name.clone(), instance });
    }
    matches
}

fn starts_alone(definition: &Definition, consumption: &Consumption) -> bool {
    consumption.strategy != Strategy::All
        && consumption.until.is_none()
        && definition.ops.events.threshold.is_none()
}
