//! The log as the rest of the store sees it: append, read, trim.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{oneshot, watch};

use super::index::{Index, Place, Source};
use super::record::{HEADER_LEN, Record as LogRecord};
use crate::StoreError;
use crate::embedded::disk::{Disk, DiskFile};
use crate::embedded::health::Health;
use crate::embedded::queue::{Cost, Queue, Refusal};
use crate::memory::check_size;
use crate::port::{Append, Epoch, MAX_ENTRY_BYTES, Offset, Record, Result, ShardId};
use crate::sync::lock;

/// What the writer is asked to do.
pub(super) enum Request {
    /// Append a batch, under a fence or not.
    Append {
        batch: Vec<Append>,
        fence: Option<(ShardId, Epoch)>,
        reply: oneshot::Sender<Result<Vec<Offset>>>,
    },
    /// Let only this epoch append under a fence from now on; answers where the log ends.
    Authorise { shard: ShardId, epoch: Epoch, reply: oneshot::Sender<Offset> },
}

/// The log, shared by the store, the writer of the state and the readers.
pub(in crate::embedded) struct Log {
    pub(super) queue: Queue<Request>,
    pub(super) index: Mutex<Index>,
    pub(super) heads: Vec<watch::Sender<Offset>>,
    pub(super) health: Arc<Health>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) salt: u32,
    pub(super) batch_bytes_max: usize,
}

/// The entries that a reader asked for, or how to get them from disk.
pub(in crate::embedded) enum Lookup {
    Ready(Vec<Record>),
    Disk(Vec<Fetch>),
}

/// One entry to get.
pub(in crate::embedded) struct Fetch {
    place: Place,
    source: Source,
}

impl Log {
    /// Appends a batch; it takes its place in the log now.
    pub(in crate::embedded) fn append(
        &self,
        batch: Vec<Append>,
        fence: Option<(ShardId, Epoch)>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        match self.enqueue(batch, fence) {
            Err(error) => Box::pin(ready(Err(error))),
            Ok(answer) => {
                let health = Arc::clone(&self.health);
                Box::pin(async move { answer.await.unwrap_or_else(|_| Err(health.gone())) })
            }
        }
    }

    fn enqueue(
        &self,
        batch: Vec<Append>,
        fence: Option<(ShardId, Epoch)>,
    ) -> Result<oneshot::Receiver<Result<Vec<Offset>>>> {
        let mut bytes = 0;
        for entry in &batch {
            check_size(entry.bytes.len())?;
            self.check_shard(entry.shard)?;
            bytes += HEADER_LEN + entry.bytes.len();
        }
        let limit = self.batch_bytes_max.max(MAX_ENTRY_BYTES + HEADER_LEN);
        if bytes > limit {
            return Err(StoreError::TooLarge { found: bytes, limit });
        }
        self.health.check()?;
        let (reply, answer) = oneshot::channel();
        let cost = Cost { count: batch.len(), bytes };
        match self.queue.push(Request::Append { batch, fence, reply }, cost) {
            Ok(()) => Ok(answer),
            Err(Refusal::Full) => Err(StoreError::Busy),
            Err(Refusal::Closed) => Err(self.health.gone()),
        }
    }

    /// Lets only this epoch append to a shard under a fence, or none; answers where the shard's log ended when
    /// that took effect. Blocks: for the writer of the state only.
    pub(in crate::embedded) fn authorise(&self, shard: ShardId, epoch: Epoch) -> Result<Offset> {
        let (reply, answer) = oneshot::channel();
        // One at a time from one thread: it needs no bound, and must not be refused behind a flood of appends.
        let request = Request::Authorise { shard, epoch, reply };
        self.queue.push_always(request).map_err(|_| self.health.gone())?;
        answer.blocking_recv().map_err(|_| self.health.gone())
    }

