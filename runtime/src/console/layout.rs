//! Where things are on a screen of some size: what draws and what reads the mouse have to agree.

use std::ops::Range;

use ratatui::layout::{Rect, Size};

use super::page::{Content, View};
use super::screen::{Body, Screen};
use super::{detail, text};

/// The most lines that the sentence over a detail takes.
pub(super) const SENTENCE_LINES: usize = 3;
/// A terminal with fewer lines does without the second line of the head.
const LOW: u16 = 16;

/// The parts of the screen, from the top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Areas {
    pub(super) head: Rect,
    pub(super) tabs: Rect,
    pub(super) status: Rect,
    pub(super) body: Rect,
    pub(super) foot: Rect,
}

pub(super) fn areas(size: Size) -> Areas {
    let Size { width, height } = size;
    let head = if height < LOW { 1 } else { 2 };
    let part = |y: u16, wanted: u16| {
        let y = y.min(height);
        Rect::new(0, y, width, wanted.min(height - y))
    };
    let top = head + 2;
    let body = height.saturating_sub(top + 1);
    Areas {
        head: part(0, head),
        tabs: part(head, 1),
        status: part(head + 1, 1),
        body: part(top, body),
        foot: part(top + body, 1),
    }
}

/// What stands on each tab, and where.
pub(super) fn tabs(width: u16, current: View) -> Vec<(View, String, Range<u16>)> {
    let long = |view: View, number: usize| format!(" {} {} ", number + 1, view.title());
    let middle = |view: View, number: usize| format!(" {}{}", number + 1, view.title());
    let short = |view: View, number: usize| match view == current {
        true => middle(view, number),
        false => format!(" {}", number + 1),
    };
    let labels = |label: &dyn Fn(View, usize) -> String| -> Vec<String> {
        View::ALL.iter().enumerate().map(|(number, view)| label(*view, number)).collect()
    };
    let fits = |labels: &[String]| {
        labels.iter().map(|label| text::width(label)).sum::<usize>() <= usize::from(width)
    };
    let mut shown = labels(&long);
    if !fits(&shown) {
        shown = labels(&middle);
    }
    if !fits(&shown) {
        shown = labels(&short);
    }
    let mut x = 0;
    View::ALL
        .iter()
        .zip(shown)
        .map(|(view, label)| {
            let from = x;
            x += text::width(&label) as u16;
            (*view, label, from..x)
        })
        .collect()
}

/// What stands over the lines of a detail.
pub(super) fn sentence(screen: &Screen, width: u16) -> Option<(String, Vec<String>)> {
    let Some(Content::Detail(detail)) = &screen.content else { return None };
    let (state, sentence) = detail::sentence(detail);
    let sentence = text::cleaned(&sentence, 4 * text::TEXT_LIMIT);
    let lines = text::wrap(&sentence, usize::from(width.saturating_sub(2)), SENTENCE_LINES);
    Some((text::clean(&state), lines))
}

/// Where the rows of a screen are: below the headings, or below the sentence.
pub(super) fn rows(screen: &Screen, body: Rect) -> Rect {
    let above = match &screen.body {
        Body::Table(_) => 1,
        Body::Outline { .. } => sentence(screen, body.width).map_or(0, |(_, lines)| lines.len() as u16 + 2),
    };
    let above = above.min(body.height);
    Rect { y: body.y + above, height: body.height - above, ..body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_room_or_none_on_any_terminal() {
        for (width, height) in [(0, 0), (1, 1), (80, 3), (80, 24), (200, 60)] {
            let size = Size { width, height };
            let Areas { head, tabs: bar, status, body, foot } = areas(size);
            let parts = [head, bar, status, body, foot];
            assert!(parts.iter().all(|part| part.bottom() <= height), "{width}x{height}: {parts:?}");
            if height >= 16 {
                assert_eq!(parts.iter().map(|part| part.height).sum::<u16>(), height);
            }
        }
    }

    #[test]
    fn all_tabs_have_room_on_eighty_columns() {
        for (width, first) in [(200, " 1 Actors "), (80, " 1Actors"), (40, " 1Actors")] {
            let shown = tabs(width, View::Actors);
            assert_eq!(shown[0].1, first);
            assert!(shown.last().unwrap().2.end <= width, "{shown:?}");
        }
        assert_eq!(tabs(40, View::Actors)[1].1, " 2");
    }
}
