//! What waits to be written to a host's standard output: bounded in lines and in bytes.
//!
//! A node that reads slowly slows runs down, at the moment they say something, and never the host loop: runs share a
//! budget of room, while the loop's own short answers have places in the queue that no run can take.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

use crate::message::HostMessage;
use crate::wire::{WireError, encode_host};

/// What runs may have waiting, in KiB: a few of the longest lines.
const ROOM_KIB: u32 = 64 * 1024;
/// Even the shortest line takes this much of the room, which limits the number of lines to 4096.
const LINE_KIB: u32 = 16;
/// Places for the loop's own answers. A node that leaves so many unread, and goes on asking, has stopped reading.
const REPLIES: usize = 1024;

/// A line that waits, and the room it takes.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Line {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The writing end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    lines: mpsc::Sender<Line>,
    room: Arc<Semaphore>,
}

/// A writing end that does not keep the queue open: when the host has said its last word, it ends.
#[derive(Clone, Debug)]
pub(crate) struct WeakOutbox {
    lines: mpsc::WeakSender<Line>,
    room: Arc<Semaphore>,
}

/// The queue has no place for an answer of the loop's own.
#[derive(Debug)]
pub(crate) struct Unread;

/// A new queue: its writing end, and the end to [`crate::lines::pump`] from.
pub(crate) fn outbox() -> (Outbox, mpsc::Receiver<Line>) {
    let (lines, queue) = mpsc::channel((ROOM_KIB / LINE_KIB) as usize + REPLIES);
    (Outbox { lines, room: Arc::new(Semaphore::new(ROOM_KIB as usize)) }, queue)
}

impl Outbox {
    /// Waits for room, then for a place.
    pub(crate) async fn send(&self, message: &HostMessage) -> Result<(), WireError> {
        let bytes = encode_host(message)?;
        let room = Arc::clone(&self.room).acquire_many_owned(kib(&bytes)).await.map_err(|_| gone())?;
        self.lines.send(Line { bytes, _room: Some(room) }).await.map_err(|_| gone())
    }

    /// An answer of the loop's own, which must not wait.
    pub(crate) fn reply(&self, message: &HostMessage) -> Result<(), Unread> {
        // The loop's own answers are short, and a closed queue is noticed by whoever writes it out.
        let Ok(bytes) = encode_host(message) else { return Ok(()) };
        match self.lines.try_send(Line { bytes, _room: None }) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Unread),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakOutbox {
        WeakOutbox { lines: self.lines.downgrade(), room: Arc::clone(&self.room) }
    }
}

impl WeakOutbox {
    /// One that belongs to no host.
    pub(crate) fn nowhere() -> Self {
        let (outbox, _) = outbox();
        outbox.downgrade()
    }

    /// Waits for room, then for a place; fails once the host has said its last word.
    pub(crate) async fn send(&self, message: &HostMessage) -> Result<(), WireError> {
        match self.upgrade() {
            Some(outbox) => outbox.send(message).await,
            None => Err(gone()),
        }
    }

    /// Sends it if there is room right now.
    pub(crate) fn offer(&self, message: &HostMessage) {
        let (Some(outbox), Ok(bytes)) = (self.upgrade(), encode_host(message)) else { return };
        match Arc::clone(&outbox.room).try_acquire_many_owned(kib(&bytes)) {
            // Whoever has room has a place too, unless the queue is closed.
            Ok(room) => drop(outbox.lines.try_send(Line { bytes, _room: Some(room) })),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {}
        }
    }

    fn upgrade(&self) -> Option<Outbox> {
        Some(Outbox { lines: self.lines.upgrade()?, room: Arc::clone(&self.room) })
    }
}

fn kib(bytes: &[u8]) -> u32 {
    // A line is at most 16 MiB, so it always fits.
    u32::try_from(bytes.len().div_ceil(1024)).unwrap_or(ROOM_KIB).clamp(LINE_KIB, ROOM_KIB)
}

fn gone() -> WireError {
    WireError::Stream(io::Error::new(io::ErrorKind::BrokenPipe, "the node does not listen any more"))
}
