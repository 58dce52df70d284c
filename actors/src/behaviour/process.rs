//! A process instance as an actor.

use std::sync::Arc;

use impresario_model::definition::{Definition, DefinitionId};
use impresario_model::entry::{Body, ProcessEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Instance, Moment, Status, Unsettled};
use impresario_model::lifecycle;
use impresario_model::places::leave;
use impresario_model::subscription::refuse;
use impresario_persistence::{Row, RowIndex};

use super::spans::{self, Before};
use super::{Asked, Behaviour, Inspection, RowChanges, Unfit, decode, of_another_kind, one_row};
use crate::definitions::Definitions;
use crate::spans::Spans;

/// One process instance, or the place of one that has not started.
pub struct ProcessBehaviour {
    actor: ActorId,
    instance: Option<Instance>,
    definition: Option<Arc<Definition>>,
    definitions: Arc<Definitions>,
    asked: Asked,
    spans: Spans,
}

impl ProcessBehaviour {
    /// From its row, if it has one.
    ///
    /// # Errors
    /// [`Unfit`] when the row cannot be read.
    pub fn load(actor: &ActorId, row: Option<&Row>, definitions: Arc<Definitions>) -> Result<Self, Unfit> {
        let instance: Option<Instance> = row.map(|row| decode(actor, row)).transpose()?;
        let (asked, spans) = (Asked::default(), Spans::default());
        Ok(ProcessBehaviour { actor: actor.clone(), instance, definition: None, definitions, asked, spans })
    }

    /// Tells what becomes of the instance where somebody asks for it.
    pub fn telling(self, asked: Asked) -> Self {
        ProcessBehaviour { asked, ..self }
    }

    /// Tells what of its work has ended to whoever records traces.
    pub fn traced(self, spans: Spans) -> Self {
        ProcessBehaviour { spans, ..self }
    }

    fn turn(&mut self, event: &ProcessEvent, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        match (&mut self.instance, event) {
            (None, ProcessEvent::Start(start)) => {
                let definition = self.definition(&start.definition)?;
                let start = start.as_ref().clone();
                let (instance, applied) = Instance::start(self.actor.key(), start, &definition, moment);
                self.instance = Some(instance);
                Ok(applied.effects)
            }
            // A place for an instance that is groomed is given back, or it would be taken for ever.
            (None, ProcessEvent::Placed { activity, target }) => {
                Ok(vec![Effect::Tell(leave(self.actor.key(), *activity, target))])
            }
            // The same holds for a subscription.
            (None, ProcessEvent::Told(told)) => {
                Ok(refuse(self.actor.key(), told).into_iter().map(Effect::Tell).collect())
            }
            // What comes for an instance that never started, or is long groomed, has nobody to tell.
            (None, _) => Ok(Vec::new()),
            // The definition of an instance that has ended may be gone.
            (Some(instance), event) if instance.status.ended() => {
                Ok(instance.apply_after_end(event, moment).effects)
            }
            (Some(instance), event) => {
                let id = instance.definition.clone();
                let definition = self.definition(&id)?;
                let Some(instance) = &mut self.instance else { return Ok(Vec::new()) };
                Ok(instance.apply(event, &definition, moment).effects)
            }
        }
    }

    /// The lifecycle events of what an entry has made of the instance.
    fn tell(&self, before: Option<Status>, now: u64, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instance.as_ref().filter(|_| self.asked.any()) else { return };
        let told = lifecycle::of_instance(before, instance, now).into_iter();
        let wanted = told.filter(|event| self.asked.wants(&event.kind));
        effects.extend(wanted.map(|event| Effect::Lifecycle(Box::new(event))));
    }

    fn definition(&mut self, id: &DefinitionId) -> Result<Arc<Definition>, Unfit> {
        if let Some(known) = &self.definition {
            return Ok(Arc::clone(known));
        }
        let found = self.definitions.get(id).ok_or_else(|| {
            Unfit(format!("definition {id} is not known to this node: load the pack that holds it"))
        })?;
        Ok(Arc::clone(self.definition.insert(found)))
    }
}

/// What a process row is listed under.
pub fn group_of(definition: &DefinitionId) -> String {
    definition.to_string()
}

impl Behaviour for ProcessBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Process(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        let before = self.instance.as_ref().map(|instance| instance.status);
        let open = Before::turn(&self.spans, self.instance.as_ref());
        let mut effects = self.turn(event, moment)?;
        self.tell(before, moment.now, &mut effects);
        if let Some(instance) = &self.instance {
            spans::of_turn(&self.spans, open, instance, moment.now, &mut effects);
        }
        Ok(effects)
    }

    fn due(&self) -> Option<u64> {
        self.instance.as_ref().and_then(Instance::due)
    }

    fn attention(&self) -> bool {
        self.instance.as_ref().is_some_and(Instance::attention)
    }

    fn ended(&self) -> bool {
        self.instance.as_ref().is_none_or(|instance| instance.status.ended() && !instance.attention())
    }

    fn parks(&self) -> bool {
        !self.attention()
    }

    fn status(&self) -> &'static str {
        self.instance.as_ref().map_or("absent", |instance| instance.status.word())
    }

    fn unsettled(&self) -> Unsettled {
        self.instance.as_ref().map(Instance::unsettled).unwrap_or_default()
    }

    fn index(&self) -> RowIndex {
        let Some(instance) = &self.instance else { return RowIndex::default() };
        RowIndex {
            due: instance.due(),
            attention: instance.attention(),
            status: instance.status.word().to_owned(),
            group: group_of(&instance.definition),
            started: instance.started,
            ended: instance.ended.filter(|_| !instance.attention()),
        }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        let Some(instance) = &self.instance else { return Ok(RowChanges::default()) };
        one_row(&self.actor, instance, self.index())
    }

    fn inspect(&self) -> Inspection {
        match &self.instance {
            None => Inspection::Nothing,
            Some(instance) => Inspection::Process(Box::new(instance.clone())),
        }
    }
}
