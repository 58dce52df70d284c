//! Reads the mailbox logs for people: of all shards together, by the time of their entries.
//!
//! Whichever node is asked reads the store itself, so it costs the owners of the shards nothing. A log is trimmed behind the
//! checkpoint of its shard: who reads on more slowly than that misses what went by.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use impresario_model::encoding;
use impresario_model::entry::Entry;
use impresario_model::ids::ActorId;
use impresario_persistence::{Offset, Record, ShardId};
use tokio::time::{Instant, sleep};

use super::blocking;
use super::entry_views;
use super::local::Local;
use super::refusal::refusal;
use crate::inspect::{EntryPage, EntryQuery, EntryView, WAIT_MAX};
use crate::orchestrator::Refusal;

/// How many entries a page has if nothing is said, and at most.
const PAGE: (usize, usize) = (100, 1_000);
/// How many bytes of stored entries are shown in one page, about.
const PAGE_BYTES: usize = 4 << 20;
/// How much of one log is read at once.
const READ: (usize, usize) = (128, 128 << 10);
/// How many entries are looked at for one page; what is not found by then is looked for with the next.
const SCANNED_MAX: usize = 50_000;
/// How long before a log with nothing new is looked at again.
const PAUSE: Duration = Duration::from_millis(200);
/// The form of a place to read on from.
const FORM: u8 = 1;
/// The longest text that is looked for, in bytes.
const TEXT_MAX: usize = 1_024;

/// Where each shard was read up to.
type Places = Vec<Offset>;

/// What was read of a log, in order.
#[derive(Clone)]
pub(super) struct Read {
    pub shard: u16,
    pub record: Record,
}

/// What is looked for.
#[derive(Clone)]
struct Wanted {
    actor: Option<String>,
    kind: Option<String>,
    text: Option<String>,
}

impl Wanted {
    /// How an entry is shown, if it is looked for.
    fn view(&self, read: &Read) -> Option<EntryView> {
        if let Some(actor) = &self.actor
            && encoding::decode::<Entry>(&read.record.bytes).is_ok_and(|entry| entry.to.as_str() != actor)
        {
            // Most are passed over without being made readable.
            return None;
        }
        let view = entry_views::of_record(read.shard, &read.record);
        let of_actor = self.actor.as_ref().is_none_or(|actor| *actor == view.actor);
        let of_kind = self.kind.as_ref().is_none_or(|kind| view.kind.starts_with(kind.as_str()));
        let with_text = self.text.as_ref().is_none_or(|text| {
            let has = |words: &str| words.to_lowercase().contains(text);
            has(&view.actor) || has(&view.kind) || has(&view.summary) || has(&view.body.to_string())
        });
        (of_actor && of_kind && with_text).then_some(view)
    }
}

