//! Rows: how they are stored, and how they are found.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;
use redis::Cmd;

use super::lane::Lane;
use super::library;
use crate::StoreError;
use crate::port::{Checkpoint, Epoch, ListQuery, Result, Row, RowIndex, ShardId};

/// The layout of a row, its first byte.
const LAYOUT: u8 = 1;
/// How many bytes stand before status, group and snapshot.
const FIXED: usize = 30;
const DUE: u8 = 1;
const ATTENTION: u8 = 2;
const ENDED: u8 = 4;

/// Times are searched by as doubles, which are exact up to here: in 285,000 years.
const TIME_MAX: u64 = 1 << 53;

/// How much is asked of the server in one go.
const PAGE_ROWS: usize = 1000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The columns of a row, and then its snapshot.
fn encode(row: &Row) -> Result<Bytes> {
    let index = &row.index;
    let length = |text: &str, what: &str| {
        u16::try_from(text.len()).map_err(|_| {
            StoreError::Refused(format!(
                "the {what} of '{}' has {} bytes: expected at most {}",
                row.actor,
                text.len(),
                u16::MAX
            ))
        })
    };
    let (status, group) = (length(&index.status, "status")?, length(&index.group, "group")?);
    let mut flags = 0;
    for (set, flag) in
        [(index.due.is_some(), DUE), (index.attention, ATTENTION), (index.ended.is_some(), ENDED)]
    {
        if set {
            flags |= flag;
        }
    }
    let mut bytes =
        BytesMut::with_capacity(FIXED + index.status.len() + index.group.len() + row.snapshot.len());
    bytes.put_u8(LAYOUT);
    bytes.put_u8(flags);
    bytes.put_u64_le(index.due.unwrap_or(0));
    bytes.put_u64_le(index.started);
    bytes.put_u64_le(index.ended.unwrap_or(0));
    bytes.put_u16_le(status);
    bytes.put_u16_le(group);
    bytes.put_slice(index.status.as_bytes());
    bytes.put_slice(index.group.as_bytes());
    bytes.put_slice(&row.snapshot);
    Ok(bytes.freeze())
}

pub(super) fn decode(actor: String, bytes: Bytes) -> Result<Row> {
    match take_apart(&bytes) {
        Some((index, snapshot)) => Ok(Row { snapshot: bytes.slice(snapshot..), index, actor }),
        None => Err(StoreError::Corrupt(format!(
            "the row of '{actor}' cannot be read ({} bytes): restore the server's data from a backup, or use a newer \
             version",
            bytes.len()
        ))),
    }
}

fn take_apart(bytes: &[u8]) -> Option<(RowIndex, usize)> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let length = |at: usize| Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    let text = |from: usize, to: usize| String::from_utf8(bytes.get(from..to)?.to_vec()).ok();
    if *bytes.first()? != LAYOUT {
        return None;
    }
    let flags = *bytes.get(1)?;
    let group = FIXED + length(26)?;
    let snapshot = group + length(28)?;
    let index = RowIndex {
        due: (flags & DUE != 0).then_some(number(2)?),
        attention: flags & ATTENTION != 0,
        status: text(FIXED, group)?,
        group: text(group, snapshot)?,
        started: number(10)?,
        ended: if flags & ENDED != 0 { Some(number(18)?) } else { None },
    };
    Some((index, snapshot))
}

/// A checkpoint as one call.
pub(super) fn checkpoint(key: &str, epoch: Epoch, checkpoint: &Checkpoint) -> Result<Cmd> {
    let (millis, sequence) = super::keys::parts(checkpoint.mark);
    let mut call = library::call("checkpoint", &[key]);
    call.arg(epoch.0).arg(millis).arg(sequence).arg(checkpoint.put.len());
    for row in &checkpoint.put {
        let time = |time: Option<u64>| time.map(|time| time.min(TIME_MAX).to_string()).unwrap_or_default();
        call.arg(&row.actor).arg(time(row.index.due)).arg(if row.index.attention { "0" } else { "" });
        call.arg(time(row.index.ended)).arg(row.index.started.min(TIME_MAX)).arg(&row.index.status);
        call.arg(encode(row)?.as_ref());
    }
    call.arg(&checkpoint.remove);
    Ok(call)
}

