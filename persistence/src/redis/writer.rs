//! Appends: what waits is sent as one batch, one batch at a time, and each is sent until it is answered.
//!
//! The server remembers the last batch of each writer, so that a batch whose answer was lost is carried out once, and
//! the order of everything that this node appends is that of the calls.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use redis::Cmd;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::clock::ServerClock;
use super::held::{Entry, seal};
use super::lane::{Lane, closed};
use super::live::{Trouble, chance};
use super::{keys, library, reply};
use crate::StoreError;
use crate::port::{Append, Epoch, Offset, Result, ShardId};
use crate::sync::lock;

/// One batch has at most so many entries and bytes, unless a single append has more.
const BATCH_ENTRIES: usize = 1000;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How far the clocks of two servers that hold the same data may be apart.
const CLOCKS_DIFFER_MS: u64 = 5000;
/// What may wait.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// One append that waits for its turn.
struct Waiting {
    fence: Option<Epoch>,
    entries: Vec<Append>,
    bytes: usize,
    answer: oneshot::Sender<Result<Vec<Offset>>>,
}

/// What waits to be appended.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Notify,
    entries_max: usize,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    entries: usize,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(entries_max: usize) -> Self {
        Queue { inner: Mutex::default(), ready: Notify::new(), entries_max }
    }

    /// Takes a place for an append; the place is taken when this returns.
    pub(super) fn push(
        &self,
        entries: Vec<Append>,
        fence: Option<Epoch>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let bytes = entries.iter().map(|entry| entry.bytes.len()).sum();
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = lock(&self.inner);
            if inner.closed {
                return ready(Err(closed())).boxed();
            }
            let full = inner.entries + entries.len() > self.entries_max || inner.bytes + bytes > QUEUE_BYTES;
            // What is larger than the whole queue passes alone.
            if full && !inner.waiting.is_empty() {
                return ready(Err(StoreError::Busy)).boxed();
            }
            inner.entries += entries.len();
            inner.bytes += bytes;
            inner.waiting.push_back(Waiting { fence, entries, bytes, answer });
        }
        self.ready.notify_one();
        async move { answered.await.unwrap_or_else(|_| Err(closed())) }.boxed()
    }

    /// Takes nothing more; what waits is still written.
    pub(super) fn close(&self) {
        lock(&self.inner).closed = true;
        self.ready.notify_one();
    }

    fn is_closed(&self) -> bool {
        lock(&self.inner).closed
    }

    /// What waits, as much as fits a batch; nothing once the queue is closed and empty.
    async fn take(&self) -> Vec<Waiting> {
        loop {
            // In this order: what was pushed before it was closed is taken.
            let closed = self.is_closed();
            let taken = self.take_now();
            if closed || !taken.is_empty() {
                return taken;
            }
            self.ready.notified().await;
        }
    }

    /// What waits at this moment, as much as fits a batch.
    fn take_now(&self) -> Vec<Waiting> {
        let mut inner = lock(&self.inner);
        let (mut entries, mut bytes, mut count) = (0, 0, 0);
        for next in &inner.waiting {
            entries += next.entries.len();
            bytes += next.bytes;
            if count > 0 && (entries > BATCH_ENTRIES || bytes > BATCH_BYTES) {
                break;
            }
            count += 1;
        }
        let taken: Vec<Waiting> = inner.waiting.drain(..count).collect();
        inner.entries -= taken.iter().map(|taken| taken.entries.len()).sum::<usize>();
        inner.bytes -= taken.iter().map(|taken| taken.bytes).sum::<usize>();
        taken
    }

    /// Answers everything of the owner of a shard that still waits.
    pub(super) fn refuse_fenced(&self, shard: ShardId, error: &StoreError) {
        let mut inner = lock(&self.inner);
        let all = std::mem::take(&mut inner.waiting);
        let (refused, kept): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(|waiting| {
            waiting.fence.is_some() && waiting.entries.first().is_some_and(|entry| entry.shard == shard)
        });
        inner.waiting = kept;
        inner.entries -= refused.iter().map(|refused| refused.entries.len()).sum::<usize>();
        inner.bytes -= refused.iter().map(|refused| refused.bytes).sum::<usize>();
        drop(inner);
        for waiting in refused {
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }
}

