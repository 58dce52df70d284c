//! What a supervisor is told about a child, checked before anything is started.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A budget of more restarts than this is no budget; it also bounds what is remembered of each child.
const RESTARTS_MAX: u32 = 1_000;

/// How a child is started again, and for how long that is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildSpec {
    /// Unique among its siblings.
    pub name: String,
    /// What sort of thing it is, for people: `host`, `shard` …
    pub kind: &'static str,
    /// Which ends call for a restart.
    pub restart: Restart,
    /// How many restarts in which time are still normal life.
    pub intensity: Intensity,
    /// How long to wait before each of them.
    pub backoff: Backoff,
    /// How long the child may take to finish its queue when it is stopped; then it is killed.
    pub shutdown: Duration,
}

/// Which ends of a child call for a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// All of them.
    Permanent,
    /// The abnormal ones.
    Transient,
    /// None.
    Temporary,
}

/// The restarts that are tolerated: one more than `restarts` within `period` is too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// How many.
    pub restarts: u32,
    /// Within how long.
    pub period: Duration,
}

/// What is left of an [`Intensity`]: the times of what counted within its period.
#[derive(Debug, Default)]
pub struct Budget {
    /// At most as many as are tolerated.
    recent: VecDeque<Duration>,
}

impl Budget {
    /// Counts one more at this time since any fixed moment; false if that is beyond the intensity, and then it is not
    /// counted.
    pub fn spend(&mut self, intensity: Intensity, now: Duration) -> bool {
        while self.recent.front().is_some_and(|&then| now.saturating_sub(then) >= intensity.period) {
            self.recent.pop_front();
        }
        let left = self.recent.len() < intensity.restarts as usize;
        if left {
            self.recent.push_back(now);
        }
        left
    }

    /// How many count at the moment.
    pub fn spent(&self) -> u32 {
        self.recent.len() as u32
    }

    /// Forgets them all.
    pub fn renew(&mut self) {
        self.recent.clear();
    }
}

/// The wait before a restart: doubled with each restart within the intensity's period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Before the first restart.
    pub initial: Duration,
    /// It never grows beyond this.
    pub max: Duration,
    /// The share of the wait, 0 to 1, that is left to chance, so that children that fell together do not rise
    /// together.
    pub jitter: f64,
}

/// What happens when a child exceeds its intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// The supervisor stops its other children, ends abnormally and so tells its owner: for infrastructure.
    Escalate,
    /// The child is set aside, visibly, and no sibling notices: for what users bring.
    Quarantine,
}

/// Why a [`ChildSpec`] is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name is empty.
    #[error("a child needs a name")]
    NoName,
    /// A budget without a period, or too large to mean anything.
    #[error("{name}: the intensity must be at most {RESTARTS_MAX} restarts in a period above zero")]
    Intensity {
        /// Of the child.
        name: String,
    },
    /// The back-off contradicts itself.
    #[error("{name}: the back-off must begin with at most its maximum, and its jitter lie between 0 and 1")]
    Backoff {
        /// Of the child.
        name: String,
    },
    /// The waits alone take longer than the period, so the budget could never be exceeded.
    #[error(
        "{name}: {restarts} restarts with this back-off take longer than {period:?}, so the child would be \
         restarted for ever: lengthen the period or shorten the back-off"
    )]
    Unreachable {
        /// Of the child.
        name: String,
        /// As given.
        restarts: u32,
        /// As given.
        period: Duration,
    },
}

impl ChildSpec {
    /// Refuses what could not work, before it fails at night.
    pub fn validate(&self) -> Result<(), SpecError> {
        let name = || self.name.clone();
        let Intensity { restarts, period } = self.intensity;
        if self.name.is_empty() {
            return Err(SpecError::NoName);
        }
        if period.is_zero() || restarts > RESTARTS_MAX {
            return Err(SpecError::Intensity { name: name() });
        }
        if self.backoff.initial > self.backoff.max || !(0.0..=1.0).contains(&self.backoff.jitter) {
            return Err(SpecError::Backoff { name: name() });
        }
        let waits: Duration = (1..=restarts).map(|nth| self.backoff.longest(nth)).sum();
        if waits >= period && restarts > 0 {
            return Err(SpecError::Unreachable { name: name(), restarts, period });
        }
        Ok(())
    }
}

impl fmt::Display for Intensity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} restarts in {:?}", self.restarts, self.period)
    }
}

impl Backoff {
    /// The wait before the nth restart (from 1) without jitter.
    fn longest(&self, nth: u32) -> Duration {
        let doublings = nth.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }

    /// The wait before the nth restart (from 1), where `chance` lies between 0 and 1.
    pub fn delay(&self, nth: u32, chance: f64) -> Duration {
        debug_assert!((0.0..=1.0).contains(&chance), "chance {chance}");
        self.longest(nth).mul_f64(1.0 - self.jitter * chance)
    }
}
