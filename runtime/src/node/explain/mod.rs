//! `explain`: why something waits, since when, and what will wake it.
//!
//! The owner of an actor says what it knows ([`Known`]); whoever was asked gathers what other actors say about that, and
//! makes the sentences. Nothing is asked of the engine that its work would wait for.

mod instance;
mod others;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use impresario_actors::behaviour::Inspection;
use impresario_actors::shard::{AttemptPlace, EvidenceQuery};
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::instance::Activity;
use impresario_persistence::Offset;

use self::instance::{Around, Case};
use super::local::Local;
use super::refusal::unanswered;
use crate::explain::Explanation;
use crate::known::{Aside, Known, KnownState, Replaying};
use crate::orchestrator::Refusal;
use crate::question::{Question, Reply};

/// So many other actors are asked about what one instance waits for.
const ASKED_MOST: usize = 16;

/// What somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Actor(ActorId),
    /// An instance by its id or the beginning of it, and maybe one of its activities.
    Instance(String, Option<u64>),
    Adapter(String),
    Trigger(String),
}

fn subject(id: &str) -> Result<Subject, Refusal> {
    if let Some(name) = id.strip_prefix("adapter/") {
        return Ok(Subject::Adapter(name.to_owned()));
    }
    let (actor, activity) = match id.rsplit_once('#') {
        Some((actor, number)) if !actor.starts_with("overlap/") => {
            let number = number.parse().map_err(|_| {
                Refusal::Invalid(format!("expected INSTANCE#NUMBER for an activity, found '{id}'"))
            })?;
            (actor, Some(number))
        }
        _ => (id, None),
    };
    let bare = actor.strip_prefix("process/").unwrap_or(actor);
    match ActorId::parse(actor).map(|parsed| (parsed.kind(), parsed)) {
        Ok((Some(ActorKind::Process), _)) => Ok(Subject::Instance(bare.to_owned(), activity)),
        Ok((Some(ActorKind::Trigger), parsed)) => Ok(Subject::Trigger(parsed.key().to_owned())),
        Ok((Some(_), parsed)) => Ok(Subject::Actor(parsed)),
        _ if !actor.contains('/') && !actor.is_empty() => Ok(Subject::Instance(bare.to_owned(), activity)),
        _ if actor.split('/').count() <= 3 && actor.split('/').all(|part| !part.is_empty()) => {
            Ok(Subject::Trigger(actor.to_owned()))
        }
        _ => Err(Refusal::Invalid(format!(
            "expected an instance, INSTANCE#ACTIVITY, a trigger such as ops/clean/on, adapter/NAME, target/NAME or \
             another actor's id, found '{id}'"
        ))),
    }
}

impl Local {
    /// Explains whatever an id names.
    pub(super) async fn explain_anything(&self, id: &str) -> Result<Explanation, Refusal> {
        match subject(id)? {
            Subject::Adapter(name) => {
                let all = self.all_adapters(Some(name.clone())).await?;
                Ok(others::adapter(&name, &all))
            }
            Subject::Instance(id, activity) => self.explain_instance(&id, activity).await,
            Subject::Trigger(name) => self.explain_trigger(&name).await,
            Subject::Actor(actor) => self.explain_actor(&actor).await,
        }
    }

    async fn explain_instance(&self, id: &str, activity: Option<u64>) -> Result<Explanation, Refusal> {
        // By its whole id it need not be looked for: its shard may not answer, which is an explanation too.
        let id = match uuid::Uuid::try_parse(id) {
            Ok(_) => id.to_owned(),
            Err(_) => self.find_instance(id).await?.summary.id,
        };
        let actor = ActorId::process(&id);
        let known = match self.know(&actor).await? {
            Ok(known) => known,
            Err(explanation) => return Ok(explanation),
        };
        let KnownState::Process(instance) = &known.state else { return Err(not_there(actor.as_str())) };
        let around = self.around(instance).await;
        let definition = self.definitions.get(&instance.definition);
        let case = Case { instance, definition: definition.as_deref(), known: &known, around: &around };
        match activity {
            None => Ok(case.explain()),
            Some(number) => case.explain_activity(number).ok_or_else(|| {
                Refusal::NotFound(format!(
                    "expected one of the {} newest activities of {id}, found {number}",
                    instance.activities.kept.len()
                ))
            }),
        }
    }

