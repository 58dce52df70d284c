//! The thread that writes the log, and the start of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::group::{Group, Placed, Standing};
use super::handle::{Log, Request};
use super::index::{Index, Segment};
use super::record::{Kind, Record};
use super::scan::{self, Scan};
use super::segment::{Link, SegmentHeader, segment_path};
use crate::embedded::config::EmbeddedConfig;
use crate::embedded::disk::{Disk, DiskFile};
use crate::embedded::folder::{Format, cannot};
use crate::embedded::health::Health;
use crate::embedded::queue::{AbandonOnDrop, Cost, Linger, Queue};
use crate::embedded::report::OpenReport;
use crate::port::{Append, Epoch, Offset, Result, ShardId};
use crate::sync::lock;
use crate::{Clock, StoreError};

/// The longest that a group waits for those who were in the one before: they are back by then, or gone.
const LINGER_MAX: Duration = Duration::from_millis(1);

/// What a log is started with.
pub(in crate::embedded) struct Setup<'a> {
    pub(in crate::embedded) config: &'a EmbeddedConfig,
    pub(in crate::embedded) folder: PathBuf,
    pub(in crate::embedded) format: Format,
    /// Up to where the rows of each shard hold.
    pub(in crate::embedded) marks: Vec<Offset>,
    /// Which epoch may append to each shard under a fence; zero for none.
    pub(in crate::embedded) epochs: Vec<Epoch>,
    pub(in crate::embedded) health: Arc<Health>,
}

/// Makes the first segment of a new log.
pub(in crate::embedded) fn create(disk: &dyn Disk, folder: &Path, format: Format) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    let links = vec![Link::default(); usize::from(format.shards)];
    let header = SegmentHeader { number: 1, first_group: 1, links };
    let path = segment_path(folder, 1);
    begin_segment(disk, folder, &header, format.salt).map_err(|error| cannot("make", &path, &error))?;
    Ok(())
}

/// Writes a new segment with nothing but its header, durably.
pub(in crate::embedded) fn begin_segment(
    disk: &dyn Disk,
    folder: &Path,
    header: &SegmentHeader,
    salt: u32,
) -> std::io::Result<Arc<dyn DiskFile>> {
    let path = segment_path(folder, header.number);
    let file = disk.create(&path)?;
    let written = file
        .write_at(&header.encode(salt), 0)
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync_folder(folder));
    if let Err(error) = written {
        // Nothing refers to it yet; what cannot be removed now is dropped when the store is opened.
        let _ = disk.remove(&path);
        return Err(error);
    }
    Ok(file)
}

/// Reads what is in the log and starts its writer.
pub(in crate::embedded) fn start(setup: Setup<'_>) -> Result<(Arc<Log>, JoinHandle<()>, OpenReport)> {
    let Setup { config, folder, format, marks, epochs, health } = setup;
    let disk = Arc::clone(&config.disk);
    let Scan { segments, entries, links, next_group, torn } = scan::scan(&*disk, &folder, format, &marks)?;
    if let Some(torn) = &torn {
        tracing::warn!(%torn, "the store was not shut down in good order");
    }
    let mut index = Index::new(marks.len(), config.cache_bytes);
    let mut active = None;
    for found in segments {
        active = Some((found.number, Arc::clone(&found.file), found.len));
        let (number, path, file, len) = (found.number, found.path, found.file, found.len);
        index.add_segment(Segment { number, path, file, len, live: 0 });
    }
    for (shard, place) in entries {
        if marks.get(usize::from(shard.0)).is_some_and(|mark| place.offset > *mark) {
            index.add(shard, place);
        }
    }
    let Some((number, file, len)) = active else {
        return Err(StoreError::Corrupt(format!("{}: the log is empty", folder.display())));
    };
    let report = OpenReport { entries: index.entries(), segments: index.segment_count(), torn };
    let last = links.iter().map(|link| link.offset).max().unwrap_or_default();
    let heads = links.iter().map(|link| watch::Sender::new(link.offset)).collect();
    let limit = Cost { count: config.queue_entries_max, bytes: config.queue_bytes_max };
    let log = Arc::new(Log {
        queue: Queue::new(limit),
        index: Mutex::new(index),
        heads,
        health,
        disk,
        salt: format.salt,
        batch_bytes_max: config.queue_bytes_max,
    });
    log.remove_segments();
    let writer = Writer {
        log: Arc::clone(&log),
        folder,
        clock: Arc::clone(&config.clock),
        segment_bytes: config.segment_bytes,
        log_bytes_max: config.log_bytes_max,
        most: Cost { count: config.group_entries_max, bytes: config.group_bytes_max },
        epochs,
        standing: Standing { links, last, next_group },
        active: Active { number, file, len },
        linger: Linger::default(),
    };
    let thread = std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || writer.run())
        .map_err(|error| StoreError::Refused(format!("cannot start a thread: {error}")))?;
    Ok((log, thread, report))
}

