//! One actor, whole: what its shard knows of it, its state decoded, and what its log still has.

use std::sync::atomic::Ordering;

use impresario_actors::behaviour::Inspection;
use impresario_model::ids::ActorId;
use impresario_model::instance::rfc3339;
use impresario_persistence::{Offset, ShardId};
use serde::Serialize;
use serde_json::{Value, json};

use super::local::Local;
use super::mask::masked_deep;
use super::reach::beside_the_point;
use super::refusal::{refusal, unanswered};
use super::views;
use crate::inspect::{
    ActorDetail, EntryPage, EntryQuery, Inspector, QuarantineOrder, QuarantinedActor, Trace, TraceQuery,
};
use crate::orchestrator::{Answer, Refusal};
use crate::question::{Question, Reply};

/// How many of its entries are shown.
const ENTRIES_SHOWN: usize = 20;
/// The ids of instances are UUIDs.
const ID_LENGTH: usize = 36;

impl Inspector for Local {
    fn actor(&self, actor: String) -> Answer<ActorDetail> {
        let node = self.clone();
        Box::pin(async move { node.inspect_anywhere(&actor).await })
    }

    fn log(&self, query: EntryQuery) -> Answer<EntryPage> {
        let node = self.clone();
        Box::pin(async move { node.read_log(query).await })
    }

    fn trace(&self, query: TraceQuery) -> Answer<Trace> {
        let node = self.clone();
        Box::pin(async move { node.follow(query).await })
    }

    fn quarantined(&self) -> Answer<Vec<QuarantinedActor>> {
        let node = self.clone();
        Box::pin(async move { node.all_quarantined().await })
    }

    fn take_back(&self, actor: String, entry: Option<String>, order: QuarantineOrder) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.take_back_anywhere(&actor, entry, order).await })
    }
}

impl Local {
    /// The actor that is meant: by its id, or by that of an instance, or the first characters of that.
    pub(super) async fn actor_id(&self, name: &str) -> Result<ActorId, Refusal> {
        if name.contains('/') {
            return ActorId::parse(name).map_err(Refusal::Invalid);
        }
        match self.find_instance(name).await {
            Ok(instance) => Ok(ActorId::process(&instance.summary.id)),
            // One that failed on its very start has no state yet.
            Err(Refusal::NotFound(_)) if name.len() == ID_LENGTH => Ok(ActorId::process(name)),
            Err(refusal) => Err(refusal),
        }
    }

    async fn inspect_anywhere(&self, name: &str) -> Result<ActorDetail, Refusal> {
        let actor = self.actor_id(name).await?;
        let found = self.actor_anywhere(&actor).await?;
        let mut found = found.ok_or_else(|| {
            Refusal::NotFound(format!(
                "expected the id of an actor, found '{actor}', of which nothing is known"
            ))
        })?;
        found.entries = self.last_entries(&actor, ENTRIES_SHOWN).await?;
        Ok(*found)
    }

    /// An actor without its entries, asked of its owner.
    pub(super) async fn actor_anywhere(&self, actor: &ActorId) -> Result<Option<Box<ActorDetail>>, Refusal> {
        let shard = actor.shard(self.shards());
        let question = Question::Actor { actor: actor.to_string(), after: self.appended(shard) };
        match self.ask_owner(shard, question).await? {
            Reply::Actor(detail) => Ok(detail),
            other => Err(beside_the_point(&other)),
        }
    }

