//! An operator's decision about the times that a schedule missed.

use std::collections::BTreeSet;

use impresario_model::definition::Misfire;
use impresario_model::entry::TriggerEvent;
use impresario_model::instance::{from_rfc3339, rfc3339};
use impresario_model::trigger::{Choice, Missed, Plan};

use super::local::Local;
use crate::catch_up::{ApproveRequest, Chosen, MissedDetail, PlanDetail, TIMES_SHOWN, Word};
use crate::orchestrator::Refusal;
use crate::triggers::TriggerDetail;

impl Local {
    /// The event that carries a decision out. It has to be about the plan as it is.
    pub(super) async fn approval(
        &self,
        name: &str,
        request: &ApproveRequest,
    ) -> Result<TriggerEvent, Refusal> {
        let Some(plan) = self.find_trigger(name).await?.plan else {
            return Err(Refusal::Conflict(format!(
                "expected missed times of {name} that wait for a decision, found none"
            )));
        };
        let id = plan.id.parse().ok().filter(|_| plan.id == request.plan);
        let Some(id) = id else {
            return Err(Refusal::Conflict(format!(
                "the plan of {name} is another one since plan {}: look at it again, and decide about that",
                request.plan
            )));
        };
        let choice = match &request.fire {
            Chosen::Word(Word::All) => Choice::All,
            Chosen::Word(Word::Last) => Choice::Last,
            Chosen::Word(Word::None) => Choice::None,
            Chosen::Times(wanted) => Choice::Times(times(&plan, wanted)?),
        };
        Ok(TriggerEvent::Approve { plan: id, choice })
    }
}

/// The times of a plan that are wanted.
fn times(plan: &PlanDetail, wanted: &[String]) -> Result<BTreeSet<u64>, Refusal> {
    let known: BTreeSet<u64> = plan.times.iter().filter_map(|at| from_rfc3339(at)).collect();
    let one = |text: &String| {
        from_rfc3339(text).filter(|at| known.contains(at)).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            let such = plan.times.first().cloned().unwrap_or_default();
            Refusal::Invalid(format!("expected times that the plan lists, such as {such}, found '{shown}'"))
        })
    };
    if wanted.is_empty() {
        return Err(Refusal::Invalid(
            "expected at least one time, or all, last or none, found nothing".to_owned(),
        ));
    }
    wanted.iter().map(one).collect()
}

/// Whether a decision about a plan was carried out.
pub(super) fn decided(shown: &TriggerDetail, plan: &str) -> bool {
    shown.plan.as_ref().is_none_or(|waiting| waiting.id != plan)
}

/// A plan as people see it.
pub(super) fn plan_detail(plan: &Plan) -> PlanDetail {
    PlanDetail {
        id: plan.id.to_string(),
        since: rfc3339(plan.since),
        times: plan.times.iter().take(TIMES_SHOWN).map(|at| rfc3339(*at)).collect(),
        more: plan.more,
        last: rfc3339(plan.last),
    }
}

/// What was missed as people see it.
pub(super) fn missed_detail(missed: &Missed) -> MissedDetail {
    let rule = match missed.rule {
        Misfire::Skip => "skip",
        Misfire::FireOnce => "fireOnce",
        Misfire::FireAll => "fireAll",
        Misfire::Plan => "plan",
    };
    MissedDetail {
        at: rfc3339(missed.at),
        first: rfc3339(missed.first),
        last: rfc3339(missed.last),
        count: missed.count,
        more: missed.more,
        rule: rule.to_owned(),
    }
}
