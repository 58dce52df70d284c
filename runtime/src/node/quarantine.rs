//! Actors that are set aside: listed for all nodes, and taken back by the owner of their shard.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use impresario_actors::engine::EngineError;
use impresario_actors::shard::{Aside, Order};
use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, Remedy};
use impresario_model::event::CloudEvent;
use impresario_model::ids::ActorId;
use impresario_model::instance::rfc3339;
use impresario_persistence::{MAX_ENTRY_BYTES, Offset};
use serde_json::Value;

use super::entry_views::{self, parse_offset};
use super::local::Local;
use super::mask;
use super::members::shards_of;
use super::reach::beside_the_point;
use super::refusal::unanswered;
use crate::inspect::{QuarantineOrder, QuarantinedActor};
use crate::orchestrator::Refusal;
use crate::question::{Question, Reply};

/// How many shards are named of which nothing was heard.
const NAMED: usize = 10;

impl Local {
    /// The actors of all nodes that are set aside, by id.
    pub(super) async fn all_quarantined(&self) -> Result<Vec<QuarantinedActor>, Refusal> {
        let view = self.view();
        let others = view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me);
        let owning = others.filter(|node| shards_of(&view, &node.incarnation) > 0);
        let asked = join_all(owning.map(|node| self.ask_node(node, &Question::Quarantined)));
        let (own, answers) = tokio::join!(self.own_quarantined(), asked);
        let mut found: BTreeMap<u16, Vec<QuarantinedActor>> = own.into_iter().collect();
        for answer in answers {
            match answer {
                Ok(Reply::Quarantined(heard)) => {
                    for (shard, actors) in heard {
                        found.entry(shard).or_insert(actors);
                    }
                }
                Ok(other) => tracing::debug!(refusal = %beside_the_point(&other), "a node answered oddly"),
                Err(refusal) => tracing::debug!(%refusal, "a node did not tell what is set aside"),
            }
        }
        let silent = |shard: &u16| !found.contains_key(shard);
        let unheard: Vec<String> = (0..self.shards()).filter(silent).map(|shard| shard.to_string()).collect();
        if !unheard.is_empty() {
            // Half a list would say that the rest is well.
            let shown = unheard.len().min(NAMED);
            return Err(Refusal::later(format!(
                "of {} shards the owner does not answer at the moment ({}): they may be on their way to another node",
                unheard.len(),
                unheard[..shown].join(", ")
            )));
        }
        let mut all: Vec<QuarantinedActor> = found.into_values().flatten().collect();
        all.sort_by(|a, b| a.actor.cmp(&b.actor));
        Ok(all)
    }

    /// Those of this node, by shard; a shard that does not answer is missing.
    pub(super) async fn own_quarantined(&self) -> Vec<(u16, Vec<QuarantinedActor>)> {
        let of = |shard| async move {
            let aside = self.engine.aside(shard).await.ok()?;
            self.check_mine(shard).ok()?;
            Some((shard, aside.iter().map(|aside| self.quarantined_view(shard, aside)).collect()))
        };
        join_all(self.mine().into_iter().map(of)).await.into_iter().flatten().collect()
    }

    /// How one looks to people.
    pub(super) fn quarantined_view(&self, shard: u16, aside: &Aside) -> QuarantinedActor {
        let entry = aside.entry.as_ref().and_then(|held| {
            let to = ActorId::parse(&aside.actor).ok()?;
            let entry = Entry { to, origin: None, body: held.body.clone() };
            Some(entry_views::view(shard, Offset(held.offset), &entry))
        });
        QuarantinedActor {
            actor: aside.actor.clone(),
            shard,
            node: self.node.to_string(),
            reason: aside.reason.clone(),
            since: rfc3339(aside.since),
            entry,
            held: aside.held,
            dropped: aside.dropped,
        }
    }

    /// Takes an actor back, at whichever node it is.
    pub(super) async fn take_back_anywhere(
        &self,
        actor: &str,
        entry: Option<String>,
        order: QuarantineOrder,
    ) -> Result<(), Refusal> {
        let actor = self.actor_id(actor).await?;
        let entry = entry.map(|text| parse_offset(&text)).transpose()?;
        let question = Question::TakeBack { actor: actor.to_string(), entry, order };
        match self.ask_owner(actor.shard(self.shards()), question).await? {
            Reply::TakenBack => Ok(()),
            other => Err(beside_the_point(&other)),
        }
    }

    /// Takes an actor of this node back; returns once that is stored.
    pub(super) async fn take_back_here(
        &self,
        actor: ActorId,
        entry: Option<u64>,
        order: &QuarantineOrder,
    ) -> Result<(), Refusal> {
        let shard = actor.shard(self.shards());
        self.check_mine(shard)?;
        let aside = self.engine.aside(shard).await.map_err(unanswered)?;
        self.check_mine(shard)?;
        let Some(aside) = aside.into_iter().find(|aside| aside.actor == actor.as_str()) else {
            return Err(Refusal::NotFound(format!(
                "expected an actor in quarantine, found {actor}, which is not: see `impresario quarantine`"
            )));
        };
        let remedy = match order {
            QuarantineOrder::Retry => Remedy::Retry,
            QuarantineOrder::Skip => Remedy::Skip,
            QuarantineOrder::Edit { body } => Remedy::Edit(Box::new(edited(&actor, &aside, body)?)),
        };
        // What was looked at is what is decided about, whatever happens in between.
        let entry = entry.or(aside.entry.map(|held| held.offset));
        self.engine.take_back(Order { actor, entry, remedy }).await.map_err(|error| match error {
            EngineError::Refused(reason) => Refusal::Conflict(reason),
            error => unanswered(error),
        })
    }
}

