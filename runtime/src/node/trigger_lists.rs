//! Lists and sums of triggers, of which there may be very many: a page asks only those that are on it.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_model::encoding;
use impresario_model::trigger::Trigger;
use impresario_persistence::{ListQuery, ShardId};

use super::local::Local;
use super::reach::Gathered;
use super::refusal::refusal;
use super::trigger_views::{self, EVENT};
use crate::orchestrator::{Refusal, TriggerSummary};
use crate::triggers::{TRIGGERS_PAGE, TriggerCounters, TriggerQuery};

/// How many triggers are asked for at once.
const ASKED_AT_ONCE: usize = 32;
/// How many stored rows are read at once.
const ROWS_AT_ONCE: usize = 1_000;
/// What the ids of trigger monitors begin with.
const PREFIX: &str = "trigger/";
/// The states that a list can be asked for, and the words that their rows have.
const STATES: [(&str, &str); 4] =
    [("enabled", "watching"), ("paused", "paused"), ("problem", "cannot watch"), ("disarmed", "disarmed")];

impl Local {
    /// A page of triggers, by name.
    pub(super) async fn list_triggers(&self, query: TriggerQuery) -> Result<Vec<TriggerSummary>, Refusal> {
        let limit = query.limit.unwrap_or(TRIGGERS_PAGE);
        if !(1..=TRIGGERS_PAGE).contains(&limit) {
            return Err(Refusal::Invalid(format!("expected a limit of 1 to {TRIGGERS_PAGE}, found {limit}")));
        }
        let prefix = query.prefix.unwrap_or_default();
        let mut names = match &query.state {
            None => self.trigger_names(),
            Some(state) => self.names_in(state, &prefix).await?,
        };
        names.retain(|name| {
            name.starts_with(&prefix) && query.after.as_ref().is_none_or(|after| name > after)
        });
        names.sort_unstable();
        let mut names = names.into_iter();
        let mut page = Vec::new();
        // One that does not exist yet, or has changed meanwhile, makes room for the next.
        while page.len() < limit {
            let some: Vec<String> = names.by_ref().take(limit - page.len()).collect();
            if some.is_empty() {
                break;
            }
            let shown = self.triggers_of(some).await?.into_iter();
            page.extend(shown.filter(|shown| query.state.as_ref().is_none_or(|state| *state == shown.state)));
        }
        Ok(page)
    }

    pub(super) async fn triggers_of(&self, names: Vec<String>) -> Result<Vec<TriggerSummary>, Refusal> {
        let asked = stream::iter(names);
        let asked = asked.map(|name| async move { self.trigger_of(&name).await });
        let shown = asked
            .buffered(ASKED_AT_ONCE)
            .try_filter_map(|trigger| async { Ok(trigger.map(|trigger| trigger.summary)) });
        shown.try_collect().await
    }

    /// The names of all triggers of the newest definitions.
    pub(super) fn trigger_names(&self) -> Vec<String> {
        let newest = self.definitions.newest();
        newest.iter().flat_map(|outline| &outline.triggers).map(|trigger| trigger.name.clone()).collect()
    }

    /// The names of the triggers in a state, as far as rows and shards tell without looking into any.
    async fn names_in(&self, state: &str, prefix: &str) -> Result<Vec<String>, Refusal> {
        let Some((_, word)) = STATES.iter().find(|(name, _)| *name == state) else {
            let states = STATES.map(|(name, _)| name).join(", ");
            return Err(Refusal::Invalid(format!("expected a state of {states}, found '{state}'")));
        };
        let prefix = format!("{PREFIX}{prefix}");
        let Gathered { facts, .. } = self.gather(&prefix).await;
        let mut found = BTreeSet::new();
        let mut after = None;
        loop {
            let query = ListQuery {
                prefix: prefix.clone(),
                status: Some((*word).to_owned()),
                after,
                limit: ROWS_AT_ONCE,
                ..ListQuery::default()
            };
            let rows = self.engine.store().list(query).await.map_err(|error| refusal(error.into()))?;
            let last = rows.len() < ROWS_AT_ONCE;
            after = rows.last().map(|row| (row.index.started, row.actor.clone()));
            found.extend(rows.into_iter().map(|row| row.actor));
            if last {
                break;
            }
        }
        // What a shard says is newer.
        for fact in facts.into_values().flatten() {
            if fact.index.status == *word {
                found.insert(fact.actor);
            } else {
                found.remove(&fact.actor);
            }
        }
        Ok(found.iter().filter_map(|actor| actor.strip_prefix(PREFIX)).map(str::to_owned).collect())
    }

    /// How many triggers watch, and what they have fired together.
    pub(super) async fn trigger_counters(&self) -> Result<TriggerCounters, Refusal> {
        let mut counters = TriggerCounters::default();
        let Gathered { facts, .. } = self.gather(PREFIX).await;
        // Those are asked, and all others are as they are stored.
        let newer: BTreeSet<String> = facts.into_values().flatten().map(|fact| fact.actor).collect();
        for shard in 0..self.shards() {
            let mut after = None;
            loop {
                let scan = self.engine.store().scan(ShardId(shard), PREFIX.to_owned(), after, ROWS_AT_ONCE);
                let rows = scan.await.map_err(|error| refusal(error.into()))?;
                let last = rows.len() < ROWS_AT_ONCE;
                after = rows.last().map(|row| row.actor.clone());
                for row in rows.iter().filter(|row| !newer.contains(&row.actor)) {
                    match encoding::decode::<Trigger>(&row.snapshot) {
                        Ok(trigger) => count(&mut counters, &trigger_views::detail(&trigger, None).summary),
                        Err(error) => tracing::warn!(actor = row.actor, %error, "a row cannot be read"),
                    }
                }
                if last {
                    break;
                }
            }
        }
        let names = newer.iter().filter_map(|actor| actor.strip_prefix(PREFIX)).map(str::to_owned).collect();
        for summary in self.triggers_of(names).await? {
            count(&mut counters, &summary);
        }
        Ok(counters)
    }
}

fn count(counters: &mut TriggerCounters, trigger: &TriggerSummary) {
    if trigger.state == "disarmed" {
        return;
    }
    let watched = u64::from(trigger.state == "enabled");
    if trigger.kind == EVENT {
        counters.events_monitored += watched;
        counters.events_fired += trigger.fired;
    } else {
        counters.schedules_monitored += watched;
        counters.schedules_met += trigger.fired;
    }
}
