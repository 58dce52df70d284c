//! Goes through the stored actors of a node's shards, a page at a time, and remembers what looks stuck.
//!
//! Something that lacks what it needs is only a *suspect*: what it needs may be on its way. It is *stuck* once a later
//! audit finds it in the same state, and all shards that are concerned have stored meanwhile what was under way then.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::Engine;
use impresario_actors::shard::{EvidenceQuery, Progress};
use impresario_model::definition::DefinitionId;
use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, ProcessEvent};
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::instance::{Instance, Status, rfc3339};
use impresario_model::trigger::Trigger;
use impresario_persistence::{ListQuery, Offset, Row, ShardId, StoreError};
use serde::de::DeserializeOwned;

use super::facts::{self, Facts, Missing, Other, Repair, Stored};
use super::needs::{self, Need, Schedule};
use super::{AuditReport, VIOLATIONS_MOST, Violation};

/// How many rows are read at the same time.
const READ_AT_ONCE: usize = 32;
/// How many actors one page of a list has.
const PAGE: usize = 256;
/// How many suspects are remembered; more are found again once there is room.
const SUSPECTS_MOST: usize = 1_000;
/// How far the clocks of node and store may be apart, in milliseconds.
const SKEW_MS: u64 = 500;
/// How many schedules are remembered.
const SCHEDULES_MOST: usize = 200_000;
/// How many of those that were repaired are told, and for how long, in milliseconds.
const MENDED_TOLD: (usize, u64) = (100, 600_000);
/// How long a shard may apply nothing of what waits, store nothing beyond the time of its checkpoint, or give no answer, in
/// milliseconds.
const SHARD_LATE_MS: u64 = 15_000;
/// The states of instances that have not ended.
const OPEN: [&str; 3] = ["running", "waiting", "uncertain"];

/// How far all shards are that could be asked: up to which moment what is stored holds, in milliseconds since the Unix
/// epoch. One that is missing has not answered.
pub type Settled = BTreeMap<u16, u64>;

/// Up to which moment the rows of a shard hold; `now` is from before the shard was asked.
pub fn settled_at(progress: &Progress, now: u64) -> u64 {
    // With nothing behind the mark, nothing is under way. Else entries of the mark's own time may be behind it, and what this
    // node holds for the time of the store may be a little off.
    if progress.mark >= progress.head { now } else { progress.mark.millis().saturating_sub(SKEW_MS) }
}

/// Audits the shards of one node.
pub struct Auditor {
    engine: Engine,
    definitions: Arc<Definitions>,
    /// How many rows one audit reads, about.
    rows: usize,
    /// What triggers watch, by definition and trigger.
    schedules: Mutex<HashMap<(DefinitionId, String), Option<Schedule>>>,
    suspects: BTreeMap<(String, String), Suspect>,
    mended: VecDeque<(u64, Violation)>,
    /// How far each shard was, since when it has applied nothing of what waits, and since when it has stored nothing of what
    /// it has applied.
    seen: BTreeMap<u16, (Progress, u64, u64)>,
    /// Since when there is no answer of a shard.
    silent: BTreeMap<u16, u64>,
    place: Place,
    /// What this round has looked at so far, and what it could not judge.
    round: Counted,
    /// The last whole round: when it ended, and what it looked at.
    whole: Option<(u64, Counted)>,
}

#[derive(Clone, Debug, Default)]
struct Counted {
    checked: u64,
    unheard: BTreeSet<String>,
}

/// A part of a round.
#[derive(Debug, Default)]
struct Page {
    stored: Vec<Stored>,
    /// How many rows were read for it, also of shards of others.
    read: usize,
    /// Whether the round ends with it.
    last: bool,
}

/// Where a round is.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// In the list of instances of a status, after this one.
    Instances(usize, Option<(u64, String)>),
    /// In the triggers of one of the shards, after this one.
    Triggers(usize, Option<String>),
}

#[derive(Clone, Debug)]
struct Suspect {
    /// Of what the row was then.
    version: u64,
    shard: u16,
    /// When it was seen first, in milliseconds since the Unix epoch.
    since: u64,
    missing: Missing,
    /// Whether it was in the same state after all had been stored that was under way.
    stuck: bool,
    repaired: Option<String>,
}