    /// An actor of this node; nothing if there is none.
    pub(super) async fn actor_here(&self, actor: &ActorId) -> Result<Option<ActorDetail>, Refusal> {
        let shard = actor.shard(self.shards());
        let inspection = self.inspect_here(actor).await?;
        let facts = self.engine.facts_of(actor).await.map_err(unanswered)?;
        let aside = self.engine.aside(shard).await.map_err(unanswered)?;
        let store = self.engine.store();
        let fact = facts.into_iter().find(|fact| fact.actor == actor.as_str());
        let live = fact.as_ref().is_some_and(|fact| fact.live);
        let index = match fact {
            Some(fact) => Some(fact.index),
            None => {
                let row = store.row(ShardId(shard), actor.to_string()).await;
                row.map_err(|error| refusal(error.into()))?.map(|row| row.index)
            }
        };
        let owners = store.owners().await.map_err(|error| refusal(error.into()))?;
        let epoch = owners.iter().find(|owned| owned.shard.0 == shard).map_or(0, |owned| owned.epoch.0);
        self.check_mine(shard)?;
        let quarantined = aside.iter().find(|aside| aside.actor == actor.as_str());
        let quarantined = quarantined.map(|aside| self.quarantined_view(shard, aside));
        if matches!(inspection, Inspection::Nothing) && index.is_none() && quarantined.is_none() {
            return Ok(None);
        }
        let index = index.unwrap_or_default();
        let head = store.head(ShardId(shard));
        let (offset, backlog) = self
            .engine
            .post()
            .gauges()
            .get(usize::from(shard))
            .map_or((0, 0), |gauge| (gauge.cursor.load(Ordering::Relaxed), gauge.backlog()));
        let behind = head.borrow().0 > offset;
        let due = index.due.map(rfc3339);
        let mut waits_for = self.waits_of(&inspection, due.as_deref());
        if let Some(aside) = &quarantined {
            waits_for.insert(0, format!("an operator: it is quarantined because {}", aside.reason));
        }
        let status = match (&quarantined, index.status.as_str()) {
            (Some(_), _) => "quarantined",
            (None, "") => "ready",
            (None, status) => status,
        };
        Ok(Some(ActorDetail {
            actor: actor.to_string(),
            kind: actor.kind().map_or("", |kind| kind.word()).to_owned(),
            shard,
            node: self.node.to_string(),
            epoch,
            offset: Offset(offset).to_string(),
            // What other nodes append is not counted here.
            lag: if behind { backlog.max(1) } else { 0 },
            live,
            status: status.to_owned(),
            due,
            quarantined,
            waits_for,
            state: masked_deep(&state(&inspection)),
            entries: Vec::new(),
        }))
    }

    /// What an actor waits for, in words.
    fn waits_of(&self, inspection: &Inspection, due: Option<&str>) -> Vec<String> {
        let timer = || due.map(|due| format!("its timer at {due}"));
        let mut waits: Vec<String> = match inspection {
            Inspection::Process(instance) => return views::detail(instance, &self.definitions).waits_for,
            Inspection::Trigger(trigger) => {
                let sets = trigger.waiting.sets.len();
                let sets = (sets > 0).then(|| format!("events that complete {sets} sets"));
                let watches = format!("{}, which it watches", trigger.watches);
                sets.into_iter().chain((!trigger.watches.is_empty()).then_some(watches)).collect()
            }
            Inspection::Places(places) => {
                let (holders, queue) = (places.holders.len(), places.queue.len());
                vec![format!("{holders} activities that have a place, and {queue} that wait for one")]
            }
            Inspection::Turns(turns) => {
                let (running, queue) = (turns.running.len(), turns.queue.len());
                vec![format!("{running} instances that run, and {queue} that wait for their turn")]
            }
            Inspection::Subscription(subscription) => {
                let listeners = subscription.subscribers.len();
                vec![format!("events for {listeners} listeners: {}", subscription.about)]
            }
            Inspection::Sink(sink) => {
                let queued = sink.queue.len();
                (queued > 0).then(|| format!("the delivery of {queued} events")).into_iter().collect()
            }
            Inspection::Monitor(_) => vec!["what its adapter observes".to_owned()],
            Inspection::Router(..) => vec!["events that come in or are raised".to_owned()],
            Inspection::Nothing => Vec::new(),
        };
        waits.extend(timer());
        waits
    }
}

/// The state of an actor as JSON.
fn state(inspection: &Inspection) -> Value {
    match inspection {
        Inspection::Process(instance) => json_of(instance),
        Inspection::Trigger(trigger) => json_of(trigger),
        Inspection::Router(router, remembered) => {
            let mut state = json_of(router);
            if let Value::Object(members) = &mut state {
                members.insert("remembered".to_owned(), json!(remembered));
            }
            state
        }
        Inspection::Places(places) => json_of(places),
        Inspection::Monitor(monitor) => json_of(monitor),
        Inspection::Sink(sink) => json_of(sink),
        Inspection::Subscription(subscription) => json_of(subscription),
        Inspection::Turns(turns) => json_of(turns),
        Inspection::Nothing => Value::Null,
    }
}

fn json_of(state: &impl Serialize) -> Value {
    serde_json::to_value(state)
        .unwrap_or_else(|error| json!({ "problem": format!("cannot be shown: {error}") }))
}