/// The first text behind all that start with a prefix, as a bound; `+` when there is none.
pub(super) fn behind(prefix: &str) -> Vec<u8> {
    let mut bound = prefix.as_bytes().to_vec();
    while let Some(last) = bound.pop() {
        if last < u8::MAX {
            bound.push(last + 1);
            bound.insert(0, b'(');
            return bound;
        }
    }
    b"+".to_vec()
}

/// Where a search by name begins: at a prefix, or behind the last one that was found.
pub(super) fn from(prefix: &str, after: Option<&str>) -> Vec<u8> {
    match after.filter(|after| *after >= prefix) {
        Some(after) => [b"(", after.as_bytes()].concat(),
        None => [b"[", prefix.as_bytes()].concat(),
    }
}

/// One row.
pub(super) async fn row(lane: Arc<Lane>, shard: ShardId, actor: String) -> Result<Option<Row>> {
    let mut ask = redis::pipe();
    ask.cmd("GET").arg(format!("{}row:{actor}", lane.keys.stem(shard)));
    match lane.look_all(&ask).await?.into_iter().next().unwrap_or_default() {
        redis::Value::Nil => Ok(None),
        redis::Value::BulkString(stored) => decode(actor, stored.into()).map(Some),
        other => Err(super::reply::strange(&other)),
    }
}

/// Removes rows that ended before a time, the oldest first; answers how many.
pub(super) async fn groom(
    lane: Arc<Lane>,
    key: String,
    epoch: Epoch,
    before: u64,
    limit: usize,
) -> Result<usize> {
    let mut gone = 0;
    while gone < limit {
        let page = (limit - gone).min(PAGE_ROWS);
        let mut call = library::call("groom", &[&key]);
        call.arg(epoch.0).arg(before).arg(page);
        let (word, mut reply) = lane.change(&call).await?;
        if word != "ok" {
            return Err(StoreError::Fenced);
        }
        let removed = usize::try_from(reply.number()?).unwrap_or(0);
        gone += removed;
        if removed < page {
            break;
        }
    }
    Ok(gone)
}

/// Whole rows of one set by actor, under a prefix.
pub(super) async fn rows(
    lane: Arc<Lane>,
    shard: ShardId,
    set: &'static str,
    prefix: String,
    mut after: Option<String>,
    limit: usize,
) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    while found.len() < limit {
        let mut look = library::look("rows", &[&lane.keys.meta(shard)]);
        look.arg(set).arg(from(&prefix, after.as_deref())).arg(behind(&prefix));
        look.arg((limit - found.len()).min(PAGE_ROWS)).arg(PAGE_BYTES);
        let mut reply = lane.look(&look).await?;
        let more = reply.number()? == 1;
        while !reply.is_empty() {
            found.push(decode(reply.text()?, reply.bytes()?)?);
        }
        let last = found.last().map(|row: &Row| row.actor.clone());
        if !more || last == after {
            break;
        }
        after = last;
    }
    Ok(found)
}

/// Actors with a timer due before a time, earliest first.
pub(super) async fn due(
    lane: Arc<Lane>,
    shard: ShardId,
    before: u64,
    limit: usize,
) -> Result<Vec<(u64, String)>> {
    let mut found: Vec<(u64, String)> = Vec::new();
    while found.len() < limit {
        let page = (limit - found.len()).min(PAGE_ROWS);
        let mut look = library::look("due", &[&lane.keys.meta(shard)]);
        look.arg(before).arg(page);
        if let Some((at, actor)) = found.last() {
            look.arg(at).arg(actor);
        }
        let mut reply = lane.look(&look).await?;
        let mut count = 0;
        while !reply.is_empty() {
            found.push((reply.number()?, reply.text()?));
            count += 1;
        }
        if count < page {
            break;
        }
    }
    Ok(found)
}

/// One shard's part of a list.
struct Part {
    lane: Arc<Lane>,
    shard: ShardId,
    rows: VecDeque<Row>,
    after: Option<(String, String)>,
    finished: bool,
}