    async fn explain_trigger(&self, name: &str) -> Result<Explanation, Refusal> {
        let actor = ActorId::trigger(name);
        let mut known = match self.know(&actor).await? {
            Ok(known) => known,
            Err(explanation) => return Ok(explanation),
        };
        if known.state == KnownState::Nothing {
            // By the name of its definition.
            let found = ActorId::trigger(&self.find_trigger(name).await?.summary.name);
            known = match self.know(&found).await? {
                Ok(known) => known,
                Err(explanation) => return Ok(explanation),
            };
        }
        let KnownState::Trigger(trigger) = &known.state else { return Err(not_there(actor.as_str())) };
        let definition = trigger.definition.as_ref().and_then(|id| self.definitions.get(id));
        let before = match &trigger.waits_for {
            // One level down, and without an answer there is less to say.
            Some(instance) => Box::pin(self.explain_instance(instance, None)).await.ok(),
            None => None,
        };
        Ok(others::trigger(trigger, definition.as_deref(), before.as_ref(), known.now))
    }

    async fn explain_actor(&self, actor: &ActorId) -> Result<Explanation, Refusal> {
        let known = match self.know(actor).await? {
            Ok(known) => known,
            Err(explanation) => return Ok(explanation),
        };
        let subject = actor.as_str();
        match &known.state {
            KnownState::Places(places) => Ok(others::target(actor.key(), Some(places), known.now)),
            KnownState::Nothing if self.is_target(actor) => Ok(others::target(actor.key(), None, known.now)),
            KnownState::Turns(turns) => Ok(others::turns(subject, turns)),
            KnownState::Subscription(subscription) => Ok(others::subscription(subject, subscription)),
            KnownState::Other => Ok(reason::plain(
                subject.to_owned(),
                "running",
                format!("It is run by node {}, and wakes with its next entry or timer.", known.node),
            )),
            KnownState::Nothing | KnownState::Process(_) | KnownState::Trigger(_) => Err(not_there(subject)),
        }
    }

    fn is_target(&self, actor: &ActorId) -> bool {
        actor.kind() == Some(ActorKind::Target)
            && self.inventory.now().targets().any(|(name, _)| name == actor.key())
    }

    /// What the owner of an actor knows of it; or why it cannot go on at all.
    async fn know(&self, actor: &ActorId) -> Result<Result<Known, Explanation>, Refusal> {
        let shard = actor.shard(self.shards());
        let question = Question::Known { actor: actor.to_string(), after: self.appended(shard) };
        let known = match self.ask_owner(shard, question).await {
            Ok(Reply::Known(known)) => *known,
            Ok(_) => return Err(Refusal::later("a node answered another question than it was asked")),
            Err(Refusal::Unavailable { reason, .. }) => {
                return Ok(Err(others::unreachable(actor.as_str(), shard, &self.view(), &reason)));
            }
            Err(refusal) => return Err(refusal),
        };
        if let Some(at) = &known.replaying {
            return Ok(Err(others::replaying(actor.as_str(), shard, &known, at)));
        }
        Ok(match &known.aside {
            Some(aside) => Err(others::aside(actor.as_str(), aside, &known.node)),
            None => Ok(known),
        })
    }

