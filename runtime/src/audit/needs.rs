//! What a stored actor needs in order to be woken: read from its row alone.
//!
//! The types are those of the stored form; the walk over them and the reckoning are the auditor's own, so that what the
//! engine forgets is not forgotten here too.

use impresario_model::definition::{Definition, Watch};
use impresario_model::instance::{
    Activity, ActivityState, BranchState, Instance, ListRun, Place, Status, TaskRun, TaskState, TryPhase,
    rfc3339, token_of,
};
use impresario_model::trigger::Trigger;

use super::calendar;

/// What has to be there for an actor to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A timer at this time, in milliseconds since the Unix epoch.
    Timer(u64),
    /// Somebody who has an attempt.
    Attempt {
        /// Its adapter.
        adapter: String,
        /// Its token.
        token: String,
        /// The activity.
        activity: u64,
    },
    /// A place, or a place in the line, at a target.
    Place {
        /// The target.
        target: String,
        /// The activity.
        activity: u64,
    },
    /// An entry among the listeners of a subscription.
    Subscription {
        /// Its key.
        key: String,
        /// The listener.
        listener: u64,
        /// Whether it was told that it listens.
        holds: bool,
    },
    /// A turn, or a place in the line for one.
    Turn(String),
    /// The end of an instance.
    End(String),
    /// The entry that makes it go on.
    Continue,
    /// An operator, who is told so.
    Operator,
    /// Nothing can help: what is stored contradicts itself.
    Contradiction(String),
}

/// What an instance needs that has not ended. There is always something.
pub fn of_instance(instance: &Instance) -> Vec<Need> {
    if matches!(instance.status, Status::Completed | Status::Faulted | Status::Cancelled) {
        return Vec::new();
    }
    let mut walk = Walk { instance, needs: Vec::new(), times: instance.deadline.into_iter().collect() };
    if let Some(root) = &instance.root {
        walk.list(root, "the instance");
    }
    for activity in &instance.activities.kept {
        if let ActivityState::Retrying(at) = activity.state {
            walk.times.push(at);
        }
    }
    let Walk { mut needs, times, .. } = walk;
    if let Some(held) = instance.held_turn.as_ref().filter(|held| held.asked.is_some()) {
        needs.push(Need::Turn(held.of.to_string()));
    }
    if instance.continuing {
        needs.push(Need::Continue);
    }
    // The time limit of the whole does not count: it ends an instance that is stuck, and wakes it for nothing else.
    let waits = !needs.is_empty() || times.len() > usize::from(instance.deadline.is_some());
    needs.extend(times.into_iter().min().map(Need::Timer));
    if !waits {
        needs.push(Need::Contradiction("it waits for nothing, and has not ended".to_owned()));
    }
    needs
}

struct Walk<'a> {
    instance: &'a Instance,
    needs: Vec<Need>,
    times: Vec<u64>,
}

