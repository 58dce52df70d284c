//! The places at a target as an actor. It has a row only if the target was ever limited.

use impresario_model::entry::Body;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_model::places::Places;
use impresario_persistence::{Row, RowIndex};

use super::trigger::tell;
use super::{Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};

/// The places at one target.
pub struct TargetBehaviour {
    actor: ActorId,
    places: Places,
}

impl TargetBehaviour {
    /// From its row, or with all places free.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>) -> Result<Self, Unfit> {
        let places = row.map(|row| decode(actor, row)).transpose()?.unwrap_or_default();
        Ok(TargetBehaviour { actor: actor.clone(), places })
    }
}

impl Behaviour for TargetBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Target(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        Ok(tell(self.places.apply(self.actor.key(), event, moment)))
    }

    fn parks(&self) -> bool {
        // Everything that moves it is an entry.
        true
    }

    fn status(&self) -> &'static str {
        if self.places.queue.is_empty() { "open" } else { "full" }
    }

    fn index(&self) -> RowIndex {
        RowIndex { status: self.status().to_owned(), ..RowIndex::default() }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        one_row(&self.actor, &self.places, self.index())
    }

    fn inspect(&self) -> Inspection {
        Inspection::Places(Box::new(self.places.clone()))
    }
}
