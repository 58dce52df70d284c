//! A screen as a picture: cells with their colours as SVG, so that pages of documentation are made by a command.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::text;

/// The size of a cell, in pixels.
const CELL: (f32, f32) = (8.4, 18.0);
/// The room round the screen, in pixels.
const EDGE: f32 = 10.0;
const BACKGROUND: &str = "#14171c";
const FOREGROUND: &str = "#d7dbe0";

/// Draws the cells of a screen.
pub(super) fn picture(buffer: &Buffer) -> String {
    let (width, height) = (f32::from(buffer.area.width) * CELL.0, f32::from(buffer.area.height) * CELL.1);
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" viewBox=\"0 0 {0:.1} {1:.1}\" width=\"{0:.1}\" height=\"{1:.1}\">\n\
         <style>text{{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre;fill:{FOREGROUND}}}rect{{shape-rendering:crispEdges}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n",
        width + 2.0 * EDGE,
        height + 2.0 * EDGE,
    );
    for y in buffer.area.top()..buffer.area.bottom() {
        row(&mut svg, buffer, y);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Cells beside each other that look the same.
struct Run<'a> {
    x: u16,
    cells: usize,
    text: String,
    like: &'a Cell,
}

fn row(svg: &mut String, buffer: &Buffer, y: u16) {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut x = buffer.area.left();
    while x < buffer.area.right() {
        let Some(cell) = buffer.cell((x, y)) else { break };
        let cells = text::width(cell.symbol()).max(1);
        // What is wider than a letter, or is not a letter, is placed by itself: fonts differ in how wide it is.
        let plain = cell.symbol().is_ascii();
        match runs.last_mut() {
            Some(run) if plain && run.text.is_ascii() && same(run.like, cell) => {
                run.text.push_str(cell.symbol());
                run.cells += cells;
            }
            _ => runs.push(Run { x, cells, text: cell.symbol().to_owned(), like: cell }),
        }
        x += cells as u16;
    }
    for run in &runs {
        draw(svg, run, y);
    }
}

fn same(a: &Cell, b: &Cell) -> bool {
    (a.fg, a.bg, a.modifier) == (b.fg, b.bg, b.modifier)
}

fn draw(svg: &mut String, run: &Run<'_>, y: u16) {
    let reversed = run.like.modifier.contains(Modifier::REVERSED);
    let (mut ink, mut paper) = (color(run.like.fg, FOREGROUND), color(run.like.bg, BACKGROUND));
    if reversed {
        std::mem::swap(&mut ink, &mut paper);
    }
    let left = EDGE + f32::from(run.x) * CELL.0;
    let top = EDGE + f32::from(y) * CELL.1;
    let width = run.cells as f32 * CELL.0;
    if paper != BACKGROUND {
        let height = CELL.1;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{paper}\"/>"
        );
    }
    if run.text.trim().is_empty() {
        return;
    }
    let mut looks = String::new();
    if ink != FOREGROUND {
        let _ = write!(looks, " fill=\"{ink}\" style=\"fill:{ink}\"");
    }
    if run.like.modifier.contains(Modifier::BOLD) {
        looks.push_str(" font-weight=\"bold\"");
    }
    if run.like.modifier.contains(Modifier::DIM) {
        looks.push_str(" opacity=\".6\"");
    }
    // Spaces at the edges only make the file larger.
    let before = run.text.len() - run.text.trim_start().len();
    let text = run.text.trim();
    let left = left + before as f32 * CELL.0;
    let length = text::width(text) as f32 * CELL.0;
    let baseline = top + 13.5;
    let _ = writeln!(
        svg,
        "<text x=\"{left:.1}\" y=\"{baseline:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\"{looks}>{}</text>",
        escaped(text)
    );
}

fn color(color: Color, otherwise: &'static str) -> &'static str {
    match color {
        Color::Green => "#7ec699",
        Color::Red => "#f2777a",
        Color::Cyan => "#6fc1d8",
        Color::Yellow => "#e6b450",
        _ => otherwise,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn a_picture_has_the_text_its_colours_and_nothing_that_ends_it() {
        let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 20, 2));
        buffer.set_string(1, 0, "a </text> & b", Style::new().red().bold());
        buffer.set_string(0, 1, "漢x", Style::new().reversed());
        let svg = picture(&buffer);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains(">a &lt;/text&gt; &amp; b</text>"), "{svg}");
        assert!(svg.contains("fill:#f2777a") && svg.contains("font-weight=\"bold\""), "{svg}");
        // The wide one takes two cells, and what follows it begins behind them.
        assert!(svg.contains(">漢</text>") && svg.contains("<text x=\"26.8\" y=\"41.5\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
    }
}
