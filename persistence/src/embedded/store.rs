//! The embedded store behind the port: opening, shutting down, and which part answers what.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use rusqlite::Connection;
use tokio::sync::watch;

use super::config::EmbeddedConfig;
use super::folder::{Folder, Format};
use super::health::Health;
use super::log::{self, Log, Lookup};
use super::report::OpenReport;
use super::state::{
    self, CheckpointChange, ClaimChange, GroomChange, Readers, ReleaseChange, SettingChange, StateWriter,
};
use crate::port::{
    Append, Checkpoint, Claim, Epoch, ListQuery, Offset, Owner, Ownership, Record, Result, Row, Setting,
    ShardId, Store, Tier,
};
use crate::{Clock, StoreError};

/// Positions in a segment are kept in 32 bits; this leaves room for the largest group behind a full one.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A store in a folder of this machine.
///
/// Dropping it finishes what was asked of it and ends its threads, so it waits for the disk.
pub struct EmbeddedStore {
    log: Arc<Log>,
    state: Arc<StateWriter>,
    readers: Arc<Readers>,
    threads: [Option<JoinHandle<()>>; 2],
    report: OpenReport,
    shards: u16,
    clock: Clock,
    /// Last, so that the lock is freed when nothing is written any more.
    _folder: Folder,
}

impl EmbeddedStore {
    /// Opens the store of a folder, making it if there is none. Waits for the disk.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the folder is in use, of a newer format or of another number of shards;
    /// [`StoreError::Corrupt`] when what was acknowledged cannot be read.
    pub fn open(config: EmbeddedConfig) -> Result<Self> {
        check(&config)?;
        let folder = Folder::lock(&config.path)?;
        let format = prepare(&config, &folder)?;
        let path = folder.state();
        let mut db = state::open_for_writing(&path, config.state_bytes_max)?;
        let shards = state::read_shards(&mut db, &path, format.shards)?;
        let health = Arc::new(Health::default());
        let (log, log_thread, report) = log::start(log::Setup {
            config: &config,
            folder: folder.log(),
            format,
            marks: shards.marks,
            epochs: shards.epochs,
            health: Arc::clone(&health),
        })?;
        let rest = start_state(&config, &folder, db, &log, health);
        let (state, state_thread, readers) = match rest {
            Ok(rest) => rest,
            Err(error) => {
                log.close();
                let _ = log_thread.join();
                return Err(error);
            }
        };
        Ok(EmbeddedStore {
            log,
            state,
            readers,
            threads: [Some(state_thread), Some(log_thread)],
            report,
            shards: format.shards,
            clock: config.clock,
            _folder: folder,
        })
    }

    /// What was found when it was opened.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    fn read_rows<T: Send + 'static>(
        &self,
        shard: Option<ShardId>,
        read: impl FnOnce(&Connection, &std::path::Path) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        if let Some(Err(error)) = shard.map(|shard| self.log.check_shard(shard)) {
            return Box::pin(ready(Err(error)));
        }
        let readers = Arc::clone(&self.readers);
        Box::pin(async move { readers.run(read).await })
    }
}

fn check(config: &EmbeddedConfig) -> Result<()> {
    let queue = u64::try_from(config.queue_bytes_max).unwrap_or(u64::MAX);
    let group = u64::try_from(config.group_bytes_max).unwrap_or(u64::MAX);
    if config.segment_bytes > BYTES_MAX || queue > BYTES_MAX || group > BYTES_MAX {
        return Err(StoreError::Refused(format!(
            "segments, groups and the queue of the log are limited to {BYTES_MAX} bytes each"
        )));
    }
    if config.shards == 0 {
        return Err(StoreError::Refused("an environment has at least one shard".to_owned()));
    }
    Ok(())
}