    pub(in crate::embedded) fn check_shard(&self, shard: ShardId) -> Result<()> {
        if usize::from(shard.0) < self.heads.len() {
            return Ok(());
        }
        Err(crate::memory::no_shard(shard, self.heads.len()))
    }

    /// The last durable offset of a shard, as a signal.
    pub(in crate::embedded) fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        // A shard that does not exist has a head that never moves.
        let head = self.heads.get(usize::from(shard.0));
        head.map_or_else(|| watch::channel(Offset::ZERO).1, watch::Sender::subscribe)
    }

    /// The last durable offset of a shard.
    pub(in crate::embedded) fn last(&self, shard: ShardId) -> Offset {
        self.heads.get(usize::from(shard.0)).map_or(Offset::ZERO, |head| *head.borrow())
    }

    /// Looks entries up; answers them if they are all in memory.
    pub(in crate::embedded) fn lookup(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> Lookup {
        let found = lock(&self.index).find(shard, after, max_entries, max_bytes);
        let in_memory = |source: &Source| matches!(source, Source::Memory { .. });
        if !found.iter().all(|(_, source)| in_memory(source)) {
            return Lookup::Disk(found.into_iter().map(|(place, source)| Fetch { place, source }).collect());
        }
        let records = found.into_iter().filter_map(|(place, source)| match source {
            Source::Memory { chunk, at } => Some(copy(&place, &chunk, at)),
            Source::Disk { .. } => None,
        });
        Lookup::Ready(records.collect())
    }

    /// Gets entries from disk. Blocks: for reader threads only.
    pub(in crate::embedded) fn fetch(&self, shard: ShardId, wanted: Vec<Fetch>) -> Result<Vec<Record>> {
        let fetch = |Fetch { place, source }| match source {
            Source::Memory { chunk, at } => Ok(copy(&place, &chunk, at)),
            Source::Disk { file, path } => self.read_record(shard, &place, &*file, &path),
        };
        wanted.into_iter().map(fetch).collect()
    }

    fn read_record(&self, shard: ShardId, place: &Place, file: &dyn DiskFile, path: &Path) -> Result<Record> {
        let mut bytes = vec![0; HEADER_LEN + place.len as usize];
        let at = u64::from(place.at);
        let damaged =
            |why: &str| StoreError::Corrupt(format!("{}: damaged at byte {at}: {why}", path.display()));
        file.read_at(&mut bytes, at).map_err(|error| damaged(&error.to_string()))?;
        let (record, _) = LogRecord::decode(&bytes, self.salt).map_err(|bad| damaged(&bad.to_string()))?;
        if record.shard != shard || record.offset != place.offset {
            return Err(damaged("expected another entry"));
        }
        let bytes = Bytes::from(bytes).slice(HEADER_LEN..);
        Ok(Record { offset: place.offset, bytes })
    }

    /// Forgets the entries of a shard up to its mark, and removes segments that nobody needs any more.
    pub(in crate::embedded) fn trim(&self, shard: ShardId, mark: Offset) {
        lock(&self.index).trim(shard, mark);
        self.remove_segments();
    }

    pub(super) fn remove_segments(&self) {
        loop {
            let Some((number, path)) = lock(&self.index).removable() else {
                return;
            };
            if let Err(error) = self.disk.remove(&path) {
                // Only a front without holes can be opened again: try this one again next time.
                tracing::warn!(path = %path.display(), %error, "cannot remove a segment of the log");
                return;
            }
            lock(&self.index).removed(number);
        }
    }

    /// Takes no more appends; what is waiting is still written.
    pub(in crate::embedded) fn close(&self) {
        self.queue.close();
    }
}

/// Copies one entry out of a group: a slice would keep the whole group in memory for as long as it lives.
fn copy(place: &Place, chunk: &Bytes, at: usize) -> Record {
    let bytes = Bytes::copy_from_slice(&chunk[at..at + place.len as usize]);
    Record { offset: place.offset, bytes }
}
