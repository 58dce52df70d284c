//! What is over the page: help, a question, and the last line with keys, messages and what is typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::widgets::{Block, Clear, Widget};

use super::draw::{key_cells, keys, write};
use super::page::Order;
use super::state::{Overlay, State};
use super::table::{Cell, look};
use super::text;
use crate::cli::style::{BAD, GOOD, HEADING};

/// All keys, for the help.
const HELP: [(&str, &str); 19] = [
    ("1…8 Tab", "the views; a click does it too"),
    ("↑↓ j k", "select a row; PgUp PgDn Home End; the wheel"),
    ("Enter", "open the selected row: an actor, an instance, a record"),
    ("Esc", "back; take the filter away"),
    ("/", "filter as you type; in Entries the nodes look for it"),
    ("o", "open an actor, or an instance by the beginning of its id"),
    ("a", "open the actor that the row is about"),
    ("T", "trace: what came of an actor or an entry"),
    ("← → space", "fold, unfold; ← again goes up"),
    ("* -", "unfold everything, fold everything"),
    ("f", "Instances: status. Events: severity"),
    ("n p", "Instances, Triggers: next page, page before"),
    ("space", "Entries: pause, go on"),
    ("r", "Adapters: restart, after a question"),
    ("s t e", "Quarantine: skip, retry, edit the entry in $EDITOR"),
    ("F12", "how long the last frame took to draw"),
    ("?", "this help"),
    ("q ^C", "quit"),
    ("", "nothing that is shown here is kept anywhere"),
];

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    match &state.overlay {
        Overlay::None | Overlay::Filter(_) | Overlay::Open(_) => {}
        Overlay::Help => help(area, buffer),
        Overlay::Confirm(order) => question(order, area, buffer),
    }
}

fn framed(title: &str, width: u16, height: u16, area: Rect, buffer: &mut Buffer) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    let frame =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(frame, buffer);
    let block = Block::bordered().title(format!(" {title} ")).title_style(look(HEADING));
    let inner = block.inner(frame);
    block.render(frame, buffer);
    inner
}

fn help(area: Rect, buffer: &mut Buffer) {
    let inner = framed("keys", 76, HELP.len() as u16 + 2, area, buffer);
    for (number, (keys, does)) in HELP.iter().enumerate() {
        let y = inner.y + number as u16;
        if y < inner.bottom() {
            write(buffer, inner.x + 1, y, inner.right(), &Cell::styled(keys, HEADING));
            write(buffer, inner.x + 13, y, inner.right(), &Cell::new(does));
        }
    }
}

fn question(order: &Order, area: Rect, buffer: &mut Buffer) {
    let lines = text::wrap(&text::clean(&order.question()), 60, 6);
    let inner = framed("sure?", 66, lines.len() as u16 + 4, area, buffer);
    let mut y = inner.y;
    for line in &lines {
        if y < inner.bottom() {
            write(buffer, inner.x + 1, y, inner.right(), &Cell::new(line));
        }
        y += 1;
    }
    let everywhere = matches!(order, Order::Restart { node: Some(_), .. });
    let mut keys = vec![("y", "yes")];
    keys.extend(everywhere.then_some(("a", "at all nodes")));
    keys.push(("n", "no"));
    let mut x = inner.x + 1;
    if y + 1 < inner.bottom() {
        for cell in keys.into_iter().flat_map(|(key, does)| key_cells(key, does)) {
            x = write(buffer, x, y + 1, inner.right(), &cell);
        }
    }
}

/// The last line.
pub(super) fn foot(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut right = area.right();
    if state.figures {
        let took = format!(" draw {:.2} ms", state.drawn.as_secs_f64() * 1000.0);
        right = right.saturating_sub(text::width(&took) as u16);
        write(buffer, right, area.y, area.right(), &Cell::faint(took));
    }
    let typed = match &state.overlay {
        Overlay::Filter(_) => Some(("filter: ", state.screen().list.filter.as_str())),
        Overlay::Open(typed) => Some(("id, or kind/id of an actor: ", typed.as_str())),
        Overlay::None | Overlay::Help | Overlay::Confirm(_) => None,
    };
    if let Some((label, typed)) = typed {
        let x = write(buffer, area.x + 1, area.y, right, &Cell::styled(label, HEADING));
        // The end of a long one is where somebody types.
        let room = usize::from(right.saturating_sub(x + 1));
        let over = typed.chars().count().saturating_sub(room);
        let shown: String = typed.chars().skip(over).collect();
        let x = write(buffer, x, area.y, right, &Cell::new(shown));
        if let Some(cell) = buffer.cell_mut((x, area.y)) {
            cell.modifier |= Modifier::REVERSED;
        }
        return;
    }
    if let Some(message) = &state.message {
        let style = if message.good { GOOD } else { BAD };
        write(buffer, area.x + 1, area.y, right, &Cell::styled(&message.text, style));
        return;
    }
    let mut x = area.x;
    for (key, does) in keys(state) {
        let cells = key_cells(key, does);
        let width: usize = cells.iter().map(|cell| text::width(&cell.text)).sum();
        // Half a word helps nobody.
        if usize::from(x) + width > usize::from(right) + 1 {
            break;
        }
        for cell in &cells {
            x = write(buffer, x, area.y, right, cell);
        }
    }
}
