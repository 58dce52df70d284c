//! The state as a screen. It only looks: the same state on the same size gives the same cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::layout::{self, Areas};
use super::outline::Line;
use super::overlay;
use super::page::{Content, Overview, Page, Trouble, View};
use super::rows::Table;
use super::screen::{Body, SEVERITIES, STATUSES, Screen};
use super::state::{Link, Overlay, State};
use super::table::{Cell, GAP, look, widths};
use super::text;
use crate::cli::style::{ACTIVE, BAD, FAINT, GOOD, HEADING, PAUSED, of_status};
use crate::system_events::Severity;

/// A node that was not audited for so long is not proven to be well.
const PROOF_OLD_MS: u64 = 60_000;
/// The cells by which a line of a tree is further right than the one that it is below.
const INDENT: usize = 2;

/// Draws the whole screen.
pub fn draw(state: &State, buffer: &mut Buffer) {
    let area = buffer.area;
    let areas = layout::areas(area.as_size());
    if !area.is_empty() {
        head(state, areas.head, buffer);
        tabs(state, areas.tabs, buffer);
        status(state, areas.status, buffer);
        body(state, areas, buffer);
        overlay::foot(state, areas.foot, buffer);
        overlay::draw(state, area, buffer);
    }
    if !state.colours {
        for cell in &mut buffer.content {
            cell.fg = Color::Reset;
            cell.bg = Color::Reset;
        }
    }
}

/// Writes cells from left to right, and tells where it is.
pub(super) fn write(buffer: &mut Buffer, x: u16, y: u16, right: u16, cell: &Cell) -> u16 {
    if x >= right || y >= buffer.area.bottom() {
        return x;
    }
    let shown = text::cut(&cell.text, usize::from(right - x));
    buffer.set_stringn(x, y, shown, usize::from(right - x), cell.style).0
}

fn write_all(buffer: &mut Buffer, area: Rect, cells: &[Cell]) {
    let mut x = area.x;
    for cell in cells {
        x = write(buffer, x, area.y, area.right(), cell);
    }
}

fn write_right(buffer: &mut Buffer, area: Rect, y: u16, cells: &[Cell]) -> u16 {
    let width: usize = cells.iter().map(|cell| text::width(&cell.text)).sum();
    let x = area.right().saturating_sub(width.min(usize::from(area.width)) as u16);
    write_all(buffer, Rect { x, y, width: area.right() - x, height: 1 }, cells);
    x
}

fn head(state: &State, area: Rect, buffer: &mut Buffer) {
    let (link, style) = match &state.link {
        Link::New => ("connecting …".to_owned(), PAUSED),
        Link::Up => ("connected".to_owned(), GOOD),
        Link::Down(since, _) => {
            let long = state.now.duration_since(*since).unwrap_or_default();
            (format!("no answer for {}", text::span(long)), BAD)
        }
    };
    let clock = humantime::format_rfc3339_seconds(state.now).to_string();
    let clock: String = clock.chars().skip(11).take(8).collect();
    let right = [Cell::styled(link, style), Cell::faint(format!("  {clock} UTC "))];
    let x = write_right(buffer, area, area.y, &right);
    let left = Rect { width: x.saturating_sub(area.x + 1), ..area };
    let mut title = vec![Cell::styled(" Impresario", HEADING)];
    let asked = state.overview.nodes.iter().find(|node| node.me);
    title.extend(asked.map(|node| Cell::new(format!("  {}", node.name))));
    title.push(Cell::faint(format!("  {}", state.url)));
    if area.height < 2 {
        title = summary(&state.overview);
    }
    write_all(buffer, left, &title);
    if area.height > 1 {
        let second = Rect { y: area.y + 1, height: 1, ..area };
        write_all(buffer, second, &summary(&state.overview));
    }
}

