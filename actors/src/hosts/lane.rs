//! An adapter's ledger behind a lock, with the signals for those who wait: sessions for work, callers for room, the
//! reporter for reports. The lock is held for steps of the ledger only, never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use impresario_adapter::Manifest;
use impresario_adapter::message::{
    Answer, Observed, Probe, ProbeOutcome, Progress, RunAnswer, SavedState, Watch,
};
use ractor::ActorRef;
use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::host::Order;
use super::ledger::{Ledger, Refusal, RunPlace, Work};
use super::probes::Probes;
use super::saves::{STATE_BYTES_MAX, Saves};
use super::spec::HostSpec;
use super::status::{Counters, HostState, HostStatus};
use super::watches::{Seen, Watches};
use super::watching::Watching;
use crate::activity::{ActivityReport, ActivitySave, Outcome, RunRequest};
use crate::gate::Gate;
use crate::secrets::Mask;

/// One batch to the sink: large enough to share one append, small enough not to hold slots for long.
const REPORTS_MAX: usize = 256;
/// So much of what an attempt says of its progress is kept, in characters.
const PROGRESS_CHARS_MAX: usize = 500;

/// What the sink is to make durable: first what attempts saved, then how some of them ended.
pub(super) struct Outgoing {
    pub(super) saves: Vec<ActivitySave>,
    pub(super) reports: Vec<ActivityReport>,
}

pub(super) struct Lane {
    /// The adapter.
    pub(super) name: String,
    gate: Gate,
    inner: Mutex<Inner>,
    /// Changes whenever a session may have something to do, or a report became durable.
    work: watch::Sender<()>,
    room: watch::Sender<bool>,
    outbox: Notify,
}

struct Inner {
    spec: Arc<HostSpec>,
    /// An operator has stopped it: what comes waits, and no process is started.
    paused: bool,
    ledger: Ledger,
    probes: Probes,
    watches: Watches,
    saves: Saves,
    /// The last word of each attempt at work.
    progress: HashMap<String, Progress>,
    phase: Phase,
    host: Option<ActorRef<Order>>,
    /// The host was asked for a process and none is ready yet: asking again for each run would fill its mailbox.
    woken: bool,
    manifest: Option<Arc<Manifest>>,
    ready: Option<(u32, Instant)>,
    /// What the process that takes new work has in memory, with its children, in bytes.
    memory: Option<u64>,
    last_error: Option<String>,
    /// Hides the secrets that the processes of this adapter have been given, in what they say outside of answers.
    mask: Mask,
}

/// What the supervisor says of the host.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Up,
    Restarting,
    Quarantined(String),
    Stopped,
}

impl Lane {
    pub(super) fn new(spec: HostSpec, gate: Gate) -> Self {
        let name = spec.name.clone();
        let inner = Inner {
            ledger: Ledger::new(spec.concurrency, spec.queue),
            spec: Arc::new(spec),
            paused: false,
            probes: Probes::default(),
            watches: Watches::default(),
            saves: Saves::default(),
            progress: HashMap::new(),
            phase: Phase::Up,
            host: None,
            woken: false,
            manifest: None,
            ready: None,
            memory: None,
            last_error: None,
            mask: Mask::default(),
        };
        Self {
            name,
            gate,
            inner: Mutex::new(inner),
            work: watch::Sender::new(()),
            room: watch::Sender::new(true),
            outbox: Notify::new(),
        }
    }

