//! Reading rows and settings.

use std::path::Path;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params, params_from_iter};

use super::sql::{after_prefix, checksum_of, explain, from_sql, limit, to_sql};
use crate::StoreError;
use crate::port::{Epoch, ListQuery, Owner, Ownership, Result, Row, RowIndex, Setting, ShardId};

const COLUMNS: &str = "actor, due, attention, status, grp, started, ended";

/// A row with its snapshot and the checksum that was stored with it.
struct Stored {
    row: Row,
    checksum: u32,
}

impl Stored {
    fn read(found: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let mut row = row_without_snapshot(found)?;
        row.snapshot = Bytes::from(found.get::<_, Vec<u8>>("snapshot")?);
        Ok(Stored { row, checksum: found.get("checksum")? })
    }

    fn check(self, path: &Path) -> Result<Row> {
        let Stored { row, checksum } = self;
        let found = checksum_of(&row.actor, &row.snapshot);
        if found == checksum {
            return Ok(row);
        }
        let data = path.parent().unwrap_or(path);
        Err(StoreError::Corrupt(format!(
            "{}: the snapshot of {} is damaged: expected checksum {checksum:08x}, found {found:08x}; to set \
             damaged snapshots aside run: impresario repair --data {}",
            path.display(),
            row.actor,
            data.display()
        )))
    }
}

fn row_without_snapshot(found: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let number = |column| found.get::<_, Option<i64>>(column).map(|number| number.map(from_sql));
    Ok(Row {
        actor: found.get("actor")?,
        snapshot: Bytes::new(),
        index: RowIndex {
            due: number("due")?,
            attention: found.get("attention")?,
            status: found.get("status")?,
            group: found.get("grp")?,
            started: from_sql(found.get("started")?),
            ended: number("ended")?,
        },
    })
}

/// One actor's row.
pub(in crate::embedded) fn row(
    db: &Connection,
    path: &Path,
    shard: ShardId,
    actor: &str,
) -> Result<Option<Row>> {
    let read = || {
        let sql = format!("SELECT {COLUMNS}, snapshot, checksum FROM rows WHERE shard = ?1 AND actor = ?2");
        db.prepare_cached(&sql)?.query_row(params![shard.0, actor], Stored::read).optional()
    };
    let stored = read().map_err(|error| explain(&error, path))?;
    stored.map(|stored| stored.check(path)).transpose()
}

