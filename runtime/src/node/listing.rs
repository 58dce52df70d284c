//! Lists of instances: what is asked for, looked for in the rows of the store and in what the shards know better.
//!
//! The order is that of the store, newest first, and does not change: an instance keeps its place in it as long as it is
//! there, and new ones come before all pages that were made. What the index of the rows does not say is looked for in the
//! instances themselves, one after the other, until the page is full or so many were looked at that somebody should decide
//! whether to look on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::DateTime;
use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_actors::shard::ActorFacts;
use impresario_persistence::{ListQuery, Row};
use tokio::time::Instant;

use super::local::Local;
use super::reach::Gathered;
use super::refusal::refusal;
use super::views;
use crate::orchestrator::{InstanceDetail, InstancePage, InstanceQuery, InstanceSummary, Refusal};

/// How many stored rows are read together, at least.
const STORED_AT_ONCE: usize = 256;
/// How many instances a page has if nothing else is said, and at most.
const PAGE: (usize, usize) = (50, 1000);
/// How many rows one page looks at.
const ROWS_LOOKED_AT: usize = 50_000;
/// How many instances one page looks into.
const LOOKED_INTO: usize = 2_000;
/// How many instances are looked into at once.
const LOOKED_INTO_AT_ONCE: usize = 32;
/// For how long one page looks; well within the time that a request has.
const LOOKING: Duration = Duration::from_secs(5);
/// The latest time that a place in a list can have, in milliseconds since the Unix epoch.
const MOMENT_MAX: u64 = 1 << 53;
/// What lists can be asked for.
const STATUSES: [&str; 9] = [
    "pending",
    "running",
    "waiting",
    "uncertain",
    "suspended",
    "cancelled",
    "faulted",
    "completed",
    "quarantined",
];

/// A place in the list: when an instance started, and its actor id. Later in the list is smaller.
type At = (u64, String);

/// What is looked for.
struct Wanted {
    /// None: whatever status.
    statuses: BTreeSet<String>,
    /// A version of a definition, or, with `:` at its end, all of them.
    group: Option<String>,
    since: u64,
    id: Option<String>,
    within: Within,
    limit: usize,
    /// Only what comes after this place.
    after: Option<At>,
}

/// What only the instance itself says.
struct Within {
    key: Option<String>,
    started_by: Option<String>,
    target: Option<String>,
    error: Option<String>,
}

/// An instance that may be what is looked for.
struct Candidate {
    at: At,
    summary: InstanceSummary,
}

impl Local {
    /// A page of instances.
    pub(super) async fn list(&self, query: InstanceQuery) -> Result<InstancePage, Refusal> {
        let wanted = Wanted::read(query)?;
        let (newer, unheard) = self.newer_instances().await;
        let until = Instant::now() + LOOKING;
        let mut page = Page::new(wanted.limit);
        let mut after = wanted.after.clone();
        loop {
            let rows = self.rows_of(&wanted, after.clone()).await?;
            let too_old = rows.last().is_some_and(|row| row.index.started < wanted.since);
            let last = too_old || rows.len() < wanted.rows_at_once();
            let end = rows.last().filter(|_| !last).map(|row| (row.index.started, row.actor.clone()));
            let candidates = wanted.candidates(rows, &newer, (after.as_ref(), end.as_ref()));
            page.looked_at += candidates.passed;
            if wanted.within.is_empty() {
                candidates.found.into_iter().for_each(|candidate| page.found(candidate));
            } else {
                self.look_into(&wanted.within, candidates.found, &mut page, until).await?;
            }
            let enough = page.is_settled() || page.looked_at >= ROWS_LOOKED_AT || Instant::now() >= until;
            match end {
                Some(end) if !enough => {
                    page.looked_to = Some(end.clone());
                    after = Some(end);
                }
                Some(end) => return Ok(page.finish(Some(end), unheard)),
                None => return Ok(page.finish(None, unheard)),
            }
        }
    }

    /// Looks into candidates until the page is settled.
    async fn look_into(
        &self,
        within: &Within,
        candidates: Vec<Candidate>,
        page: &mut Page,
        until: Instant,
    ) -> Result<(), Refusal> {
        let looked = stream::iter(candidates).map(|candidate| async {
            let detail = self.instance_of(&candidate.summary.id).await?;
            Ok::<_, Refusal>((detail.is_some_and(|detail| within.fits(&detail)), candidate))
        });
        let mut looked = std::pin::pin!(looked.buffered(LOOKED_INTO_AT_ONCE));
        while let Some((fits, candidate)) = looked.try_next().await? {
            page.looked_into += 1;
            page.looked_to = Some(candidate.at.clone());
            if fits {
                page.found(candidate);
            }
            page.stopped = page.looked_into >= LOOKED_INTO || Instant::now() >= until;
            if page.is_settled() {
                break;
            }
        }
        Ok(())
    }