/// Reads the format of the folder, or makes a fresh store in it.
fn prepare(config: &EmbeddedConfig, folder: &Folder) -> Result<Format> {
    if let Some(format) = folder.read_format()? {
        if format.shards == config.shards {
            return Ok(format);
        }
        return Err(StoreError::Refused(format!(
            "the environment in {} was made with {} shards, not {}: the number cannot change, because it decides \
             where every actor lives; set it back to {}",
            folder.path().display(),
            format.shards,
            config.shards,
            format.shards
        )));
    }
    let format = Format::fresh(config.shards);
    folder.begin(format)?;
    log::create(&*config.disk, &folder.log(), format)?;
    drop(state::open_for_writing(&folder.state(), None)?);
    folder.finish()?;
    Ok(format)
}

fn start_state(
    config: &EmbeddedConfig,
    folder: &Folder,
    db: Connection,
    log: &Arc<Log>,
    health: Arc<Health>,
) -> Result<(Arc<StateWriter>, JoinHandle<()>, Arc<Readers>)> {
    let readers = Readers::start(&folder.state(), config.readers)?;
    let (state, thread) = state::start(db, folder.state(), Arc::clone(log), health)?;
    Ok((state, thread, readers))
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // The writer of the state first: it still asks the writer of the log.
        self.state.close();
        let [state, log] = &mut self.threads;
        let _ = state.take().map(JoinHandle::join);
        self.log.close();
        let _ = log.take().map(JoinHandle::join);
        self.readers.close();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl Store for EmbeddedStore {
    fn tier(&self) -> Tier {
        Tier::FSYNC
    }

    fn shards(&self) -> u16 {
        self.shards
    }

    fn clock(&self) -> Clock {
        Arc::clone(&self.clock)
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        self.log.append(batch, None)
    }

    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let batch = batch.into_iter().map(|bytes| Append { shard, bytes }).collect();
        self.log.append(batch, Some((shard, epoch)))
    }

    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        self.log.head(shard)
    }

    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        if let Err(error) = self.log.check_shard(shard) {
            return Box::pin(ready(Err(error)));
        }
        match self.log.lookup(shard, after, max_entries, max_bytes) {
            Lookup::Ready(records) => Box::pin(ready(Ok(records))),
            Lookup::Disk(wanted) => {
                let (readers, log) = (Arc::clone(&self.readers), Arc::clone(&self.log));
                Box::pin(async move { readers.run(move |_, _| log.fetch(shard, wanted)).await })
            }
        }
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        if let Err(error) = self.log.check_shard(shard) {
            return Box::pin(ready(Err(error)));
        }
        self.state.submit(ClaimChange { shard, owner, seen }, 0)
    }

    fn release(&self, shard: ShardId, epoch: Epoch, _next: Option<String>) -> BoxFuture<'static, Result<()>> {
        // There is nobody to give it to: another process cannot open the folder.
        self.state.submit(ReleaseChange { shard, epoch }, 0)
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.read_rows(None, state::owners)
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        let bytes = checkpoint.put.iter().map(|row| row.actor.len() + row.snapshot.len()).sum();
        let change = CheckpointChange { shard, epoch, checkpoint };
        self.state.submit(change, bytes).map(|done| done.map(|_| ())).boxed()
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.read_rows(Some(shard), move |db, path| state::row(db, path, shard, &actor))
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.read_rows(Some(shard), move |db, path| {
            state::attention(db, path, shard, after.as_deref(), limit)
        })
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.read_rows(Some(shard), move |db, path| {
            state::scan(db, path, shard, &prefix, after.as_deref(), limit)
        })
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.read_rows(Some(shard), move |db, path| state::due(db, path, shard, before, limit))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.read_rows(None, move |db, path| state::list(db, path, &query))
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.state.submit(GroomChange { shard, epoch, before, limit }, 0)
    }

    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        self.read_rows(None, move |db, path| state::setting(db, path, &key))
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        let size = key.len() + bytes.len();
        self.state.submit(SettingChange { key, expected, bytes }, size)
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        self.read_rows(None, move |db, path| state::settings(db, path, &prefix))
    }

    fn setting_keys(&self, prefix: String) -> BoxFuture<'static, Result<Vec<String>>> {
        self.read_rows(None, move |db, path| state::setting_keys(db, path, &prefix))
    }
}
