//! A trigger monitor as an actor.

use std::sync::Arc;

use impresario_model::entry::{Body, Message};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_model::trigger::Trigger;
use impresario_persistence::{Row, RowIndex};

use super::{Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};
use crate::definitions::Definitions;

/// One trigger monitor.
pub struct TriggerBehaviour {
    actor: ActorId,
    trigger: Trigger,
    definitions: Arc<Definitions>,
}

impl TriggerBehaviour {
    /// From its row, or one that watches nothing yet.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>, definitions: Arc<Definitions>) -> Result<Self, Unfit> {
        let trigger = match row {
            Some(row) => decode(actor, row)?,
            None => Trigger::new(actor.key()),
        };
        Ok(TriggerBehaviour { actor: actor.clone(), trigger, definitions })
    }
}

impl Behaviour for TriggerBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Trigger(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        let needed = self.trigger.needs(event);
        let definition = needed.and_then(|id| self.definitions.get(id));
        if let (Some(id), None) = (needed, &definition) {
            return Err(Unfit(format!("definition {id} is not known to this node")));
        }
        let messages = self.trigger.apply(event, definition.as_deref(), moment);
        Ok(tell(messages))
    }

    fn due(&self) -> Option<u64> {
        self.trigger.due()
    }

    fn attention(&self) -> bool {
        // An event trigger lives: events come at any time. A schedule has a timer, by which its row is found.
        !self.parks()
    }

    fn parks(&self) -> bool {
        self.trigger.definition.is_none() || self.trigger.watches_time()
    }

    fn status(&self) -> &'static str {
        match (&self.trigger.definition, &self.trigger.problem, &self.trigger.paused) {
            (None, ..) => "disarmed",
            (Some(_), Some(_), _) => "cannot watch",
            (Some(_), None, Some(_)) => "paused",
            (Some(_), None, None) => "watching",
        }
    }

    fn index(&self) -> RowIndex {
        RowIndex {
            due: self.trigger.due(),
            attention: self.attention(),
            status: self.status().to_owned(),
            ..RowIndex::default()
        }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        one_row(&self.actor, &self.trigger, self.index())
    }

    fn inspect(&self) -> Inspection {
        Inspection::Trigger(Box::new(self.trigger.clone()))
    }
}

/// Messages as effects.
pub(super) fn tell(messages: Vec<Message>) -> Vec<Effect> {
    messages.into_iter().map(Effect::Tell).collect()
}
