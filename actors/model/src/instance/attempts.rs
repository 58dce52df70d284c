//! Attempts of activities: their start markers, what they save, what becomes of them after the end of their instance,
//! and what a new owner of it has to settle.

use serde_json::Value;

use super::activity::{ActivityState, Place};
use super::turn::Effect;
use super::{Applied, Instance, Moment, ProbeRequest};
use crate::entry::{Body, Limit, Message, ProcessEvent, TargetEvent};
use crate::fault::{Fault, FaultKind};
use crate::ids::ActorId;
use crate::places::leave;

/// An activity in flight, as a new owner of the instance finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// The activity.
    pub activity: u64,
    /// The present attempt.
    pub token: String,
    /// The adapter.
    pub adapter: String,
    /// Whether the attempt may have begun: it is restartable, or its start marker is durable.
    pub may_have_begun: bool,
    /// Whether it runs again whatever became of this attempt.
    pub restartable: bool,
    /// The target at which it needs a place first, if that is limited.
    pub unplaced: Option<String>,
}

/// What a new owner of an instance has to settle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsettled {
    /// Its activities in flight.
    pub in_flight: Vec<InFlight>,
    /// Attempts that were cut off, and of which the adapter may not have been asked yet.
    pub questions: Vec<ProbeRequest>,
    /// Whether a turn used up its budget, and nobody may have told it yet to go on.
    pub continuing: bool,
    /// What a monitor wants to have observed.
    pub watch: Option<Box<crate::monitor::WatchOrder>>,
}

impl Instance {
    /// What is under way, for a new owner to settle.
    pub fn unsettled(&self) -> Unsettled {
        let running = self
            .activities
            .in_flight()
            .filter(|activity| activity.state == ActivityState::Running && activity.is_busy());
        let in_flight = running.map(|activity| InFlight {
            activity: activity.number,
            token: activity.token(&self.id),
            adapter: activity.adapter.clone(),
            may_have_begun: activity.restartable || activity.marker.is_some(),
            restartable: activity.restartable,
            unplaced: activity.unplaced(),
        });
        let questions = self.activities.in_flight().filter_map(|activity| activity.question(&self.id));
        Unsettled {
            in_flight: in_flight.collect(),
            questions: questions.collect(),
            continuing: self.continuing,
            watch: None,
        }
    }

    /// A start marker came back durable: the attempt may run.
    pub(super) fn mark(&mut self, number: u64, token: &str, epoch: u64) -> Applied {
        let id = &self.id;
        let Some(activity) = self.activities.get_mut(number) else { return Applied::default() };
        if activity.state != ActivityState::Running
            || activity.token(id) != token
            || activity.marker.is_some()
        {
            return Applied::default();
        }
        activity.marker = Some(epoch);
        Applied { effects: vec![activity.launch(id)], started: Vec::new() }
    }

    /// Takes over what an attempt saved, if it is the present one.
    pub(super) fn save(&mut self, number: u64, token: &str, state: &Value) {
        let id = &self.id;
        if let Some(activity) = self.activities.get_mut(number)
            && activity.state == ActivityState::Running
            && activity.token(id) == token
        {
            activity.saved = Some(state.clone());
        }
    }

    /// Asks for a place at the target of an attempt, unless it has asked.
    pub(super) fn ask_for_place(&mut self, number: u64, token: &str, limit: Limit) -> Applied {
        let id = &self.id;
        let Some(activity) = self.activities.get_mut(number) else { return Applied::default() };
        let (Some(target), None) = (&activity.target, activity.place) else { return Applied::default() };
        if activity.state != ActivityState::Running || activity.token(id) != token {
            return Applied::default();
        }
        let ask = TargetEvent::Ask { instance: id.clone(), activity: number, limit };
        let message = Message { to: ActorId::target(target), body: Body::Target(ask) };
        activity.place = Some(Place::Asked);
        self.rest();
        Applied { effects: vec![Effect::Tell(message)], started: Vec::new() }
    }

    /// An activity has its place: its attempt may begin. A place that nobody waits for any more is given back.
    pub(super) fn take_place(&mut self, number: u64, target: &str) -> Applied {
        let id = &self.id;
        let activity = self.activities.get_mut(number).filter(|activity| activity.in_flight());
        let effects = match activity {
            Some(activity) if activity.place == Some(Place::Asked) => {
                activity.place = Some(Place::Held);
                let launches = activity.state == ActivityState::Running;
                if launches { vec![activity.launch(id)] } else { Vec::new() }
            }
            Some(activity) if activity.place == Some(Place::Held) => Vec::new(),
            _ => vec![Effect::Tell(leave(id, number, target))],
        };
        self.rest();
        Applied { effects, started: Vec::new() }
    }

    /// Nothing goes on at once, unless a turn is on its way.
    fn rest(&mut self) {
        if !self.status.ended() && !self.continuing {
            self.status = self.activities.status();
        }
    }

    /// Whether an activity waits for a place; then there is none for it, because too many wait, and it ends.
    pub(super) fn refuse_place(&mut self, number: u64, waiting: usize, moment: Moment) -> bool {
        let Some(activity) = self.activities.get_mut(number) else { return false };
        if !activity.in_flight() || activity.place != Some(Place::Asked) {
            return false;
        }
        let target = activity.target.as_deref().unwrap_or_default();
        activity.state = ActivityState::Failed(Fault {
            status: 429,
            ..Fault::new(
                FaultKind::Runtime,
                "Too many wait for the target",
                format!(
                    "{waiting} activities wait for a place at target '{target}': try again later, or raise its limit"
                ),
                "",
            )
        });
        activity.ended = Some(moment.now);
        true
    }

    /// Applies one entry to an instance that has ended. Nothing runs any more but activities that nobody waits for
    /// (`await: false`): they begin, are tried again, and leave in the history what they came to. No definition is
    /// needed for that, and it may be gone.
    pub fn apply_after_end(&mut self, event: &ProcessEvent, moment: Moment) -> Applied {
        if moment.offset <= self.applied {
            return Applied::default();
        }
        self.applied = moment.offset;
        let mut applied = match event {
            ProcessEvent::Marker { activity, token, epoch } => self.mark(*activity, token, *epoch),
            ProcessEvent::Placed { activity, target } => self.take_place(*activity, target),
            ProcessEvent::Crowded { activity, waiting } => {
                self.refuse_place(*activity, *waiting, moment);
                Applied::default()
            }
            ProcessEvent::Report { .. } | ProcessEvent::Probed { .. } | ProcessEvent::Resolve(_) => {
                let mut effects = Vec::new();
                if let Some((activity, asked)) = self.settle_activity(event, moment) {
                    effects = asked;
                    self.activities.archive(activity);
                }
                effects.extend(self.activities.relaunch(&self.id, moment.now));
                Applied { effects, started: Vec::new() }
            }
            ProcessEvent::Saved { activity, token, state } => {
                self.save(*activity, token, state);
                Applied::default()
            }
            ProcessEvent::Limited { activity, token, limit } => self.ask_for_place(*activity, token, *limit),
            ProcessEvent::Timer => {
                let effects = self.activities.relaunch(&self.id, moment.now);
                Applied { effects, started: Vec::new() }
            }
            ProcessEvent::Rerun(order) => self.rerun(order),
            ProcessEvent::Told(told) => self.refuse(told),
            // Its turn was given back when it ended.
            ProcessEvent::Start(_)
            | ProcessEvent::Continue
            | ProcessEvent::Turn(_)
            | ProcessEvent::Cancel { .. } => Applied::default(),
        };
        applied.effects.extend(self.activities.leave_places(&self.id));
        applied
    }
}
