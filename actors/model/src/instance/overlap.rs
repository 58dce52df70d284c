//! The turn of an instance, where its definition lets only so many run at the same time.
//!
//! The instance exists, asks `overlap/…` for its turn ([`crate::overlap`]), and begins once it is told that it may. When it
//! ends, for whatever reason, it says so, and the next one has its turn.

use serde::{Deserialize, Serialize};

use super::poll::{self, Flow};
use super::turn::{At, Turn};
use super::{Applied, Effect, Instance, Moment, Progress};
use crate::definition::{Definition, key_text};
use crate::entry::{Body, Message, OverlapEvent, TurnAnswer};
use crate::fault::{Fault, FaultKind};
use crate::ids::ActorId;
use crate::rerun::Resume;

/// The turn of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldTurn {
    /// The actor that gives the turns.
    pub of: ActorId,
    /// Since when it asks, in milliseconds since the Unix epoch; it has its turn if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Where it will begin, if it is a rerun from a start point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Box<Resume>>,
}

impl Instance {
    /// Begins, or asks for its turn first.
    pub(super) fn begin(
        &mut self,
        definition: &Definition,
        resume: Option<Resume>,
        moment: Moment,
    ) -> Applied {
        if definition.ops.overlap.is_none() {
            return self
                .turn(definition, moment, |turn, progress| Self::enter(turn, progress, resume.as_ref()));
        }
        let mut of = None;
        let mut applied = self.turn(definition, moment, |turn, _| match turns_of(turn) {
            Ok(found) => {
                of = Some(found);
                Flow::Pending
            }
            Err(fault) => Flow::Fault(fault),
        });
        let (Some(of), Some(rule)) = (of, &definition.ops.overlap) else { return applied };
        let ask =
            OverlapEvent::Ask { instance: self.id.clone(), max: rule.max, on_conflict: rule.on_conflict };
        applied.effects.push(tell(&of, ask));
        self.held_turn = Some(HeldTurn { of, asked: Some(moment.now), resume: resume.map(Box::new) });
        self.status = super::Status::Waiting;
        applied
    }

    /// Takes the answer of the turns over. A second one changes nothing.
    pub(super) fn answer_turn(
        &mut self,
        answer: &TurnAnswer,
        definition: &Definition,
        moment: Moment,
    ) -> Applied {
        let Some(held) = self.held_turn.as_mut().filter(|held| held.asked.is_some()) else {
            return Applied::default();
        };
        held.asked = None;
        let resume = held.resume.take();
        match answer {
            TurnAnswer::Run => {
                self.turn(definition, moment, |turn, progress| Self::enter(turn, progress, resume.as_deref()))
            }
            TurnAnswer::Skip { reason } => self.turn(definition, moment, |_, progress: &mut Progress| {
                progress.cancelled = true;
                Flow::Fault(Fault::new(FaultKind::Runtime, "Skipped", reason, "/"))
            }),
        }
    }

    /// Whether it waits for its turn.
    pub fn awaits_turn(&self) -> bool {
        self.held_turn.as_ref().is_some_and(|held| held.asked.is_some())
    }

    /// It has ended, and needs its turn no more.
    pub(super) fn leave_turn(&mut self, applied: &mut Applied) {
        if let Some(held) = &mut self.held_turn {
            held.asked = None;
            held.resume = None;
            applied.effects.push(tell(&held.of, OverlapEvent::Leave { instance: self.id.clone() }));
        }
    }
}

/// Who gives the turns of an instance: all that have the key in common have them of the same.
fn turns_of(turn: &mut Turn<'_>) -> Result<ActorId, Fault> {
    let definition = turn.definition;
    let name = format!("{}/{}", definition.id.namespace, definition.id.name);
    let key = definition.ops.overlap.as_ref().and_then(|rule| rule.key.as_ref());
    let Some(key) = key else { return Ok(ActorId::overlap(&name, None)) };
    let at = At { task: None, started: turn.now, input: None, output: None, scope: None };
    let input = poll::transform_input(turn, &definition.input, turn.facts.input, at)?;
    let value: serde_json::Value = turn.evaluate(key, &input, at, "metadata.ops.concurrency.key")?;
    Ok(ActorId::overlap(&name, Some(&key_text(&value))))
}

fn tell(of: &ActorId, event: OverlapEvent) -> Effect {
    Effect::Tell(Message { to: of.clone(), body: Body::Overlap(event) })
}
