//! Reads live state wherever it is: of a shard of this node from the engine, of any other from its owner.
//!
//! A shard may be between two owners, and what this node believes of owners may be a moment old. So a question waits a
//! little for an owner that answers, and nobody answers for a shard that is not theirs: neither before nor after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use impresario_actors::behaviour::Inspection;
use impresario_actors::shard::ActorFacts;
use impresario_model::ids::ActorId;
use impresario_persistence::{Offset, ShardId};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::declared;
use super::inventory::places_view;
use super::local::Local;
use super::members::shards_of;
use super::refusal::unanswered;
use super::{trigger_views, turns, views};
use crate::cluster::{ClusterView, NodeView};
use crate::inventory::PlacesView;
use crate::orchestrator::{InstanceDetail, Refusal};
use crate::question::{Fact, Question, Reply};
use crate::triggers::{RECENT_MOST, TriggerDetail};

/// How long a question waits for its shard to have an owner that answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long before a question that was not answered is asked again, if the view stays as it is.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an owner waits for its log to reach what the asking node has appended. What was lost never comes.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What all shards know that the store does not know.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By shard.
    pub facts: BTreeMap<u16, Vec<ActorFacts>>,
    /// The shards of which nothing was heard.
    pub unheard: Vec<u16>,
}

impl Local {
    /// Shows an instance, once everything is applied that this node has appended.
    pub(super) async fn instance_of(&self, id: &str) -> Result<Option<Box<InstanceDetail>>, Refusal> {
        let shard = ActorId::process(id).shard(self.shards());
        let question = Question::Instance { id: id.to_owned(), after: self.appended(shard) };
        match self.ask_owner(shard, question).await? {
            Reply::Instance(instance) => Ok(instance),
            other => Err(beside_the_point(&other)),
        }
    }

    /// Shows a trigger monitor.
    pub(super) async fn trigger_of(&self, name: &str) -> Result<Option<Box<TriggerDetail>>, Refusal> {
        let shard = ActorId::trigger(name).shard(self.shards());
        match self.ask_owner(shard, Question::Trigger { name: name.to_owned() }).await? {
            Reply::Trigger(trigger) => Ok(trigger),
            other => Err(beside_the_point(&other)),
        }
    }

    /// Shows the places at a target; nothing if nobody has one or waits.
    pub(super) async fn places_of(&self, target: &str) -> Result<Option<PlacesView>, Refusal> {
        let shard = ActorId::target(target).shard(self.shards());
        match self.ask_owner(shard, Question::Places { target: target.to_owned() }).await? {
            Reply::Places(places) => Ok(places),
            other => Err(beside_the_point(&other)),
        }
    }

    /// Why an actor is set aside, if it is.
    pub(super) async fn aside(&self, actor: &ActorId) -> Result<Option<String>, Refusal> {
        let question = Question::Aside { actor: actor.to_string() };
        match self.ask_owner(actor.shard(self.shards()), question).await? {
            Reply::Aside(aside) => Ok(aside),
            other => Err(beside_the_point(&other)),
        }
    }