    /// The next stored rows that may be wanted, of any of the statuses, newest first.
    async fn rows_of(&self, wanted: &Wanted, after: Option<At>) -> Result<Vec<Row>, Refusal> {
        let at_once = wanted.rows_at_once();
        let of_status = |status: Option<String>| {
            let query = ListQuery {
                prefix: "process/".to_owned(),
                status,
                group: wanted.group.clone(),
                after: after.clone(),
                limit: at_once,
            };
            self.engine.store().list(query)
        };
        let statuses: Vec<Option<String>> = match wanted.statuses.is_empty() {
            true => vec![None],
            false => wanted.statuses.iter().cloned().map(Some).collect(),
        };
        let mut rows = Vec::new();
        for status in statuses {
            rows.extend(of_status(status).await.map_err(|error| refusal(error.into()))?);
        }
        // Each list is complete up to where it ends, so the first of all of them together are too.
        rows.sort_by(|a, b| (b.index.started, &b.actor).cmp(&(a.index.started, &a.actor)));
        rows.dedup_by(|a, b| a.actor == b.actor);
        rows.truncate(at_once);
        Ok(rows)
    }

    /// Instances of which a shard knows more than the store, and the shards that did not say.
    async fn newer_instances(&self) -> (BTreeMap<String, ActorFacts>, Vec<u16>) {
        let Gathered { facts, unheard } = self.gather("process/").await;
        let started = facts.into_values().flatten().filter(|fact| fact.index.started > 0);
        (started.map(|fact| (fact.actor.clone(), fact)).collect(), unheard)
    }
}

/// What a stretch of the list has.
struct Stretch {
    found: Vec<Candidate>,
    /// How many rows there were.
    passed: usize,
}

impl Wanted {
    fn read(query: InstanceQuery) -> Result<Wanted, Refusal> {
        let limit = query.limit.unwrap_or(PAGE.0);
        if limit == 0 || limit > PAGE.1 {
            return Err(Refusal::Invalid(format!("expected a limit from 1 to {}, found {limit}", PAGE.1)));
        }
        let since = query.started_after.as_deref().map(|text| moment("started_after", text)).transpose()?;
        let before =
            query.started_before.as_deref().map(|text| moment("started_before", text)).transpose()?;
        // The prefix alone comes after every id of its moment.
        let before = before.map(|before| (before, "process/".to_owned()));
        let cursor = query.cursor.as_deref().map(parse_cursor).transpose()?;
        Ok(Wanted {
            statuses: statuses(query.status.as_deref())?,
            group: query.definition.map(|name| if name.contains(':') { name } else { format!("{name}:") }),
            since: since.unwrap_or(0),
            id: query.id.map(|id| id.to_ascii_lowercase()),
            within: Within {
                key: query.key,
                started_by: query.started_by,
                target: query.target,
                error: query.error.map(|text| text.to_lowercase()),
            },
            limit,
            after: match (before, cursor) {
                (Some(before), Some(cursor)) => Some(before.min(cursor)),
                (before, cursor) => before.or(cursor),
            },
        })
    }

    fn rows_at_once(&self) -> usize {
        // Many of them may be known better by their shards, right after a rush of work.
        (self.limit + 1).max(STORED_AT_ONCE)
    }

    /// What may be wanted of stored rows, and of what shards know better between two places: in the order of the list.
    fn candidates(
        &self,
        rows: Vec<Row>,
        newer: &BTreeMap<String, ActorFacts>,
        (after, end): (Option<&At>, Option<&At>),
    ) -> Stretch {
        let passed = rows.len();
        let known = newer.values().map(|fact| Candidate {
            at: (fact.index.started, fact.actor.clone()),
            summary: views::summary(&fact.actor, &fact.index, fact.aside.is_some()),
        });
        let here = known.filter(|known| {
            after.is_none_or(|after| known.at < *after) && end.is_none_or(|end| known.at >= *end)
        });
        let stored = rows.into_iter().filter(|row| !newer.contains_key(&row.actor)).map(|row| Candidate {
            summary: views::summary(&row.actor, &row.index, false),
            at: (row.index.started, row.actor),
        });
        let mut found: Vec<Candidate> = stored.chain(here).filter(|candidate| self.fits(candidate)).collect();
        found.sort_by(|a, b| b.at.cmp(&a.at));
        Stretch { found, passed }
    }