/// The segment that is written.
struct Active {
    number: u32,
    file: Arc<dyn DiskFile>,
    /// Everything up to here is durable.
    len: u64,
}

pub(super) type Reply = oneshot::Sender<Result<Vec<Offset>>>;

struct Writer {
    log: Arc<Log>,
    folder: PathBuf,
    clock: Clock,
    segment_bytes: u64,
    log_bytes_max: u64,
    most: Cost,
    epochs: Vec<Epoch>,
    standing: Standing,
    active: Active,
    /// Waits for as many as came last time, but far shorter than a flush takes.
    linger: Linger,
}

impl Writer {
    fn run(mut self) {
        let log = Arc::clone(&self.log);
        let _abandon = AbandonOnDrop(&log.queue);
        let mut requests = Vec::new();
        while log.queue.take(self.most, self.linger, &mut requests) {
            self.linger.items = requests.len();
            let mut batches = Vec::with_capacity(requests.len());
            for request in requests.drain(..) {
                match request {
                    Request::Append { batch, fence, reply } => {
                        if let Some(batch) = self.admit(batch, fence, reply) {
                            batches.push(batch);
                        }
                    }
                    Request::Authorise { shard, epoch, reply } => {
                        // What was admitted under the old epoch is in the log before the new owner learns
                        // where the log ends.
                        self.commit(std::mem::take(&mut batches));
                        let _ = reply.send(self.authorise(shard, epoch));
                    }
                }
            }
            self.commit(batches);
        }
        self.shut();
    }

    /// Refuses a batch whose fence is not the shard's newest epoch.
    fn admit(
        &self,
        batch: Vec<Append>,
        fence: Option<(ShardId, Epoch)>,
        reply: Reply,
    ) -> Option<(Vec<Append>, Reply)> {
        let allowed = fence.is_none_or(|(shard, epoch)| {
            // Epoch zero is nobody's.
            epoch.0 > 0 && self.epochs.get(usize::from(shard.0)) == Some(&epoch)
        });
        if allowed {
            return Some((batch, reply));
        }
        let _ = reply.send(Err(StoreError::Fenced));
        None
    }

    fn authorise(&mut self, shard: ShardId, epoch: Epoch) -> Offset {
        if let Some(current) = self.epochs.get_mut(usize::from(shard.0)) {
            *current = epoch;
        }
        self.standing.link(shard).offset
    }

