//! Events from senders who cannot be told to send again: held until they are durable, within bounds.
//!
//! A sender on a stream is not read from meanwhile, so it waits in its own `write`. Datagrams wait in a [`Queue`]; those
//! that find it full are lost, and [`Lost`] counts them where people look.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use impresario_model::event::CloudEvent;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, warn};

use crate::orchestrator::{Orchestrator, Refusal};

/// How many events are made durable together, at most.
pub(crate) const BATCH: usize = 256;
/// How long the log may take before the same events are given to it again: their ids are the same, so that nothing is
/// taken twice.
const PATIENCE: Duration = Duration::from_secs(30);
/// The shortest and the longest pause after a refusal.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often at most the log of the node tells of what it cannot take in.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long after the last loss it is an alarm.
const ALARM_FOR: Duration = Duration::from_secs(600);

/// Says, when it is dropped early, that what it stands for is lost.
struct Held {
    count: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.count > 0 {
            warn!(
                events = self.count,
                "the node ended before events that it had read were durable: they are lost"
            );
        }
    }
}

/// Makes events durable, however long that takes.
///
/// Dropping the future loses them, and tells so.
pub(crate) async fn take_in(orchestrator: &Arc<dyn Orchestrator>, events: Vec<CloudEvent>) {
    let mut held = Held { count: events.len() };
    // Together first: one refusal of all for what is wrong with one is settled one by one.
    if !take_group(orchestrator, &events).await {
        for event in events {
            let (source, id) = (event.source.clone(), event.id.clone());
            if !take_group(orchestrator, &[event]).await {
                error!(source, id, "an event that a listener has made is no event: it is lost");
            }
            held.count -= 1;
        }
    }
    held.count = 0;
}

/// False when they are refused for what they are.
async fn take_group(orchestrator: &Arc<dyn Orchestrator>, events: &[CloudEvent]) -> bool {
    let mut told: Option<Instant> = None;
    loop {
        let (pause, reason) = match timeout(PATIENCE, orchestrator.accept(events.to_vec())).await {
            Ok(Ok(_)) => return true,
            Ok(Err(
                Refusal::Busy { reason, retry_after_ms } | Refusal::Unavailable { reason, retry_after_ms },
            )) => (Duration::from_millis(retry_after_ms), reason),
            Ok(Err(refusal @ Refusal::NotMine)) => (PAUSE.0, refusal.to_string()),
            Ok(Err(Refusal::Invalid(_) | Refusal::NotFound(_) | Refusal::Conflict(_))) => return false,
            Err(_) => (PAUSE.0, "no answer of the log".to_owned()),
        };
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            warn!(events = events.len(), reason, "events of a listener wait: the log does not take them");
        }
        sleep(spread(pause.clamp(PAUSE.0, PAUSE.1))).await;
    }
}

/// A pause up to a quarter longer, so that those who were refused together do not come back together.
fn spread(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness they come back together, which is only worse.
    let _ = getrandom::fill(&mut byte);
    pause + pause * u32::from(byte[0]) / (4 * 255)
}

/// How many datagrams of a listener were lost, for those who look.
#[derive(Debug)]
pub struct Lost {
    /// Of which listener, such as `syslog`.
    listener: &'static str,
    /// Of what, and by which setting, such as `messages of syslog over UDP (setting syslog.queue)`.
    what: &'static str,
    count: AtomicU64,
    times: Mutex<LossTimes>,
}

#[derive(Debug, Default)]
struct LossTimes {
    last: Option<Instant>,
    told: Option<Instant>,
}

impl Lost {
    /// Nothing yet.
    pub fn new(listener: &'static str, what: &'static str) -> Arc<Lost> {
        Arc::new(Lost { listener, what, count: AtomicU64::new(0), times: Mutex::default() })
    }

    /// Of which listener, such as `syslog`.
    pub fn listener(&self) -> &'static str {
        self.listener
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The alarm, for some minutes after something was lost.
    pub fn alarm(&self) -> Option<String> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = times.last.is_some_and(|last| last.elapsed() < ALARM_FOR);
        recent.then(|| format!("{} {} were lost: more came than the log takes", self.count(), self.what))
    }

    fn add(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.last = Some(Instant::now());
        if times.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            times.told = times.last;
            warn!(count, what = self.what, "the queue is full, and datagrams are lost");
        }
    }
}

/// An event in a queue, and who is to hear that it is durable.
pub(crate) struct Waiting {
    pub(crate) event: CloudEvent,
    pub(crate) durable: Option<Box<dyn FnOnce() + Send>>,
}

/// Events of datagrams on their way to the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Waiting>,
    lost: Arc<Lost>,
}

impl Queue {
    /// A queue of so many, and its other end, which [`work_off`] empties.
    pub(crate) fn new(length: usize, lost: Arc<Lost>) -> (Queue, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(length);
        (Queue { sender, lost }, receiver)
    }

    /// Puts an event in; false when it is lost because there is no room.
    pub(crate) fn offer(&self, waiting: Waiting) -> bool {
        let taken = self.sender.try_send(waiting).is_ok();
        if !taken {
            self.lost.add();
        }
        taken
    }
}

/// Makes durable what is in a queue, in its order, until all its senders are gone and it is empty.
pub(crate) async fn work_off(mut queue: mpsc::Receiver<Waiting>, orchestrator: Arc<dyn Orchestrator>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut waiting, BATCH).await > 0 {
        let (events, durable): (Vec<_>, Vec<_>) =
            waiting.drain(..).map(|waiting| (waiting.event, waiting.durable)).unzip();
        take_in(&orchestrator, events).await;
        durable.into_iter().flatten().for_each(|tell| tell());
    }
}