    /// What others say about what an instance waits for. Who does not answer is left out.
    async fn around(&self, instance: &impresario_model::instance::Instance) -> Around {
        let state_of = |actor: ActorId| async move {
            match self.know(&actor).await {
                Ok(Ok(known)) => Some(known.state),
                _ => None,
            }
        };
        let targets = instance::targets(instance).into_iter().take(ASKED_MOST);
        let places = targets.map(|name| async move {
            match state_of(ActorId::target(name)).await? {
                KnownState::Places(places) => Some((name.to_owned(), Some(*places))),
                _ => Some((name.to_owned(), None)),
            }
        });
        let keys = instance::subscriptions(instance).into_iter().take(ASKED_MOST);
        let subscriptions = keys.map(|key| async move {
            match state_of(ActorId::subscription(key)).await? {
                KnownState::Subscription(found) => Some((key.to_owned(), Some(*found))),
                _ => Some((key.to_owned(), None)),
            }
        });
        let turns = async {
            let held = instance.held_turn.as_ref().filter(|held| held.asked.is_some())?;
            match state_of(held.of.clone()).await? {
                KnownState::Turns(turns) => Some(*turns),
                _ => None,
            }
        };
        let (places, subscriptions, turns) = tokio::join!(join_all(places), join_all(subscriptions), turns);
        Around {
            places: places.into_iter().flatten().collect(),
            subscriptions: subscriptions.into_iter().flatten().collect(),
            turns,
        }
    }

    /// What this node knows of an actor that it runs.
    pub(super) async fn know_here(&self, actor: &str, after: u64) -> Result<Known, Refusal> {
        let actor = ActorId::parse(actor).map_err(Refusal::Invalid)?;
        let shard = actor.shard(self.shards());
        self.check_mine(shard)?;
        let mut known = Known { node: self.node.to_string(), now: self.clock_now(), ..Known::default() };
        let gauges = self.engine.post().gauges();
        if let Some(gauge) =
            gauges.get(usize::from(shard)).filter(|gauge| !gauge.ready.load(Ordering::Relaxed))
        {
            // A question would wait for the end of the replay.
            let cursor = Offset(gauge.cursor.load(Ordering::Relaxed)).to_string();
            let head = self.engine.store().head(impresario_persistence::ShardId(shard)).borrow().to_string();
            known.replaying = Some(Replaying { cursor, head });
            return Ok(known);
        }
        self.catch_up(shard, Offset(after)).await;
        let inspection = self.inspect_here(&actor).await?;
        let open: Vec<&Activity> = match &inspection {
            Inspection::Process(instance) => instance.activities.in_flight().collect(),
            _ => Vec::new(),
        };
        let attempts = open.iter().map(|one| (one.adapter.clone(), one.token(actor.key()))).collect();
        let query = EvidenceQuery { actors: vec![actor.to_string()], attempts };
        let evidence = self.engine.evidence(shard, query).await.map_err(unanswered)?;
        let aside = evidence.actors.into_iter().next().and_then(|facts| facts.aside);
        known.aside = aside.map(|aside| Aside {
            reason: aside.reason,
            since: aside.since,
            entry: (aside.offset > 0).then(|| Offset(aside.offset).to_string()),
            held: aside.held,
        });
        let numbers = open.iter().map(|activity| activity.number);
        known.attempts = numbers.zip(evidence.attempts).collect::<BTreeMap<u64, AttemptPlace>>();
        let concerned = |name: &str| open.iter().any(|activity| activity.adapter == name);
        known.adapters = self.adapters.list().into_iter().filter(|one| concerned(&one.name)).collect();
        known.state = match inspection {
            Inspection::Nothing => KnownState::Nothing,
            Inspection::Process(instance) => KnownState::Process(instance),
            Inspection::Trigger(trigger) => KnownState::Trigger(trigger),
            Inspection::Places(places) => KnownState::Places(places),
            Inspection::Turns(turns) => KnownState::Turns(turns),
            Inspection::Subscription(subscription) => KnownState::Subscription(subscription),
            Inspection::Router(..) | Inspection::Monitor(_) | Inspection::Sink(_) => KnownState::Other,
        };
        self.check_mine(shard)?;
        Ok(known)
    }

    /// The clock that stamps the entries, in milliseconds since the Unix epoch.
    fn clock_now(&self) -> u64 {
        self.engine.store().clock()()
    }
}

fn not_there(actor: &str) -> Refusal {
    Refusal::NotFound(format!("expected an actor of this environment, found '{actor}', which names none"))
}
