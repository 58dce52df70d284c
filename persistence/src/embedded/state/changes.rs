//! The changes of the state, one type per verb.
//!
//! A change first *applies* inside a transaction that it may share with others. If it finds that it must be
//! refused it writes nothing and remembers why; an error of the database undoes the whole transaction. It is
//! *settled* once the transaction is durable.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::sql::{checksum_of, from_sql, limit, to_sql};
use crate::StoreError;
use crate::embedded::log::Log;
use crate::port::{Checkpoint, Claim, Epoch, Offset, Owner, Result, Row, ShardId};

/// One change of the state.
pub(in crate::embedded) trait Change: Send {
    /// What it answers.
    type Answer: Send + 'static;

    /// Decides and writes. May be called again if the transaction was undone.
    fn apply(&self, db: &Connection, log: &Log) -> rusqlite::Result<Result<Self::Answer>>;

    /// Tells the log, once durable.
    fn settle(&self, answer: Self::Answer, _log: &Log) -> Result<Self::Answer> {
        Ok(answer)
    }
}

/// A change that waits, whatever it answers.
pub(super) trait Pending: Send {
    fn apply(&mut self, db: &Connection, log: &Log) -> rusqlite::Result<()>;
    fn settle(self: Box<Self>, log: &Log);
    fn fail(self: Box<Self>, error: StoreError);
}

/// A change and who waits for it.
pub(super) struct Waiting<C: Change> {
    pub(super) change: C,
    pub(super) decided: Option<Result<C::Answer>>,
    pub(super) reply: oneshot::Sender<Result<C::Answer>>,
}

impl<C: Change> Pending for Waiting<C> {
    fn apply(&mut self, db: &Connection, log: &Log) -> rusqlite::Result<()> {
        self.decided = Some(self.change.apply(db, log)?);
        Ok(())
    }