/// The cluster in a line, what matters most first.
fn summary(overview: &Overview) -> Vec<Cell> {
    let mut cells = vec![Cell::new(" ")];
    match &overview.audit {
        Some(audit) => {
            let old = audit.proven_ms_ago.is_none_or(|ago| ago > PROOF_OLD_MS);
            let style = match (audit.stuck, old || !audit.unheard.is_empty()) {
                (0, false) => GOOD,
                (0, true) => PAUSED,
                _ => BAD,
            };
            let proven = match audit.proven_ms_ago {
                Some(ago) => format!("proven {} s ago", ago / 1000),
                None => "not proven yet".to_owned(),
            };
            cells.push(Cell::styled(format!("stuck: {}, {proven}", audit.stuck), style));
        }
        None => cells.push(Cell::faint("stuck: not audited")),
    }
    let nodes = &overview.nodes;
    if !nodes.is_empty() {
        let gone = nodes.iter().filter(|node| node.state != "alive").count();
        let alive = nodes.len() - gone;
        cells.push(Cell::faint("  ·  "));
        cells.push(Cell::new(format!("{alive} node{} alive", if alive == 1 { "" } else { "s" })));
        if gone > 0 {
            cells.push(Cell::styled(format!(", {gone} not"), BAD));
        }
    }
    for (number, (status, count, more)) in overview.counts.iter().filter(|count| count.1 > 0).enumerate() {
        cells.push(Cell::faint(if number == 0 { "  ·  " } else { ", " }));
        let plus = if *more { "+" } else { "" };
        cells.push(Cell::styled(format!("{count}{plus} {status}"), of_status(status)));
    }
    if !nodes.is_empty() {
        let running: u64 = nodes.iter().map(|node| node.running).sum();
        let live: u64 = nodes.iter().map(|node| node.live).sum();
        cells.push(Cell::faint(format!("  ·  {live} actors in memory, {running} activities run")));
    }
    cells
}

fn tabs(state: &State, area: Rect, buffer: &mut Buffer) {
    for (view, label, range) in layout::tabs(area.width, state.view) {
        let style = match view == state.view {
            true => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            false => Style::new(),
        };
        let (x, y) = (area.x + range.start, area.y);
        // A number by itself says nothing about the text that falls away.
        if x < area.right() && y < buffer.area.bottom() {
            buffer.set_stringn(x, y, label, usize::from(area.right() - x), style);
        }
    }
}

/// What the page is, how much of it is shown, and how old it is.
fn status(state: &State, area: Rect, buffer: &mut Buffer) {
    let screen = state.screen();
    let mut cells = vec![Cell::new(" ")];
    cells.extend(path(state));
    let total = match &screen.body {
        Body::Table(table) => table.rows.len(),
        Body::Outline { lines, .. } => lines.len(),
    };
    let shown = screen.list.shown.len();
    if screen.content.is_some() || matches!(screen.page, Page::Record(..)) {
        let count = if shown == total { format!("  {total}") } else { format!("  {shown} of {total}") };
        cells.push(Cell::faint(count));
    }
    cells.extend(choices(screen));
    if !screen.list.filter.is_empty() {
        cells.push(Cell::styled(format!("  filter '{}'", screen.list.filter), PAUSED));
    }
    if !screen.text.is_empty() {
        cells.push(Cell::styled(format!("  with '{}'", screen.text), PAUSED));
    }
    let right = match (&screen.trouble, screen.at) {
        // It is in the middle of the page.
        (Some(_), None) => Vec::new(),
        (Some(trouble), Some(at)) => {
            let old = text::span(state.now.duration_since(at).unwrap_or_default());
            vec![Cell::styled(format!("as it was {old} ago: {} ", trouble.words()), BAD)]
        }
        (None, _) => Vec::new(),
    };
    let room = area.width / 2;
    let half = Rect { x: area.right() - room, width: room, ..area };
    let x = if right.is_empty() { area.right() } else { write_right(buffer, half, area.y, &right) };
    write_all(buffer, Rect { width: x.saturating_sub(area.x), ..area }, &cells);
}

/// Where one is: `Instances › process/…`.
fn path(state: &State) -> Vec<Cell> {
    let mut cells = vec![Cell::styled(state.view.title(), HEADING)];
    // Of many pages over each other the last ones matter.
    let shown = state.opened.len().min(2);
    if state.opened.len() > shown {
        cells.push(Cell::faint(" › …"));
    }
    for screen in &state.opened[state.opened.len() - shown..] {
        let name = match &screen.page {
            Page::View(view) => view.title().to_owned(),
            Page::Detail(actor) => screen.of().unwrap_or_else(|| actor.clone()),
            Page::Trace(_) => "trace".to_owned(),
            Page::Record(name, _) => name.clone(),
        };
        cells.push(Cell::faint(" › "));
        cells.push(Cell::styled(name, HEADING));
    }
    cells
}

