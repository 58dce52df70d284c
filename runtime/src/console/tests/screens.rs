//! What the screen says, on the usual terminal and on a wide one, against files beside this one. To make them anew:
//! `UPDATE_SCREENS=1 cargo nextest run -p impresario -E 'test(screens)'`, and look at the difference.

use std::fs;
use std::path::Path;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier};
use serde_json::{Value, json};

use super::made::{self, DETAIL, content, detail, give, press, shown, state, trace};
use crate::console::{Content, Input, State, View, draw};
use crate::inspect::EntryPage;
use crate::orchestrator::TreeNode;

fn cells(state: &State) -> Buffer {
    let Size { width, height } = state.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(state, &mut buffer);
    buffer
}

/// The lines of the screen; the selected one begins with `>`.
pub(super) fn text(state: &State) -> String {
    let buffer = cells(state);
    let mut lines = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += unicode_width::UnicodeWidthStr::width(symbol).max(1) as u16;
        }
        let reversed = |x: u16| buffer[(x, y)].modifier.contains(Modifier::REVERSED);
        // The whole line, and not a tab or a key.
        if y > 2 && y + 1 < buffer.area.height && (0..buffer.area.width.min(30)).all(reversed) {
            line.replace_range(0..line.chars().next().map_or(0, char::len_utf8), ">");
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn matches(name: &str, state: &State) {
    let Size { width, height } = state.size;
    let file = format!("{name}-{width}x{height}.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/tests/screens").join(&file);
    let found = text(state);
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{file}: expected\n{expected}\nfound\n{found}");
}

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];

#[test]
fn every_view_is_as_it_was_seen_to_be() {
    for (width, height) in SIZES {
        for view in View::ALL {
            matches(&view.title().to_lowercase(), &shown(view, width, height));
        }
    }
}

#[test]
fn pages_over_the_views_are_as_they_were_seen_to_be() {
    for (width, height) in SIZES {
        let mut state = shown(View::Instances, width, height).at(DETAIL);
        give(&mut state, detail());
        matches("detail", &state);
        press(&mut state, "T");
        give(&mut state, trace());
        matches("trace", &state);
        press(&mut state, "?");
        matches("help", &state);
        let mut state = shown(View::Adapters, width, height);
        press(&mut state, "\n");
        matches("record", &state);
        press(&mut state, "\x1br");
        matches("question", &state);
        matches(
            "empty",
            &super::super::State::new("http://127.0.0.1:4747", View::Nodes, state.size, made::now()),
        );
    }
}

/// Nothing that a terminal would obey, and nothing beyond the edge, is on the screen.
fn harmless(state: &State) {
    let buffer = cells(state);
    for cell in buffer.content() {
        let symbol = cell.symbol();
        let obeyed = |character: char| {
            character.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&character)
                || character == '\u{feff}'
        };
        assert!(!symbol.chars().any(obeyed), "{symbol:?}");
    }
    assert_eq!(text(state).lines().count(), usize::from(state.size.height));
}

/// A reply in which every text is one that somebody chose to do harm.
fn spoil(value: &mut Value, bad: &str) {
    match value {
        Value::String(text) => *text = bad.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, bad)),
        Value::Object(members) => members
            .iter_mut()
            // A severity and the like are one of a few words.
            .filter(|(name, _)| *name != "severity")
            .for_each(|(_, value)| spoil(value, bad)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn spoilt(view: View, bad: &str) -> Content {
    fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T, bad: &str) -> T {
        let mut value = serde_json::to_value(value).unwrap();
        spoil(&mut value, bad);
        serde_json::from_value(value).unwrap()
    }
    match content(view) {
        Content::Actors(tree) => Content::Actors(again(&tree, bad)),
        Content::Instances(page) => Content::Instances(again(&page, bad)),
        Content::Nodes(nodes) => Content::Nodes(again(&nodes, bad)),
        Content::Adapters(adapters) => Content::Adapters(again(&adapters, bad)),
        Content::Triggers(triggers) => Content::Triggers(again(&triggers, bad)),
        Content::Entries(page) => Content::Entries(again(&page, bad)),
        Content::Quarantine(actors) => Content::Quarantine(again(&actors, bad)),
        Content::Events(page) => Content::Events(again(&page, bad)),
        other @ (Content::Detail(_) | Content::Trace(_)) => other,
    }
}

#[test]
fn texts_that_somebody_chose_to_do_harm_do_none() {
    let long = "long".repeat(500);
    for bad in [
        "\x1b]0;owned\x07\x1b[2J\r\n",
        "\u{202e}gnirts\u{200d}\u{feff}",
        "漢字かな交じり文",
        "e\u{301}\u{301}👩‍👩‍👧🏽",
        &long,
        "",
    ] {
        for view in View::ALL {
            for (width, height) in [(100, 24), (21, 9)] {
                let mut state = state(view, width, height);
                give(&mut state, spoilt(view, bad));
                press(&mut state, "*");
                harmless(&state);
                press(&mut state, "G\n");
                harmless(&state);
                press(&mut state, &format!("\x1b/{}", bad.chars().take(9).collect::<String>()));
                harmless(&state);
            }
        }
    }
}

#[test]
fn ten_thousand_actors_are_scrolled_and_filtered() {
    let leaf = |number: u32| TreeNode {
        name: format!("process/{number:05}"),
        state: "waiting".to_owned(),
        ..TreeNode::default()
    };
    let shard = |number: u32| TreeNode {
        name: format!("shard {number}"),
        children: (0..100).map(|actor| leaf(number * 100 + actor)).collect(),
        ..TreeNode::default()
    };
    let tree = TreeNode {
        name: "node one".to_owned(),
        children: (0..100).map(shard).collect(),
        ..TreeNode::default()
    };
    let mut state = state(View::Actors, 80, 24);
    give(&mut state, Content::Actors(tree));
    assert!(text(&state).contains("Actors  101"), "{}", text(&state));
    press(&mut state, "*G");
    assert!(
        text(&state).contains("Actors  10101") && text(&state).contains("process/09999"),
        "{}",
        text(&state)
    );
    press(&mut state, "/process/04711");
    assert!(text(&state).contains("process/04711") && text(&state).contains("shard 47"), "{}", text(&state));
    assert!(!text(&state).contains("process/04712"), "{}", text(&state));
}

#[test]
fn without_colours_everything_is_still_said() {
    let mut state = shown(View::Quarantine, 80, 24).without_colours();
    press(&mut state, "↓");
    let buffer = cells(&state);
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(text(&state).lines().any(|line| line.starts_with('>') && line.contains("trigger/ops/odd/on")));
    let coloured = cells(&shown(View::Quarantine, 80, 24));
    assert!(coloured.content().iter().any(|cell| cell.fg == Color::Red));
}

#[test]
fn another_size_shows_the_selected_row() {
    let mut state = shown(View::Instances, 80, 24);
    press(&mut state, "G");
    state.step(Input::Size(Size { width: 60, height: 10 }));
    assert!(
        text(&state).lines().any(|line| line.starts_with('>') && line.contains("000000000039")),
        "{}",
        text(&state)
    );
}

#[test]
fn a_log_without_entries_says_so() {
    let mut state = state(View::Entries, 80, 24);
    give(&mut state, Content::Entries(EntryPage { items: Vec::new(), next: json!(0).to_string() }));
    assert!(text(&state).contains("nothing has come yet"), "{}", text(&state));
}