/// Rows whose attention is set.
pub(in crate::embedded) fn attention(
    db: &Connection,
    path: &Path,
    shard: ShardId,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<Row>> {
    let mut filter = Filter::new("shard = ? AND attention = 1", shard.0);
    filter.all_after(after);
    filter.rows(db, path, most)
}

/// Rows by the prefix of their actors.
pub(in crate::embedded) fn scan(
    db: &Connection,
    path: &Path,
    shard: ShardId,
    prefix: &str,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<Row>> {
    let mut filter = Filter::new("shard = ?", shard.0);
    filter.prefix("actor", prefix);
    filter.all_after(after);
    filter.rows(db, path, most)
}

/// Actors with a timer due.
pub(in crate::embedded) fn due(
    db: &Connection,
    path: &Path,
    shard: ShardId,
    before: u64,
    most: usize,
) -> Result<Vec<(u64, String)>> {
    let read = || {
        db.prepare_cached(
            "SELECT due, actor FROM rows WHERE shard = ?1 AND due IS NOT NULL AND due < ?2 \
             ORDER BY due, actor LIMIT ?3",
        )?
        .query_map(params![shard.0, to_sql(before), limit(most)], |row| {
            Ok((from_sql(row.get(0)?), row.get(1)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error: rusqlite::Error| explain(&error, path))
}

/// Rows of all shards without their snapshots, newest first.
pub(in crate::embedded) fn list(db: &Connection, path: &Path, query: &ListQuery) -> Result<Vec<Row>> {
    let mut filter = Filter { sql: "1".to_owned(), values: Vec::new() };
    filter.prefix("actor", &query.prefix);
    if let Some(status) = &query.status {
        filter.add("status = ?", [status.clone()]);
    }
    match &query.group {
        Some(group) if group.ends_with(':') => filter.prefix("grp", group),
        Some(group) => filter.add("grp = ?", [group.clone()]),
        None => {}
    }
    if let Some((started, actor)) = &query.after {
        let values = [Value::Integer(to_sql(*started)), Value::Text(actor.clone())];
        filter.add("(started, actor) < (?, ?)", values);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM rows WHERE {} ORDER BY started DESC, actor DESC LIMIT {}",
        filter.sql,
        limit(query.limit)
    );
    let read = || {
        db.prepare_cached(&sql)?
            .query_map(params_from_iter(&filter.values), row_without_snapshot)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error: rusqlite::Error| explain(&error, path))
}

/// Conditions on rows and the values in them.
struct Filter {
    sql: String,
    values: Vec<Value>,
}

impl Filter {
    fn new(sql: &str, value: impl Into<Value>) -> Self {
        Filter { sql: sql.to_owned(), values: vec![value.into()] }
    }

    fn add<V: Into<Value>>(&mut self, sql: &str, values: impl IntoIterator<Item = V>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
        self.values.extend(values.into_iter().map(Into::into));
    }

    /// A range instead of a pattern: an index serves it, and no character in it is special.
    fn prefix(&mut self, column: &str, prefix: &str) {
        if prefix.is_empty() {
            return;
        }
        self.add(&format!("{column} >= ?"), [prefix.to_owned()]);
        if let Some(end) = after_prefix(prefix) {
            self.add(&format!("{column} < ?"), [end]);
        }
    }

    fn all_after(&mut self, after: Option<&str>) {
        if let Some(after) = after {
            self.add("actor > ?", [after.to_owned()]);
        }
    }

    /// The matching rows with their snapshots, by actor.
    fn rows(&self, db: &Connection, path: &Path, most: usize) -> Result<Vec<Row>> {
        let sql = format!(
            "SELECT {COLUMNS}, snapshot, checksum FROM rows WHERE {} ORDER BY actor LIMIT {}",
            self.sql,
            limit(most)
        );
        let read = || {
            db.prepare_cached(&sql)?
                .query_map(params_from_iter(&self.values), Stored::read)?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        let stored = read().map_err(|error: rusqlite::Error| explain(&error, path))?;
        stored.into_iter().map(|stored| stored.check(path)).collect()
    }
}

fn setting_of(row: &SqlRow<'_>) -> rusqlite::Result<Setting> {
    let bytes = Bytes::from(row.get::<_, Vec<u8>>("bytes")?);
    Ok(Setting { version: from_sql(row.get("version")?), bytes })
}

/// One setting.
pub(in crate::embedded) fn setting(db: &Connection, path: &Path, key: &str) -> Result<Option<Setting>> {
    let read = || {
        db.prepare_cached("SELECT version, bytes FROM settings WHERE key = ?1")?
            .query_row([key], setting_of)
            .optional()
    };
    read().map_err(|error| explain(&error, path))
}

/// Settings by the prefix of their keys.
pub(in crate::embedded) fn settings(
    db: &Connection,
    path: &Path,
    prefix: &str,
) -> Result<Vec<(String, Setting)>> {
    let mut filter = Filter { sql: "1".to_owned(), values: Vec::new() };
    filter.prefix("key", prefix);
    let sql = format!("SELECT key, version, bytes FROM settings WHERE {} ORDER BY key", filter.sql);
    let read = || {
        db.prepare_cached(&sql)?
            .query_map(params_from_iter(&filter.values), |row| Ok((row.get("key")?, setting_of(row)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error: rusqlite::Error| explain(&error, path))
}

/// The keys of settings by their prefix.
pub(in crate::embedded) fn setting_keys(db: &Connection, path: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut filter = Filter { sql: "1".to_owned(), values: Vec::new() };
    filter.prefix("key", prefix);
    let sql = format!("SELECT key FROM settings WHERE {} ORDER BY key", filter.sql);
    let read = || {
        db.prepare_cached(&sql)?
            .query_map(params_from_iter(&filter.values), |row| row.get("key"))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error: rusqlite::Error| explain(&error, path))
}

/// How every shard is owned.
pub(in crate::embedded) fn owners(db: &Connection, path: &Path) -> Result<Vec<Ownership>> {
    let read = || {
        db.prepare_cached("SELECT shard, epoch, node, incarnation FROM shards ORDER BY shard")?
            .query_map([], |row| {
                let owner = row.get::<_, Option<String>>(2)?.zip(row.get(3)?);
                Ok(Ownership {
                    shard: ShardId(row.get(0)?),
                    epoch: Epoch(from_sql(row.get(1)?)),
                    owner: owner.map(|(node, incarnation)| Owner { node, incarnation }),
                    offered: None,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error| explain(&error, path))
}