impl Auditor {
    /// Of the shards of an engine; one audit reads about so many rows.
    pub fn new(engine: Engine, definitions: Arc<Definitions>, rows: usize) -> Self {
        Auditor {
            engine,
            definitions,
            rows: rows.max(1),
            schedules: Mutex::default(),
            suspects: BTreeMap::new(),
            mended: VecDeque::new(),
            seen: BTreeMap::new(),
            silent: BTreeMap::new(),
            place: Place::Instances(0, None),
            round: Counted::default(),
            whole: None,
        }
    }

    /// How far the shards are that are run here and are these.
    pub async fn progress(engine: &Engine, shards: &[u16]) -> BTreeMap<u16, Progress> {
        let asked = shards.iter().map(|shard| engine.evidence(*shard, EvidenceQuery::default()));
        let answers = join_all(asked).await;
        shards
            .iter()
            .zip(answers)
            .filter_map(|(shard, answer)| Some((*shard, answer.ok()?.progress)))
            .collect()
    }

    /// One audit of these shards: looks again at what is suspicious, and goes on with the round.
    ///
    /// # Errors
    /// When the store does not answer; then nothing is concluded.
    pub async fn audit(&mut self, mine: &[u16], settled: &Settled) -> Result<(), StoreError> {
        let now = self.now();
        let progress = Self::progress(&self.engine, mine).await;
        // A shard that replays its log, or gives itself up, is between two states.
        let steady = |shard: &u16| progress.get(shard).is_some_and(|at| at.recovered && !at.leaving);
        let judged: BTreeSet<u16> = mine.iter().copied().filter(steady).collect();
        let silent = mine.iter().filter(|shard| !judged.contains(shard));
        self.round.unheard.extend(silent.map(|shard| format!("shard {shard}, which is not ready")));
        let mut settled = settled.clone();
        settled.extend(progress.iter().map(|(shard, at)| (*shard, settled_at(at, now))));
        let mut found = self.of_shards(mine, &progress, now);
        let again: BTreeSet<String> = self.suspects.keys().map(|(actor, _)| actor.clone()).collect();
        let mut stored =
            self.rows_of(again.iter().filter(|actor| !actor.starts_with("shard ")), &judged).await?;
        let (mut read, mut ended) = (0, judged.is_empty());
        while read < self.rows && !ended {
            let page = self.page(&judged).await?;
            self.round.checked += page.stored.len() as u64;
            stored.extend(page.stored.into_iter().filter(|row| !again.contains(&row.actor)));
            (read, ended) = (read + page.read, page.last);
        }
        found.extend(self.missing(stored, now).await?);
        // A suspect of a shard that was not judged stays what it is.
        self.suspects.retain(|_, suspect| mine.contains(&suspect.shard));
        // From here on: what was read last may have caused what was not there yet when the first was read.
        let now = self.now();
        self.conclude(found, &judged, &settled, now).await;
        if ended {
            self.round.checked += judged.len() as u64;
            self.place = Place::Instances(0, None);
            self.whole = Some((now, std::mem::take(&mut self.round)));
        }
        Ok(())
    }

    /// What is known by now.
    pub fn report(&self) -> AuditReport {
        let now = self.now();
        let stuck = self.suspects.iter().filter(|(_, suspect)| suspect.stuck);
        let mut violations: Vec<Violation> = stuck
            .map(|((subject, what), suspect)| Violation {
                subject: subject.clone(),
                what: what.clone(),
                since: rfc3339(suspect.since),
                repaired: suspect.repaired.clone(),
            })
            .collect();
        let count = violations.len();
        let mended = self.mended.iter().filter(|(at, _)| at.saturating_add(MENDED_TOLD.1) > now);
        violations.extend(mended.map(|(_, violation)| violation.clone()));
        violations.truncate(VIOLATIONS_MOST);
        let (proven, counted) = self.whole.clone().unzip();
        let counted = counted.unwrap_or_default();
        AuditReport {
            stuck: count,
            proven_at: proven.map(rfc3339),
            proven_ms_ago: proven.map(|proven| now.saturating_sub(proven)),
            checked: counted.checked,
            unheard: counted.unheard.into_iter().collect(),
            violations,
        }
    }

    fn now(&self) -> u64 {
        self.engine.store().clock()()
    }