    /// Writes batches as one group and answers them.
    fn commit(&mut self, batches: Vec<(Vec<Append>, Reply)>) {
        if batches.is_empty() {
            return;
        }
        let (batches, replies): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
        match self.write(batches) {
            Ok(answers) => {
                // Those who went away do not want to know.
                for (reply, offsets) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Ok(offsets));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Makes batches durable and shows them to readers; answers their offsets. On an error nothing is left.
    fn write(&mut self, batches: Vec<Vec<Append>>) -> Result<Vec<Vec<Offset>>> {
        self.log.health.check()?;
        self.make_room(Group::len(&batches) as u64)?;
        let group = self.standing.place(batches, self.log.salt, (self.clock)());
        // The configuration is checked: segments are far smaller than 4 GiB.
        let at = u32::try_from(self.active.len).unwrap_or(u32::MAX);
        if !group.bytes.is_empty()
            && let Err(error) = self.put(&group.bytes)
        {
            self.standing.take_back(&group);
            return Err(error);
        }
        Ok(self.publish(group, at))
    }

    /// Begins another segment if so many bytes are too many for this one.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        if lock(&self.log.index).log_bytes() + bytes > self.log_bytes_max {
            return Err(StoreError::Full(format!(
                "the mailbox log has reached its limit of {} bytes",
                self.log_bytes_max
            )));
        }
        let empty = SegmentHeader::len(self.standing.links.len()) as u64;
        if self.active.len + bytes > self.segment_bytes && self.active.len > empty {
            self.rotate()?;
        }
        Ok(())
    }

    /// Writes and flushes bytes at the end of the active segment. What cannot be written is cut off again;
    /// what cannot be flushed is the end of all writing.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let Active { file, len, .. } = &self.active;
        if let Err(error) = file.write_at(bytes, *len) {
            return Err(match file.truncate(*len) {
                Ok(()) => StoreError::Full(format!("cannot write to the mailbox log: {error}")),
                Err(cut) => self.log.health.fail(format!(
                    "cannot write to the mailbox log: {error}; nor cut off what was written: {cut}"
                )),
            });
        }
        let flush = Instant::now();
        if let Err(error) = file.sync() {
            return Err(self.log.health.fail(format!("cannot flush the mailbox log: {error}")));
        }
        self.linger.at_most = (flush.elapsed() / 2).min(LINGER_MAX);
        self.active.len += bytes.len() as u64;
        self.standing.next_group += 1;
        Ok(())
    }

    /// Begins the next segment, then seals this one: a seal without a next segment is a lost segment.
    fn rotate(&mut self) -> Result<()> {
        let header = SegmentHeader {
            number: self.active.number + 1,
            first_group: self.standing.next_group + 1,
            links: self.standing.links.clone(),
        };
        let file = begin_segment(&*self.log.disk, &self.folder, &header, self.log.salt)
            .map_err(|error| StoreError::Full(format!("cannot begin a segment: {error}")))?;
        let path = segment_path(&self.folder, header.number);
        let mut seal = Vec::new();
        Record::control(Kind::Sealed, self.standing.next_group).encode(&[], self.log.salt, &mut seal);
        if let Err(error) = self.put(&seal) {
            let _ = self.log.disk.remove(&path);
            return Err(error);
        }
        let len = SegmentHeader::len(self.standing.links.len()) as u64;
        self.active = Active { number: header.number, file: Arc::clone(&file), len };
        let segment = Segment { number: header.number, path, file, len, live: 0 };
        lock(&self.log.index).add_segment(segment);
        Ok(())
    }

    /// Shows a durable group to readers; answers the offsets of its batches.
    fn publish(&mut self, group: Group, at: u32) -> Vec<Vec<Offset>> {
        let mut index = lock(&self.log.index);
        for placed in &group.entries {
            index.add(placed.shard, placed.place(self.active.number, at));
        }
        if !group.bytes.is_empty() {
            index.add_chunk(at, group.bytes.into());
        }
        drop(index);
        // A reader is woken once for each shard, by its last entry.
        let newest = |placed: &&Placed| self.standing.link(placed.shard) == placed.link;
        for placed in group.entries.iter().filter(newest) {
            if let Some(head) = self.log.heads.get(usize::from(placed.shard.0)) {
                head.send_replace(placed.link.offset);
            }
        }
        group.offsets
    }

    /// Says in the log that everything before was durable, so that damage to it cannot pass for a torn tail.
    fn shut(&mut self) {
        if self.log.health.check().is_err() {
            return;
        }
        let mut closed = Vec::new();
        Record::control(Kind::Closed, self.standing.next_group).encode(&[], self.log.salt, &mut closed);
        if let Err(error) = self.put(&closed) {
            tracing::warn!(%error, "the log could not be closed in good order");
        }
    }
}