impl Walk<'_> {
    fn contradiction(&mut self, what: String) {
        self.needs.push(Need::Contradiction(what));
    }

    /// What has not begun yet is begun by the turn that comes, and there has to be one.
    fn not_begun(&mut self, what: &str) {
        if !self.instance.continuing {
            self.contradiction(format!(
                "a part of {what} has not begun, and no turn is to come that begins it"
            ));
        }
    }

    fn list(&mut self, list: &ListRun, of: &str) {
        match &list.current {
            Some(task) => self.task(task),
            None => self.not_begun(of),
        }
    }

    fn task(&mut self, task: &TaskRun) {
        self.times.extend(task.deadline);
        let of = format!("task {}", task.task.0);
        match &task.state {
            TaskState::Do(list) => self.list(list, &of),
            TaskState::For(run) => match &run.body {
                Some(list) => self.list(list, &of),
                None => self.not_begun(&of),
            },
            TaskState::FanOut(run) => {
                if run.running.is_empty() {
                    self.not_begun(&of);
                }
                run.running.iter().for_each(|one| self.list(&one.body, &of));
            }
            TaskState::Fork(branches) => {
                for branch in branches {
                    match &branch.state {
                        BranchState::Ready(_) => self.not_begun(&of),
                        BranchState::Running(task) => self.task(task),
                        BranchState::Done(_) => {}
                    }
                }
            }
            TaskState::Try(run) => match &run.phase {
                TryPhase::Body(list) => {
                    self.times.extend(run.attempt_deadline);
                    self.list(list, &of);
                }
                TryPhase::Backoff { until, .. } => self.times.push(*until),
                TryPhase::Catch { list, .. } => self.list(list, &of),
            },
            TaskState::Wait(until) => self.times.push(*until),
            TaskState::Activity(number) | TaskState::Selecting(number) => self.activity(*number),
            TaskState::Listen(run) => match &run.current {
                Some(handling) => self.list(&handling.body, &of),
                None => self.listener(run.listener, &of),
            },
            TaskState::Function(run) => match &run.body {
                Some(task) => self.task(task),
                None => self.not_begun(&of),
            },
        }
    }

    fn activity(&mut self, number: u64) {
        let found = self.instance.activities.kept.iter().find(|activity| activity.number == number);
        let Some(activity) = found else {
            return self.contradiction(format!("it waits for activity {number}, of which it knows nothing"));
        };
        let need = match &activity.state {
            ActivityState::Running if activity.place == Some(Place::Asked) => self.place(activity),
            ActivityState::Running | ActivityState::Probing(_) => Need::Attempt {
                adapter: activity.adapter.clone(),
                token: token_of(&self.instance.id, number, activity.attempt),
                activity: number,
            },
            ActivityState::Retrying(_) if activity.place == Some(Place::Asked) => self.place(activity),
            // Its time is among the others'.
            ActivityState::Retrying(_) => return,
            ActivityState::Uncertain(_) => Need::Operator,
            ActivityState::Completed(_)
            | ActivityState::Failed(_)
            | ActivityState::Skipped
            | ActivityState::Cancelled => {
                if self.instance.continuing {
                    return;
                }
                Need::Contradiction(format!("activity {number} has ended, and its task has not seen it"))
            }
        };
        self.needs.push(need);
    }

    fn place(&self, activity: &Activity) -> Need {
        match &activity.target {
            Some(target) => Need::Place { target: target.clone(), activity: activity.number },
            None => {
                Need::Contradiction(format!("activity {} waits for a place at no target", activity.number))
            }
        }
    }

    fn listener(&mut self, number: u64, of: &str) {
        let found = self.instance.listeners.open.iter().find(|listener| listener.number == number);
        let Some(listener) = found else {
            return self.contradiction(format!("{of} listens, and its listener {number} is gone"));
        };
        if listener.places.is_empty() && !self.instance.continuing {
            return self.contradiction(format!("{of} listens nowhere"));
        }
        for place in &listener.places {
            self.needs.push(Need::Subscription {
                key: place.subscription.clone(),
                listener: number,
                holds: place.holds,
            });
        }
    }
}

/// What a trigger watches, as far as it is of interest here.
#[derive(Clone, Debug)]
pub struct Schedule {
    watch: Watch,
    zone: String,
}

impl Schedule {
    /// That of a trigger; nothing of one that watches events.
    pub fn of(trigger: &str, definition: &Definition) -> Option<Schedule> {
        let spec = definition.triggers.iter().find(|spec| spec.name == trigger)?;
        let zone = definition.ops.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        (!matches!(spec.watch, Watch::Event(_))).then(|| Schedule { watch: spec.watch.clone(), zone })
    }
}

/// What a trigger needs that watches the time; one that watches events is woken by its router.
///
/// `applied` is when it was changed last, in milliseconds since the Unix epoch.
pub fn of_trigger(trigger: &Trigger, schedule: Option<&Schedule>, applied: u64) -> Vec<Need> {
    if trigger.definition.is_none() || trigger.problem.is_some() || trigger.paused.is_some() {
        return Vec::new();
    }
    if schedule.is_none() && trigger.next.is_none() && trigger.waits_for.is_none() {
        return Vec::new();
    }
    if let Some(instance) = &trigger.waits_for {
        return vec![Need::End(instance.clone())];
    }
    let owed = trigger.owed.as_ref().filter(|owed| !owed.times.is_empty()).map(|owed| owed.at);
    let mut needs: Vec<Need> =
        owed.into_iter().chain(trigger.next).min().map(Need::Timer).into_iter().collect();
    match (trigger.next, schedule) {
        (None, _) => {
            needs.push(Need::Contradiction(format!("it watches {}, and has no next time", trigger.watches)))
        }
        (Some(next), Some(Schedule { watch, zone })) => {
            if let Some(missed) = calendar::between(watch, zone, trigger.calendar.as_ref(), applied, next) {
                needs.push(Need::Contradiction(format!(
                    "by its calendar it is to fire at {}, and it is set for {}",
                    rfc3339(missed),
                    rfc3339(next)
                )));
            }
        }
        (Some(_), None) => {}
    }
    needs
}
