//! Reads: one blocked call tells which logs have grown, and their new entries are fetched in pages.
//!
//! A blocked call has a connection of its own. It asks for one entry of each log at most, so its answer stays small
//! whatever the entries are; the pages are bounded in bytes by the server's function.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::held::{self, Entry};
use super::lane::Lane;
use super::live::{Live, Trouble};
use super::reply::{self, Reply};
use super::{keys, library};
use crate::StoreError;
use crate::port::{Offset, Record, Result, ShardId};

/// How long a call waits for news before it is made again.
const BLOCK: Duration = Duration::from_secs(1);
/// How much one page has at most.
const PAGE_ENTRIES: usize = 1000;
const PAGE_BYTES: usize = 1024 * 1024;

/// A page of a log.
pub(super) struct Page {
    /// The last entry of the log: its offset and number.
    end: (Offset, u64),
    /// The mark of the shard.
    mark: Offset,
    entries: Vec<Entry>,
}

fn question(lane: &Lane, shard: ShardId, after: Offset, entries: usize, bytes: usize) -> Cmd {
    let (millis, sequence) = keys::parts(after);
    let mut look = library::look("read", &[&lane.keys.meta(shard)]);
    look.arg(millis).arg(sequence).arg(entries).arg(bytes);
    look
}

/// Takes a page apart. Every entry is checked: its bytes against their checksum, its number against the one before.
fn page(mut reply: Reply, shard: ShardId) -> Result<Page> {
    let end = (reply.offset()?, reply.number()?);
    let mark = reply.offset()?;
    let mut entries: Vec<Entry> = Vec::new();
    while !reply.is_empty() {
        let id = reply.text()?;
        let (number, entry) = (reply.number()?, reply.bytes()?);
        let offset = id
            .split_once('-')
            .and_then(|(millis, sequence)| keys::offset(millis.parse().ok()?, sequence.parse().ok()?))
            .ok_or_else(|| damage(shard, &format!("the entry '{id}' has no place in a log")))?;
        let bytes = held::unseal(&entry).ok_or_else(|| {
            damage(shard, &format!("the checksum of entry {number} at {id} does not match"))
        })?;
        if let Some(last) = entries.last()
            && last.number + 1 != number
        {
            return Err(damage(shard, &format!("entry {} is missing before {id}", last.number + 1)));
        }
        entries.push(Entry { offset, number, bytes });
    }
    Ok(Page { end, mark, entries })
}

fn damage(shard: ShardId, what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "the log of shard {} is damaged: {what}. Stop the nodes and restore the server's data from a backup",
        shard.0
    ))
}

/// Who asks for entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Anybody.
    Anybody,
    /// Who takes itself for the owner of the shard.
    Owner,
}

/// What the port asks for: entries after a place, from memory where they are, else from the server.
pub(super) async fn read(
    lane: Arc<Lane>,
    reader: Reader,
    shard: ShardId,
    after: Offset,
    max_entries: usize,
    max_bytes: usize,
) -> Result<Vec<Record>> {
    if let Some(records) = lane.logs.read(shard, after, max_entries, max_bytes) {
        return Ok(records);
    }
    let mut records = Vec::new();
    let (mut after, mut number) =
        (after, lane.logs.seen(shard).filter(|(offset, _)| *offset == after).map(|seen| seen.1));
    let mut bytes = 0;
    while records.len() < max_entries && (bytes < max_bytes || records.is_empty()) {
        let entries = (max_entries - records.len()).min(PAGE_ENTRIES);
        let look = question(&lane, shard, after, entries, (max_bytes - bytes).min(PAGE_BYTES));
        let page = page(lane.look(&look).await?, shard)?;
        if reader == Reader::Owner && page.mark > after {
            return Err(StoreError::Fenced);
        }
        let Some(first) = page.entries.first() else { break };
        // What lies below the mark was trimmed, and is no gap.
        if let Some(number) = number
            && first.number != number + 1
            && page.mark <= after
        {
            return Err(damage(shard, &format!("entry {} is missing before {}", number + 1, first.offset)));
        }
        for entry in page.entries {
            (after, number) = (entry.offset, Some(entry.number));
            bytes = (bytes + entry.bytes.len()).min(max_bytes);
            records.push(Record { offset: entry.offset, bytes: entry.bytes });
        }
        if after >= page.end.0 {
            break;
        }
    }
    Ok(records)
}

/// The reader of a lane: keeps the heads of all shards that somebody listens to.
pub(super) async fn run(lane: Arc<Lane>) {
    while let Some(live) = lane.link.wait().await {
        let reason = tokio::select! {
            () = lane.link.closed() => return,
            Err(trouble) = follow(&lane, &live) => trouble,
        };
        match reason {
            Trouble::Lost(reason) => lane.link.fault(live.generation, &reason),
            Trouble::Refused(error) => lane.link.fault(live.generation, &error.to_string()),
        }
    }
}

