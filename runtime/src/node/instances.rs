//! Instances: started, found, cancelled.

use std::sync::Arc;

use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, ProcessEvent, StartEvent};
use impresario_model::ids::{self, ActorId};
use impresario_persistence::ListQuery;
use uuid::Uuid;

use super::local::Local;
use super::orders::check_key;
use super::reach::Gathered;
use super::refusal::refusal;
use super::views;
use crate::orchestrator::{InstanceDetail, InstanceSummary, Refusal, StartRequest, Started};

/// So many definitions are named to whoever names one that there is not.
const KNOWN_TOLD: usize = 50;
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
            let newest = self.definitions.newest();
            let known: Vec<String> =
                newest.iter().take(KNOWN_TOLD).map(|known| known.id.to_string()).collect();
            let known = match newest.len().saturating_sub(KNOWN_TOLD) {
                _ if known.is_empty() => "there are none".to_owned(),
                0 => known.join(", "),
                more => format!("{} and {more} more", known.join(", ")),
            };
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
        check_key(Some(key))?;
        let name = format!("{}/{}", definition.id.namespace, definition.id.name);
        let id = ids::instance_of_key(&name, key);
        let known = self.instance_of(&id).await?;
        Ok((id, known))
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
