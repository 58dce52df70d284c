//! Instances: started, found, listed, cancelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_actors::shard::ActorFacts;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, ProcessEvent, StartEvent};
use impresario_model::ids::{self, ActorId, MAX_KEY_BYTES};
use impresario_persistence::ListQuery;
use uuid::Uuid;

use super::local::Local;
use super::reach::Gathered;
use super::refusal::refusal;
use super::views;
use crate::orchestrator::{
    InstanceDetail, InstancePage, InstanceQuery, InstanceSummary, Refusal, StartRequest, Started,
};

/// How many stored instances are looked at together, at least.
const STORED_AT_ONCE: usize = 256;
/// How many instances a page has if nothing else is said, and at most.
const PAGE: (usize, usize) = (50, 1000);
/// How many instances are looked into at once.
const LOOKED_AT_ONCE: usize = 32;
/// What lists can be asked for.
const STATUSES: [&str; 9] = [
    "pending",
    "running",
    "waiting",
    "uncertain",
    "suspended",
    "cancelled",
    "faulted",
    "completed",
    "quarantined",
];
/// The shortest prefix of an instance id that is looked for.
const PREFIX_MIN: usize = 8;
/// The ids of instances are UUIDs.
const ID_LENGTH: usize = 36;

impl Local {
    /// The instance of an id, or of the only id that begins so.
    pub(super) async fn find_instance(&self, id: &str) -> Result<Box<InstanceDetail>, Refusal> {
        let not_found =
            || Refusal::NotFound(format!("expected the id of an instance, found '{id}', which names none"));
        if !(PREFIX_MIN..ID_LENGTH).contains(&id.len()) {
            return self.instance_of(id).await?.ok_or_else(not_found);
        }
        match self.ids_with_prefix(id).await?.as_slice() {
            [] => Err(not_found()),
            [only] => self.instance_of(only).await?.ok_or_else(not_found),
            [first, second, ..] => Err(Refusal::Invalid(format!(
                "expected a prefix of one instance's id, found '{id}', which several begin with: {first}, {second}"
            ))),
        }
    }

    async fn ids_with_prefix(&self, prefix: &str) -> Result<Vec<String>, Refusal> {
        let prefix = format!("process/{prefix}");
        let query = ListQuery { prefix: prefix.clone(), limit: 2, ..ListQuery::default() };
        let stored = self.engine.store().list(query).await.map_err(|error| refusal(error.into()))?;
        let mut ids: Vec<String> = stored.into_iter().map(|row| row.actor).collect();
        let Gathered { facts, unheard } = self.gather(&prefix).await;
        ids.extend(facts.into_values().flatten().map(|fact| fact.actor));
        ids.sort();
        ids.dedup();
        if ids.is_empty() && !unheard.is_empty() {
            // It may well exist, and not be stored yet.
            return Err(Refusal::later(format!(
                "no stored instance begins with it, and of {} shards the owner does not answer",
                unheard.len()
            )));
        }
        Ok(ids.into_iter().map(|actor| actor.trim_start_matches("process/").to_owned()).collect())
    }

    fn definition(&self, name: &str) -> Result<Arc<Definition>, Refusal> {
        self.definitions.find(name).ok_or_else(|| {
            let known: Vec<String> =
                self.definitions.newest().iter().map(|definition| definition.id.to_string()).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            Refusal::NotFound(format!("expected a definition, found '{name}'; known: {known}"))
        })
    }

    pub(super) async fn start_instance(&self, request: StartRequest) -> Result<Started, Refusal> {
        let definition = self.definition(&request.definition)?;
        let input = views::input_or_default(request.input);
        if let Some(schema) = &definition.input.schema {
            schema.check(&input).map_err(|violations| {
                Refusal::Invalid(format!("expected an input as {} declares it: {violations}", definition.id))
            })?;
        }
        let (id, known) = match &request.key {
            None => (Uuid::now_v7().to_string(), None),
            Some(key) => self.instance_of_key(&definition, key).await?,
        };
        let started = |created| Started {
            id: id.clone(),
            definition: definition.id.to_string(),
            created,
            durability: self.tier(),
        };
        if let Some(known) = known {
            if known.input != input {
                return Err(Refusal::Conflict(format!(
                    "the key '{}' has started instance {} with another input: use another key",
                    request.key.unwrap_or_default(),
                    known.summary.id
                )));
            }
            return Ok(Started { definition: known.summary.definition, ..started(false) });
        }
        let start = StartEvent {
            definition: definition.id.clone(),
            input,
            started_by: "api".to_owned(),
            key: request.key.clone(),
            runtime: env!("CARGO_PKG_VERSION").to_owned(),
            rerun: None,
            trace: request.trace,
        };
        let entry = Entry {
            to: ActorId::process(&id),
            origin: None,
            body: Body::Process(ProcessEvent::Start(Box::new(start))),
        };
        self.post(&[entry]).await?;
        Ok(started(true))
    }