    /// Shards that do not go on although there is something to do.
    pub(super) fn of_shards(
        &mut self,
        mine: &[u16],
        progress: &BTreeMap<u16, Progress>,
        now: u64,
    ) -> Vec<(Stored, Missing)> {
        let late = SHARD_LATE_MS
            .saturating_add(u64::try_from(self.engine.checkpoint_interval().as_millis()).unwrap_or(u64::MAX));
        self.seen.retain(|shard, _| progress.contains_key(shard));
        self.silent.retain(|shard, _| mine.contains(shard) && !progress.contains_key(shard));
        let mut found = Vec::new();
        for shard in mine.iter().filter(|shard| !progress.contains_key(shard)) {
            let since = *self.silent.entry(*shard).or_insert(now);
            if since.saturating_add(SHARD_LATE_MS) < now {
                found.push(of_shard(*shard, since, format!("it gives no answer since {}", rfc3339(since))));
            }
        }
        for (shard, at) in progress {
            let (before, mut behind, mut unstored) = self.seen.get(shard).copied().unwrap_or((*at, now, now));
            if before.cursor != at.cursor || before.head <= before.cursor {
                behind = now;
            }
            if before.mark != at.mark || before.cursor <= before.mark {
                unstored = now;
            }
            self.seen.insert(*shard, (*at, behind, unstored));
            if at.head > at.cursor && behind.saturating_add(SHARD_LATE_MS) < now {
                let what = format!("it has entries to apply and has applied none since {}", rfc3339(behind));
                found.push(of_shard(*shard, at.cursor.0, what));
            }
            if at.cursor > at.mark && unstored.saturating_add(late) < now {
                let what = format!("what it has applied is not stored since {}", rfc3339(unstored));
                found.push(of_shard(*shard, at.mark.0, what));
            }
        }
        found
    }

    /// The next actors of the round.
    async fn page(&mut self, judged: &BTreeSet<u16>) -> Result<Page, StoreError> {
        match self.place.clone() {
            Place::Instances(at, after) => {
                let Some(status) = OPEN.get(at) else {
                    self.place = Place::Triggers(0, None);
                    return Ok(Page::default());
                };
                let query = ListQuery {
                    prefix: "process/".to_owned(),
                    status: Some((*status).to_owned()),
                    after,
                    limit: PAGE,
                    ..ListQuery::default()
                };
                let rows = self.engine.store().list(query).await?;
                self.place = match rows.last().filter(|_| rows.len() == PAGE) {
                    Some(last) => Place::Instances(at, Some((last.index.started, last.actor.clone()))),
                    None => Place::Instances(at + 1, None),
                };
                let names: Vec<String> = rows.into_iter().map(|row| row.actor).collect();
                let stored = self.rows_of(names.iter(), judged).await?;
                Ok(Page { stored, read: names.len(), last: false })
            }
            Place::Triggers(at, after) => {
                let Some(shard) = judged.iter().nth(at) else {
                    return Ok(Page { last: true, ..Page::default() });
                };
                let rows =
                    self.engine.store().scan(ShardId(*shard), "trigger/".to_owned(), after, PAGE).await?;
                self.place = match rows.last().filter(|_| rows.len() == PAGE) {
                    Some(last) => Place::Triggers(at, Some(last.actor.clone())),
                    None => Place::Triggers(at + 1, None),
                };
                let stored = rows.iter().filter_map(|row| self.read(row, *shard)).collect();
                Ok(Page { stored, read: rows.len(), last: false })
            }
        }
    }