impl Local {
    /// A page of the logs.
    pub(super) async fn read_log(&self, query: EntryQuery) -> Result<EntryPage, Refusal> {
        let EntryQuery { actor, shard, kind, text, after, limit, wait } = query;
        let limit = limit.unwrap_or(PAGE.0);
        if !(1..=PAGE.1).contains(&limit) {
            return Err(Refusal::Invalid(format!("expected a limit from 1 to {}, found {limit}", PAGE.1)));
        }
        if let Some(found) = text.as_ref().map(String::len).filter(|length| *length > TEXT_MAX) {
            return Err(Refusal::Invalid(format!(
                "expected a text of at most {TEXT_MAX} bytes, found {found}"
            )));
        }
        let wait = wait.as_deref().map_or(Ok(Duration::ZERO), parse_wait)?;
        let actor = match actor {
            None => None,
            Some(actor) => Some(self.actor_id(&actor).await?),
        };
        let shards = self.shards_of(shard, actor.as_ref())?;
        let newest = after.is_none();
        let mut places = match after {
            None => vec![Offset::ZERO; usize::from(self.shards())],
            Some(after) => parse_place(&after, self.shards())?,
        };
        let text = text.map(|text| text.to_lowercase());
        let wanted = Wanted { actor: actor.map(|actor| actor.to_string()), kind, text };
        let deadline = Instant::now() + wait;
        loop {
            let items = match newest {
                true => self.newest(&shards, &wanted, &mut places, limit).await?,
                false => self.next(&shards, &wanted, &mut places, limit).await?,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if !items.is_empty() || left.is_zero() {
                return Ok(EntryPage { items, next: place(&places) });
            }
            sleep(PAUSE.min(left)).await;
        }
    }

    /// The shards to read.
    fn shards_of(&self, shard: Option<u16>, actor: Option<&ActorId>) -> Result<Vec<u16>, Refusal> {
        if let Some(shard) = shard.filter(|shard| *shard >= self.shards()) {
            let last = self.shards().saturating_sub(1);
            return Err(Refusal::Invalid(format!("expected a shard from 0 to {last}, found {shard}")));
        }
        let of_actor = actor.map(|actor| actor.shard(self.shards()));
        Ok(match (shard, of_actor) {
            (Some(shard), Some(of_actor)) if shard != of_actor => Vec::new(),
            (Some(shard), _) | (None, Some(shard)) => vec![shard],
            (None, None) => (0..self.shards()).collect(),
        })
    }

    /// What comes next, oldest first.
    async fn next(
        &self,
        shards: &[u16],
        wanted: &Wanted,
        places: &mut Places,
        limit: usize,
    ) -> Result<Vec<EntryView>, Refusal> {
        let (mut scanned, mut bytes) = (0, 0);
        let mut items = Vec::new();
        while scanned < SCANNED_MAX && items.len() < limit && bytes < PAGE_BYTES {
            let read = self.read_some(shards, places).await?;
            if read.is_empty() {
                break;
            }
            scanned += read.len();
            for (read, view) in viewed(read, wanted).await? {
                if items.len() >= limit || bytes >= PAGE_BYTES {
                    break;
                }
                go_on(places, &read);
                if let Some(view) = view {
                    bytes += read.record.bytes.len();
                    items.push(view);
                }
            }
        }
        Ok(items)
    }

    /// The newest that the logs still have, oldest first.
    async fn newest(
        &self,
        shards: &[u16],
        wanted: &Wanted,
        places: &mut Places,
        limit: usize,
    ) -> Result<Vec<EntryView>, Refusal> {
        let (mut scanned, mut bytes) = (0, 0);
        let mut kept: VecDeque<(usize, EntryView)> = VecDeque::new();
        while scanned < SCANNED_MAX {
            let read = self.read_some(shards, places).await?;
            if read.is_empty() {
                break;
            }
            scanned += read.len();
            for (read, view) in viewed(read, wanted).await? {
                go_on(places, &read);
                let Some(view) = view else { continue };
                let size = read.record.bytes.len();
                bytes += size;
                kept.push_back((size, view));
                while kept.len() > limit || (bytes > PAGE_BYTES && kept.len() > 1) {
                    bytes -= kept.pop_front().map_or(0, |(size, _)| size);
                }
            }
        }
        Ok(kept.into_iter().map(|(_, view)| view).collect())
    }

    /// A part of the logs behind some places, in the order of time. Where there is more of a log than was read, nothing is
    /// answered that comes after what was read of it.
    pub(super) async fn read_some(&self, shards: &[u16], places: &Places) -> Result<Vec<Read>, Refusal> {
        let store = self.engine.store();
        let asked = shards.iter().map(|shard| {
            let after = places.get(usize::from(*shard)).copied().unwrap_or_default();
            let records = store.read(ShardId(*shard), after, READ.0, READ.1);
            async move { records.await.map(|records| (*shard, records)) }
        });
        let logs = try_join_all(asked).await.map_err(|error| refusal(error.into()))?;
        let more = |records: &[Record]| {
            let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
            records.len() >= READ.0 || bytes >= READ.1
        };
        let ends = logs.iter().filter(|(_, records)| more(records));
        let horizon = ends.filter_map(|(_, records)| records.last()).map(|record| record.offset).min();
        let mut read: Vec<Read> = logs
            .into_iter()
            .flat_map(|(shard, records)| records.into_iter().map(move |record| Read { shard, record }))
            .filter(|read| horizon.is_none_or(|horizon| read.record.offset <= horizon))
            .collect();
        read.sort_by_key(|read| (read.record.offset, read.shard));
        Ok(read)
    }

    /// The entries of an actor that its log still has, newest last, at most so many.
    pub(super) async fn last_entries(
        &self,
        actor: &ActorId,
        limit: usize,
    ) -> Result<Vec<EntryView>, Refusal> {
        let wanted = Wanted { actor: Some(actor.to_string()), kind: None, text: None };
        let mut places = vec![Offset::ZERO; usize::from(self.shards())];
        self.newest(&[actor.shard(self.shards())], &wanted, &mut places, limit).await
    }
}

/// Notes that an entry was looked at.
pub(super) fn go_on(places: &mut Places, read: &Read) {
    if let Some(place) = places.get_mut(usize::from(read.shard)) {
        *place = read.record.offset;
    }
}

/// Makes entries readable, which takes a while if they are large.
async fn viewed(read: Vec<Read>, wanted: &Wanted) -> Result<Vec<(Read, Option<EntryView>)>, Refusal> {
    let wanted = wanted.clone();
    let work = move || {
        let view = |read: Read| {
            let view = wanted.view(&read);
            (read, view)
        };
        read.into_iter().map(view).collect()
    };
    blocking(work).await.map_err(|error| Refusal::later(error.to_string()))
}

fn parse_wait(text: &str) -> Result<Duration, Refusal> {
    let wait = humantime::parse_duration(text).ok().filter(|wait| *wait <= WAIT_MAX);
    wait.ok_or_else(|| {
        let most = humantime::format_duration(WAIT_MAX);
        Refusal::Invalid(format!(
            "expected wait as a duration of at most {most}, such as 10s, found '{text}'"
        ))
    })
}

/// Where to read on, as a text: the offset of each shard.
fn place(places: &Places) -> String {
    let mut bytes = vec![FORM];
    places.iter().for_each(|place| bytes.extend_from_slice(&place.0.to_be_bytes()));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_place(text: &str, shards: u16) -> Result<Places, Refusal> {
    let parsed = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (form, rest) = bytes.split_first()?;
        let (offsets, rest) = rest.as_chunks::<8>();
        let fits = *form == FORM && rest.is_empty() && offsets.len() == usize::from(shards);
        fits.then(|| offsets.iter().map(|bytes| Offset(u64::from_be_bytes(*bytes))).collect())
    };
    parsed().ok_or_else(|| {
        let found: String = text.chars().take(64).collect();
        Refusal::Invalid(format!("expected the 'next' of a page of entries as after, found '{found}'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_read_on_from_is_what_it_was() {
        let places = vec![Offset::ZERO, Offset::new(1_700_000_000_000, 5), Offset(u64::MAX)];
        assert_eq!(parse_place(&place(&places), 3), Ok(places.clone()));
        for (wrong, shards) in
            [(place(&places), 2), (String::new(), 3), ("!".to_owned(), 3), ("AA".to_owned(), 0)]
        {
            assert!(parse_place(&wrong, shards).is_err(), "{wrong}");
        }
        assert!(parse_wait("1h").is_err() && parse_wait("soon").is_err() && parse_wait("10s").is_ok());
    }
}
