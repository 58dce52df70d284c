//! The rows of one shard in memory, with the indices that keep `due` and `attention` cheap.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::port::{ListQuery, Row};

/// Rows by actor id, and what finds them.
#[derive(Clone, Default)]
pub(super) struct Rows {
    by_actor: BTreeMap<String, Row>,
    due: BTreeSet<(u64, String)>,
    attention: BTreeSet<String>,
}

impl Rows {
    pub(super) fn put(&mut self, row: Row) {
        self.remove(&row.actor);
        if let Some(due) = row.index.due {
            self.due.insert((due, row.actor.clone()));
        }
        if row.index.attention {
            self.attention.insert(row.actor.clone());
        }
        self.by_actor.insert(row.actor.clone(), row);
    }

    pub(super) fn remove(&mut self, actor: &str) {
        let Some(row) = self.by_actor.remove(actor) else {
            return;
        };
        if let Some(due) = row.index.due {
            self.due.remove(&(due, row.actor));
        }
        self.attention.remove(actor);
    }

    pub(super) fn get(&self, actor: &str) -> Option<Row> {
        self.by_actor.get(actor).cloned()
    }

    pub(super) fn attention(&self, after: Option<String>, limit: usize) -> Vec<Row> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let actors = self.attention.range((from, Bound::Unbounded)).take(limit);
        actors.filter_map(|actor| self.get(actor)).collect()
    }

    pub(super) fn scan(&self, prefix: &str, after: Option<String>, limit: usize) -> Vec<Row> {
        let from = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix.to_owned()),
        };
        let rows = self.by_actor.range((from, Bound::Unbounded));
        let matching = rows.take_while(|(actor, _)| actor.starts_with(prefix));
        matching.take(limit).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn due(&self, before: u64, limit: usize) -> Vec<(u64, String)> {
        let due = self.due.range(..(before, String::new()));
        due.take(limit).cloned().collect()
    }

    /// The rows that a list asks for, without their snapshots and in no order.
    pub(super) fn matching(&self, query: &ListQuery) -> impl Iterator<Item = Row> {
        let rows = self.by_actor.values().filter(|row| matches(row, query));
        rows.map(|row| Row {
            actor: row.actor.clone(),
            snapshot: bytes::Bytes::new(),
            index: row.index.clone(),
        })
    }

    /// Removes rows that ended before a time, the oldest ends first; answers how many went.
    pub(super) fn groom(&mut self, before: u64, limit: usize) -> usize {
        let ends = self.by_actor.values().filter_map(|row| Some((row.index.ended?, &row.actor)));
        let mut ended: Vec<_> = ends.filter(|(ended, _)| *ended < before).collect();
        ended.sort();
        let gone: Vec<String> = ended.into_iter().take(limit).map(|(_, actor)| actor.clone()).collect();
        for actor in &gone {
            self.remove(actor);
        }
        gone.len()
    }
}

fn matches(row: &Row, query: &ListQuery) -> bool {
    let group = |wanted: &str| match wanted.ends_with(':') {
        true => row.index.group.starts_with(wanted),
        false => row.index.group == wanted,
    };
    row.actor.starts_with(&query.prefix)
        && query.status.as_ref().is_none_or(|status| row.index.status == *status)
        && query.group.as_deref().is_none_or(group)
        && query
            .after
            .as_ref()
            .is_none_or(|(started, actor)| (row.index.started, &row.actor) < (*started, actor))
}
