//! The turns of a definition's instances as an actor. Its row is groomed once nobody runs and nobody waits.

use impresario_model::entry::Body;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_model::overlap::Turns;
use impresario_persistence::{Row, RowIndex};

use super::trigger::tell;
use super::{Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};

/// The turns of the instances that have a definition and a key in common.
pub struct OverlapBehaviour {
    actor: ActorId,
    turns: Turns,
}

impl OverlapBehaviour {
    /// From its row, or with nobody there.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>) -> Result<Self, Unfit> {
        let turns = row.map(|row| decode(actor, row)).transpose()?.unwrap_or_default();
        Ok(OverlapBehaviour { actor: actor.clone(), turns })
    }
}

impl Behaviour for OverlapBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Overlap(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        Ok(tell(self.turns.apply(event, moment)))
    }

    fn parks(&self) -> bool {
        // Everything that moves it is an entry.
        true
    }

    fn status(&self) -> &'static str {
        if self.turns.queue.is_empty() { "open" } else { "full" }
    }

    fn index(&self) -> RowIndex {
        // There may be one for each value of a key, so those with nothing to say are groomed like what has ended.
        RowIndex { status: self.status().to_owned(), ended: self.turns.idle_since, ..RowIndex::default() }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        one_row(&self.actor, &self.turns, self.index())
    }

    fn inspect(&self) -> Inspection {
        Inspection::Turns(Box::new(self.turns.clone()))
    }
}