impl Part {
    /// Fetches until there is a row, or no more.
    async fn fill(&mut self, query: &ListQuery, page: usize) -> Result<()> {
        let group = query.group.as_deref();
        let (sign, group) = match group {
            None => ("", ""),
            Some(group) if group.ends_with(':') => ("^", group),
            Some(group) => ("=", group),
        };
        let filtered = !query.prefix.is_empty() || !sign.is_empty();
        while self.rows.is_empty() && !self.finished {
            let mut look = library::look("list", &[&self.lane.keys.meta(self.shard)]);
            look.arg(&query.prefix).arg(sign).arg(group).arg(page);
            // Most rows fit the filter that is asked for most, and sorting many for one answer costs the server dearly.
            look.arg(if filtered { (4 * page).clamp(64, PAGE_ROWS) } else { page });
            look.arg(u8::from(query.status.is_some())).arg(query.status.as_deref().unwrap_or(""));
            if let Some((started, actor)) = &self.after {
                look.arg(started).arg(actor);
            }
            let mut reply = self.lane.look(&look).await?;
            self.finished = reply.number()? == 1;
            let cursor = (reply.text()?, reply.text()?);
            if cursor.0.is_empty() {
                self.finished = true;
            }
            self.after = Some(cursor);
            while !reply.is_empty() {
                let row = decode(reply.text()?, reply.bytes()?)?;
                self.rows.push_back(row);
            }
        }
        Ok(())
    }
}

/// Rows of all shards without their snapshots, newest first: pages of each shard, merged.
pub(super) async fn list(shards: Vec<(Arc<Lane>, ShardId)>, query: ListQuery) -> Result<Vec<Row>> {
    // Rows are spread evenly over the shards, so a little more than its share is enough of most.
    let page = (query.limit.saturating_mul(2) / shards.len().max(1)).clamp(8, PAGE_ROWS);
    let after = query.after.as_ref().map(|(started, actor)| (started.to_string(), actor.clone()));
    let part =
        |(lane, shard)| Part { lane, shard, rows: VecDeque::new(), after: after.clone(), finished: false };
    let mut parts: Vec<Part> = shards.into_iter().map(part).collect();
    let mut found = Vec::new();
    if query.limit == 0 {
        return Ok(found);
    }
    for filled in join_all(parts.iter_mut().map(|part| part.fill(&query, page))).await {
        filled?;
    }
    let place = |row: &Row| (row.index.started, row.actor.clone());
    let first = |(number, part): (usize, &Part)| part.rows.front().map(|row| (place(row), number));
    let mut newest: BinaryHeap<((u64, String), usize)> = parts.iter().enumerate().filter_map(first).collect();
    while found.len() < query.limit
        && let Some((_, number)) = newest.pop()
    {
        let Some(part) = parts.get_mut(number) else { break };
        found.extend(part.rows.pop_front());
        part.fill(&query, page).await?;
        newest.extend(first((number, part)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_there_and_back() {
        let index = RowIndex {
            due: Some(u64::MAX),
            attention: true,
            status: "running".into(),
            group: "ops/b:1".into(),
            started: 7,
            ended: Some(0),
        };
        let full = Row { actor: "a".into(), snapshot: Bytes::from_static(b"\0s"), index };
        let bare = Row { actor: String::new(), ..Row::default() };
        for row in [full, bare] {
            let bytes = encode(&row).unwrap();
            assert_eq!(decode(row.actor.clone(), bytes).unwrap(), row);
        }
        let long =
            Row { index: RowIndex { status: "x".repeat(70_000), ..RowIndex::default() }, ..Row::default() };
        assert!(matches!(encode(&long), Err(StoreError::Refused(_))));
    }

    #[test]
    fn damage_is_found() {
        let bytes = encode(&Row { actor: "a".into(), ..Row::default() }).unwrap();
        for length in 0..FIXED {
            assert!(matches!(decode("a".into(), bytes.slice(..length)), Err(StoreError::Corrupt(_))));
        }
        assert!(decode("a".into(), Bytes::from(vec![9; 40])).is_err());
    }

    #[test]
    fn bounds_hold_a_prefix() {
        assert_eq!(behind(""), b"+");
        assert_eq!(behind("ab"), b"(ac");
        assert_eq!(behind("\u{10FFFF}"), b"(\xF4\x8F\xBF\xC0");
        assert_eq!(from("b", None), b"[b");
        assert_eq!(from("b", Some("a")), b"[b");
        assert_eq!(from("b", Some("bb")), b"(bb");
    }
}
