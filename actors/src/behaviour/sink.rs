//! A sink as an actor.

use impresario_model::entry::{Body, SinkEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment, Unsettled};
use impresario_model::sink::{Sink, SinkFilter};
use impresario_persistence::{Row, RowIndex};

use super::{Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};

/// One sink, with the filters that its description comes to.
pub struct SinkBehaviour {
    actor: ActorId,
    sink: Sink,
    filters: Vec<SinkFilter>,
}

impl SinkBehaviour {
    /// From its row, or one of which nothing is wanted yet.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>) -> Result<Self, Unfit> {
        let stored = row.map(|row| decode(actor, row)).transpose()?;
        let sink: Sink = stored.unwrap_or_else(|| Sink::new(actor.key()));
        let filters = filters_of(actor, &sink)?;
        Ok(SinkBehaviour { actor: actor.clone(), sink, filters })
    }
}

/// They were good when they were declared.
fn filters_of(actor: &ActorId, sink: &Sink) -> Result<Vec<SinkFilter>, Unfit> {
    let filters = sink.spec.as_ref().map(|spec| spec.filters()).transpose();
    Ok(filters.map_err(|found| Unfit(format!("a filter of '{actor}': {found}")))?.unwrap_or_default())
}

impl Behaviour for SinkBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Sink(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        let effects = self.sink.apply(event, &self.filters, moment);
        if matches!(event, SinkEvent::Want { .. }) {
            self.filters = filters_of(&self.actor, &self.sink)?;
        }
        Ok(effects)
    }

    fn due(&self) -> Option<u64> {
        self.sink.due()
    }

    fn attention(&self) -> bool {
        self.sink.queue.iter().any(|queued| queued.busy)
    }

    fn ended(&self) -> bool {
        self.sink.removed.is_some()
    }

    fn parks(&self) -> bool {
        !self.attention()
    }

    fn status(&self) -> &'static str {
        self.sink.word()
    }

    fn unsettled(&self) -> Unsettled {
        Unsettled { in_flight: self.sink.in_flight(), ..Unsettled::default() }
    }

    fn index(&self) -> RowIndex {
        RowIndex {
            due: self.sink.due(),
            attention: self.attention(),
            status: self.status().to_owned(),
            ended: self.sink.removed,
            ..RowIndex::default()
        }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        one_row(&self.actor, &self.sink, self.index())
    }

    fn inspect(&self) -> Inspection {
        Inspection::Sink(Box::new(self.sink.clone()))
    }
}
