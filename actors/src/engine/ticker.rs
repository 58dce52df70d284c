//! One task that tells the shards of a node when time has passed for them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Shards;
use crate::clock::Clock;
use crate::post::Post;
use crate::shard::ShardMessage;
use crate::task::{TaskKind, spawn};

/// Ticks a shard when one of its timers is due, when attempts wait for room, and at least every `longest`.
pub(super) fn start(
    post: Post,
    shards: Shards,
    clock: Clock,
    tick: Duration,
    longest: Duration,
) -> JoinHandle<()> {
    spawn(TaskKind::Ticker, async move {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = vec![Instant::now(); post.gauges().len()];
        let half = longest / 2;
        loop {
            ticks.tick().await;
            let now = clock.now();
            for (number, gauge) in post.gauges().iter().enumerate() {
                let due = gauge.next_due.load(Ordering::Relaxed) <= now
                    || gauge.waiting_runs.load(Ordering::Relaxed) > 0
                    || last[number].elapsed() >= half;
                if !due {
                    continue;
                }
                last[number] = Instant::now();
                // The shard sets this again when it has looked; until then one tick is enough.
                gauge.next_due.store(u64::MAX, Ordering::Relaxed);
                let shard = shards.get(&(number as u16)).map(|shard| shard.value().clone());
                // A shard that is being restarted is told at its next tick.
                let _ = shard.map(|shard| shard.cast(ShardMessage::Tick));
            }
        }
    })
}