/// A batch with what became of it, which those who wait are not told yet.
struct Written {
    batch: Vec<Waiting>,
    shards: Vec<ShardId>,
    result: Result<String>,
}

/// The writer of a lane.
pub(super) struct Writer {
    lane: Arc<Lane>,
    clock: Arc<ServerClock>,
    /// Where the server remembers the last batch.
    memory: String,
    number: u64,
}

impl Writer {
    pub(super) fn new(lane: Arc<Lane>, clock: Arc<ServerClock>) -> Self {
        let memory = memory(&lane.tag);
        Writer { lane, clock, memory, number: 0 }
    }

    /// Writes until the queue is closed and empty, then closes the link.
    pub(super) async fn run(mut self) {
        let mut batch = self.lane.queue.take().await;
        while !batch.is_empty() {
            let mut written = self.write(batch, None).await;
            // While there is more, a batch is answered when the next one is on its way, so that the server is not idle
            // meanwhile.
            loop {
                let next = self.lane.queue.take_now();
                if next.is_empty() {
                    break;
                }
                written = self.write(next, Some(written)).await;
            }
            self.answer(written);
            batch = self.lane.queue.take().await;
        }
        self.lane.link.close();
    }

    /// Sends a batch, and answers the one before meanwhile.
    async fn write(&mut self, batch: Vec<Waiting>, before: Option<Written>) -> Written {
        self.number += 1;
        let entries = batch.iter().flat_map(|waiting| &waiting.entries);
        let shards: Vec<ShardId> =
            entries.map(|entry| entry.shard).collect::<BTreeSet<_>>().into_iter().collect();
        let answer = async {
            if let Some(before) = before {
                self.answer(before);
            }
        };
        let (result, ()) = futures_util::future::join(self.send(&batch, &shards), answer).await;
        Written { batch, shards, result }
    }

    /// The batch as one call. In doubt, with the place behind which each shard may have it already.
    fn command(&self, batch: &[Waiting], shards: &[ShardId], doubt: Option<&Doubt>) -> Cmd {
        let places: HashMap<ShardId, usize> = shards.iter().copied().zip(1..).collect();
        let mut call = library::call("append", &[&self.memory]);
        call.arg(self.number).arg(if doubt.is_some() { "1" } else { "" }).arg(shards.len());
        for shard in shards {
            call.arg(self.lane.keys.stem(*shard));
            if let Some(doubt) = doubt {
                call.arg(keys::id(doubt.since(*shard)));
            }
        }
        for waiting in batch {
            match waiting.fence {
                Some(epoch) => call.arg(epoch.0),
                None => call.arg(""),
            };
            call.arg(waiting.entries.len());
            for entry in &waiting.entries {
                let place = places.get(&entry.shard).copied().unwrap_or(0);
                call.arg(place).arg(seal(&entry.bytes));
            }
        }
        call
    }

    /// Sends a batch until it is answered.
    async fn send(&self, batch: &[Waiting], shards: &[ShardId]) -> Result<String> {
        let mut command = self.command(batch, shards, None);
        let first_sent = self.clock.now();
        let mut in_doubt = false;
        loop {
            let wait = self.lane.link.wait();
            // After the store was closed nobody waits long for a server that is away.
            let live = if self.lane.queue.is_closed() {
                timeout(self.lane.config.timeout, wait).await.ok().flatten()
            } else {
                wait.await
            };
            let live = live.ok_or_else(closed)?;
            let done = async {
                let answer = live.ask(&command).await?;
                self.lane.replicate(&live).await?;
                Ok(answer)
            };
            match done.await {
                Ok(answer) => {
                    let (word, mut reply) = reply::open(answer)?;
                    if word == "ok" {
                        return reply.text();
                    }
                    // Waits for the environment to be there again: this batch may have been carried out before.
                    self.lane.gone(&live);
                }
                Err(Trouble::Refused(error)) if !in_doubt => return Err(error),
                Err(trouble) => self.lane.again(&live, trouble).await,
            }
            in_doubt = true;
            // The server that carried it out may have lost its memory of that, and not the entries: another node that had
            // read them puts them back.
            let doubt = Doubt {
                acknowledged: lock(&self.lane.acknowledged).last(),
                earliest: Offset::new(first_sent.saturating_sub(CLOCKS_DIFFER_MS), 0),
            };
            command = self.command(batch, shards, Some(&doubt));
        }
    }

