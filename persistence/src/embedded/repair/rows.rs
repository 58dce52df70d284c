//! The damaged rows of the state: found, and set aside.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::StoreError;
use crate::embedded::state::{checksum_of, explain};
use crate::port::{Result, ShardId};

/// Refuses a database that SQLite itself finds damaged: its rows cannot be told from garbage.
pub(super) fn check_integrity(db: &Connection, path: &Path) -> Result<()> {
    let found: String =
        db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| explain(&error, path))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!("{} is damaged: {found}; restore it from a backup", path.display())))
}

/// Moves rows whose snapshot fails its checksum to a table of their own; answers whose they are.
pub(super) fn set_aside(db: &mut Connection, path: &Path) -> Result<Vec<(ShardId, String)>> {
    let mut act = || {
        let tx = db.transaction()?;
        let mut lost = Vec::new();
        let mut query = tx.prepare("SELECT rowid, shard, actor, snapshot, checksum FROM rows")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (actor, snapshot): (String, Vec<u8>) = (row.get(2)?, row.get(3)?);
            if checksum_of(&actor, &snapshot) != row.get::<_, u32>(4)? {
                lost.push((row.get::<_, i64>(0)?, ShardId(row.get(1)?), actor));
            }
        }
        drop(rows);
        drop(query);
        for (rowid, _, _) in &lost {
            tx.execute("INSERT INTO damaged_rows SELECT * FROM rows WHERE rowid = ?1", params![rowid])?;
            tx.execute("DELETE FROM rows WHERE rowid = ?1", params![rowid])?;
        }
        tx.commit()?;
        Ok(lost.into_iter().map(|(_, shard, actor)| (shard, actor)).collect())
    };
    act().map_err(|error: rusqlite::Error| explain(&error, path))
}