/// Follows logs over one connection until it fails.
async fn follow(lane: &Lane, live: &Live) -> std::result::Result<(), Trouble> {
    let blocking = Live::connect(&lane.config, &live.address, true, live.generation).await?;
    let client = blocking.ask(redis::cmd("CLIENT").arg("ID")).await?;
    let mut unblock = redis::cmd("CLIENT");
    unblock.arg("UNBLOCK").arg(redis::from_redis_value::<u64>(client).unwrap_or(0));
    let mut damaged = HashSet::new();
    loop {
        lane.logs.divide();
        let sound = |shard: &ShardId| lane.logs.followed(*shard) && !damaged.contains(shard);
        let followed: Vec<ShardId> = lane.shards.iter().copied().filter(sound).collect();
        if followed.is_empty() {
            tokio::select! {
                () = lane.follow.notified() => {}
                () = tokio::time::sleep(BLOCK) => lost(lane, live)?,
            }
            continue;
        }
        let fresh = followed.iter().filter(|shard| lane.logs.seen(**shard).is_none());
        for begun in join_all(fresh.map(|shard| begin(lane, live, *shard))).await {
            begun?;
        }
        let wait = wait(lane, &followed);
        let mut waiting = std::pin::pin!(blocking.ask_within(&wait, BLOCK));
        let news = loop {
            tokio::select! {
                news = &mut waiting => break news?,
                () = lane.follow.notified() => {
                    // Answers the blocked call, so that the new shard is in the next one. Where that is not allowed
                    // the call ends by itself soon.
                    let _ = live.ask(&unblock).await;
                }
            }
        };
        let grown = grown(lane, &followed, &news);
        let fetched = join_all(grown.iter().map(|shard| fetch(lane, live, *shard))).await;
        for (shard, fetched) in grown.into_iter().zip(fetched) {
            if let Err(Trouble::Refused(error)) = fetched {
                // One damaged log is not the trouble of the others: whoever reads it meets the damage by itself.
                tracing::error!(shard = shard.0, %error, "cannot follow a log");
                damaged.insert(shard);
            } else {
                fetched?;
            }
        }
        lost(lane, live)?;
    }
}

/// Ends the round when the connection of the lane is another one by now.
fn lost(lane: &Lane, live: &Live) -> std::result::Result<(), Trouble> {
    match lane.link.live() {
        Ok(now) if now.generation == live.generation => Ok(()),
        _ => Err(Trouble::Lost("the connection was replaced".to_owned())),
    }
}

fn wait(lane: &Lane, followed: &[ShardId]) -> Cmd {
    let mut wait = redis::cmd("XREAD");
    let millis = u64::try_from(BLOCK.as_millis()).unwrap_or(1000);
    wait.arg("COUNT").arg(1).arg("BLOCK").arg(millis).arg("STREAMS");
    for shard in followed {
        wait.arg(lane.keys.log(*shard));
    }
    for shard in followed {
        let seen = lane.logs.seen(*shard).map_or(Offset::ZERO, |(offset, _)| offset);
        wait.arg(keys::id(seen));
    }
    wait
}

/// Which logs have entries that were not seen yet.
fn grown(lane: &Lane, followed: &[ShardId], news: &Value) -> Vec<ShardId> {
    let Value::Array(logs) = news else { return Vec::new() };
    let named: HashSet<&[u8]> = logs
        .iter()
        .filter_map(|log| match log {
            Value::Array(log) => log.first(),
            _ => None,
        })
        .filter_map(|key| match key {
            Value::BulkString(key) => Some(key.as_slice()),
            _ => None,
        })
        .collect();
    followed.iter().copied().filter(|shard| named.contains(lane.keys.log(*shard).as_bytes())).collect()
}

async fn begin(lane: &Lane, live: &Live, shard: ShardId) -> std::result::Result<(), Trouble> {
    let page = ask(lane, live, shard, Offset::ZERO, 0).await?;
    lane.logs.begin(shard, page.end.0, page.end.1);
    Ok(())
}

/// Fetches one page of what is new; if there is more, the next blocked call answers at once.
async fn fetch(lane: &Lane, live: &Live, shard: ShardId) -> std::result::Result<(), Trouble> {
    let Some((after, number)) = lane.logs.seen(shard) else { return Ok(()) };
    let page = ask(lane, live, shard, after, PAGE_ENTRIES).await?;
    let (offset, count) = page.end;
    // Nothing is new where this node appended it itself, and saw it when it was answered.
    let next = page.entries.first().map_or(count + 1, |first| first.number);
    let gap = next > number + 1;
    if gap && lane.logs.seen(shard) == Some((after, number)) {
        if page.mark <= after {
            return Err(Trouble::Refused(damage(shard, &format!("entry {} is missing", number + 1))));
        }
        // A newer owner has trimmed the log beyond what was seen.
        lane.logs.begin(shard, offset, count);
        return Ok(());
    }
    lane.logs.extend(shard, page.entries);
    lane.logs.moved(shard, offset);
    Ok(())
}

async fn ask(
    lane: &Lane,
    live: &Live,
    shard: ShardId,
    after: Offset,
    entries: usize,
) -> std::result::Result<Page, Trouble> {
    let answer = live.ask(&question(lane, shard, after, entries, PAGE_BYTES)).await?;
    let (word, reply) = reply::open(answer).map_err(Trouble::Refused)?;
    if word == "gone" {
        return Err(Trouble::Lost(super::lane::gone(&lane.config.environment)));
    }
    page(reply, shard).map_err(Trouble::Refused)
}
