//! The engine of this node as the doors see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use impresario_actors::behaviour::Inspection;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineError};
use impresario_actors::hosts::Hosts;
use impresario_actors::post::PostError;
use impresario_actors::shard::ActorFacts;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, ProcessEvent, RouterEvent, StartEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{self, ActorId, MAX_KEY_BYTES};
use impresario_model::instance::Instance;
use impresario_model::trigger::describe;
use impresario_persistence::{ListQuery, StoreError};
use uuid::Uuid;

use super::write_check::WriteCheck;
use super::{tree, views};
use crate::orchestrator::{
    Accepted, Answer, DefinitionSummary, Health, InstanceDetail, InstancePage, InstanceQuery,
    InstanceSummary, Orchestrator, Refusal, StartRequest, Started, TreeNode, TriggerSummary,
};

/// How many instances a page has if nothing else is said, and at most.
const PAGE: (usize, usize) = (50, 1000);
/// What lists can be asked for.
const STATUSES: [&str; 8] =
    ["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed", "quarantined"];
/// When a sender that was refused should try again, in milliseconds.
const RETRY_AFTER_MS: u64 = 500;
/// The shortest prefix of an instance id that is looked for.
const PREFIX_MIN: usize = 8;

/// The node behind the doors. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    pub(super) engine: Engine,
    pub(super) hosts: Hosts,
    pub(super) definitions: Arc<Definitions>,
    pub(super) node: Arc<str>,
    writes: WriteCheck,
}

impl Local {
    /// The engine and the hosts of a node of that name.
    pub fn new(engine: Engine, hosts: Hosts, definitions: Arc<Definitions>, node: &str) -> Self {
        let writes = WriteCheck::new(engine.post().clone());
        Local { engine, hosts, definitions, node: node.into(), writes }
    }

    fn tier(&self) -> String {
        self.engine.store().tier().to_string()
    }

    /// Makes entries durable.
    async fn post(&self, entries: Vec<Entry>) -> Result<(), Refusal> {
        let result = self.engine.post().accept(&entries).await;
        self.writes.note(&result);
        result.map(drop).map_err(refusal)
    }

    async fn inspect(&self, actor: &ActorId) -> Result<Inspection, Refusal> {
        self.engine.inspect(actor).await.map_err(unanswered)
    }

