//! How an activity is settled: by the report of its attempt; and where that was lost, by its adapter's answer to a
//! probe, or by an operator.
//!
//! An attempt is *in doubt* once it was lost and its activity must not simply be done again. The report of just that
//! attempt, late, still settles it; that of any other attempt changes nothing.

use super::activity::{Activity, ActivityState, MAX_LOST};
use super::turn::Effect;
use super::{Instance, Moment};
use crate::doubt::{Decision, ProbeAnswer, Resolution, Resolved};
use crate::entry::{ActivityOutcome, ProcessEvent};
use crate::fault::{Fault, FaultKind};

impl Instance {
    /// Takes over a report, an answer or a decision: the activity, and what is asked for because of it. None if it is
    /// not about what is awaited.
    pub(super) fn settle_activity(
        &mut self,
        event: &ProcessEvent,
        moment: Moment,
    ) -> Option<(u64, Vec<Effect>)> {
        let (number, token) = match event {
            ProcessEvent::Report { activity, token, .. } | ProcessEvent::Probed { activity, token, .. } => {
                (*activity, token)
            }
            ProcessEvent::Resolve(resolution) => (resolution.activity, &resolution.token),
            ProcessEvent::Start(_)
            | ProcessEvent::Continue
            | ProcessEvent::Timer
            | ProcessEvent::Marker { .. }
            | ProcessEvent::Saved { .. }
            | ProcessEvent::Rerun(_)
            | ProcessEvent::Limited { .. }
            | ProcessEvent::Placed { .. }
            | ProcessEvent::Crowded { .. }
            | ProcessEvent::Told(_)
            | ProcessEvent::Turn(_)
            | ProcessEvent::Cancel { .. } => return None,
        };
        let id = &self.id;
        let activity = self.activities.get_mut(number).filter(|activity| activity.token(id) == *token)?;
        let state = match (event, &activity.state) {
            (ProcessEvent::Report { outcome, .. }, ActivityState::Running) => {
                reported(activity, outcome, moment)
            }
            (
                ProcessEvent::Report { outcome, .. },
                ActivityState::Probing(_) | ActivityState::Uncertain(_),
            ) if !matches!(outcome, ActivityOutcome::Lost { .. }) => reported(activity, outcome, moment),
            (ProcessEvent::Probed { answer, .. }, ActivityState::Probing(reason)) => {
                let reason = reason.clone();
                probed(activity, answer, &reason, moment)
            }
            (ProcessEvent::Resolve(resolution), ActivityState::Uncertain(_)) => {
                resolved(activity, resolution, moment)
            }
            _ => return None,
        };
        activity.state = state;
        if !activity.is_open() {
            activity.ended = Some(moment.now);
        }
        Some((number, activity.question(id).map(Effect::Probe).into_iter().collect()))
    }
}

/// How an attempt ended, and what becomes of its activity by that.
fn reported(activity: &mut Activity, outcome: &ActivityOutcome, moment: Moment) -> ActivityState {
    match outcome {
        ActivityOutcome::Completed(output) => ActivityState::Completed(output.clone()),
        ActivityOutcome::Failed(fault) => ActivityState::Failed(fault.clone()),
        ActivityOutcome::Refused { reason } => ActivityState::Failed(Fault {
            status: 503,
            ..Fault::new(
                FaultKind::Runtime,
                "Adapter not available",
                format!("adapter '{}': {reason}", activity.adapter),
                "",
            )
        }),
        ActivityOutcome::Lost { reason } => lost(activity, reason, moment),
        ActivityOutcome::NotStarted => again(activity, moment.now),
    }
}

/// What becomes of an activity whose attempt was lost.
fn lost(activity: &mut Activity, reason: &str, moment: Moment) -> ActivityState {
    activity.lost += 1;
    if activity.lost >= MAX_LOST {
        // To ask the adapter would only begin it all again.
        return ActivityState::Uncertain(format!("lost {} times, the last time: {reason}", activity.lost));
    }
    match (activity.restartable, activity.probe) {
        (true, _) => {
            let after = pause(activity);
            again(activity, moment.now + after)
        }
        (false, true) => ActivityState::Probing(reason.to_owned()),
        (false, false) => ActivityState::Uncertain(reason.to_owned()),
    }
}

/// What becomes of an activity by what its adapter found out.
fn probed(activity: &mut Activity, answer: &ProbeAnswer, lost: &str, moment: Moment) -> ActivityState {
    match answer {
        ProbeAnswer::Done(output) => ActivityState::Completed(output.clone()),
        ProbeAnswer::NotDone => {
            let after = pause(activity);
            again(activity, moment.now + after)
        }
        ProbeAnswer::Unknown { reason } => ActivityState::Uncertain(format!("{lost}; {reason}")),
    }
}

/// What becomes of an activity by an operator's decision.
fn resolved(activity: &mut Activity, resolution: &Resolution, moment: Moment) -> ActivityState {
    activity.resolved = Some(Resolved {
        id: resolution.id.clone(),
        decision: resolution.decision.word().to_owned(),
        attempt: activity.attempt,
        at: moment.now,
    });
    match &resolution.decision {
        Decision::Retry => {
            // The losses before are dealt with.
            activity.lost = 0;
            again(activity, moment.now)
        }
        Decision::Accept(output) => ActivityState::Completed(output.clone()),
        Decision::Skip => ActivityState::Skipped,
        Decision::Fail { reason } => ActivityState::Failed(Fault::new(
            FaultKind::Runtime,
            "Failed by an operator",
            reason.clone().unwrap_or_else(|| "it is not known whether it was done".to_owned()),
            "",
        )),
    }
}

/// The next attempt, at this time: under a new token, with a start marker of its own.
fn again(activity: &mut Activity, at: u64) -> ActivityState {
    activity.attempt += 1;
    activity.marker = None;
    ActivityState::Retrying(at)
}

/// How long to wait before an activity that was lost is done again, in milliseconds.
fn pause(activity: &Activity) -> u64 {
    // The first loss is mostly a restart of the node; an activity that kills its host gets slower and slower.
    if activity.lost <= 1 { 0 } else { 100_u64 << activity.lost.min(10) }
}
