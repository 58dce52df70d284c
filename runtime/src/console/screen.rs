//! A page with what is known for it, and how somebody looks at it: selection, filter, folds.

use std::collections::HashSet;
use std::time::SystemTime;

use super::detail;
use super::list::{List, Move};
use super::outline::{self, Branch, Line};
use super::page::{Content, Page, Trouble, View, Want};
use super::rows::{self, Table};
use crate::inspect::{EntryPage, EntryView};
use crate::system_events::Severity;

/// How many entries the tail keeps; the oldest go first.
const ENTRIES_MOST: usize = 2000;

/// How many triggers a node lists at once.
const TRIGGERS_OF_A_PAGE: usize = 1000;

/// What instances can be filtered by; the first is no filter.
pub(super) const STATUSES: [Option<&str>; 10] = [
    None,
    Some("running"),
    Some("waiting"),
    Some("pending"),
    Some("uncertain"),
    Some("suspended"),
    Some("faulted"),
    Some("quarantined"),
    Some("cancelled"),
    Some("completed"),
];

/// What system events can be filtered by.
pub(super) const SEVERITIES: [Option<Severity>; 3] =
    [None, Some(Severity::Warning), Some(Severity::Critical)];

/// A page with what is known for it.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    pub(super) page: Page,
    pub(super) list: List,
    pub(super) content: Option<Content>,
    /// Why the content is not there, or not new.
    pub(super) trouble: Option<Trouble>,
    /// When the content came.
    pub(super) at: Option<SystemTime>,
    pub(super) body: Body,
    /// Paths that are not folded as they are by themselves.
    folds: HashSet<String>,
    /// Which of the filters of the node is on.
    pub(super) choice: usize,
    /// The cursors of this page of a long list and those before.
    pub(super) cursors: Vec<String>,
    /// Entries wait until somebody has read.
    pub(super) paused: bool,
    pub(super) held: Vec<EntryView>,
    /// The text that the node looks for in entries.
    pub(super) text: String,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Table(Table),
    Outline { branches: Vec<Branch>, lines: Vec<Line> },
}

impl Screen {
    pub(super) fn new(page: Page) -> Screen {
        let body = match &page {
            Page::View(View::Actors) | Page::Detail(_) | Page::Record(..) => {
                Body::Outline { branches: Vec::new(), lines: Vec::new() }
            }
            Page::View(_) | Page::Trace(_) => Body::Table(Table::default()),
        };
        Screen {
            page,
            list: List::default(),
            content: None,
            trouble: None,
            at: None,
            body,
            folds: HashSet::new(),
            choice: 0,
            cursors: Vec::new(),
            paused: false,
            held: Vec::new(),
            text: String::new(),
        }
    }

    /// What has to be asked for.
    pub(super) fn want(&self) -> Want {
        match &self.page {
            Page::View(View::Actors) => Want::Actors,
            Page::View(View::Instances) => Want::Instances {
                status: STATUSES[self.choice % STATUSES.len()],
                cursor: self.cursors.last().cloned(),
            },
            Page::View(View::Nodes) => Want::Nodes,
            Page::View(View::Adapters) => Want::Adapters,
            Page::View(View::Triggers) => Want::Triggers { after: self.cursors.last().cloned() },
            Page::View(View::Entries) => Want::Entries { text: self.text.clone() },
            Page::View(View::Quarantine) => Want::Quarantine,
            Page::View(View::Events) => Want::Events { severity: SEVERITIES[self.choice % SEVERITIES.len()] },
            Page::Detail(actor) => Want::Detail(actor.clone()),
            Page::Trace(subject) => Want::Trace(subject.clone()),
            Page::Record(..) => Want::Nothing,
        }
    }

    /// Takes what was asked for.
    pub(super) fn take(&mut self, content: Result<Content, Trouble>, now: SystemTime, height: usize) {
        match content {
            Ok(Content::Entries(page)) => self.append(page),
            Ok(content) => self.content = Some(content),
            Err(trouble) => {
                self.trouble = Some(trouble);
                return;
            }
        }
        self.trouble = None;
        self.at = Some(now);
        self.build(now, height);
    }

    fn append(&mut self, mut page: EntryPage) {
        if self.paused {
            self.held.append(&mut page.items);
            let over = self.held.len().saturating_sub(ENTRIES_MOST);
            self.held.drain(..over);
            return;
        }
        let mut kept = match self.content.take() {
            Some(Content::Entries(kept)) => kept,
            _ => EntryPage::default(),
        };
        // A tail that begins anew repeats a little of what it had.
        let known: HashSet<(u16, &str)> =
            kept.items.iter().map(|item| (item.shard, item.offset.as_str())).collect();
        page.items.retain(|item| !known.contains(&(item.shard, item.offset.as_str())));
        kept.items.append(&mut page.items);
        kept.next = page.next;
        let over = kept.items.len().saturating_sub(ENTRIES_MOST);
        kept.items.drain(..over);
        self.content = Some(Content::Entries(kept));
    }

    /// Stops the tail, or has it go on with what has come in the meantime.
    pub(super) fn pause(&mut self, now: SystemTime, height: usize) {
        self.paused = !self.paused;
        if !self.paused {
            let items = std::mem::take(&mut self.held);
            let next = String::new();
            self.append(EntryPage { items, next });
            self.build(now, height);
            self.go(Move::Last, height);
        }
    }