    /// The id that a key stands for, and the instance that it has started before.
    async fn instance_of_key(
        &self,
        definition: &Definition,
        key: &str,
    ) -> Result<(String, Option<Box<InstanceDetail>>), Refusal> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Refusal::Invalid(format!(
                "expected an idempotency key of 1 to {MAX_KEY_BYTES} bytes, found {}",
                key.len()
            )));
        }
        let name = format!("{}/{}", definition.id.namespace, definition.id.name);
        let id = ids::instance_of_key(&name, key);
        let known = self.instance_of(&id).await?;
        Ok((id, known))
    }

    /// A page of instances; where a target is asked for, those of the page that had an activity on it.
    pub(super) async fn list_on_target(&self, mut query: InstanceQuery) -> Result<InstancePage, Refusal> {
        let target = query.target.take();
        let mut page = self.list(query).await?;
        let Some(target) = target else { return Ok(page) };
        let looked = stream::iter(std::mem::take(&mut page.items)).map(|summary| async {
            let detail = self.instance_of(&summary.id).await?;
            let on_it = detail.is_some_and(|detail| {
                detail.activities.iter().any(|activity| activity.target.as_ref() == Some(&target))
            });
            Ok::<_, Refusal>(on_it.then_some(summary))
        });
        let found: Vec<Option<InstanceSummary>> = looked.buffered(LOOKED_AT_ONCE).try_collect().await?;
        page.items = found.into_iter().flatten().collect();
        Ok(page)
    }

    pub(super) async fn list(&self, query: InstanceQuery) -> Result<InstancePage, Refusal> {
        let limit = query.limit.unwrap_or(PAGE.0);
        if limit == 0 || limit > PAGE.1 {
            return Err(Refusal::Invalid(format!("expected a limit from 1 to {}, found {limit}", PAGE.1)));
        }
        if let Some(status) = query.status.as_ref().filter(|status| !STATUSES.contains(&status.as_str())) {
            return Err(Refusal::Invalid(format!(
                "expected a status of {}, found '{status}'",
                STATUSES.join(", ")
            )));
        }
        let after = query.cursor.as_deref().map(parse_cursor).transpose()?;
        let group = query.definition.map(|name| if name.contains(':') { name } else { format!("{name}:") });
        let (newer, unheard) = self.newer_instances().await;
        let matches = |summary: &InstanceSummary, started: u64| {
            query.status.as_ref().is_none_or(|status| *status == summary.status)
                && group.as_ref().is_none_or(|group| in_group(&summary.definition, group))
                && after.as_ref().is_none_or(|after| is_after((started, &summary.id), after))
        };
        let mut found: Vec<(u64, InstanceSummary)> = newer
            .values()
            .map(|fact| (fact.index.started, views::summary(&fact.actor, &fact.index, fact.aside.is_some())))
            .filter(|(started, summary)| matches(summary, *started))
            .collect();
        let mut position = after.clone().map(|(started, id)| (started, format!("process/{id}")));
        let mut stored = 0;
        // Many of them may be known better by their shards, right after a rush of work.
        let at_once = (limit + 1).max(STORED_AT_ONCE);
        while stored <= limit {
            let page = ListQuery {
                prefix: "process/".to_owned(),
                status: query.status.clone(),
                group: group.clone(),
                after: position,
                limit: at_once,
            };
            let rows = self.engine.store().list(page).await.map_err(|error| refusal(error.into()))?;
            let last_page = rows.len() < at_once;
            position = rows.last().map(|row| (row.index.started, row.actor.clone()));
            for row in rows.into_iter().filter(|row| !newer.contains_key(&row.actor)) {
                stored += 1;
                found.push((row.index.started, views::summary(&row.actor, &row.index, false)));
            }
            if last_page {
                break;
            }
        }
        found
            .sort_by(|(a_started, a), (b_started, b)| b_started.cmp(a_started).then_with(|| b.id.cmp(&a.id)));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(started, last)| format!("{started}.{}", last.id));
        Ok(InstancePage { items: found.into_iter().map(|(_, summary)| summary).collect(), next, unheard })
    }

    /// Instances of which a shard knows more than the store, and the shards that did not say.
    async fn newer_instances(&self) -> (BTreeMap<String, ActorFacts>, Vec<u16>) {
        let Gathered { facts, unheard } = self.gather("process/").await;
        let started = facts.into_values().flatten().filter(|fact| fact.index.started > 0);
        (started.map(|fact| (fact.actor.clone(), fact)).collect(), unheard)
    }

    pub(super) async fn cancel_instance(&self, id: String, reason: Option<String>) -> Result<(), Refusal> {
        let InstanceSummary { id, status, ended_at, .. } = self.find_instance(&id).await?.summary;
        if ended_at.is_some() {
            return Err(Refusal::Conflict(format!("instance {id} has ended already: it is {status}")));
        }
        let event = ProcessEvent::Cancel { reason };
        let to = ActorId::process(&id);
        self.post(&[Entry { to, origin: None, body: Body::Process(event) }]).await
    }
}

fn in_group(definition: &str, group: &str) -> bool {
    if group.ends_with(':') { definition.starts_with(group) } else { definition == group }
}

/// Newest first, then by id, backwards: the order in which stores list rows.
fn is_after(place: (u64, &str), after: &(u64, String)) -> bool {
    place.0 < after.0 || (place.0 == after.0 && place.1 < after.1.as_str())
}

fn parse_cursor(cursor: &str) -> Result<(u64, String), Refusal> {
    let parsed =
        cursor.split_once('.').and_then(|(started, id)| Some((started.parse().ok()?, id.to_owned())));
    parsed
        .ok_or_else(|| Refusal::Invalid(format!("expected the 'next' of a page as cursor, found '{cursor}'")))
}
