//! Taking an actor back that was set aside, as an operator says.
//!
//! What an order changes decides what a replay comes to, so it is an entry like any other. First a checkpoint stores that
//! the actor is aside (a replay by a program that does not fail must not apply the entry twice); then the order is appended
//! under the epoch; when it comes back through the log, the entries that were held are sent again as messages of that entry,
//! in order and behind everything else. So a crash at any place repeats them, and nobody hears them twice.

use impresario_model::encoding;
use impresario_model::entry::{
    ActivityOutcome, Body, Entry, Message, OverlapEvent, ProcessEvent, Remedy, SinkEvent, TakeBack,
    TargetEvent, TurnAnswer,
};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_model::subscription::{answer_skipped, skipped};
use impresario_persistence::{Offset, StoreError};
use tokio::sync::oneshot;

use super::batch::Asked;
use super::quarantine::Quarantined;
use super::state::Shard;
use crate::activity::report_of;

/// What an operator does about an actor that was set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The actor.
    pub actor: ActorId,
    /// The offset of the entry that the operator saw it fail on; whichever it is, if absent.
    pub entry: Option<u64>,
    /// What becomes of that entry.
    pub remedy: Remedy,
}

/// Told once an order is carried out for good, or why it is not.
pub(super) type Obeyed = oneshot::Sender<Result<(), String>>;

/// An actor that comes back by an entry.
pub(super) struct Returned {
    actor: ActorId,
    aside: Quarantined,
    remedy: Remedy,
    at: Moment,
}

impl Shard {
    /// Takes an order. It is given once a checkpoint has stored what it is about.
    pub(super) fn take_order(&mut self, order: Order, reply: Obeyed) {
        self.orders.push((order, reply));
        self.store_soon = true;
        self.wake();
    }

