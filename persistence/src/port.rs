//! The store port: what the engine asks of any store, in bytes.
//!
//! A store keeps three things for each environment: a *mailbox log* per shard (append-only, read in
//! order), the *state* behind each log (one row per actor, written by checkpoints), and a small set of
//! versioned *settings*. It knows nothing of what the bytes mean.
//!
//! Every store passes [`crate::conformance`].

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::{Clock, system_clock};

/// The result of every store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A fixed slice of the actor space, with one mailbox log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// An entry's place in its mailbox log.
///
/// The upper 44 bits are the store's wall clock at the append, in milliseconds since the Unix epoch; the
/// lower 20 bits count the entries of that millisecond. Offsets of one store only grow, so the time that an
/// entry carries is the same for every reader and never runs backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl Offset {
    /// Before every entry.
    pub const ZERO: Offset = Offset(0);
    /// How many bits count the entries within one millisecond.
    pub const SEQUENCE_BITS: u32 = 20;

    /// The offset of the `sequence`th entry of a millisecond.
    pub fn new(millis: u64, sequence: u32) -> Self {
        debug_assert!(sequence < 1 << Self::SEQUENCE_BITS, "sequence fits its bits");
        Offset((millis << Self::SEQUENCE_BITS) | u64::from(sequence))
    }

    /// The store's clock when the entry was appended, in milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0 >> Self::SEQUENCE_BITS
    }

    /// The first offset that an append at `now_millis` may take after this one.
    pub fn next(self, now_millis: u64) -> Self {
        Offset((self.0 + 1).max(now_millis << Self::SEQUENCE_BITS))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = self.0 & ((1 << Self::SEQUENCE_BITS) - 1);
        write!(f, "{}-{sequence}", self.millis())
    }
}

/// The fencing token of a shard's owner: grows by one at each change of owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// What a store promises of an acknowledged append: how it is kept by the store that took it, and by how many
/// copies besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// How the store itself keeps it.
    pub keeping: Keeping,
    /// How many replicas had it too when it was acknowledged.
    pub replicas: u8,
}

impl Tier {
    /// Kept in memory, lost with the process that holds it.
    pub const MEMORY: Tier = Tier { keeping: Keeping::Memory, replicas: 0 };
    /// Flushed to disk.
    pub const FSYNC: Tier = Tier { keeping: Keeping::Fsync, replicas: 0 };
}

/// How a store keeps what it has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeping {
    /// In memory: lost with the process that holds it.
    Memory,
    /// Handed to the operating system at once and flushed every second: survives the end of the process, and loses up
    /// to two seconds when the machine loses power.
    EverySecond,
    /// Flushed to disk.
    Fsync,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.keeping {
            Keeping::Memory => "memory",
            Keeping::EverySecond => "everysec",
            Keeping::Fsync => "fsync",
        })?;
        match self.replicas {
            0 => Ok(()),
            replicas => write!(f, "+replicated({replicas})"),
        }
    }
}

/// One entry to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Whose log it goes to.
    pub shard: ShardId,
    /// The entry, opaque to the store; at most [`MAX_ENTRY_BYTES`].
    pub bytes: Bytes,
}

/// The largest entry that a store takes.
pub const MAX_ENTRY_BYTES: usize = 16 * 1024 * 1024;

/// One entry read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub offset: Offset,
    /// The entry as it was appended.
    pub bytes: Bytes,
}

/// Who owns a shard: a node's name and the random id of this start of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The node's name.
    pub node: String,
    /// Fresh at every start of the node.
    pub incarnation: String,
}

/// How a shard is owned at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Which shard.
    pub shard: ShardId,
    /// The newest epoch; 0 if nobody ever owned it.
    pub epoch: Epoch,
    /// Who owns it; nobody if it was never claimed, or given up in good order.
    pub owner: Option<Owner>,
    /// The incarnation that the last owner gave it up for, while nobody owns it.
    pub offered: Option<String>,
}

/// Whether a store answers at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Up,
    /// It does not, for this reason, in words for an operator.
    Away(String),
}

/// What a successful claim tells the new owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The token for all fenced operations; every older one is refused from now on.
    pub epoch: Epoch,
    /// The offset up to which the state rows hold: replay what comes after it.
    pub mark: Offset,
    /// The last offset in the log when the claim took effect.
    pub head: Offset,
    /// Who owned the shard before, if anybody did.
    pub previous: Option<Owner>,
}

/// The state of one actor as a checkpoint stores it: its snapshot, and the few facts by which rows are found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Row {
    /// The actor id, `kind/key`.
    pub actor: String,
    /// The snapshot, opaque to the store.
    pub snapshot: Bytes,
    /// The columns that rows are found by.
    pub index: RowIndex,
}

/// The columns of a [`Row`] that a store can search by.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RowIndex {
    /// When a timer of the actor is due next, in milliseconds since the Unix epoch.
    pub due: Option<u64>,
    /// Whether a new owner must load this actor at once, because it has work in flight.
    pub attention: bool,
    /// A coarse state for lists, such as `running` or `faulted`; empty if it has none.
    pub status: String,
    /// What the row is listed under, such as a definition's `namespace/name:version`; empty if nothing.
    pub group: String,
    /// When the actor began, in milliseconds since the Unix epoch; lists are ordered by it.
    pub started: u64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended: Option<u64>,
}

