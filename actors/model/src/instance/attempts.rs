//! Attempts of activities: their start markers, what they save, what becomes of them after the end of their instance,
//! and what a new owner of it has to settle.

use serde_json::Value;

use super::activity::ActivityState;
use super::{Applied, Instance, Moment, ProbeRequest};
use crate::entry::ProcessEvent;

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
}

impl Instance {
    /// What is under way, for a new owner to settle.
    pub fn unsettled(&self) -> Unsettled {
        let running = self.activities.in_flight().filter(|activity| activity.state == ActivityState::Running);
        let in_flight = running.map(|activity| InFlight {
            activity: activity.number,
            token: activity.token(&self.id),
            adapter: activity.adapter.clone(),
            may_have_begun: activity.restartable || activity.marker.is_some(),
            restartable: activity.restartable,
        });
        let questions = self.activities.in_flight().filter_map(|activity| activity.question(&self.id));
        Unsettled {
            in_flight: in_flight.collect(),
            questions: questions.collect(),
            continuing: self.continuing,
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

    /// Applies one entry to an instance that has ended. Nothing runs any more but activities that nobody waits for
    /// (`await: false`): they begin, are tried again, and leave in the history what they came to. No definition is
    /// needed for that, and it may be gone.
    pub fn apply_after_end(&mut self, event: &ProcessEvent, moment: Moment) -> Applied {
        if moment.offset <= self.applied {
            return Applied::default();
        }
        self.applied = moment.offset;
        match event {
            ProcessEvent::Marker { activity, token, epoch } => self.mark(*activity, token, *epoch),
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
            ProcessEvent::Timer => {
                let effects = self.activities.relaunch(&self.id, moment.now);
                Applied { effects, started: Vec::new() }
            }
            ProcessEvent::Rerun(order) => self.rerun(order),
            ProcessEvent::Start(_) | ProcessEvent::Continue | ProcessEvent::Cancel { .. } => {
                Applied::default()
            }
        }
    }
}