    fn answer(&self, written: Written) {
        let Written { batch, shards, result } = written;
        let line = match result {
            Ok(line) => line,
            Err(error) => return answer_all(batch, &error),
        };
        let Some((mut places, fenced)) = parse(&line, &shards) else {
            let error = StoreError::Corrupt(format!("expected offsets from the server, found '{line}'"));
            return answer_all(batch, &error);
        };
        let mut taken: HashMap<ShardId, Vec<Entry>> = HashMap::new();
        let mut answers = Vec::with_capacity(batch.len());
        for (part, waiting) in batch.into_iter().enumerate() {
            if fenced.contains(&part) {
                places.pass_over(waiting.entries.len());
                answers.push((waiting.answer, Err(StoreError::Fenced)));
                continue;
            }
            let mut offsets = Vec::with_capacity(waiting.entries.len());
            for Append { shard, bytes } in waiting.entries {
                let Some((offset, number)) = places.next(shard) else { continue };
                offsets.push(offset);
                taken.entry(shard).or_default().push(Entry { offset, number, bytes });
            }
            answers.push((waiting.answer, Ok(offsets)));
        }
        // In doubt, one that was there before may come behind one that was not.
        taken.values_mut().for_each(|entries| entries.sort_by_key(|entry| entry.number));
        {
            let mut acknowledged = lock(&self.lane.acknowledged);
            for (shard, entries) in &taken {
                for entry in entries {
                    acknowledged.push(*shard, entry.clone());
                }
            }
        }
        // Before the answers: whoever has one finds the head where it says.
        for (shard, entries) in taken {
            let last = entries.last().map_or(Offset::ZERO, |entry| entry.offset);
            self.lane.logs.extend(shard, entries);
            self.lane.logs.moved(shard, last);
        }
        for (answer, result) in answers {
            let _ = answer.send(result);
        }
    }
}

fn answer_all(batch: Vec<Waiting>, error: &StoreError) {
    for waiting in batch {
        let _ = waiting.answer.send(Err(error.clone()));
    }
}

/// The name under which the server remembers a writer's last batch.
pub(super) fn memory(tag: &str) -> String {
    format!("{tag}:writer:{:016x}{:016x}", chance(), chance())
}

/// What is known of a batch that may have been carried out.
struct Doubt {
    /// The last entry of each shard that this writer had appended before.
    acknowledged: HashMap<ShardId, (Offset, u64)>,
    /// No entry of the batch is older.
    earliest: Offset,
}

impl Doubt {
    /// Behind which place a shard may have entries of the batch.
    fn since(&self, shard: ShardId) -> Offset {
        self.acknowledged.get(&shard).map_or(self.earliest, |(offset, _)| self.earliest.max(*offset))
    }
}

/// The places of a batch's entries, each an offset and a number.
#[derive(Debug)]
pub(super) enum Places {
    /// The next one of each shard: its entries follow each other.
    Runs(HashMap<ShardId, (Offset, u64)>),
    /// Each, in the order of the batch.
    Each(VecDeque<Option<(Offset, u64)>>),
}

