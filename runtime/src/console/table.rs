//! Columns: how wide each one is in the room there is, and which ones fall away.

use ratatui::style::{Color, Modifier, Style};

use super::text;
use crate::cli::style::{BAD, FAINT, of_status};

/// A piece of text with one look. It is clean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

impl Cell {
    pub(super) fn new(text: impl AsRef<str>) -> Cell {
        Cell::styled(text, anstyle::Style::new())
    }

    /// In a look that pages of the command line have too.
    pub(super) fn styled(text: impl AsRef<str>, style: anstyle::Style) -> Cell {
        Cell { text: text::clean(text.as_ref()), style: look(style) }
    }

    /// A status in the colour of the status.
    pub(super) fn status(text: impl AsRef<str>) -> Cell {
        Cell::styled(&text, of_status(text.as_ref()))
    }

    pub(super) fn faint(text: impl AsRef<str>) -> Cell {
        Cell::styled(text, FAINT)
    }

    /// A count that somebody should act on unless it is zero.
    pub(super) fn alarm(count: u64) -> Cell {
        let style = if count > 0 { BAD } else { FAINT };
        Cell::styled(count.to_string(), style)
    }
}

/// A look of the command line as one of the terminal interface.
pub(super) fn look(style: anstyle::Style) -> Style {
    let mut look = Style::new();
    if let Some(anstyle::Color::Ansi(color)) = style.get_fg_color() {
        look = look.fg(match color {
            anstyle::AnsiColor::Green => Color::Green,
            anstyle::AnsiColor::Red => Color::Red,
            anstyle::AnsiColor::Cyan => Color::Cyan,
            anstyle::AnsiColor::Yellow => Color::Yellow,
            _ => Color::Reset,
        });
    }
    let effects = style.get_effects();
    for (effect, modifier) in
        [(anstyle::Effects::BOLD, Modifier::BOLD), (anstyle::Effects::DIMMED, Modifier::DIM)]
    {
        if effects.contains(effect) {
            look = look.add_modifier(modifier);
        }
    }
    look
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// It says something only if it has so many cells; or fewer, if that is all there is to say.
    min: usize,
    /// More cells it never has.
    max: usize,
    /// How important it is; the highest number falls away first.
    rank: u8,
}

/// A column with its bounds and its importance.
pub(super) const fn column(title: &'static str, min: usize, max: usize, rank: u8) -> Column {
    Column { title, min, max, rank }
}

/// The cells between two columns.
pub(super) const GAP: usize = 2;

/// How wide each column is in so much room, given the widest text of each; 0 for those that fall away.
pub(super) fn widths(columns: &[Column], widest: &[usize], room: usize) -> Vec<usize> {
    let wanted: Vec<usize> = columns
        .iter()
        .zip(widest)
        .map(|(column, widest)| widest.max(&text::width(column.title)).min(&column.max).to_owned())
        .collect();
    let least: Vec<usize> =
        columns.iter().zip(&wanted).map(|(column, wanted)| column.min.min(*wanted)).collect();
    let mut by_rank: Vec<usize> = (0..columns.len()).collect();
    by_rank.sort_by_key(|index| columns[*index].rank);
    let taken =
        |shown: &[usize]| shown.iter().map(|index| least[*index] + GAP).sum::<usize>().saturating_sub(GAP);
    while by_rank.len() > 1 && taken(&by_rank) > room {
        by_rank.pop();
    }
    let mut left = room.saturating_sub(taken(&by_rank));
    let mut widths = vec![0; columns.len()];
    for index in by_rank {
        let more = (wanted[index] - least[index]).min(left);
        left -= more;
        widths[index] = (least[index] + more).min(room);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [column("NAME", 8, 40, 0), column("FACTS", 6, 20, 2), column("STATE", 7, 12, 1)];

    #[test]
    fn columns_are_as_wide_as_what_they_say_if_there_is_room() {
        assert_eq!(widths(&COLUMNS, &[10, 3, 7], 80), [10, 5, 7]);
        assert_eq!(widths(&COLUMNS, &[90, 90, 90], 200), [40, 20, 12]);
    }

    #[test]
    fn the_least_important_columns_fall_away_first_and_one_is_always_left() {
        assert_eq!(widths(&COLUMNS, &[30, 30, 30], 25), [8, 6, 7]);
        assert_eq!(widths(&COLUMNS, &[30, 30, 30], 24), [15, 0, 7]);
        assert_eq!(widths(&COLUMNS, &[30, 30, 30], 16), [16, 0, 0]);
        assert_eq!(widths(&COLUMNS, &[30, 30, 30], 4), [4, 0, 0]);
        assert_eq!(widths(&COLUMNS, &[30, 30, 30], 0), [0, 0, 0]);
    }
}