    /// The cursor of the next page of a long list.
    pub(super) fn next(&self) -> Option<String> {
        match &self.content {
            Some(Content::Instances(page)) => page.next.clone(),
            // A full page may be the last one; then the next one is empty.
            Some(Content::Triggers(triggers)) if triggers.len() >= TRIGGERS_OF_A_PAGE => {
                triggers.last().map(|trigger| trigger.name.clone())
            }
            _ => None,
        }
    }

    /// Forgets what was known, because something else is asked for now.
    pub(super) fn forget(&mut self) {
        self.content = None;
        self.trouble = None;
        self.at = None;
        self.list = List { filter: std::mem::take(&mut self.list.filter), ..List::default() };
        self.body = Screen::new(self.page.clone()).body;
    }

    /// Makes rows or branches of the content.
    pub(super) fn build(&mut self, now: SystemTime, height: usize) {
        let built = match (&self.page, &self.content) {
            (Page::Record(_, value), _) => Some(detail::record(value)),
            (_, Some(Content::Actors(tree))) => Some(vec![outline::of_tree(tree)]),
            (_, Some(Content::Detail(detail))) => Some(detail::branches(detail, now)),
            (_, Some(content)) => {
                // At the end of the tail, one stays at its end.
                let follow = matches!(content, Content::Entries(_)) && self.list.at_end();
                self.body = Body::Table(rows::table(content, now));
                self.arrange(follow, height);
                None
            }
            (_, None) => None,
        };
        if let Some(built) = built {
            self.body = Body::Outline { branches: built, lines: Vec::new() };
            self.arrange(false, height);
        }
    }

    /// Tells ages anew.
    pub(super) fn grow_older(&mut self, now: SystemTime, height: usize) {
        // A tree may be large, and has no ages.
        if !matches!(self.content, Some(Content::Actors(_))) {
            self.build(now, height);
        }
    }

    /// Shows what passes the filter.
    pub(super) fn arrange(&mut self, follow: bool, height: usize) {
        let needle = self.list.filter.to_lowercase();
        let shown = match &mut self.body {
            Body::Table(table) => {
                let passes = |row: &usize| needle.is_empty() || table.rows[*row].has(&needle);
                (0..table.rows.len()).filter(passes).collect()
            }
            Body::Outline { branches, lines } => {
                *lines = outline::lines(branches, &self.folds, &needle);
                (0..lines.len()).collect()
            }
        };
        let body = &self.body;
        self.list.show(shown, follow, height, |row| body.key(row));
    }

    pub(super) fn go(&mut self, movement: Move, height: usize) {
        let body = &self.body;
        self.list.go(movement, height, |row| body.key(row));
    }

    /// The actor that a detail is of: the whole id, once it is known.
    pub(super) fn of(&self) -> Option<String> {
        match (&self.page, &self.content) {
            (Page::Detail(_), Some(Content::Detail(detail))) => Some(detail.actor.clone()),
            (Page::Detail(actor), _) => Some(actor.clone()),
            _ => None,
        }
    }

    /// The actor of the selected row.
    pub(super) fn actor(&self) -> Option<String> {
        let row = self.list.row()?;
        match &self.body {
            Body::Table(table) => table.rows.get(row)?.actor.clone(),
            Body::Outline { lines, .. } => lines.get(row)?.actor.clone(),
        }
    }

    /// The selected row, whole, with a name.
    pub(super) fn record(&self) -> Option<Page> {
        let Body::Table(table) = &self.body else { return None };
        let row = self.list.row()?;
        let name = table.rows.get(row)?.cells.first().map(|cell| cell.text.clone()).unwrap_or_default();
        Some(Page::Record(name, rows::record(self.content.as_ref()?, row)?))
    }

    /// Folds the selected line, or unfolds it; whether there was something to fold. `open` is what it shall be.
    pub(super) fn fold(&mut self, open: Option<bool>, height: usize) -> bool {
        let Body::Outline { lines, .. } = &self.body else { return false };
        let Some(line) = self.list.row().and_then(|row| lines.get(row)) else { return false };
        let Some(is_open) = line.open else { return false };
        if open.is_some_and(|open| open == is_open) {
            return false;
        }
        if !self.folds.remove(&line.path) {
            self.folds.insert(line.path.clone());
        }
        self.arrange(false, height);
        true
    }

    /// Folds or unfolds everything.
    pub(super) fn fold_all(&mut self, open: bool, height: usize) {
        let Body::Outline { branches, .. } = &self.body else { return };
        let differs = outline::foldable(branches).into_iter().filter(|(_, by_itself)| *by_itself != open);
        self.folds = differs.map(|(path, _)| path).collect();
        self.arrange(false, height);
    }

    /// Selects what the selected line is below of.
    pub(super) fn up(&mut self, height: usize) {
        let Body::Outline { lines, .. } = &self.body else { return };
        let Some(row) = self.list.row() else { return };
        let depth = lines[row].depth;
        if let Some(parent) = lines[..row].iter().rposition(|line| line.depth < depth) {
            self.go(Move::To(parent), height);
        }
    }
}

impl Body {
    fn key(&self, row: usize) -> String {
        match self {
            Body::Table(table) => table.rows.get(row).map(|row| row.key.clone()),
            Body::Outline { lines, .. } => lines.get(row).map(|line| line.path.clone()),
        }
        .unwrap_or_default()
    }
}