    pub(super) fn accept(&self, request: RunRequest) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if let Some(resolved) = &request.resolved {
            inner.mask.add(&resolved.mask);
        }
        let accepted = inner.ledger.accept(request);
        if accepted == Err(Refusal::Busy) {
            // Under the lock, so that no taking of work can lie between the refusal and its sign.
            self.room.send_replace(false);
        }
        accepted?;
        inner.wake();
        drop(inner);
        self.work.send_replace(());
        Ok(())
    }

    /// A text of a process without the secrets that its adapter was given.
    pub(super) fn hidden(&self, text: String) -> String {
        let mask = self.lock().mask.clone();
        mask.text(text)
    }

    /// Has the sessions look for work again.
    pub(super) fn wake(&self) {
        self.work.send_replace(());
    }

    pub(super) fn reserve(&self, token: &str) -> bool {
        self.lock().ledger.reserve(token)
    }

    pub(super) fn unreserve(&self, token: &str) {
        self.lock().ledger.unreserve(token);
    }

    /// Takes a question on. The answer never comes if the host ends before it answers.
    pub(super) fn probe(&self, probe: Probe) -> Result<oneshot::Receiver<ProbeOutcome>, Refusal> {
        self.change(|inner| {
            if let Some(refusal) = inner.ledger.refusal() {
                return Err(refusal.clone());
            }
            let answer = inner.probes.ask(probe).ok_or(Refusal::Busy)?;
            inner.wake();
            Ok(answer)
        })
    }

    /// Takes something on that is to be observed, until what this answers is dropped.
    pub(super) fn watch(self: &Arc<Self>, name: &str, watch: Watch, mask: Mask) -> Result<Watching, Refusal> {
        let news = Arc::new(Notify::new());
        let key = self.change(|inner| {
            if let Some(refusal) = inner.ledger.refusal() {
                return Err(refusal.clone());
            }
            inner.mask.add(&mask);
            let key = inner.watches.ask(name, watch, mask, Arc::clone(&news)).ok_or(Refusal::Busy)?;
            inner.wake();
            Ok(key)
        })?;
        Ok(Watching { lane: Arc::clone(self), key, news })
    }

    /// A host has observed something.
    ///
    /// # Errors
    /// How it breaks the protocol.
    pub(super) fn observed(&self, generation: u64, observed: Observed) -> Result<(), String> {
        let mut inner = self.lock();
        inner.ledger.counters.observed += 1;
        let wanted = inner.watches.observed(generation, observed);
        inner.ledger.counters.observed_late += u64::from(wanted == Ok(false));
        drop(inner);
        if wanted.is_err() {
            self.work.send_replace(());
        }
        wanted.map(|_| ())
    }

    /// What was observed since the last look.
    pub(super) fn seen(&self, key: u64, max: usize) -> Option<Seen> {
        self.lock().watches.seen(key, max)
    }

    pub(super) fn taken(&self, key: u64, round: u64, count: u64, cursor: Option<Value>) {
        self.change(|inner| inner.watches.taken(key, round, count, cursor));
    }

    pub(super) fn forget_watch(&self, key: u64) {
        self.change(|inner| inner.watches.forget(key));
    }

    /// Whether a process observes this now.
    pub(super) fn observes(&self, name: &str) -> bool {
        self.lock().watches.is_open(name)
    }

    pub(super) fn place(&self, token: &str) -> Option<RunPlace> {
        self.lock().ledger.place(token)
    }

    pub(super) fn cancel(&self, token: &str) {
        self.change(|inner| inner.ledger.cancel(token));
    }

    /// A host that starts takes over: it is asked for a process if there is work.
    pub(super) fn attach(&self, host: ActorRef<Order>) {
        let mut inner = self.lock();
        inner.phase = Phase::Up;
        inner.host = Some(host);
        inner.woken = false;
        inner.wake();
    }

    /// Opens the next generation.
    pub(super) fn open(&self) -> u64 {
        let mut inner = self.lock();
        inner.woken = false;
        inner.ledger.open()
    }

    /// A process said hello and takes all new work from here on.
    pub(super) fn ready(&self, generation: u64, pid: u32, manifest: Manifest) {
        let slots = usize::try_from(manifest.concurrency).unwrap_or(usize::MAX);
        self.change(|inner| {
            inner.ledger.ready(generation, slots);
            inner.woken = false;
            inner.ready = Some((pid, Instant::now()));
            inner.memory = None;
            inner.manifest = Some(Arc::new(manifest));
        });
    }

    pub(super) fn retire(&self, generation: u64) {
        self.change(|inner| inner.ledger.retire(generation));
    }

    pub(super) fn retire_if_idle(&self, generation: u64) -> bool {
        let mut inner = self.lock();
        let idle =
            inner.probes.is_empty() && inner.watches.is_empty() && inner.ledger.retire_if_idle(generation);
        inner.ledger.counters.idle_shutdowns += u64::from(idle);
        idle
    }

    pub(super) fn is_retiring(&self, generation: u64) -> bool {
        self.lock().ledger.is_retiring(generation)
    }

    pub(super) fn take(&self, generation: u64, runs_max: usize) -> Work {
        // A node that was frozen has runs in this queue which others have taken over meanwhile.
        let runs_max = if self.gate.is_open() { runs_max } else { 0 };
        let mut inner = self.lock();
        let mut work = inner.ledger.take(generation, runs_max);
        let current = inner.ledger.current() == Some(generation);
        if current {
            work.probes = inner.probes.take(generation);
        }
        work.watching = inner.watches.take(generation, current);
        self.signal_room(&inner);
        work
    }

    /// A host answered a run or a probe, or something that was never asked.
    pub(super) fn answered(&self, generation: u64, answer: Answer) {
        let mut inner = self.lock();
        let Some(answer) = inner.probes.settle(answer) else { return };
        let told = inner.ledger.is_retiring(generation);
        let Some(mut answer) = inner.watches.settle(answer, told) else {
            inner.wake();
            drop(inner);
            self.work.send_replace(());
            return;
        };
        match answer.id.take() {
            Some(token) => inner.ledger.settle(generation, &token, outcome(answer.into_run())),
            None => inner.ledger.counters.stray += 1,
        }
        self.outbox.notify_one();
    }

    pub(super) fn settle(&self, generation: u64, token: &str, outcome: Outcome) {
        self.lock().ledger.settle(generation, token, outcome);
        self.outbox.notify_one();
    }

    pub(super) fn count(&self, step: impl FnOnce(&mut Counters)) {
        step(&mut self.lock().ledger.counters);
    }

    /// Notes what a process has in memory, if it is the one that takes new work; says whether it is.
    pub(super) fn measured(&self, generation: u64, memory: u64) -> bool {
        let mut inner = self.lock();
        let current = inner.ledger.current() == Some(generation);
        if current {
            inner.memory = Some(memory);
        }
        current
    }

    /// What is wanted of the host now.
    pub(super) fn spec(&self) -> Arc<HostSpec> {
        Arc::clone(&self.lock().spec)
    }

    /// Changes what is wanted of the host, and says whether that is anything new. The processes that are there stay
    /// as they are.
    pub(super) fn configure(&self, spec: HostSpec) -> bool {
        self.change(|inner| {
            let changed = *inner.spec != spec;
            inner.ledger.resize(spec.concurrency, spec.queue);
            inner.spec = Arc::new(spec);
            changed
        })
    }

    /// Has what comes wait (or not any more), without a process. Returns the host, to be told, if that is new.
    pub(super) fn pause(&self, paused: bool) -> Option<ActorRef<Order>> {
        self.change(|inner| {
            let changed = std::mem::replace(&mut inner.paused, paused) != paused;
            inner.woken = false;
            inner.wake();
            inner.host.clone().filter(|_| changed)
        })
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// An attempt saves something. If it is not at work here, that is the late word of an old one.
    pub(super) fn save(&self, generation: u64, saved: SavedState) {
        let mut inner = self.lock();
        let Inner { ledger, saves, mask, .. } = &mut *inner;
        let Some(address) = ledger.at_work(generation, &saved.token) else { return };
        if let Err(bytes) = saves.note(&saved.token, address, mask.value(saved.state), Instant::now()) {
            tracing::warn!(
                adapter = %self.name, token = saved.token, bytes,
                "an attempt saved more than {STATE_BYTES_MAX} bytes: what it saved before stays"
            );
        }
        self.outbox.notify_one();
    }

    /// An attempt says how far it is.
    pub(super) fn note_progress(&self, generation: u64, progress: Progress) {
        let mut inner = self.lock();
        if inner.ledger.at_work(generation, &progress.token).is_some() {
            // Before it is cut: half a secret would not be found.
            let message = progress.message.map(|text| inner.mask.text(text));
            let message = message.map(|text| text.chars().take(PROGRESS_CHARS_MAX).collect());
            let percent = progress.percent.map(|percent| percent.clamp(0.0, 100.0));
            inner.progress.insert(progress.token.clone(), Progress { message, percent, ..progress });
        }
    }

    /// What an attempt at work last said of its progress.
    pub(super) fn progress(&self, token: &str) -> Option<Progress> {
        self.lock().progress.get(token).cloned()
    }

    /// A process has ended. What it had is lost; whatever waits is asked a new process for.
    pub(super) fn close(&self, generation: u64, reason: &str) {
        self.change(|inner| {
            inner.ledger.close(generation, reason);
            inner.probes.close(generation);
            inner.watches.close(generation);
        });
    }

    pub(super) fn failed(&self, reason: &str) {
        self.lock().last_error = Some(reason.to_owned());
    }

    /// The host actor has ended, and waits, is set aside, or is over.
    pub(super) fn detach(&self, phase: Phase) {
        self.change(|inner| {
            inner.host = None;
            match &phase {
                Phase::Up => {}
                Phase::Restarting => inner.ledger.counters.restarts += 1,
                Phase::Quarantined(reason) => inner.ledger.shut(Refusal::Quarantined(reason.clone())),
                Phase::Stopped => inner.ledger.shut(Refusal::Stopping),
            }
            if let Some(refusal) = inner.ledger.refusal().cloned() {
                inner.probes.clear();
                inner.watches.end_all(&refusal);
            }
            inner.phase = phase;
        });
    }

    /// Accepts runs again after a quarantine.
    pub(super) fn release(&self) {
        self.change(|inner| inner.ledger.unshut());
    }

    /// Accepts nothing more and refuses what waits; what is in flight goes on. Returns the host, to be told.
    pub(super) fn stop(&self) -> Option<ActorRef<Order>> {
        self.change(|inner| {
            inner.ledger.shut(Refusal::Stopping);
            inner.phase = Phase::Stopped;
            inner.host.clone()
        })
    }

    pub(super) fn host(&self) -> Option<ActorRef<Order>> {
        self.lock().host.clone()
    }

    pub(super) fn has_current(&self) -> bool {
        self.lock().ledger.current().is_some()
    }

    pub(super) fn wants_host(&self) -> bool {
        self.lock().wants_host()
    }

    pub(super) fn room(&self) -> watch::Receiver<bool> {
        self.room.subscribe()
    }

    pub(super) fn work(&self) -> watch::Receiver<()> {
        self.work.subscribe()
    }

    /// Waits for something to deliver.
    pub(super) async fn outgoing(&self) -> Outgoing {
        loop {
            let (outgoing, next) = {
                let mut inner = self.lock();
                let reports = inner.ledger.reports(REPORTS_MAX);
                let saves = inner.saves.take(Instant::now(), &reports, REPORTS_MAX);
                (Outgoing { saves, reports }, inner.saves.next())
            };
            if !outgoing.reports.is_empty() || !outgoing.saves.is_empty() {
                return outgoing;
            }
            match next {
                None => self.outbox.notified().await,
                Some(due) => tokio::select! {
                    () = self.outbox.notified() => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    pub(super) fn delivered(&self, tokens: &[String]) {
        self.change(|inner| {
            inner.ledger.delivered(tokens.iter().map(String::as_str));
            tokens.iter().for_each(|token| drop(inner.progress.remove(token)));
        });
    }

    /// Resolves when every report is durable.
    pub(super) async fn flushed(&self) {
        let mut work = self.work();
        while self.lock().ledger.undelivered() > 0 {
            // The sender is in `self`, so this cannot fail while someone waits here.
            if work.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn manifest(&self) -> Option<Arc<Manifest>> {
        self.lock().manifest.clone()
    }

    pub(super) fn status(&self) -> HostStatus {
        let inner = self.lock();
        let ledger = &inner.ledger;
        let generation = ledger.current();
        let ready = inner.ready.filter(|_| generation.is_some());
        HostStatus {
            name: self.name.clone(),
            state: inner.state(),
            manifest: inner.manifest.clone(),
            pid: ready.map(|(pid, _)| pid),
            generation,
            memory: inner.memory.filter(|_| generation.is_some()),
            uptime: ready.map(|(_, since)| since.elapsed()),
            retiring: ledger.retiring(),
            in_flight: ledger.in_flight(),
            queued: ledger.queued(),
            undelivered: ledger.undelivered(),
            last_error: inner.last_error.clone(),
            counters: ledger.counters,
        }
    }

    /// A step of the ledger, and all signals after it.
    fn change<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = step(&mut inner);
        self.signal_room(&inner);
        drop(inner);
        self.work.send_replace(());
        self.outbox.notify_one();
        result
    }

    fn signal_room(&self, inner: &Inner) {
        let has_room = inner.ledger.has_room();
        self.room.send_if_modified(|room| has_room && !std::mem::replace(room, true));
    }

    /// The ledger's steps do not panic half-way, so a poisoned lock guards a whole ledger.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Asks the host for a process, once, if work waits for one. Without a host, the next one asks itself.
    fn wake(&mut self) {
        if self.wants_host() && !self.woken {
            // An error means that the host has just ended; its successor attaches and asks again.
            self.woken = self.host.as_ref().is_some_and(|host| host.cast(Order::Wake).is_ok());
        }
    }

    /// Something waits while nobody may take it.
    fn wants_host(&self) -> bool {
        !self.paused
            && self.ledger.current().is_none()
            && (self.ledger.queued() > 0 || self.probes.wait_for_host() || self.watches.wait_for_host())
    }

    fn state(&self) -> HostState {
        match &self.phase {
            Phase::Restarting => HostState::Restarting,
            Phase::Quarantined(reason) => HostState::Quarantined { reason: reason.clone() },
            Phase::Stopped => HostState::Stopped,
            Phase::Up if self.paused => HostState::Paused,
            Phase::Up if self.ledger.current().is_some() => HostState::Running,
            Phase::Up if self.ledger.generations() > self.ledger.retiring() => HostState::Starting,
            Phase::Up => HostState::Idle,
        }
    }
}

fn outcome(answer: RunAnswer) -> Outcome {
    match answer {
        RunAnswer::Done(output) => Outcome::Completed(output),
        RunAnswer::Failed(failure) => Outcome::Failed(failure),
        RunAnswer::Refused(reason) => Outcome::Refused { reason },
    }
}
