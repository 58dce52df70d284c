//! A subscription as an actor. It is there only as long as somebody listens or an event is kept.

use impresario_model::entry::Body;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_model::subscription::Subscription;
use impresario_persistence::{Row, RowIndex};

use super::trigger::tell;
use super::{Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};

/// One subscription.
pub struct SubscriptionBehaviour {
    actor: ActorId,
    subscription: Subscription,
}

impl SubscriptionBehaviour {
    /// From its row, or one at which nobody listens yet.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>) -> Result<Self, Unfit> {
        let subscription = row.map(|row| decode(actor, row)).transpose()?.unwrap_or_default();
        Ok(SubscriptionBehaviour { actor: actor.clone(), subscription })
    }
}

impl Behaviour for SubscriptionBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Subscription(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        Ok(tell(self.subscription.apply(self.actor.key(), event, moment)))
    }

    fn due(&self) -> Option<u64> {
        self.subscription.due()
    }

    fn attention(&self) -> bool {
        // What it has still to tell is an entry on its way, as all that moves it.
        false
    }

    fn ended(&self) -> bool {
        self.subscription.is_empty()
    }

    fn parks(&self) -> bool {
        true
    }

    fn status(&self) -> &'static str {
        if self.subscription.subscribers.is_empty() { "keeping" } else { "listened to" }
    }

    fn index(&self) -> RowIndex {
        RowIndex {
            due: self.due(),
            status: self.status().to_owned(),
            group: self.subscription.about.clone(),
            ..RowIndex::default()
        }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        if self.subscription.is_empty() {
            return Ok(RowChanges { put: Vec::new(), remove: vec![self.actor.to_string()] });
        }
        one_row(&self.actor, &self.subscription, self.index())
    }

    fn inspect(&self) -> Inspection {
        Inspection::Subscription(Box::new(self.subscription.clone()))
    }
}
