//! A monitor as an actor.

use impresario_model::entry::Body;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment, Unsettled};
use impresario_model::monitor::{Monitor, MonitorStanding};
use impresario_persistence::{Row, RowIndex};

use super::{Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};

/// One monitor.
pub struct MonitorBehaviour {
    actor: ActorId,
    monitor: Monitor,
}

impl MonitorBehaviour {
    /// From its row, or one of which nothing is wanted yet.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>) -> Result<Self, Unfit> {
        let stored = row.map(|row| decode(actor, row)).transpose()?;
        let monitor = stored.unwrap_or_else(|| Monitor::new(actor.key()));
        Ok(MonitorBehaviour { actor: actor.clone(), monitor })
    }
}

impl Behaviour for MonitorBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Monitor(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        Ok(self.monitor.apply(event, moment))
    }

    fn due(&self) -> Option<u64> {
        self.monitor.due()
    }

    fn attention(&self) -> bool {
        // A new owner has it observe again.
        self.monitor.standing != MonitorStanding::Off
    }

    fn ended(&self) -> bool {
        self.monitor.removed.is_some()
    }

    fn parks(&self) -> bool {
        !self.attention()
    }

    fn status(&self) -> &'static str {
        self.monitor.word()
    }

    fn unsettled(&self) -> Unsettled {
        Unsettled { watch: self.monitor.order().map(Box::new), ..Unsettled::default() }
    }

    fn index(&self) -> RowIndex {
        RowIndex {
            due: self.monitor.due(),
            attention: self.attention(),
            status: self.status().to_owned(),
            ended: self.monitor.removed,
            ..RowIndex::default()
        }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        one_row(&self.actor, &self.monitor, self.index())
    }

    fn inspect(&self) -> Inspection {
        Inspection::Monitor(Box::new(self.monitor.clone()))
    }
}