    /// Gives orders whose matter is stored.
    pub(super) async fn give_orders(&mut self, orders: Vec<(Order, Obeyed)>) -> Result<(), StoreError> {
        for (order, reply) in orders {
            match self.check_order(&order).await {
                Ok(entry) => {
                    self.post(&entry);
                    self.ordered.insert(order.actor.to_string(), reply);
                    self.wake();
                }
                Err(Refused::Order(reason)) => drop(reply.send(Err(reason))),
                // Whoever asked gets no answer, and asks again.
                Err(Refused::Store(error)) if error.passes() => {}
                Err(Refused::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// The entry that an order is, if it makes sense.
    async fn check_order(&self, order: &Order) -> Result<Entry, Refused> {
        let name = order.actor.as_str();
        let Some(aside) = self.meta.quarantined.get(name) else {
            return Err(Refused::Order(format!("expected an actor in quarantine, found '{name}'")));
        };
        if let Some(entry) = order.entry.filter(|entry| *entry != aside.offset) {
            return Err(Refused::Order(format!(
                "expected the entry that '{name}' fails on, which is {} by now, found {}: look again",
                Offset(aside.offset),
                Offset(entry)
            )));
        }
        if self.ordered.contains_key(name) {
            return Err(Refused::Order(format!("'{name}' is being taken back by another order already")));
        }
        if aside.offset == 0 && order.remedy != Remedy::Retry {
            return Err(Refused::Order(format!(
                "'{name}' cannot be loaded, and fails on no entry that could be skipped or edited: only retry makes sense, \
                 once the cause is removed ({})",
                aside.reason
            )));
        }
        let rows = self.rows_of(&order.actor).await.map_err(Refused::Store)?;
        if let Err(unfit) = self.with.kinds.load(&order.actor, &rows) {
            return Err(Refused::Order(format!("'{name}' still cannot be loaded: {unfit}")));
        }
        let body = Body::TakeBack(TakeBack { entry: aside.offset, remedy: order.remedy.clone() });
        let entry = Entry { to: order.actor.clone(), origin: None, body };
        match self.with.post.address(&entry) {
            Ok(_) => Ok(entry),
            Err(error) => Err(Refused::Order(format!("the order cannot be stored: {error}"))),
        }
    }

    /// An order has come back through the log: from here on the actor gets its entries again.
    pub(super) fn hear_order(&mut self, actor: &ActorId, order: TakeBack, at: Moment) -> Option<Returned> {
        let reply = self.ordered.remove(actor.as_str());
        let fails_on = self.meta.quarantined.get(actor.as_str()).map(|aside| aside.offset);
        let aside = if fails_on == Some(order.entry) {
            self.meta.quarantined.remove(actor.as_str())
        } else {
            // Another order was before it.
            None
        };
        match (aside, reply) {
            (Some(aside), reply) => {
                tracing::warn!(%actor, entry = %Offset(order.entry), remedy = word(&order.remedy), "took an actor back");
                self.returned_at.insert(actor.to_string(), at.offset);
                self.obeyed.extend(reply);
                self.store_soon = true;
                Some(Returned { actor: actor.clone(), aside, remedy: order.remedy, at })
            }
            (None, Some(reply)) => {
                let _ = reply.send(Err(format!("'{actor}' was taken back by another order meanwhile")));
                None
            }
            (None, None) => None,
        }
    }

    /// Takes an actor back: what it held is asked for again.
    pub(super) async fn take_back(&mut self, returned: Returned) -> Result<Vec<Asked>, StoreError> {
        let Returned { actor, aside, remedy, at } = returned;
        // In memory, so that its timer is set, whatever it held.
        if let Some((_, unfit)) = self.activate(vec![actor.clone()]).await?.pop() {
            self.set_aside(&actor, Vec::new(), &unfit.0);
        } else if at.offset > self.caught_up_at.0 && aside.offset <= self.caught_up_at.0 {
            // It was not there when this owner settled what was under way.
            self.settle(&actor).await?;
        }
        let mut held = aside.held.into_iter().map(|held| held.body);
        let mut messages = Vec::new();
        match remedy {
            Remedy::Retry => {}
            Remedy::Skip => {
                messages.extend(held.next().and_then(|skipped| instead_of(&actor, &skipped)));
            }
            Remedy::Edit(body) => {
                held.next();
                messages.push(Message { to: actor.clone(), body: *body });
            }
        }
        messages.extend(held.map(|body| Message { to: actor.clone(), body }));
        let asked = messages.into_iter().map(|message| Asked {
            offset: at.offset,
            actor: actor.clone(),
            effect: Effect::Tell(message),
        });
        Ok(asked.collect())
    }
}

/// Why an order is not given.
enum Refused {
    Order(String),
    Store(StoreError),
}

fn word(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Retry => "retry",
        Remedy::Skip => "skip",
        Remedy::Edit(_) => "edit",
    }
}

/// What has to be said in the place of an entry that its actor never gets, so that nobody waits for ever. An attempt whose
/// report or start marker is passed over would never end: it counts as lost, or as not begun.
pub(super) fn instead_of(actor: &ActorId, passed_over: &Body) -> Option<Message> {
    let to_itself = |body| Some(Message { to: actor.clone(), body });
    let report = |activity: u64, token: &str, outcome| {
        to_itself(report_of(actor, activity, token.to_owned(), outcome))
    };
    let no_place = |to: ActorId, activity| {
        let body = Body::Process(ProcessEvent::Crowded { activity, waiting: 0 });
        Some(Message { to, body })
    };
    let no_turn = |to: ActorId| {
        let reason = "its turn was skipped by an operator".to_owned();
        Some(Message { to, body: Body::Process(ProcessEvent::Turn(TurnAnswer::Skip { reason })) })
    };
    match passed_over {
        Body::Process(ProcessEvent::Report { activity, token, .. }) => {
            let reason = "its report was skipped by an operator".to_owned();
            report(*activity, token, ActivityOutcome::Lost { reason })
        }
        Body::Process(
            ProcessEvent::Marker { activity, token, .. } | ProcessEvent::Limited { activity, token, .. },
        )
        | Body::Sink(SinkEvent::Report { activity, token, .. }) => {
            report(*activity, token, ActivityOutcome::NotStarted)
        }
        // Whoever waits for the place is told that there is none.
        Body::Process(ProcessEvent::Placed { activity, .. } | ProcessEvent::Crowded { activity, .. }) => {
            no_place(actor.clone(), *activity)
        }
        Body::Target(TargetEvent::Ask { instance, activity, .. }) => {
            no_place(ActorId::process(instance), *activity)
        }
        Body::Process(ProcessEvent::Told(told)) => answer_skipped(actor, told),
        Body::Subscription(event) => skipped(actor, event),
        // Whoever asked would wait for ever: it is skipped as the entry is, and says so.
        Body::Overlap(OverlapEvent::Ask { instance, .. }) => no_turn(ActorId::process(instance)),
        Body::Process(ProcessEvent::Turn(_)) => no_turn(actor.clone()),
        Body::Process(_)
        | Body::Trigger(_)
        | Body::Router(_)
        | Body::Target(_)
        | Body::Monitor(_)
        | Body::Sink(_)
        | Body::Overlap(OverlapEvent::Leave { .. })
        | Body::TakeBack(_) => None,
    }
}

/// About how much an entry takes in the row of the shard.
pub(super) fn size_of(body: &Body) -> usize {
    encoding::encode(body).map_or(0, |bytes| bytes.len())
}
