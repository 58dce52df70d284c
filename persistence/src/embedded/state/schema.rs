//! The tables of the state, and opening them.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::sql::{explain, from_sql};
use crate::StoreError;
use crate::port::{Epoch, Offset, Result};

/// How much of the database each connection keeps in memory, in KiB.
const CACHE_KIB: i64 = 8 * 1024;

const TABLES: &str = "
BEGIN;
CREATE TABLE IF NOT EXISTS shards (
    shard       INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL DEFAULT 0,
    node        TEXT,
    incarnation TEXT,
    mark        INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS rows (
    shard     INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    snapshot  BLOB NOT NULL,
    checksum  INTEGER NOT NULL,
    due       INTEGER,
    attention INTEGER NOT NULL,
    status    TEXT NOT NULL,
    grp       TEXT NOT NULL,
    started   INTEGER NOT NULL,
    ended     INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS rows_by_actor ON rows (shard, actor);
CREATE INDEX IF NOT EXISTS rows_by_due ON rows (shard, due, actor) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_attention ON rows (shard, actor) WHERE attention = 1;
CREATE INDEX IF NOT EXISTS rows_by_end ON rows (shard, ended, actor) WHERE ended IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_start ON rows (started, actor);
CREATE INDEX IF NOT EXISTS rows_by_status ON rows (status, started, actor);
CREATE INDEX IF NOT EXISTS rows_by_group ON rows (grp, started, actor);
CREATE TABLE IF NOT EXISTS settings (
    key     TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    bytes   BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS damaged_rows AS SELECT * FROM rows WHERE 0;
COMMIT;
";

/// Opens the database, making its tables where they are missing.
pub(in crate::embedded) fn open_for_writing(path: &Path, bytes_max: Option<u64>) -> Result<Connection> {
    let open = || {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // Anything less loses the last commits when the power goes.
        db.pragma_update(None, "synchronous", "FULL")?;
        tune(&db)?;
        db.execute_batch(TABLES)?;
        if let Some(bytes) = bytes_max {
            let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page;
            // The pragma answers with a row, which `pragma_update` does not take.
            db.query_row(&format!("PRAGMA max_page_count = {}", pages.max(1)), [], |_| Ok(()))?;
        }
        Ok(db)
    };
    open().map_err(|error| explain(&error, path))
}

/// Opens the database for reading only.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        tune(&db)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(db)
    };
    open().map_err(|error| explain(&error, path))
}

fn tune(db: &Connection) -> rusqlite::Result<()> {
    // Somebody may look into the file with another tool.
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// What the database says of the shards.
pub(in crate::embedded) struct Shards {
    pub(in crate::embedded) marks: Vec<Offset>,
    /// Which epoch owns each; zero for none.
    pub(in crate::embedded) epochs: Vec<Epoch>,
}

/// Reads the marks and epochs of so many shards, noting those that are new.
pub(in crate::embedded) fn read_shards(db: &mut Connection, path: &Path, count: u16) -> Result<Shards> {
    let mut read = || {
        let tx = db.transaction()?;
        for shard in 0..count {
            tx.prepare_cached("INSERT OR IGNORE INTO shards (shard) VALUES (?1)")?.execute(params![shard])?;
        }
        let mut marks = Vec::new();
        let mut epochs = Vec::new();
        let mut query = tx.prepare("SELECT mark, iif(node IS NULL, 0, epoch) FROM shards ORDER BY shard")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            marks.push(Offset(from_sql(row.get(0)?)));
            epochs.push(Epoch(from_sql(row.get(1)?)));
        }
        drop(rows);
        drop(query);
        tx.commit()?;
        Ok(Shards { marks, epochs })
    };
    let shards = read().map_err(|error: rusqlite::Error| explain(&error, path))?;
    if shards.marks.len() != usize::from(count) {
        return Err(StoreError::Corrupt(format!(
            "{}: expected {count} shards, found {}; restore it from a backup",
            path.display(),
            shards.marks.len()
        )));
    }
    Ok(shards)
}
