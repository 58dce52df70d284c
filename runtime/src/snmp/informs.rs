//! Informs that are on their way to the log, and those that are durable: only the latter are acknowledged.
//!
//! The library asks at once whether to acknowledge. So the listener's thread waits a moment, which is enough when the store is
//! well; otherwise it goes on, and the sender, which hears nothing, repeats the inform, and finds it durable by then.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many are remembered.
const REMEMBERED: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Durable,
}

#[derive(Default)]
struct Known {
    states: HashMap<String, State>,
    order: VecDeque<String>,
    /// The last one took longer than the listener waits: nobody is waited for until one is durable again.
    slow: bool,
}

/// What is known of informs, by their ids. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Informs(Arc<(Mutex<Known>, Condvar)>);

impl Informs {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an inform; false if it is known.
    pub(super) fn note(&self, id: &str) -> bool {
        let mut known = self.lock();
        if known.states.contains_key(id) {
            return false;
        }
        known.states.insert(id.to_owned(), State::Pending);
        known.order.push_back(id.to_owned());
        while known.order.len() > REMEMBERED {
            // One that is repeated after that is given to the log again, which knows its id.
            if let Some(oldest) = known.order.pop_front() {
                known.states.remove(&oldest);
            }
        }
        true
    }

    /// Forgets one that did not get into the queue.
    pub(super) fn forget(&self, id: &str) {
        let mut known = self.lock();
        known.states.remove(id);
        known.order.retain(|other| other != id);
    }

    /// Notes that one is durable.
    pub(super) fn durable(&self, id: &str) {
        let mut known = self.lock();
        if let Some(state) = known.states.get_mut(id) {
            *state = State::Durable;
        }
        known.slow = false;
        self.0.1.notify_all();
    }

    /// Waits up to `patience` until one is durable. Blocks: for the listener's own thread alone.
    pub(super) fn await_durable(&self, id: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut known = self.lock();
        loop {
            if known.states.get(id) == Some(&State::Durable) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if known.slow || left.is_zero() {
                known.slow = true;
                return false;
            }
            known = self.0.1.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn one_is_waited_for_until_it_is_durable_and_a_slow_log_is_not() {
        let informs = Informs::default();
        assert!(informs.note("a") && !informs.note("a"));
        let other = informs.clone();
        let storing = std::thread::spawn(move || other.durable("a"));
        assert!(informs.await_durable("a", LONG));
        storing.join().unwrap();
        assert!(informs.note("b"));
        assert!(!informs.await_durable("b", Duration::from_millis(1)));
        let began = Instant::now();
        assert!(!informs.await_durable("b", LONG));
        assert!(began.elapsed() < LONG / 2, "nobody waits for a slow log");
        informs.durable("b");
        assert!(informs.await_durable("b", Duration::ZERO), "the repetition");
        informs.forget("b");
        assert!(informs.note("b"), "the queue was full");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let informs = Informs::default();
        for number in 0..REMEMBERED + 10 {
            assert!(informs.note(&number.to_string()));
        }
        let known = informs.lock();
        assert_eq!((known.states.len(), known.order.len()), (REMEMBERED, REMEMBERED));
    }
}