    fn fits(&self, Candidate { at: (started, _), summary }: &Candidate) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&summary.status))
            && self.group.as_ref().is_none_or(|group| in_group(&summary.definition, group))
            && self.id.as_ref().is_none_or(|part| summary.id.contains(part))
            && *started >= self.since
    }
}

impl Within {
    fn is_empty(&self) -> bool {
        let Within { key, started_by, target, error } = self;
        [key, started_by, target, error].into_iter().all(Option::is_none)
    }

    fn fits(&self, detail: &InstanceDetail) -> bool {
        self.key.as_ref().is_none_or(|key| detail.key.as_ref() == Some(key))
            && self.started_by.as_ref().is_none_or(|by| is_or_begins(&detail.started_by, by))
            && self.target.as_ref().is_none_or(|target| {
                detail.activities.iter().any(|activity| activity.target.as_ref() == Some(target))
            })
            && self.error.as_ref().is_none_or(|text| {
                let of_activities = detail.activities.iter().filter_map(|activity| activity.error.as_ref());
                of_activities
                    .chain(&detail.error)
                    .any(|error| error.to_string().to_lowercase().contains(text))
            })
    }
}

/// A page while it is made.
struct Page {
    limit: usize,
    found: Vec<Candidate>,
    looked_at: usize,
    looked_into: usize,
    /// Everything up to here was looked at.
    looked_to: Option<At>,
    /// It looks no further, whatever it has.
    stopped: bool,
}

impl Page {
    fn new(limit: usize) -> Page {
        Page { limit, found: Vec::new(), looked_at: 0, looked_into: 0, looked_to: None, stopped: false }
    }

    fn found(&mut self, candidate: Candidate) {
        self.found.push(candidate);
    }

    /// Whether there is nothing to look on for: it is full, and has a next one.
    fn is_settled(&self) -> bool {
        self.stopped || self.found.len() > self.limit
    }

    /// The page; `end` is how far the last rows went, if there are more behind them.
    fn finish(mut self, end: Option<At>, unheard: Vec<u16>) -> InstancePage {
        let full = self.found.len() > self.limit;
        self.found.truncate(self.limit);
        let last = self.found.last().map(|candidate| candidate.at.clone());
        let looked_to = if self.stopped { self.looked_to } else { end };
        let next = if full { last } else { looked_to };
        let short = !full && next.is_some();
        let looked_at = self.looked_at.max(self.looked_into);
        InstancePage {
            items: self.found.into_iter().map(|candidate| candidate.summary).collect(),
            next: next.map(|(started, actor)| format!("{started}.{}", actor.trim_start_matches("process/"))),
            unheard,
            looked_at: short.then_some(looked_at),
        }
    }
}

fn in_group(definition: &str, group: &str) -> bool {
    if group.ends_with(':') { definition.starts_with(group) } else { definition == group }
}

/// Whether a text is these words, or begins with them.
fn is_or_begins(text: &str, words: &str) -> bool {
    text.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn statuses(asked: Option<&str>) -> Result<BTreeSet<String>, Refusal> {
    let asked = asked.into_iter().flat_map(|asked| asked.split(','));
    let known = asked.map(|status| match STATUSES.contains(&status) {
        true => Ok(status.to_owned()),
        false => Err(Refusal::Invalid(format!(
            "expected a status of {}, or several with commas between them, found '{status}'",
            STATUSES.join(", ")
        ))),
    });
    known.collect()
}

/// Milliseconds since the Unix epoch.
fn moment(name: &str, text: &str) -> Result<u64, Refusal> {
    let parsed = DateTime::parse_from_rfc3339(text).ok();
    parsed.map(|moment| moment.timestamp_millis().max(0).unsigned_abs()).ok_or_else(|| {
        Refusal::Invalid(format!("expected {name} as a time such as 2026-01-31T08:30:00Z, found '{text}'"))
    })
}

fn parse_cursor(cursor: &str) -> Result<At, Refusal> {
    let parsed = cursor
        .split_once('.')
        .and_then(|(started, id)| Some((started.parse().ok()?, format!("process/{id}"))));
    // Stores keep times as signed or floating numbers.
    parsed
        .filter(|(started, _)| *started <= MOMENT_MAX)
        .ok_or_else(|| Refusal::Invalid(format!("expected the 'next' of a page as cursor, found '{cursor}'")))
}