    /// The rows of some actors, as far as they are in shards that are judged.
    async fn rows_of<'a>(
        &self,
        actors: impl Iterator<Item = &'a String>,
        judged: &BTreeSet<u16>,
    ) -> Result<Vec<Stored>, StoreError> {
        let store = self.engine.store();
        let shards = store.shards();
        let wanted = actors.filter_map(|actor| {
            let shard = ActorId::parse(actor).ok()?.shard(shards);
            judged.contains(&shard).then(|| (shard, actor.clone()))
        });
        let rows = stream::iter(wanted.collect::<Vec<_>>()).map(|(shard, actor)| async move {
            Ok::<_, StoreError>((shard, store.row(ShardId(shard), actor).await?))
        });
        let mut stored = Vec::new();
        let mut rows = rows.buffered(READ_AT_ONCE);
        while let Some(row) = rows.next().await {
            let (shard, row) = row?;
            stored.extend(row.and_then(|row| self.read(&row, shard)));
        }
        Ok(stored)
    }

    /// What a trigger watches. A version of a definition never changes, so it is looked into once.
    fn schedule(&self, trigger: &Trigger) -> Option<Schedule> {
        let id = trigger.definition.as_ref()?;
        let mut known = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (id.clone(), trigger.name.clone());
        if let Some(schedule) = known.get(&key) {
            return schedule.clone();
        }
        // One that this node does not know yet is asked for again.
        let schedule = Schedule::of(&trigger.name, self.definitions.get(id)?.as_ref());
        if known.len() >= SCHEDULES_MOST {
            known.clear();
        }
        known.insert(key, schedule.clone());
        schedule
    }

    /// What a row says; nothing of an actor that has ended or is none of those that are audited.
    fn read(&self, row: &Row, shard: u16) -> Option<Stored> {
        let (version, needs) = match ActorId::parse(&row.actor).ok()?.kind()? {
            ActorKind::Process => {
                let instance: Instance = snapshot(row)?;
                (instance.applied, needs::of_instance(&instance))
            }
            ActorKind::Trigger => {
                let trigger: Trigger = snapshot(row)?;
                let schedule = self.schedule(&trigger);
                let applied = Offset(trigger.applied).millis();
                (trigger.applied, needs::of_trigger(&trigger, schedule.as_ref(), applied))
            }
            _ => return None,
        };
        Some(Stored { actor: row.actor.clone(), shard, version, due: row.index.due, needs })
    }

    /// What these actors need and do not have.
    async fn missing(&self, stored: Vec<Stored>, now: u64) -> Result<Vec<(Stored, Missing)>, StoreError> {
        let others = self.others(&stored).await?;
        let mut by_shard: BTreeMap<u16, Vec<Stored>> = BTreeMap::new();
        for one in stored {
            by_shard.entry(one.shard).or_default().push(one);
        }
        let mut found = Vec::new();
        for (shard, stored) in by_shard {
            let attempts: Vec<(String, String)> =
                stored.iter().flat_map(|one| &one.needs).filter_map(attempt).collect();
            let actors = stored.iter().map(|one| one.actor.clone()).collect();
            let query = EvidenceQuery { actors, attempts: attempts.clone() };
            // A shard that has gone meanwhile is somebody else's to judge.
            let Ok(evidence) = self.engine.evidence(shard, query).await else { continue };
            if !evidence.progress.recovered || evidence.progress.leaving {
                continue;
            }
            let places: BTreeMap<String, _> =
                attempts.into_iter().map(|(_, token)| token).zip(evidence.attempts).collect();
            for (stored, actor) in stored.into_iter().zip(evidence.actors) {
                let facts = Facts {
                    now,
                    timers_loaded: evidence.timers_loaded,
                    actor,
                    attempts: stored
                        .needs
                        .iter()
                        .filter_map(attempt)
                        .filter_map(|(_, token)| Some((token.clone(), *places.get(&token)?)))
                        .collect(),
                    others: facts::others(&stored)
                        .filter_map(|actor| Some((actor.clone(), others.get(&actor)?.clone())))
                        .collect(),
                };
                found.extend(
                    facts::missing(&stored, &facts).into_iter().map(|missing| (stored.clone(), missing)),
                );
            }
        }
        Ok(found)
    }

    /// The rows of the others that these depend on.
    async fn others(&self, stored: &[Stored]) -> Result<BTreeMap<String, Other>, StoreError> {
        let store = self.engine.store();
        let shards = store.shards();
        let names: BTreeSet<String> = stored.iter().flat_map(facts::others).collect();
        let rows = stream::iter(names).map(|name| async move {
            let Ok(actor) = ActorId::parse(&name) else { return Ok(None) };
            let row = store.row(ShardId(actor.shard(shards)), name.clone()).await?;
            Ok::<_, StoreError>(other(&actor, row).map(|other| (name, other)))
        });
        let mut rows = rows.buffered(READ_AT_ONCE);
        let mut others = BTreeMap::new();
        while let Some(row) = rows.next().await {
            others.extend(row?);
        }
        Ok(others)
    }

    /// Tells apart what is on its way from what is stuck, and repairs what can be.
    async fn conclude(
        &mut self,
        found: Vec<(Stored, Missing)>,
        judged: &BTreeSet<u16>,
        settled: &Settled,
        now: u64,
    ) {
        let mut still = BTreeSet::new();
        for (stored, missing) in found {
            let key = (stored.actor.clone(), missing.what.clone());
            still.insert(key.clone());
            let holds = |shard: u16, since: u64| settled.get(&shard).is_some_and(|at| *at >= since);
            let other = missing.other.as_deref().and_then(|actor| ActorId::parse(actor).ok());
            let other = other.map(|actor| actor.shard(self.engine.store().shards()));
            let room = self.suspects.len() < SUSPECTS_MOST || self.suspects.contains_key(&key);
            match self.suspects.get_mut(&key) {
                Some(suspect) if suspect.version == stored.version => {
                    let of_shard = stored.actor.starts_with("shard ");
                    let settled = of_shard || holds(stored.shard, suspect.since);
                    if !suspect.stuck
                        && now > suspect.since
                        && settled
                        && other.is_none_or(|other| holds(other, suspect.since))
                    {
                        suspect.stuck = true;
                        tracing::error!(actor = stored.actor, what = missing.what, "stuck");
                        suspect.repaired = repair(&self.engine, &stored, &missing.repair).await;
                    }
                }
                _ if room => {
                    let (version, shard) = (stored.version, stored.shard);
                    let fresh = Suspect { version, shard, since: now, missing, stuck: false, repaired: None };
                    self.suspects.insert(key, fresh);
                }
                _ => {}
            }
        }
        let gone: Vec<(String, String)> = self
            .suspects
            .iter()
            .filter(|(key, suspect)| {
                let looked_at = key.0.starts_with("shard ") || judged.contains(&suspect.shard);
                looked_at && !still.contains(*key)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            let Some(suspect) = self.suspects.remove(&key).filter(|suspect| suspect.stuck) else { continue };
            let repaired = suspect.repaired.unwrap_or_else(|| "it went on by itself".to_owned());
            tracing::warn!(actor = key.0, what = suspect.missing.what, repaired, "no longer stuck");
            let (subject, what) = key;
            let violation =
                Violation { subject, what, since: rfc3339(suspect.since), repaired: Some(repaired) };
            self.mended.push_back((now, violation));
            if self.mended.len() > MENDED_TOLD.0 {
                self.mended.pop_front();
            }
        }
    }
}