impl Places {
    /// The place of the next entry, which is of this shard.
    pub(super) fn next(&mut self, shard: ShardId) -> Option<(Offset, u64)> {
        match self {
            Places::Runs(next) => {
                let (offset, number) = next.get_mut(&shard)?;
                let place = (*offset, *number);
                (*offset, *number) = (Offset(offset.0 + 1), *number + 1);
                Some(place)
            }
            Places::Each(places) => places.pop_front().flatten(),
        }
    }

    /// The next entries were refused.
    fn pass_over(&mut self, entries: usize) {
        if let Places::Each(places) = self {
            places.drain(..entries.min(places.len()));
        }
    }
}

/// The places of the entries, and the parts that were refused.
pub(super) fn parse(line: &str, shards: &[ShardId]) -> Option<(Places, Vec<usize>)> {
    let (places, fenced) = line.split_once('|')?;
    let place = |place: &str| {
        let mut numbers = place.split(':').map(str::parse::<u64>);
        let (millis, sequence, number) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some((keys::offset(millis, sequence)?, number))
    };
    let places = match places.strip_prefix('!') {
        Some(each) => {
            let each = each.split(' ').filter(|text| !text.is_empty());
            let each = each.map(|text| if text == "-" { Some(None) } else { place(text).map(Some) });
            Places::Each(each.collect::<Option<_>>()?)
        }
        None => {
            let found =
                shards.iter().zip(places.split(' ')).map(|(shard, text)| Some((*shard, place(text)?)));
            let next: HashMap<_, _> = found.collect::<Option<_>>()?;
            (next.len() == shards.len()).then_some(Places::Runs(next))?
        }
    };
    let fenced = fenced
        .split(' ')
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect::<std::result::Result<_, _>>();
    Some((places, fenced.ok()?))
}

/// The entries of a fenced append, as any other.
pub(super) fn of_one_shard(shard: ShardId, batch: Vec<Bytes>) -> Vec<Append> {
    batch.into_iter().map(|bytes| Append { shard, bytes }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_batch_is_taken_apart() {
        let shards = [ShardId(3), ShardId(1)];
        let (mut next, fenced) = parse("1000:5:7 1001:0:1|0 12", &shards).unwrap();
        assert_eq!(next.next(ShardId(3)), Some((Offset::new(1000, 5), 7)));
        assert_eq!(next.next(ShardId(1)), Some((Offset::new(1001, 0), 1)));
        assert_eq!(next.next(ShardId(3)), Some((Offset::new(1000, 6), 8)));
        assert_eq!(fenced, [0, 12]);
        let (mut each, fenced) = parse("!1000:5:7 - 1001:0:1|1", &shards).unwrap();
        assert_eq!(each.next(ShardId(3)), Some((Offset::new(1000, 5), 7)));
        each.pass_over(1);
        assert_eq!(each.next(ShardId(3)), Some((Offset::new(1001, 0), 1)));
        assert_eq!((each.next(ShardId(3)), fenced), (None, vec![1]));
        assert_eq!(parse("1000:5:7 1001:0:1|", &shards).unwrap().1, [0usize; 0]);
        for bad in ["", "1000:5:7|", "1000:5 1:1:1|", "a:b:c 1:1:1|", "1:1:1 1:1:1", "!1:1|"] {
            assert!(parse(bad, &shards).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_answers_at_once() {
        let queue = Queue::new(2);
        let entry = || vec![Append { shard: ShardId(0), bytes: Bytes::from_static(b"1") }];
        let _one = queue.push(entry(), None);
        let two = queue.push(entry(), Some(Epoch(1)));
        assert_eq!(queue.push(entry(), None).await, Err(StoreError::Busy));
        queue.refuse_fenced(ShardId(0), &StoreError::Fenced);
        assert_eq!(two.await, Err(StoreError::Fenced));
        let _three = queue.push(entry(), None);
        assert_eq!(queue.take().await.len(), 2);
        queue.close();
        assert!(queue.take().await.is_empty());
        assert!(queue.push(entry(), None).await.is_err());
    }
}
