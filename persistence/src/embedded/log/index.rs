//! What the log holds, in memory: where every entry behind the marks is, and the newest of them themselves.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::record::HEADER_LEN;
use crate::embedded::disk::DiskFile;
use crate::port::{Offset, ShardId};

/// Where the record of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) struct Place {
    pub(in crate::embedded) offset: Offset,
    pub(in crate::embedded) segment: u32,
    pub(in crate::embedded) at: u32,
    /// The entry's own length, without the header.
    pub(in crate::embedded) len: u32,
}

/// One segment file.
pub(in crate::embedded) struct Segment {
    pub(in crate::embedded) number: u32,
    pub(in crate::embedded) path: PathBuf,
    pub(in crate::embedded) file: Arc<dyn DiskFile>,
    pub(in crate::embedded) len: u64,
    /// How many of its entries no checkpoint covers yet.
    pub(in crate::embedded) live: u64,
}

/// Where the bytes of one entry come from.
pub(in crate::embedded) enum Source {
    Memory {
        chunk: Bytes,
        at: usize,
    },
    /// The open file stays readable even if the segment is removed meanwhile.
    Disk {
        file: Arc<dyn DiskFile>,
        path: PathBuf,
    },
}

/// A group as it was written, kept for reading.
struct Chunk {
    segment: u32,
    at: u32,
    bytes: Bytes,
}

/// The index of the whole log. Positions grow, so everything in it is sorted.
pub(in crate::embedded) struct Index {
    shards: Vec<VecDeque<Place>>,
    segments: VecDeque<Segment>,
    chunks: VecDeque<Chunk>,
    cached: usize,
    cache_limit: usize,
    log_bytes: u64,
}

impl Index {
    pub(in crate::embedded) fn new(shards: usize, cache_limit: usize) -> Self {
        Index {
            shards: vec![VecDeque::new(); shards],
            segments: VecDeque::new(),
            chunks: VecDeque::new(),
            cached: 0,
            cache_limit,
            log_bytes: 0,
        }
    }

    /// The size of all segments in bytes.
    pub(in crate::embedded) fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    pub(in crate::embedded) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    pub(in crate::embedded) fn add_segment(&mut self, segment: Segment) {
        debug_assert!(
            self.segments.back().is_none_or(|last| last.number < segment.number),
            "segments come in order"
        );
        self.log_bytes += segment.len;
        self.segments.push_back(segment);
    }

    /// Makes an entry visible.
    pub(in crate::embedded) fn add(&mut self, shard: ShardId, place: Place) {
        let Some(places) = self.shards.get_mut(usize::from(shard.0)) else {
            return;
        };
        debug_assert!(places.back().is_none_or(|last| last.offset < place.offset), "offsets grow");
        places.push_back(place);
        if let Some(segment) = find_segment(&mut self.segments, place.segment) {
            segment.live += 1;
        }
    }

    /// Notes that the newest segment has grown by a group, which is kept for reading.
    pub(in crate::embedded) fn add_chunk(&mut self, at: u32, bytes: Bytes) {
        let Some(segment) = self.segments.back_mut() else {
            return;
        };
        let grown = bytes.len() as u64;
        segment.len += grown;
        self.log_bytes += grown;
        self.cached += bytes.len();
        self.chunks.push_back(Chunk { segment: segment.number, at, bytes });
        while self.cached > self.cache_limit
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.cached -= oldest.bytes.len();
        }
    }

    /// The entries after an offset and where to read them; stops once they pass `max_bytes`.
    pub(in crate::embedded) fn find(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> Vec<(Place, Source)> {
        let Some(places) = self.shards.get(usize::from(shard.0)) else {
            return Vec::new();
        };
        let start = places.partition_point(|place| place.offset <= after);
        let mut found = Vec::with_capacity(max_entries.min(places.len() - start));
        let mut bytes = 0usize;
        for place in places.range(start..).take(max_entries) {
            if bytes >= max_bytes && !found.is_empty() {
                break;
            }
            let Some(source) = self.source(place) else {
                break;
            };
            bytes += place.len as usize;
            found.push((*place, source));
        }
        found
    }

    fn source(&self, place: &Place) -> Option<Source> {
        let position = (place.segment, place.at);
        let behind = self.chunks.partition_point(|chunk| (chunk.segment, chunk.at) <= position);
        let chunk = behind.checked_sub(1).and_then(|at| self.chunks.get(at));
        if let Some(chunk) = chunk.filter(|chunk| chunk.segment == place.segment) {
            let at = (place.at - chunk.at) as usize + HEADER_LEN;
            if at + place.len as usize <= chunk.bytes.len() {
                return Some(Source::Memory { chunk: chunk.bytes.clone(), at });
            }
        }
        let at = self.segments.binary_search_by_key(&place.segment, |segment| segment.number).ok()?;
        let segment = self.segments.get(at)?;
        Some(Source::Disk { file: Arc::clone(&segment.file), path: segment.path.clone() })
    }

    /// Forgets the entries of a shard up to its mark.
    pub(in crate::embedded) fn trim(&mut self, shard: ShardId, mark: Offset) {
        let Some(places) = self.shards.get_mut(usize::from(shard.0)) else {
            return;
        };
        let gone = places.partition_point(|place| place.offset <= mark);
        for place in places.drain(..gone) {
            if let Some(segment) = find_segment(&mut self.segments, place.segment) {
                segment.live -= 1;
            }
        }
        // A burst must not keep its memory for ever.
        if places.len() * 4 < places.capacity() {
            places.shrink_to(places.len() * 2);
        }
    }

    /// The oldest segment, if nothing in it is needed and it is not the one that is written.
    pub(in crate::embedded) fn removable(&self) -> Option<(u32, PathBuf)> {
        let oldest = self.segments.front()?;
        (oldest.live == 0 && self.segments.len() > 1).then(|| (oldest.number, oldest.path.clone()))
    }

    /// Forgets the oldest segment once its file is gone.
    pub(in crate::embedded) fn removed(&mut self, number: u32) {
        if self.segments.front().is_some_and(|oldest| oldest.number == number)
            && let Some(oldest) = self.segments.pop_front()
        {
            self.log_bytes -= oldest.len;
        }
    }

    /// How many entries it holds.
    pub(in crate::embedded) fn entries(&self) -> u64 {
        self.shards.iter().map(|places| places.len() as u64).sum()
    }
}

fn find_segment(segments: &mut VecDeque<Segment>, number: u32) -> Option<&mut Segment> {
    // Nearly always the newest, when adding, or the oldest, when trimming; there are few in between.
    let at = segments.binary_search_by_key(&number, |segment| segment.number).ok()?;
    segments.get_mut(at)
}