/// Something that is wrong with a shard.
fn of_shard(shard: u16, version: u64, what: String) -> (Stored, Missing) {
    let stored = Stored { actor: format!("shard {shard}"), shard, version, due: None, needs: Vec::new() };
    (stored, Missing { what, other: None, repair: Repair::None })
}

fn attempt(need: &Need) -> Option<(String, String)> {
    match need {
        Need::Attempt { adapter, token, .. } => Some((adapter.clone(), token.clone())),
        _ => None,
    }
}

/// A snapshot that cannot be read is no matter of liveness: its actor is quarantined when it is loaded.
fn snapshot<T: DeserializeOwned>(row: &Row) -> Option<T> {
    encoding::decode(&row.snapshot).ok()
}

fn other(actor: &ActorId, row: Option<Row>) -> Option<Other> {
    let Some(row) = row else { return Some(Other::Absent) };
    match actor.kind()? {
        ActorKind::Target => Some(Other::Places(Box::new(snapshot(&row)?))),
        ActorKind::Subscription => Some(Other::Subscription(Box::new(snapshot(&row)?))),
        ActorKind::Overlap => Some(Other::Turns(Box::new(snapshot(&row)?))),
        ActorKind::Process => {
            let instance: Instance = snapshot(&row)?;
            let ended = matches!(instance.status, Status::Completed | Status::Faulted | Status::Cancelled);
            Some(Other::Instance(ended))
        }
        _ => None,
    }
}

/// Does what is safe; answers what that was.
async fn repair(engine: &Engine, stored: &Stored, repair: &Repair) -> Option<String> {
    let actor = ActorId::parse(&stored.actor).ok()?;
    match repair {
        Repair::None => None,
        Repair::Remind(due) => {
            engine.remind(&actor, *due).ok()?;
            Some(format!("its timer was put back, for {}", rfc3339(*due)))
        }
        Repair::Continue => {
            let body = Body::Process(ProcessEvent::Continue);
            engine.post().accept(&[Entry { to: actor, origin: None, body }]).await.ok()?;
            Some("it was told to go on".to_owned())
        }
    }
}
