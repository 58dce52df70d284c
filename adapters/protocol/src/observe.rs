//! What a watch says while it observes: events and cursors, never too far ahead of what is durable.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::message::{CURSOR_BYTES_MAX, EVENTS_AHEAD_MAX, HostMessage, Observed};
use crate::outbox::WeakOutbox;

/// What a watch can hear and say.
///
/// Not to be cloned: the events of a watch have one order.
#[derive(Debug)]
pub struct WatchContext {
    watch: Arc<str>,
    sent: u64,
    durable: watch::Receiver<Durable>,
    outbox: WeakOutbox,
}

/// How much of what a watch has sent is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) count: u64,
    pub(crate) cursor: Option<Value>,
}

impl WatchContext {
    pub(crate) fn new(watch: &str, durable: watch::Receiver<Durable>, outbox: WeakOutbox) -> Self {
        Self { watch: watch.into(), sent: 0, durable, outbox }
    }

    /// The name of the watch.
    pub fn watch(&self) -> &str {
        &self.watch
    }

    /// Tells of something: a CloudEvent in its JSON form, and where to go on observing once it is durable. Events that
    /// were read together need only one cursor, that of the last; the others then come again after a crash, which is why
    /// the same occurrence must always get the same id.
    ///
    /// Waits while the watch is too far ahead of what is durable. A failure is final: let the watch return it.
    pub async fn event(&mut self, event: Value, cursor: Option<Value>) -> Result<(), Failure> {
        self.observed(Some(event), cursor).await
    }

    /// Moves the cursor although there is nothing to tell: the first look at a source, for instance.
    pub async fn cursor(&mut self, cursor: Value) -> Result<(), Failure> {
        self.observed(None, Some(cursor)).await
    }

    /// The last cursor that is durable, if there was one since the watch began: a source that keeps what was not read
    /// yet may now forget what is before it.
    pub fn durable_cursor(&self) -> Option<Value> {
        self.durable.borrow().cursor.clone()
    }

    /// Resolves once everything that was sent is durable.
    pub async fn all_durable(&mut self) {
        let sent = self.sent;
        self.durable_beyond(sent).await;
    }

    async fn observed(&mut self, event: Option<Value>, cursor: Option<Value>) -> Result<(), Failure> {
        let bytes = cursor.as_ref().map_or(0, |cursor| cursor.to_string().len());
        if bytes > CURSOR_BYTES_MAX {
            return Err(Failure::configuration("the cursor of the watch is too long").with_detail(format!(
                "it has {bytes} bytes, expected at most {CURSOR_BYTES_MAX}: have it observe less"
            )));
        }
        self.durable_beyond((self.sent + 1).saturating_sub(EVENTS_AHEAD_MAX)).await;
        let message = HostMessage::Event(Observed { watch: self.watch.to_string(), event, cursor });
        let sent = self.outbox.send(&message).await;
        sent.map_err(|error| Failure::runtime("an event could not be sent").with_detail(error.to_string()))?;
        self.sent += 1;
        Ok(())
    }

    async fn durable_beyond(&mut self, count: u64) {
        if self.durable.wait_for(|durable| durable.count >= count).await.is_err() {
            // Nobody is left who could take anything; the watch is about to be dropped.
            std::future::pending::<()>().await;
        }
    }
}