/// What the node was asked to leave out.
fn choices(screen: &Screen) -> Vec<Cell> {
    let mut cells = Vec::new();
    if !screen.cursors.is_empty() {
        cells.push(Cell::styled(format!("  page {}", screen.cursors.len() + 1), PAUSED));
    }
    cells.extend(screen.next().map(|_| Cell::faint("  more: n")));
    match &screen.page {
        Page::View(View::Instances) => {
            if let Some(status) = STATUSES[screen.choice % STATUSES.len()] {
                cells.push(Cell::styled(format!("  only {status}"), PAUSED));
            }
            if let Some(Content::Instances(page)) = &screen.content {
                let unheard = page.unheard.len();
                if unheard > 0 {
                    cells.push(Cell::styled(format!("  {unheard} shards did not answer"), PAUSED));
                }
            }
        }
        Page::View(View::Events) => match SEVERITIES[screen.choice % SEVERITIES.len()] {
            None | Some(Severity::Info) => {}
            Some(Severity::Warning) => cells.push(Cell::styled("  warning and worse", PAUSED)),
            Some(Severity::Critical) => cells.push(Cell::styled("  only critical", PAUSED)),
        },
        Page::View(View::Entries) if screen.paused => {
            cells.push(Cell::styled(format!("  paused, {} more came", screen.held.len()), PAUSED));
        }
        Page::Trace(_) => {
            if let Some(Content::Trace(trace)) = &screen.content {
                let gaps = trace.gaps.iter().map(|gap| Cell::styled(format!("  {gap}"), PAUSED));
                cells.extend(gaps);
            }
        }
        Page::View(_) | Page::Detail(_) | Page::Record(..) => {}
    }
    cells
}

fn body(state: &State, areas: Areas, buffer: &mut Buffer) {
    let screen = state.screen();
    let area = areas.body;
    if area.is_empty() {
        return;
    }
    let rows = layout::rows(screen, area);
    match &screen.body {
        Body::Table(table) => draw_table(screen, table, area, rows, buffer),
        Body::Outline { lines, .. } => {
            draw_sentence(screen, area, buffer);
            draw_lines(screen, lines, rows, buffer);
        }
    }
    if screen.list.shown.is_empty() {
        let (words, style) = emptiness(state, screen);
        for (number, line) in
            text::wrap(&words, usize::from(rows.width.saturating_sub(4)), 6).iter().enumerate()
        {
            let y = rows.y + 1 + number as u16;
            if y < rows.bottom() {
                write(buffer, rows.x + 2, y, rows.right(), &Cell::styled(line, style));
            }
        }
    }
}

/// Why there is nothing to see.
fn emptiness(state: &State, screen: &Screen) -> (String, anstyle::Style) {
    match (&screen.trouble, &screen.content, &state.link) {
        (Some(Trouble::NotFound(words)), None, _) => {
            let words = match &screen.page {
                Page::Detail(_) | Page::Trace(_) => words.clone(),
                Page::View(_) | Page::Record(..) => format!("this node does not offer it ({words})"),
            };
            (words, PAUSED)
        }
        (Some(Trouble::Failed(words)), None, _) => (words.clone(), BAD),
        (None, None, Link::Down(_, words)) => (words.clone(), BAD),
        (None, None, _) => ("asking …".to_owned(), FAINT),
        _ if !screen.list.filter.is_empty() => {
            ("nothing passes the filter (Esc takes it away)".to_owned(), FAINT)
        }
        _ => {
            let words = match &screen.page {
                Page::View(View::Quarantine) => "nothing is set aside",
                Page::View(View::Entries) => "nothing has come yet",
                Page::Trace(_) => "nothing came of it that the logs still have",
                Page::View(_) | Page::Detail(_) | Page::Record(..) => "there is nothing here",
            };
            (words.to_owned(), GOOD)
        }
    }
}

/// The rows on the screen: how far down each is, its number, and whether it is selected.
fn visible(screen: &Screen, rows: Rect) -> impl Iterator<Item = (u16, usize, bool)> + '_ {
    let shown = screen.list.shown.iter().enumerate().skip(screen.list.top).take(usize::from(rows.height));
    shown
        .enumerate()
        .map(move |(down, (place, row))| (rows.y + down as u16, *row, place == screen.list.selected))
}