    fn settle(self: Box<Self>, log: &Log) {
        let Waiting { change, decided, reply } = *self;
        // Dropping the reply tells the caller as well.
        if let Some(decided) = decided {
            let _ = reply.send(decided.and_then(|answer| change.settle(answer, log)));
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Whether a shard is owned under this epoch.
fn owns(db: &Connection, shard: ShardId, epoch: Epoch) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM shards WHERE shard = ?1 AND epoch = ?2 AND node IS NOT NULL")?
        .exists(params![shard.0, to_sql(epoch.0)])
}

/// Takes a shard over.
pub(in crate::embedded) struct ClaimChange {
    pub(in crate::embedded) shard: ShardId,
    pub(in crate::embedded) owner: Owner,
    pub(in crate::embedded) seen: Epoch,
}

impl Change for ClaimChange {
    type Answer = Claim;

    fn apply(&self, db: &Connection, _log: &Log) -> rusqlite::Result<Result<Claim>> {
        let claim = db
            .prepare_cached("SELECT epoch, mark, node, incarnation FROM shards WHERE shard = ?1")?
            .query_row([self.shard.0], |row| {
                let owner = row.get::<_, Option<String>>(2)?.zip(row.get(3)?);
                Ok(Claim {
                    epoch: Epoch(from_sql(row.get(0)?) + 1),
                    mark: Offset(from_sql(row.get(1)?)),
                    head: Offset::ZERO,
                    previous: owner.map(|(node, incarnation)| Owner { node, incarnation }),
                })
            })?;
        if claim.epoch.0 != self.seen.0 + 1 {
            return Ok(Err(StoreError::Fenced));
        }
        db.prepare_cached("UPDATE shards SET epoch = ?2, node = ?3, incarnation = ?4 WHERE shard = ?1")?
            .execute(params![self.shard.0, to_sql(claim.epoch.0), self.owner.node, self.owner.incarnation])?;
        Ok(Ok(claim))
    }

    fn settle(&self, claim: Claim, log: &Log) -> Result<Claim> {
        let head = log.authorise(self.shard, claim.epoch)?;
        Ok(Claim { head, ..claim })
    }
}

/// Gives a shard up.
pub(in crate::embedded) struct ReleaseChange {
    pub(in crate::embedded) shard: ShardId,
    pub(in crate::embedded) epoch: Epoch,
}

impl Change for ReleaseChange {
    type Answer = ();

    fn apply(&self, db: &Connection, _log: &Log) -> rusqlite::Result<Result<()>> {
        if !owns(db, self.shard, self.epoch)? {
            return Ok(Err(StoreError::Fenced));
        }
        db.prepare_cached("UPDATE shards SET node = NULL, incarnation = NULL WHERE shard = ?1")?
            .execute([self.shard.0])?;
        Ok(Ok(()))
    }

    fn settle(&self, (): (), log: &Log) -> Result<()> {
        log.authorise(self.shard, Epoch(0)).map(|_| ())
    }
}

/// Stores snapshots and the mark.
pub(in crate::embedded) struct CheckpointChange {
    pub(in crate::embedded) shard: ShardId,
    pub(in crate::embedded) epoch: Epoch,
    pub(in crate::embedded) checkpoint: Checkpoint,
}

impl Change for CheckpointChange {
    /// The mark after it.
    type Answer = Offset;

    fn apply(&self, db: &Connection, log: &Log) -> rusqlite::Result<Result<Offset>> {
        if !owns(db, self.shard, self.epoch)? {
            return Ok(Err(StoreError::Fenced));
        }
        let mark = db
            .prepare_cached("SELECT mark FROM shards WHERE shard = ?1")?
            .query_row([self.shard.0], |row| row.get(0).map(from_sql).map(Offset))?;
        if self.checkpoint.mark < mark {
            return Ok(Ok(mark));
        }
        // Never past the log: later entries must stay readable.
        let mark = mark.max(self.checkpoint.mark.min(log.last(self.shard)));
        db.prepare_cached("UPDATE shards SET mark = ?2 WHERE shard = ?1")?
            .execute(params![self.shard.0, to_sql(mark.0)])?;
        for actor in &self.checkpoint.remove {
            db.prepare_cached("DELETE FROM rows WHERE shard = ?1 AND actor = ?2")?
                .execute(params![self.shard.0, actor])?;
        }
        for row in &self.checkpoint.put {
            put_row(db, self.shard, row)?;
        }
        Ok(Ok(mark))
    }

    fn settle(&self, mark: Offset, log: &Log) -> Result<Offset> {
        log.trim(self.shard, mark);
        Ok(mark)
    }
}

fn put_row(db: &Connection, shard: ShardId, row: &Row) -> rusqlite::Result<()> {
    let index = &row.index;
    let columns = params![
        shard.0,
        row.actor,
        &row.snapshot[..],
        checksum_of(&row.actor, &row.snapshot),
        index.due.map(to_sql),
        index.attention,
        index.status,
        index.group,
        to_sql(index.started),
        index.ended.map(to_sql),
    ];
    // Most checkpoints change a snapshot only: then no index needs to be touched.
    let same = db
        .prepare_cached(
            "UPDATE rows SET snapshot = ?3, checksum = ?4 WHERE shard = ?1 AND actor = ?2 AND due IS ?5 \
             AND attention = ?6 AND status = ?7 AND grp = ?8 AND started = ?9 AND ended IS ?10",
        )?
        .execute(columns)?;
    if same == 0 {
        db.prepare_cached(
            "INSERT INTO rows (shard, actor, snapshot, checksum, due, attention, status, grp, started, ended) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT (shard, actor) DO UPDATE SET snapshot = ?3, checksum = ?4, due = ?5, attention = ?6, \
             status = ?7, grp = ?8, started = ?9, ended = ?10",
        )?
        .execute(columns)?;
    }
    Ok(())
}

/// Removes rows that ended long ago.
pub(in crate::embedded) struct GroomChange {
    pub(in crate::embedded) shard: ShardId,
    pub(in crate::embedded) epoch: Epoch,
    pub(in crate::embedded) before: u64,
    pub(in crate::embedded) limit: usize,
}

impl Change for GroomChange {
    type Answer = usize;

    fn apply(&self, db: &Connection, _log: &Log) -> rusqlite::Result<Result<usize>> {
        if !owns(db, self.shard, self.epoch)? {
            return Ok(Err(StoreError::Fenced));
        }
        let gone = db
            .prepare_cached(
                "DELETE FROM rows WHERE rowid IN (SELECT rowid FROM rows WHERE shard = ?1 AND \
                 ended IS NOT NULL AND ended < ?2 ORDER BY ended, actor LIMIT ?3)",
            )?
            .execute(params![self.shard.0, to_sql(self.before), limit(self.limit)])?;
        Ok(Ok(gone))
    }
}

/// Stores a setting if nobody changed it meanwhile.
pub(in crate::embedded) struct SettingChange {
    pub(in crate::embedded) key: String,
    pub(in crate::embedded) expected: u64,
    pub(in crate::embedded) bytes: Bytes,
}

impl Change for SettingChange {
    type Answer = u64;

    fn apply(&self, db: &Connection, _log: &Log) -> rusqlite::Result<Result<u64>> {
        let found = db
            .prepare_cached("SELECT version FROM settings WHERE key = ?1")?
            .query_row([&self.key], |row| row.get(0).map(from_sql))
            .optional()?
            .unwrap_or(0);
        if found != self.expected {
            return Ok(Err(StoreError::Conflict { expected: self.expected, found }));
        }
        let version = found + 1;
        db.prepare_cached("INSERT OR REPLACE INTO settings (key, version, bytes) VALUES (?1, ?2, ?3)")?
            .execute(params![self.key, to_sql(version), &self.bytes[..]])?;
        Ok(Ok(version))
    }
}
