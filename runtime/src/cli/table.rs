//! Aligned columns without borders.

use anstyle::Style;

use super::style::HEADING;

/// Text with a colour.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), style: Style::new() }
    }

    pub(super) fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }
}

/// Rows under headings; each column as wide as its widest cell.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [Cell; N]>,
) -> String {
    let mut lines = vec![headings.map(|heading| Cell::styled(heading, HEADING))];
    lines.extend(rows);
    let width = |cell: &Cell| cell.text.chars().count();
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or(0));
    let mut page = String::new();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            let Cell { text, style } = cell;
            page.push_str(&format!("{style}{text}{style:#}"));
            // Nothing follows the last column, so it is not filled up.
            if column + 1 < N {
                page.push_str(&" ".repeat(widths[column] - width(cell) + 2));
            }
        }
        page.push('\n');
    }
    page
}
