//! The lease: until when this node may start things in the world, by its own monotonic clock.
//!
//! A node whose presence has expired is taken for dead, and its shards go to others. The store refuses whatever it still
//! writes, but nothing refuses a call that it makes to the world. So it stops by itself before its presence can expire.

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
mod tests;

/// This node's right to start side effects. Reading it is one load; it is shared by `Arc`.
#[derive(Debug)]
pub struct Lease {
    /// The monotonic time at which it ends, in milliseconds.
    deadline: AtomicU64,
    /// How long it lasts from the sending of a renewal, in milliseconds.
    length: u64,
}

impl Lease {
    /// A lease that was never renewed, and so does not hold, for presences that last `ttl_ms`.
    ///
    /// It ends a quarter of that early. The store counts the time from when it *takes* a renewal, which is after it was
    /// sent, so with equal clocks the lease would end before the presence without any margin. The margin is for what
    /// lies between looking at the lease and the effect: the thread that is not scheduled, the line that is written to
    /// a host; and for clocks that do not run at the same rate, which is far less. With renewals every quarter, two may
    /// be lost before the lease ends.
    pub fn new(ttl_ms: u64) -> Self {
        Lease { deadline: AtomicU64::new(0), length: ttl_ms - ttl_ms.div_ceil(4) }
    }

    /// A lease that always holds: of a node whose store has no other node.
    pub fn unlimited() -> Self {
        Lease { deadline: AtomicU64::new(u64::MAX), length: 0 }
    }

    /// The store has confirmed a renewal that was sent at `sent_ms`. One that was sent before another changes nothing.
    pub fn renewed(&self, sent_ms: u64) {
        self.deadline.fetch_max(sent_ms.saturating_add(self.length), Ordering::AcqRel);
    }

    /// Ends it now, until the next renewal: the store has said that this node is not there.
    pub fn revoke(&self) {
        self.deadline.store(0, Ordering::Release);
    }

    /// Whether something may be started at this monotonic time.
    pub fn holds(&self, now_ms: u64) -> bool {
        now_ms < self.deadline.load(Ordering::Acquire)
    }

    /// How long it still holds, in milliseconds.
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        self.deadline.load(Ordering::Acquire).saturating_sub(now_ms)
    }
}