/// What one checkpoint writes, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The offset up to which all rows of the shard hold after this checkpoint. Never goes backwards.
    pub mark: Offset,
    /// Rows to insert or replace.
    pub put: Vec<Row>,
    /// Actors whose rows go away.
    pub remove: Vec<String>,
}

/// Which rows to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only actors whose id starts with this, such as `process/`.
    pub prefix: String,
    /// Only rows of this status.
    pub status: Option<String>,
    /// Only rows of this group, or, where it ends in `:`, of all groups that start with it.
    pub group: Option<String>,
    /// Only rows that come after this one in the order of the list: (`started`, actor id).
    pub after: Option<(u64, String)>,
    /// At most so many rows.
    pub limit: usize,
}

/// A versioned setting of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Grows by one with each change; the first is 1.
    pub version: u64,
    /// The value, opaque to the store.
    pub bytes: Bytes,
}

/// A store of one environment.
///
/// # Order and durability
/// A batch takes its place in the log when [`Store::append`] is *called*; the future resolves when the whole
/// batch is durable under [`Store::tier`]. An entry becomes visible to [`Store::read`] only once it is
/// durable. Dropping the future cancels nothing.
///
/// # Fencing
/// Operations that take an [`Epoch`] check it in the same atomic step as they act, and answer
/// [`StoreError::Fenced`] when the shard has a newer owner.
pub trait Store: Send + Sync + 'static {
    /// What an acknowledged append promises.
    fn tier(&self) -> Tier;

    /// How many shards the environment has; fixed when it is made.
    fn shards(&self) -> u16;

    /// Appends entries in order, to one or several shards; answers their offsets in the same order. Either all
    /// of a batch become durable or, on an error, none does. Only a store that is spread over several servers may keep
    /// the part of a batch that went to one of them; to send all of it again is harmless, because receivers know what
    /// they have seen.
    ///
    /// # Errors
    /// [`StoreError::Busy`] at once when the queue of the writer is full; [`StoreError::Away`] at once while the store
    /// does not answer; [`StoreError::Full`] when there is no space; [`StoreError::TooLarge`] for an entry over
    /// [`MAX_ENTRY_BYTES`]. None of these leaves a trace. What was taken before a store went away stays in the
    /// writer's queue, and its future resolves when the store is back.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>>;

    /// Like [`Store::append`] for one shard, but only while `epoch` is the shard's newest.
    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>>;

    /// The last durable offset of a shard's log, kept up to date: the signal that there is something to read.
    fn head(&self, shard: ShardId) -> watch::Receiver<Offset>;

    /// Up to `max_entries` durable entries after `after`, in order, stopping once their bytes pass `max_bytes`
    /// (but always at least one, if there is one).
    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>>;

    /// Like [`Store::read`], for the owner of a shard, whose `after` is never before the mark: only it moves the mark, and
    /// not beyond what it has read. Where the mark is higher all the same, somebody else has moved it. What lies between
    /// is trimmed, and an owner of the past would read on over the gap, and tell others what follows from a wrong state.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] then, if several nodes can share the store.
    fn read_owned(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.read(shard, after, max_entries, max_bytes)
    }

    /// Takes a shard over, if its newest epoch still is `seen`: raises it by one, durably. Only the answer authorises.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when somebody else took it since, or is older news than `seen`.
    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>>;

    /// Gives a shard up in good order, in favour of the incarnation `next` if there is one.
    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>>;

    /// How every shard is owned, by shard.
    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>>;

    /// Stores the snapshots of changed actors and the mark in one atomic step, then trims the log behind it. One
    /// whose mark is below that of the shard was overtaken by a later one on its way, and changes nothing: its rows are
    /// older than those that are there.
    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>>;

    /// One actor's row.
    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>>;

    /// Rows whose `attention` is set, by actor id, after `after`.
    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>>;

    /// Rows whose id starts with `prefix`, by actor id, after `after`.
    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>>;

    /// Actors with a timer due before `before` (milliseconds since the Unix epoch), earliest first.
    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>>;

    /// Rows of all shards without their snapshots, newest first.
    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>>;

    /// Removes the rows of one shard that ended before `before` (milliseconds since the Unix epoch), at most
    /// `limit` of them; answers how many went.
    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>>;

    /// A setting of the environment.
    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>>;

    /// Stores a setting if its version is still `expected` (0: it does not exist yet); answers the new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else changed it meanwhile.
    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>>;

    /// All settings whose key starts with `prefix`, by key.
    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>>;

    /// The keys of all settings that start with `prefix`, in order: to see which there are without reading them.
    fn setting_keys(&self, prefix: String) -> BoxFuture<'static, Result<Vec<String>>> {
        let settings = self.settings(prefix);
        Box::pin(async move { Ok(settings.await?.into_iter().map(|(key, _)| key).collect()) })
    }

    /// The clock that stamps the entries: all timers of the environment go by it.
    fn clock(&self) -> Clock {
        system_clock()
    }

    /// Whether the store answers at the moment, kept up to date. A store in this process always does.
    fn standing(&self) -> watch::Receiver<Standing> {
        watch::channel(Standing::Up).1
    }

    /// What an operator has to know of the store and has not been told: what it has lost, in words. Bounded.
    fn alarms(&self) -> Vec<String> {
        Vec::new()
    }
}
