//! The trait that an adapter implements, and what a run and an adapter can say while they work.

use std::pin::Pin;

use serde_json::Value;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::message::{
    Call, HostMessage, Manifest, Probe, ProbeOutcome, Progress, RestartWish, SavedState, Watch,
};
use crate::observe::WatchContext;
use crate::outbox::WeakOutbox;

/// A future that can be sent and named.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of work that processes can ask for.
///
/// [`crate::host::serve`] calls it. Many runs are in flight at once, and a panic in one of them fails that one alone.
/// Standard output belongs to the protocol: an adapter that wants to say something prints it to standard error.
pub trait Adapter: Send + Sync + 'static {
    /// What it is and can do. The same at every call.
    fn manifest(&self) -> Manifest;

    /// Called once, before the first run. An adapter that may want a fresh host keeps the handle to say so.
    fn started(&self, host: HostHandle) {
        drop(host);
    }

    /// Does one attempt of one piece of work. The host has checked that the manifest names the function.
    ///
    /// The future may be dropped at any await, when the host's node is gone for instance: whatever it has started,
    /// such as a process, must end with it.
    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>>;

    /// What became of work that was cut off, if the adapter can find out by its key.
    fn probe(&self, probe: Probe) -> BoxFuture<'_, ProbeOutcome> {
        drop(probe);
        Box::pin(async { ProbeOutcome::Unknown })
    }

    /// Observes something and tells it to the context, from the order's cursor on, until the future is dropped. The
    /// host has checked that the manifest names the function as a monitor.
    ///
    /// It returns only when it cannot go on: what passes by itself, such as a source that does not answer for a while,
    /// is retried here.
    fn watch(&self, context: WatchContext, watch: Watch) -> BoxFuture<'_, Result<(), Failure>> {
        drop(context);
        let function = watch.function;
        Box::pin(async move { Err(Failure::configuration(format!("`{function}` cannot be watched"))) })
    }
}

impl<A: Adapter + ?Sized> Adapter for Box<A> {
    fn manifest(&self) -> Manifest {
        (**self).manifest()
    }

    fn started(&self, host: HostHandle) {
        (**self).started(host);
    }

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        (**self).run(context, call)
    }

    fn probe(&self, probe: Probe) -> BoxFuture<'_, ProbeOutcome> {
        (**self).probe(probe)
    }

    fn watch(&self, context: WatchContext, watch: Watch) -> BoxFuture<'_, Result<(), Failure>> {
        (**self).watch(context, watch)
    }
}

/// What a run can hear and say while it works.
#[derive(Clone, Debug)]
pub struct RunContext {
    token: String,
    cancelled: watch::Receiver<bool>,
    outbox: WeakOutbox,
}

impl RunContext {
    pub(crate) fn new(token: String, cancelled: watch::Receiver<bool>, outbox: WeakOutbox) -> Self {
        Self { token, cancelled, outbox }
    }

    /// A context without a host, for an adapter's own tests: what the run says goes nowhere, and it is cancelled by
    /// sending `true`.
    pub fn detached(token: impl Into<String>) -> (watch::Sender<bool>, Self) {
        let (cancel, cancelled) = watch::channel(false);
        (cancel, Self::new(token.into(), cancelled, WeakOutbox::nowhere()))
    }

    /// The attempt's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether the run should stop.
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Resolves when the run should stop. A run that has not ended [`crate::host::CANCEL_GRACE`] later is dropped.
    pub async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            // Nobody is left who could cancel.
            std::future::pending::<()>().await;
        }
    }

    /// Tells people how far the run is. Lost if the node reads too slowly.
    pub fn progress(&self, message: impl Into<String>, percent: Option<f64>) {
        let progress = Progress { token: self.token.clone(), message: Some(message.into()), percent };
        self.outbox.offer(&HostMessage::Progress(progress));
    }

    /// Saves what the next attempt finds in [`Call::state`] if this one is cut off. It is on its way to the node when
    /// this returns, not yet durable.
    pub async fn save_state(&self, state: Value) -> Result<(), Failure> {
        let state = SavedState { token: self.token.clone(), state };
        let sent = self.outbox.send(&HostMessage::State(state)).await;
        sent.map_err(|error| Failure::runtime("the state could not be saved").with_detail(error.to_string()))
    }
}

/// What an adapter can say outside of a run.
#[derive(Clone, Debug)]
pub struct HostHandle {
    outbox: WeakOutbox,
}

impl HostHandle {
    pub(crate) fn new(outbox: WeakOutbox) -> Self {
        Self { outbox }
    }

    /// Asks the node to replace this host by a fresh one, and to let it finish what it has.
    pub async fn restart(&self, reason: impl Into<String>) -> Result<(), Failure> {
        let sent = self.outbox.send(&HostMessage::Restart(RestartWish { reason: reason.into() })).await;
        sent.map_err(|error| Failure::runtime("the wish could not be sent").with_detail(error.to_string()))
    }
}