/// The entry that an operator puts in the place of the one that the actor fails on.
fn edited(actor: &ActorId, aside: &Aside, given: &Value) -> Result<Body, Refusal> {
    let Some(held) = &aside.entry else {
        return Err(Refusal::Conflict(format!(
            "{actor} cannot be loaded, and fails on no entry that could be edited: only retry makes sense, once the cause is \
             removed ({})",
            aside.reason
        )));
    };
    let original = serde_json::to_value(&held.body).unwrap_or_default();
    let given = mask::restored(given.clone(), &original);
    let kind = actor.kind().map_or("", |kind| kind.word());
    let expected =
        format!("expected the body of an entry for a {kind}, as `impresario quarantine show` has it");
    let body: Body = serde_json::from_value(given.clone())
        .map_err(|error| Refusal::Invalid(format!("{expected}, found: {error}")))?;
    if body.kind() != actor.kind() {
        let found = body.kind().map_or("a shard", |kind| kind.word());
        return Err(Refusal::Invalid(format!("{expected}, found one for {found}")));
    }
    let known = serde_json::to_value(&body).unwrap_or_default();
    if let Some(unknown) = unknown_member(&given, &known, "") {
        return Err(Refusal::Invalid(format!("{expected}, found the member '{unknown}', which it has not")));
    }
    for event in body.events() {
        CloudEvent::from_json(event.envelope())
            .map_err(|error| Refusal::Invalid(format!("expected an event in it, found: {error}")))?;
    }
    match encoding::encode(&body) {
        Ok(bytes) if bytes.len() < MAX_ENTRY_BYTES / 2 => Ok(body),
        Ok(bytes) => Err(Refusal::Invalid(format!(
            "expected an entry of less than {} bytes, found {}",
            MAX_ENTRY_BYTES / 2,
            bytes.len()
        ))),
        Err(error) => {
            Err(Refusal::Invalid(format!("expected an entry that can be stored, found that it {error}")))
        }
    }
}

/// A member that was given and does not count, as a pointer.
fn unknown_member(given: &Value, known: &Value, at: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            given.iter().filter(|(_, member)| !member.is_null()).find_map(|(name, member)| {
                let place = format!("{at}/{name}");
                match known.get(name) {
                    Some(known) => unknown_member(member, known, &place),
                    // What is empty may be left out.
                    None if member.as_array().is_some_and(Vec::is_empty) => None,
                    None => Some(place),
                }
            })
        }
        (Value::Array(given), Value::Array(known)) => {
            let pairs = given.iter().zip(known).enumerate();
            pairs
                .map(|(index, (given, known))| unknown_member(given, known, &format!("{at}/{index}")))
                .find_map(|found| found)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use impresario_actors::shard::Held;
    use impresario_model::entry::{ActivityOutcome, ProcessEvent};
    use serde_json::json;

    use super::*;

    fn aside() -> Aside {
        let outcome =
            ActivityOutcome::Completed(json!({ "headers": { "Authorization": "Bearer x" }, "n": 1 }));
        let event = ProcessEvent::Report { activity: 1, token: "t".to_owned(), outcome };
        Aside {
            actor: "process/a".to_owned(),
            reason: "it panicked".to_owned(),
            since: 0,
            entry: Some(Held { offset: 5, body: Body::Process(event) }),
            held: 0,
            dropped: 0,
        }
    }

    fn refused(body: &Value) -> String {
        edited(&ActorId::process("a"), &aside(), body).unwrap_err().to_string()
    }

    #[test]
    fn an_edited_body_keeps_what_is_masked() {
        let report = |output: Value| json!({ "Process": { "Report": { "activity": 1, "token": "t", "outcome": { "Completed": output } } } });
        let body = report(json!({ "headers": { "Authorization": "***" }, "n": 2 }));
        let Body::Process(ProcessEvent::Report { outcome, .. }) =
            edited(&ActorId::process("a"), &aside(), &body).unwrap()
        else {
            panic!("another entry")
        };
        let kept = json!({ "headers": { "Authorization": "Bearer x" }, "n": 2 });
        assert_eq!(outcome, ActivityOutcome::Completed(kept));
    }

    #[test]
    fn what_is_no_body_for_it_is_refused_with_what_was_found() {
        assert!(refused(&json!({ "Process": "Tick" })).contains("unknown variant `Tick`"));
        assert!(refused(&json!({ "Trigger": "Timer" })).ends_with("found one for trigger"));
        let back = json!({ "TakeBack": { "entry": 1, "remedy": "Skip" } });
        assert!(refused(&back).ends_with("found one for a shard"));
        let more = json!({ "Process": { "Cancel": { "reason": "r", "because": 1 } } });
        assert!(refused(&more).contains("'/Process/Cancel/because'"), "{}", refused(&more));
        let no_event = json!({ "Router": { "Event": { "id": "", "source": "", "type": "" } } });
        let router = edited(&ActorId::router(0), &aside(), &no_event).unwrap_err().to_string();
        assert!(router.starts_with("expected"), "{router}");
    }
}
