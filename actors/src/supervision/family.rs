//! The children of one supervisor and the rules for them. Pure: time is a parameter, chance comes from a seed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{Budget, ChildSpec, ExitReason, Regime, Restart};

/// What the supervisor has to do because a child ended.
#[derive(Clone, Debug, PartialEq)]
pub enum SupervisorAction {
    /// Start the child again after this wait.
    RestartAfter(Duration),
    /// Forget the child: it is finished.
    Remove,
    /// Leave the child alone until someone releases it.
    Quarantine(String),
    /// End abnormally, after the siblings were stopped.
    Escalate(String),
}

/// Where a child stands.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildState {
    /// It lives (or is being started).
    Running,
    /// It ended, and will be started at this time since the supervisor's start.
    Restarting {
        /// When.
        at: Duration,
    },
    /// It exceeded its intensity.
    Quarantined {
        /// What happened last.
        reason: String,
    },
    /// It was asked to end.
    Stopping,
}

/// What a console shows of a child.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildStatus {
    /// Of its spec.
    pub name: String,
    /// Of its spec.
    pub kind: &'static str,
    /// Where it stands.
    pub state: ChildState,
    /// All restarts so far.
    pub restarts: u64,
    /// How it ended last, if it ever ended abnormally.
    pub last_error: Option<String>,
    /// When it was last started, since the supervisor's start.
    pub started_at: Duration,
}

/// The children of one supervisor, in the order of their start.
#[derive(Debug)]
pub struct Family {
    regime: Regime,
    seed: u64,
    started: u64,
    by_name: HashMap<String, u64>,
    members: BTreeMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    spec: ChildSpec,
    state: ChildState,
    budget: Budget,
    restarts: u64,
    last_error: Option<String>,
    started_at: Duration,
}

impl Family {
    /// An empty family. The seed only spreads its waits.
    pub fn new(regime: Regime, seed: u64) -> Self {
        Self { regime, seed, started: 0, by_name: HashMap::new(), members: BTreeMap::new() }
    }

    /// Adds a child that is being started now; false if the name is taken.
    pub fn add(&mut self, spec: ChildSpec, now: Duration) -> bool {
        if self.by_name.contains_key(&spec.name) {
            return false;
        }
        self.started += 1;
        self.by_name.insert(spec.name.clone(), self.started);
        let member = Member {
            spec,
            state: ChildState::Running,
            budget: Budget::default(),
            restarts: 0,
            last_error: None,
            started_at: now,
        };
        self.members.insert(self.started, member);
        true
    }

    /// Decides what follows from the end of a child; nothing for an unknown one.
    pub fn on_exit(&mut self, name: &str, reason: &ExitReason, now: Duration) -> Vec<SupervisorAction> {
        let (regime, seed) = (self.regime, self.seed);
        let Some(member) = self.member(name) else { return Vec::new() };
        if reason.is_abnormal() {
            member.last_error = Some(reason.to_string());
        }
        let again = match member.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => reason.is_abnormal(),
            Restart::Temporary => false,
        };
        if !again || member.state == ChildState::Stopping {
            self.remove(name);
            return vec![SupervisorAction::Remove];
        }
        if !member.budget.spend(member.spec.intensity, now) {
            let reason = format!("{reason} (beyond {})", member.spec.intensity);
            return vec![match regime {
                Regime::Escalate => SupervisorAction::Escalate(format!("{name}: {reason}")),
                Regime::Quarantine => {
                    member.state = ChildState::Quarantined { reason: reason.clone() };
                    SupervisorAction::Quarantine(reason)
                }
            }];
        }
        let delay = member.plan_restart(now, seed);
        vec![SupervisorAction::RestartAfter(delay)]
    }

    /// Turns a waiting child into a running one; false if it was not waiting for just this restart.
    pub fn restarted(&mut self, name: &str, nth: u64, now: Duration) -> bool {
        match self.member(name) {
            Some(member)
                if member.restarts == nth && matches!(member.state, ChildState::Restarting { .. }) =>
            {
                member.state = ChildState::Running;
                member.started_at = now;
                true
            }
            _ => false,
        }
    }

    /// Gives a quarantined child a new budget and has it started; false if it is not quarantined.
    pub fn release(&mut self, name: &str, now: Duration) -> bool {
        match self.member(name) {
            Some(member) if matches!(member.state, ChildState::Quarantined { .. }) => {
                member.budget.renew();
                member.restarts += 1;
                member.state = ChildState::Running;
                member.started_at = now;
                true
            }
            _ => false,
        }
    }

    /// From now on the child's end, however it comes, is wanted.
    pub fn stopping(&mut self, name: &str) {
        if let Some(member) = self.member(name) {
            member.state = ChildState::Stopping;
        }
    }

    /// Forgets a child.
    pub fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some_and(|id| self.members.remove(&id).is_some())
    }

    /// The spec of a child.
    pub fn spec(&self, name: &str) -> Option<&ChildSpec> {
        self.members.get(self.by_name.get(name)?).map(|member| &member.spec)
    }

    /// What a console shows of one child.
    pub fn status(&self, name: &str) -> Option<ChildStatus> {
        self.members.get(self.by_name.get(name)?).map(Member::status)
    }

    /// What a console shows of all, in the order of their start.
    pub fn tree(&self) -> Vec<ChildStatus> {
        self.members.values().map(Member::status).collect()
    }

    /// The names of all children, those started last first: the order in which they are stopped.
    pub fn stop_order(&self) -> Vec<String> {
        self.members.values().rev().map(|member| member.spec.name.clone()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        debug_assert_eq!(self.members.len(), self.by_name.len());
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn member(&mut self, name: &str) -> Option<&mut Member> {
        self.members.get_mut(self.by_name.get(name)?)
    }
}

impl Member {
    fn plan_restart(&mut self, now: Duration, seed: u64) -> Duration {
        self.restarts += 1;
        let delay =
            self.spec.backoff.delay(self.budget.spent(), chance(seed, &self.spec.name, self.restarts));
        self.state = ChildState::Restarting { at: now + delay };
        delay
    }

    fn status(&self) -> ChildStatus {
        ChildStatus {
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            state: self.state.clone(),
            restarts: self.restarts,
            last_error: self.last_error.clone(),
            started_at: self.started_at,
        }
    }
}

/// A number between 0 and 1 that differs between children and between their restarts, and is the same for the
/// same seed.
fn chance(seed: u64, name: &str, restarts: u64) -> f64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (seed, name, restarts).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}
