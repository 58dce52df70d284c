//! The bounded queue before a thread: callers never wait, the thread takes all that is waiting at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sync::lock;

/// How much room something takes: in number, and in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Cost {
    fn plus(self, other: Cost) -> Cost {
        Cost { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Cost) -> Cost {
        Cost { count: self.count - other.count, bytes: self.bytes - other.bytes }
    }

    fn within(self, limit: Cost) -> bool {
        self.count <= limit.count && self.bytes <= limit.bytes
    }
}

/// Why a queue does not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
}

struct Inner<T> {
    items: VecDeque<(T, Cost)>,
    waiting: Cost,
    closed: bool,
    /// How many threads sleep, so that a push pays for a wake-up only when one is needed.
    asleep: usize,
    /// How many items must wait before a sleeper is woken.
    wanted: usize,
}

/// How long to wait for how many items once there is one: senders that were answered together tend to come back
/// together, and what shares a flush costs less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Linger {
    pub(super) items: usize,
    pub(super) at_most: Duration,
}

/// A bounded queue of many senders.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    ready: Condvar,
    limit: Cost,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: Cost) -> Self {
        let inner =
            Inner { items: VecDeque::new(), waiting: Cost::default(), closed: false, asleep: 0, wanted: 1 };
        Queue { inner: Mutex::new(inner), ready: Condvar::new(), limit }
    }

    /// Adds an item, unless the queue is full. An empty queue takes anything: what is over the limit by itself
    /// would never fit otherwise.
    pub(super) fn push(&self, item: T, cost: Cost) -> Result<(), Refusal> {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Err(Refusal::Closed);
        }
        let waiting = inner.waiting.plus(cost);
        if !inner.items.is_empty() && !waiting.within(self.limit) {
            return Err(Refusal::Full);
        }
        inner.waiting = waiting;
        inner.items.push_back((item, cost));
        let wake = inner.asleep > 0 && inner.items.len() >= inner.wanted;
        drop(inner);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Adds an item whatever the limit, for a sender that is bounded by itself.
    pub(super) fn push_always(&self, item: T) -> Result<(), Refusal> {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Err(Refusal::Closed);
        }
        inner.items.push_back((item, Cost::default()));
        // Nobody lingers before it.
        inner.wanted = 1;
        drop(inner);
        self.ready.notify_one();
        Ok(())
    }

    /// Moves what is waiting into `into`, in order, up to `most` (but at least one item); waits if there is
    /// nothing, and lingers for more as told. Answers whether there is anything, which is false only once the queue is closed and empty.
    pub(super) fn take(&self, most: Cost, linger: Linger, into: &mut Vec<T>) -> bool {
        let mut inner = lock(&self.inner);
        inner.wanted = 1;
        while inner.items.is_empty() {
            if inner.closed {
                return false;
            }
            inner.asleep += 1;
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.asleep -= 1;
        }
        if inner.items.len() < linger.items && !inner.closed {
            inner.wanted = linger.items;
            inner.asleep += 1;
            let few = |inner: &mut Inner<T>| inner.items.len() < inner.wanted && !inner.closed;
            (inner, _) = self
                .ready
                .wait_timeout_while(inner, linger.at_most, few)
                .unwrap_or_else(PoisonError::into_inner);
            inner.asleep -= 1;
        }
        let mut taken = Cost::default();
        while let Some((item, cost)) = inner.items.pop_front() {
            let with = taken.plus(cost);
            if !into.is_empty() && !with.within(most) {
                inner.items.push_front((item, cost));
                break;
            }
            taken = with;
            into.push(item);
        }
        inner.waiting = inner.waiting.minus(taken);
        true
    }

    /// Takes nothing more; what is waiting is still handed out.
    pub(super) fn close(&self) {
        lock(&self.inner).closed = true;
        self.ready.notify_all();
    }

    /// Takes nothing more and drops what is waiting, which tells those who wait for it.
    pub(super) fn abandon(&self) {
        let mut inner = lock(&self.inner);
        inner.closed = true;
        inner.waiting = Cost::default();
        let dropped = std::mem::take(&mut inner.items);
        drop(inner);
        self.ready.notify_all();
        drop(dropped);
    }
}

/// Abandons a queue when its thread ends, however it ends: nobody shall wait for a thread that is gone.
pub(super) struct AbandonOnDrop<'a, T>(pub(super) &'a Queue<T>);

impl<T> Drop for AbandonOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Cost = Cost { count: 1, bytes: 10 };

    #[test]
    fn it_is_bounded_by_count_and_by_bytes() {
        let queue = Queue::new(Cost { count: 2, bytes: 25 });
        assert_eq!(queue.push(1, ONE), Ok(()));
        assert_eq!(queue.push(2, Cost { count: 1, bytes: 16 }), Err(Refusal::Full));
        assert_eq!(queue.push(2, ONE), Ok(()));
        assert_eq!(queue.push(3, ONE), Err(Refusal::Full));
        let mut taken = Vec::new();
        assert!(queue.take(Cost { count: 1, bytes: 1000 }, Linger::default(), &mut taken));
        assert_eq!(taken, [1]);
        assert_eq!(queue.push(4, ONE), Ok(()), "there is room again");
    }

    #[test]
    fn an_item_over_the_limit_passes_alone() {
        let queue = Queue::new(Cost { count: 2, bytes: 25 });
        let huge = Cost { count: 9, bytes: 900 };
        assert_eq!(queue.push(1, huge), Ok(()));
        assert_eq!(queue.push(2, ONE), Err(Refusal::Full));
        let mut taken = Vec::new();
        assert!(queue.take(ONE, Linger::default(), &mut taken));
        assert_eq!(taken, [1]);
    }

    #[test]
    fn closed_it_hands_out_what_waits_and_then_ends() {
        let queue = Queue::new(Cost { count: 2, bytes: 25 });
        assert_eq!(queue.push(1, ONE), Ok(()));
        queue.close();
        assert_eq!(queue.push(2, ONE), Err(Refusal::Closed));
        let mut taken = Vec::new();
        assert!(queue.take(ONE, Linger::default(), &mut taken));
        assert!(!queue.take(ONE, Linger::default(), &mut taken));
    }

    #[test]
    fn lingering_ends_with_the_last_that_was_expected() {
        let queue = Queue::new(Cost { count: 10, bytes: 100 });
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for item in 0..3 {
                    assert_eq!(queue.push(item, ONE), Ok(()));
                }
            });
            let linger = Linger { items: 3, at_most: Duration::from_secs(600) };
            assert!(queue.take(Cost { count: 10, bytes: 100 }, linger, &mut taken));
        });
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn lingering_ends_in_time() {
        let queue = Queue::new(Cost { count: 10, bytes: 100 });
        assert_eq!(queue.push(1, ONE), Ok(()));
        let linger = Linger { items: 3, at_most: Duration::from_millis(1) };
        let mut taken = Vec::new();
        assert!(queue.take(ONE, linger, &mut taken));
        assert_eq!(taken, [1]);
    }
}