    /// What all living nodes know of the actors whose id begins with `prefix`, and the store does not.
    pub(super) async fn gather(&self, prefix: &str) -> Gathered {
        let view = self.view();
        let others = view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me);
        let owning = others.filter(|node| shards_of(&view, &node.incarnation) > 0);
        let question = Question::Facts { prefix: prefix.to_owned() };
        let asked = join_all(owning.map(|node| self.ask_node(node, &question)));
        let (mut facts, answers) = tokio::join!(self.own_facts(prefix), asked);
        for answer in answers {
            match answer {
                Ok(Reply::Facts(heard)) => {
                    for (shard, of_shard) in heard {
                        facts.entry(shard).or_insert_with(|| of_shard.into_iter().map(Into::into).collect());
                    }
                }
                Ok(other) => tracing::debug!(refusal = %beside_the_point(&other), "a node answered oddly"),
                Err(refusal) => tracing::debug!(%refusal, "a node gave no facts"),
            }
        }
        let unheard = (0..self.shards()).filter(|shard| !facts.contains_key(shard)).collect();
        Gathered { facts, unheard }
    }

    /// Asks another node until it answers, takes too long, or is seen to be gone.
    pub(super) async fn ask_node(&self, node: &NodeView, question: &Question) -> Result<Reply, Refusal> {
        let mut view = self.view.clone();
        tokio::select! {
            answer = timeout(PATIENCE, self.peers.ask(node, question)) => answer.unwrap_or_else(|_| {
                Err(Refusal::later(format!("node {} takes too long", node.name)))
            }),
            () = seen(&mut view, |view| !view.lives(&node.incarnation)) => {
                Err(Refusal::later(format!("node {} is gone", node.name)))
            }
        }
    }

    /// What the shards of this node know; one that does not answer is missing.
    pub(super) async fn own_facts(&self, prefix: &str) -> BTreeMap<u16, Vec<ActorFacts>> {
        // The router of a shard is in that shard.
        let facts_of = |shard| async move { (shard, self.engine.facts_of(&ActorId::router(shard)).await) };
        let asked = self.mine().into_iter().map(facts_of);
        let answers = join_all(asked).await;
        let view = self.view();
        let still_mine = answers.into_iter().filter(|(shard, _)| view.is_mine(*shard));
        still_mine
            .filter_map(|(shard, facts)| Some((shard, facts.ok()?)))
            .map(|(shard, mut facts)| {
                facts.retain(|fact| fact.actor.starts_with(prefix));
                (shard, facts)
            })
            .collect()
    }

    /// Answers a question of another node from what this one owns.
    pub(super) async fn answer_here(&self, question: &Question) -> Result<Reply, Refusal> {
        match question {
            Question::Instance { id, after } => {
                let actor = ActorId::process(id);
                self.catch_up(actor.shard(self.shards()), Offset(*after)).await;
                let instance = match self.inspect_here(&actor).await? {
                    Inspection::Process(instance) => {
                        let mut detail = views::detail(&instance, &self.definitions);
                        views::add_progress(&mut detail, &instance, &self.hosts);
                        Some(detail)
                    }
                    _ => None,
                };
                Ok(Reply::Instance(instance.map(Box::new)))
            }
            Question::Trigger { name } => {
                let trigger = match self.inspect_here(&ActorId::trigger(name)).await? {
                    Inspection::Trigger(trigger) => {
                        let armed = trigger.definition.as_ref().and_then(|id| self.definitions.get(id));
                        Some(Box::new(trigger_views::detail(&trigger, armed.as_deref())))
                    }
                    _ => None,
                };
                Ok(Reply::Trigger(trigger))
            }
            Question::Places { target } => {
                let places = match self.inspect_here(&ActorId::target(target)).await? {
                    Inspection::Places(places) => places_view(&places),
                    _ => None,
                };
                Ok(Reply::Places(places))
            }
            Question::Turns { actor } => {
                let actor = ActorId::parse(actor).map_err(Refusal::Invalid)?;
                let line = match self.inspect_here(&actor).await? {
                    Inspection::Turns(turns) => turns::line(&turns),
                    _ => Vec::new(),
                };
                Ok(Reply::Turns(line))
            }
            Question::Routers => Ok(Reply::Routers(self.own_routers().await)),
            Question::RecentEvents { kind, limit } => {
                let events = self.recent.newest(&self.node, kind.as_deref(), (*limit).min(RECENT_MOST));
                Ok(Reply::RecentEvents(events, self.recent.kept()))
            }
            Question::Aside { actor } => {
                let actor = ActorId::parse(actor).map_err(Refusal::Invalid)?;
                let shard = actor.shard(self.shards());
                self.check_mine(shard)?;
                let facts = self.engine.facts_of(&actor).await.map_err(unanswered)?;
                self.check_mine(shard)?;
                let of_actor = facts.into_iter().find(|fact| fact.actor == actor.as_str());
                Ok(Reply::Aside(of_actor.and_then(|fact| fact.aside)))
            }
            Question::Facts { prefix } => {
                let facts = self.own_facts(prefix).await.into_iter();
                let on_the_wire = |(shard, facts): (u16, Vec<ActorFacts>)| {
                    (shard, facts.into_iter().map(Fact::from).collect())
                };
                Ok(Reply::Facts(facts.map(on_the_wire).collect()))
            }
            Question::Declared { kind, name, after, letters } => {
                let shard = declared::actor(*kind, name).shard(self.shards());
                self.catch_up(shard, Offset(*after)).await;
                Ok(Reply::Declared(self.status_of(*kind, name, *letters).await?))
            }
            Question::Tree => Ok(Reply::Tree(self.own_tree().await)),
            Question::Adapters => Ok(Reply::Adapters(self.adapters.list())),
            Question::Adapter { name, order } => {
                self.adapters.here(name, order).await?;
                Ok(Reply::Adapters(self.adapters.list()))
            }
            Question::Levels { change } => Ok(Reply::Levels(self.own_levels(change.as_deref())?)),
            Question::Drain => {
                self.drain_me()?;
                Ok(Reply::Draining)
            }
        }
    }

    /// Shows an actor of this node.
    pub(super) async fn inspect_here(&self, actor: &ActorId) -> Result<Inspection, Refusal> {
        let shard = actor.shard(self.shards());
        self.check_mine(shard)?;
        let inspection = self.engine.inspect(actor).await.map_err(unanswered)?;
        // It may have been given away meanwhile, and then somebody else knows better.
        self.check_mine(shard)?;
        Ok(inspection)
    }

    fn check_mine(&self, shard: u16) -> Result<(), Refusal> {
        if self.view().is_mine(shard) { Ok(()) } else { Err(Refusal::NotMine) }
    }

    /// Waits until the log of a shard is known to reach an offset.
    async fn catch_up(&self, shard: u16, after: Offset) {
        if !self.view().is_mine(shard) {
            return;
        }
        let mut head = self.engine.store().head(ShardId(shard));
        // Whoever asked has waited long enough then, and sees what there is.
        let _ = timeout(CATCH_UP, head.wait_for(|head| *head >= after)).await;
    }

    /// Asks the owner of a shard, whoever it is by then.
    pub(super) async fn ask_owner(&self, shard: u16, question: Question) -> Result<Reply, Refusal> {
        let deadline = Instant::now() + PATIENCE;
        let mut view = self.view.clone();
        loop {
            let now = Arc::clone(&view.borrow_and_update());
            let asked = async {
                match now.owner_of(shard) {
                    _ if now.is_mine(shard) => self.answer_here(&question).await,
                    Some(owner) => self.peers.ask(owner, &question).await,
                    None => Err(Refusal::later("nobody has it at the moment")),
                }
            };
            let before = now.owner_of(shard).map(|node| &node.incarnation);
            let moved = |view: &ClusterView| {
                view.owner_of(shard).is_some_and(|owner| Some(&owner.incarnation) != before)
            };
            let (answer, moved) = tokio::select! {
                answer = asked => (answer, false),
                // An owner that hangs is not waited for once another has taken its place.
                () = seen(&mut view, moved) => (Err(Refusal::NotMine), true),
            };
            let reason = match answer {
                Err(Refusal::Unavailable { reason, .. }) => reason,
                Err(Refusal::NotMine) => "its owner has just given it away".to_owned(),
                answer => return answer,
            };
            if Instant::now() >= deadline {
                return Err(Refusal::later(format!(
                    "shard {shard} does not answer at the moment, it may be on its way to another node: {reason}"
                )));
            }
            if moved {
                continue;
            }
            let again = deadline.min(Instant::now() + PAUSE);
            // A registry that has ended tells nothing new, and the pause counts.
            if let Ok(Err(_)) = timeout_at(again, view.changed()).await {
                tokio::time::sleep_until(again).await;
            }
        }
    }
}

/// Resolves once the cluster is seen to be so.
async fn seen(view: &mut watch::Receiver<Arc<ClusterView>>, so: impl Fn(&ClusterView) -> bool) {
    if view.wait_for(|view| so(view)).await.is_err() {
        // Nobody tells any more.
        std::future::pending::<()>().await;
    }
}

fn beside_the_point(reply: &Reply) -> Refusal {
    let what = match reply {
        Reply::Instance(_) => "an instance",
        Reply::Trigger(_) => "a trigger",
        Reply::Places(_) => "places",
        Reply::Turns(_) => "turns",
        Reply::Routers(_) => "routers",
        Reply::RecentEvents(..) => "events",
        Reply::Aside(_) => "a reason",
        Reply::Declared(_) => "what was declared",
        Reply::Facts(_) => "facts",
        Reply::Adapters(_) => "adapters",
        Reply::Tree(_) => "a tree",
        Reply::Levels(_) => "levels of a log",
        Reply::Draining => "that it is draining",
    };
    Refusal::later(format!("a node answered another question than it was asked: {what}"))
}