    async fn find_instance(&self, id: &str) -> Result<Instance, Refusal> {
        if let Inspection::Process(instance) = self.inspect(&ActorId::process(id)).await? {
            return Ok(*instance);
        }
        let not_found =
            || Refusal::NotFound(format!("expected the id of an instance, found '{id}', which names none"));
        if id.len() < PREFIX_MIN || id.len() >= 36 {
            return Err(not_found());
        }
        match self.ids_with_prefix(id).await?.as_slice() {
            [] => Err(not_found()),
            [only] => match self.inspect(&ActorId::process(only)).await? {
                Inspection::Process(instance) => Ok(*instance),
                _ => Err(not_found()),
            },
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
        let facts = self.engine.facts().await.map_err(unanswered)?;
        ids.extend(facts.into_iter().flat_map(|(_, facts)| facts).map(|fact| fact.actor));
        ids.retain(|actor| actor.starts_with(&prefix));
        ids.sort();
        ids.dedup();
        Ok(ids.into_iter().map(|actor| actor.trim_start_matches("process/").to_owned()).collect())
    }

    async fn aside(&self, actor: &ActorId) -> Result<Option<String>, Refusal> {
        let facts = self.engine.facts_of(actor).await.map_err(unanswered)?;
        Ok(facts.into_iter().find(|fact| fact.actor == actor.as_str()).and_then(|fact| fact.aside))
    }

    fn definition(&self, name: &str) -> Result<Arc<Definition>, Refusal> {
        self.definitions.find(name).ok_or_else(|| {
            let known: Vec<String> =
                self.definitions.newest().iter().map(|definition| definition.id.to_string()).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            Refusal::NotFound(format!("expected a definition, found '{name}'; known: {known}"))
        })
    }

    async fn start_instance(&self, request: StartRequest) -> Result<Started, Refusal> {
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
                    known.id
                )));
            }
            return Ok(Started { definition: known.definition.to_string(), ..started(false) });
        }
        let start = StartEvent {
            definition: definition.id.clone(),
            input,
            started_by: "api".to_owned(),
            key: request.key.clone(),
            runtime: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let entry = Entry {
            to: ActorId::process(&id),
            origin: None,
            body: Body::Process(ProcessEvent::Start(Box::new(start))),
        };
        self.post(vec![entry]).await?;
        Ok(started(true))
    }

    /// The id that a key stands for, and the instance that it has started before.
    async fn instance_of_key(
        &self,
        definition: &Definition,
        key: &str,
    ) -> Result<(String, Option<Box<Instance>>), Refusal> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Refusal::Invalid(format!(
                "expected an idempotency key of 1 to {MAX_KEY_BYTES} bytes, found {}",
                key.len()
            )));
        }
        let name = format!("{}/{}", definition.id.namespace, definition.id.name);
        let id = ids::instance_of_key(&name, key);
        match self.inspect(&ActorId::process(&id)).await? {
            Inspection::Process(instance) => Ok((id, Some(instance))),
            _ => Ok((id, None)),
        }
    }

    async fn list(&self, query: InstanceQuery) -> Result<InstancePage, Refusal> {
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
        let newer = self.newer_instances().await?;
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
        while stored <= limit {
            let page = ListQuery {
                prefix: "process/".to_owned(),
                status: query.status.clone(),
                group: group.clone(),
                after: position,
                limit: limit + 1,
            };
            let rows = self.engine.store().list(page).await.map_err(|error| refusal(error.into()))?;
            let last_page = rows.len() <= limit;
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
        Ok(InstancePage { items: found.into_iter().map(|(_, summary)| summary).collect(), next })
    }

    /// Instances of which a shard knows more than the store.
    async fn newer_instances(&self) -> Result<BTreeMap<String, ActorFacts>, Refusal> {
        let facts = self.engine.facts().await.map_err(unanswered)?;
        let all = facts.into_iter().flat_map(|(_, facts)| facts);
        let processes = all.filter(|fact| fact.actor.starts_with("process/") && fact.index.started > 0);
        Ok(processes.map(|fact| (fact.actor.clone(), fact)).collect())
    }

    async fn cancel_instance(&self, id: String, reason: Option<String>) -> Result<(), Refusal> {
        let instance = self.find_instance(&id).await?;
        if instance.status.ended() {
            return Err(Refusal::Conflict(format!(
                "instance {} has ended already: it is {}",
                instance.id,
                instance.status.word()
            )));
        }
        let event = ProcessEvent::Cancel { reason };
        let to = ActorId::process(&instance.id);
        self.post(vec![Entry { to, origin: None, body: Body::Process(event) }]).await
    }

    async fn list_triggers(&self) -> Result<Vec<TriggerSummary>, Refusal> {
        let mut triggers = Vec::new();
        for definition in self.definitions.newest() {
            for spec in &definition.triggers {
                if let Inspection::Trigger(trigger) = self.inspect(&ActorId::trigger(&spec.name)).await? {
                    triggers.push(views::trigger(&trigger));
                }
            }
        }
        Ok(triggers)
    }

    fn state(&self) -> Health {
        let mut problems = Vec::new();
        let lagging: Vec<String> = tree::lagging(&self.engine);
        if !lagging.is_empty() {
            problems.push(format!("not caught up yet: {}", lagging.join(", ")));
        }
        problems.extend(self.writes.problem());
        Health {
            ready: problems.is_empty(),
            node: self.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            problems,
            durability: self.tier(),
        }
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

/// What the sender is told when an entry is not taken.
fn refusal(error: PostError) -> Refusal {
    match error {
        PostError::Overloaded { .. } | PostError::Store(StoreError::Busy) => {
            Refusal::Busy { reason: error.to_string(), retry_after_ms: RETRY_AFTER_MS }
        }
        PostError::Store(StoreError::TooLarge { .. }) | PostError::Encode(_) => {
            Refusal::Invalid(error.to_string())
        }
        PostError::Store(error) => Refusal::Unavailable(error.to_string()),
    }
}

fn unanswered(error: EngineError) -> Refusal {
    match error {
        EngineError::NoAnswer(_) | EngineError::NotOwner(_) => Refusal::Unavailable(error.to_string()),
        EngineError::Refused(reason) => Refusal::Invalid(reason),
    }
}

impl Orchestrator for Local {
    fn accept(&self, events: Vec<CloudEvent>) -> Answer<Accepted> {
        let node = self.clone();
        Box::pin(async move {
            let shards = node.engine.store().shards();
            let accepted = events.len();
            let entries = events.into_iter().map(|event| Entry {
                to: ActorId::router(ids::event_shard(&event.source, &event.id, shards)),
                origin: None,
                body: Body::Router(RouterEvent::Event(Box::new(event))),
            });
            node.post(entries.collect()).await?;
            Ok(Accepted { accepted, durability: node.tier() })
        })
    }

    fn start(&self, request: StartRequest) -> Answer<Started> {
        let node = self.clone();
        Box::pin(async move { node.start_instance(request).await })
    }

    fn instances(&self, query: InstanceQuery) -> Answer<InstancePage> {
        let node = self.clone();
        Box::pin(async move { node.list(query).await })
    }

    fn instance(&self, id: String) -> Answer<InstanceDetail> {
        let node = self.clone();
        Box::pin(async move {
            let instance = node.find_instance(&id).await?;
            let aside = node.aside(&ActorId::process(&instance.id)).await?;
            Ok(views::detail(&instance, &node.definitions, aside))
        })
    }

    fn cancel(&self, id: String, reason: Option<String>) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.cancel_instance(id, reason).await })
    }

    fn definitions(&self) -> Answer<Vec<DefinitionSummary>> {
        let all = self.definitions.all();
        let summary = |definition: &Arc<Definition>| DefinitionSummary {
            id: definition.id.to_string(),
            title: definition.title.clone(),
            summary: definition.summary.clone(),
            triggers: definition.triggers.iter().map(|spec| describe(definition, &spec.watch)).collect(),
        };
        let summaries = all.iter().map(summary).collect();
        Box::pin(async move { Ok(summaries) })
    }

    fn triggers(&self) -> Answer<Vec<TriggerSummary>> {
        let node = self.clone();
        Box::pin(async move { node.list_triggers().await })
    }

    fn tree(&self) -> Answer<TreeNode> {
        let node = self.clone();
        Box::pin(async move { tree::tree(&node).await.map_err(unanswered) })
    }

    fn health(&self) -> Health {
        self.state()
    }
}