fn draw_table(screen: &Screen, table: &Table, area: Rect, rows: Rect, buffer: &mut Buffer) {
    let mut widest = vec![0; table.columns.len()];
    for (_, row, _) in visible(screen, rows) {
        for (width, cell) in widest.iter_mut().zip(&table.rows[row].cells) {
            *width = (*width).max(text::width(&cell.text));
        }
    }
    let room = usize::from(area.width.saturating_sub(2));
    let widths = widths(table.columns, &widest, room);
    let mut line = |y: u16, cells: &[Cell], selected: bool| {
        let mut x = area.x + 1;
        for (cell, width) in cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let right = (x + *width as u16).min(area.right());
            write(buffer, x, y, right, cell);
            x = (right + GAP as u16).min(area.right());
        }
        if selected {
            select(buffer, area, y);
        }
    };
    let headings: Vec<Cell> = table.columns.iter().map(|column| Cell::styled(column.title, FAINT)).collect();
    line(area.y, &headings, false);
    for (y, row, selected) in visible(screen, rows) {
        line(y, &table.rows[row].cells, selected);
    }
}

fn draw_sentence(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let Some((state, lines)) = layout::sentence(screen, area.width) else { return };
    write(buffer, area.x + 1, area.y, area.right(), &Cell::status(state));
    for (number, line) in lines.iter().enumerate() {
        let y = area.y + 1 + number as u16;
        if y < area.bottom() {
            write(buffer, area.x + 1, y, area.right(), &Cell::new(line));
        }
    }
}

fn draw_lines(screen: &Screen, lines: &[Line], rows: Rect, buffer: &mut Buffer) {
    for (y, row, selected) in visible(screen, rows) {
        let line = &lines[row];
        // However deep it is, something of it is seen.
        let indent = (line.depth * INDENT).min(usize::from(rows.width / 2));
        let fold = match line.open {
            Some(true) => "▾ ",
            Some(false) => "▸ ",
            None => "  ",
        };
        let mut x = write(buffer, rows.x + 1 + indent as u16, y, rows.right(), &Cell::styled(fold, ACTIVE));
        for (number, cell) in line.label.iter().enumerate() {
            if number > 0 {
                x = (x + GAP as u16).min(rows.right());
            }
            x = write(buffer, x, y, rows.right(), cell);
        }
        if selected {
            select(buffer, rows, y);
        }
    }
}

/// The selected row is seen without colours too.
fn select(buffer: &mut Buffer, area: Rect, y: u16) {
    let row = Rect { y, height: 1, ..area };
    for x in row.left()..row.right() {
        if let Some(cell) = buffer.cell_mut((x, y)) {
            cell.fg = Color::Reset;
            cell.modifier = Modifier::REVERSED;
        }
    }
}

/// The keys of a page, for its last line.
pub(super) fn keys(state: &State) -> Vec<(&'static str, &'static str)> {
    let screen = state.screen();
    if state.overlay != Overlay::None {
        return Vec::new();
    }
    let mut keys = match &screen.page {
        Page::View(View::Actors) => vec![("⏎", "open"), ("←→", "fold"), ("*-", "all"), ("T", "trace")],
        Page::View(View::Instances) => vec![("⏎", "open"), ("f", "status"), ("n p", "pages"), ("T", "trace")],
        Page::View(View::Nodes | View::Triggers) => vec![("⏎", "open")],
        Page::View(View::Adapters) => vec![("⏎", "open"), ("r", "restart")],
        Page::View(View::Entries) => {
            vec![
                ("space", if screen.paused { "go on" } else { "pause" }),
                ("⏎", "open"),
                ("a", "actor"),
                ("T", "trace"),
            ]
        }
        Page::View(View::Quarantine) => {
            vec![("s", "skip"), ("t", "retry"), ("e", "edit"), ("⏎", "open"), ("T", "trace")]
        }
        Page::View(View::Events) => vec![("⏎", "open"), ("a", "actor"), ("f", "severity")],
        Page::Detail(_) => vec![("Esc", "back"), ("←→", "fold"), ("*-", "all"), ("T", "trace")],
        Page::Trace(_) => vec![("Esc", "back"), ("⏎", "open")],
        Page::Record(..) => vec![("Esc", "back"), ("←→", "fold"), ("*-", "all")],
    };
    keys.extend([("/", "filter"), ("o", "id"), ("?", "help"), ("q", "quit")]);
    keys
}

/// A key and what it does.
pub(super) fn key_cells(key: &str, does: &str) -> [Cell; 2] {
    let name = Cell { text: format!(" {key} "), style: look(HEADING).add_modifier(Modifier::REVERSED) };
    [name, Cell::new(format!(" {does} "))]
}
