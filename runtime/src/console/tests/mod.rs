//! Tests of the console without a terminal, a clock or a cluster: what keys do, and what the screen says.

mod made;
mod screens;

use std::time::Duration;

use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Size;
use serde_json::json;

use self::made::{DETAIL, answer, content, entries, give, now, press, shown, state};
use self::screens::text;
use super::{Content, Effect, Input, News, Order, State, Trouble, View, Want};
use crate::inspect::QuarantineOrder;

fn click(state: &mut State, column: u16, row: u16) {
    let kind = MouseEventKind::Down(MouseButton::Left);
    state.step(Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

fn wheel(state: &mut State, kind: MouseEventKind) {
    state.step(Input::Mouse(MouseEvent { kind, column: 5, row: 10, modifiers: KeyModifiers::NONE }));
}

fn selected(state: &State) -> String {
    let screen = text(state);
    let line = screen.lines().find(|line| line.starts_with('>')).unwrap_or_default();
    line.trim_start_matches('>').trim().to_owned()
}

#[test]
fn views_are_chosen_by_number_in_turn_and_by_the_mouse_and_only_what_is_seen_is_asked_for() {
    let mut state = state(View::Actors, 80, 24);
    assert_eq!(state.want(), Want::Actors);
    press(&mut state, "2");
    assert_eq!(state.want(), Want::Instances { status: None, cursor: None });
    press(&mut state, "\t");
    assert_eq!(state.want(), Want::Nodes);
    press(&mut state, "8\t");
    assert_eq!(state.want(), Want::Actors, "after the last one comes the first");
    let x = super::layout::tabs(80, View::Actors)[5].2.start + 1;
    click(&mut state, x, 2);
    assert_eq!(state.want(), Want::Entries { text: String::new() });
}

#[test]
fn what_comes_for_a_page_that_was_left_changes_nothing() {
    let mut state = shown(View::Nodes, 80, 24);
    let before = text(&state);
    let late = News::Content { want: Want::Adapters, content: Ok(content(View::Adapters)) };
    state.step(Input::News(late));
    assert_eq!(text(&state), before);
}

#[test]
fn the_tree_is_folded_filtered_and_opened() {
    let mut state = shown(View::Actors, 100, 40);
    let is = |state: &State, word: &str, there: bool| {
        assert_eq!(text(state).contains(word), there, "{word} in:\n{}", text(state));
    };
    // A shard with something in quarantine is open, the others are not.
    is(&state, "process/01990000-poison", true);
    is(&state, "process/01990000-0-0", false);
    press(&mut state, "↓↓↓→");
    assert!(selected(&state).starts_with("▾ shard 0"), "{}", selected(&state));
    is(&state, "process/01990000-0-0", true);
    press(&mut state, "←");
    is(&state, "process/01990000-0-0", false);
    press(&mut state, "←");
    assert!(selected(&state).starts_with("▾ shards"), "{}", selected(&state));
    press(&mut state, "-");
    is(&state, "node alpha", false);
    press(&mut state, "*");
    is(&state, "process/01990000-3-2", true);
    is(&state, "… 21 more", true);

    press(&mut state, "/3-2");
    is(&state, "process/01990000-3-2", true);
    is(&state, "shard 3", true);
    is(&state, "process/01990000-3-1", false);
    press(&mut state, "\n");
    // The selection went to what is left; Enter on an actor opens it.
    press(&mut state, "G\n");
    assert_eq!(state.want(), Want::Detail("process/01990000-3-2".to_owned()));
    press(&mut state, "\x1b");
    assert_eq!(state.want(), Want::Actors);
    is(&state, "filter '3-2'", true);
    press(&mut state, "\x1b");
    is(&state, "process/01990000-3-1", true);
}

#[test]
fn the_selection_stays_with_its_row_while_others_come() {
    let mut state = shown(View::Instances, 100, 24);
    press(&mut state, "↓↓");
    let before = selected(&state);
    let Content::Instances(mut page) = content(View::Instances) else { unreachable!() };
    let mut newer = page.items[0].clone();
    newer.id = "newer".to_owned();
    page.items.insert(0, newer);
    give(&mut state, Content::Instances(page));
    assert_eq!(selected(&state), before);
}

#[test]
fn instances_are_paged_and_asked_for_by_status() {
    let mut state = shown(View::Instances, 80, 24);
    press(&mut state, "n");
    assert_eq!(state.want(), Want::Instances { status: None, cursor: Some("n1".to_owned()) });
    assert!(text(&state).contains("asking"), "{}", text(&state));
    press(&mut state, "p");
    assert_eq!(state.want(), Want::Instances { status: None, cursor: None });
    press(&mut state, "f");
    assert_eq!(state.want(), Want::Instances { status: Some("running"), cursor: None });
    press(&mut state, &"f".repeat(9));
    assert_eq!(state.want(), Want::Instances { status: None, cursor: None });
    press(&mut state, "n");
    assert!(text(&state).contains("last page"), "nothing is known of a next one:\n{}", text(&state));
    // A few characters of an id are enough.
    press(&mut state, "o01990000\n");
    assert_eq!(state.want(), Want::Detail("process/01990000".to_owned()));
}

#[test]
fn an_adapter_is_restarted_only_after_a_yes() {
    let mut state = shown(View::Adapters, 80, 24);
    assert_eq!(press(&mut state, "↓r"), None);
    assert!(text(&state).contains("restart the adapter command at beta?"), "{}", text(&state));
    assert_eq!(press(&mut state, "x\n"), None, "other keys decide nothing");
    assert_eq!(press(&mut state, "n"), None);
    assert!(text(&state).contains("nothing was done"), "{}", text(&state));
    let here = Order::Restart { adapter: "command".to_owned(), node: Some("beta".to_owned()) };
    assert_eq!(press(&mut state, "ry"), Some(Effect::Order(here)));
    let everywhere = Order::Restart { adapter: "command".to_owned(), node: None };
    assert_eq!(press(&mut state, "ra"), Some(Effect::Order(everywhere)));
    state.step(Input::News(News::Ordered(Err("no such adapter".to_owned()))));
    assert!(text(&state).contains("no such adapter"), "{}", text(&state));
    state.step(Input::Time(now() + Duration::from_secs(60)));
    assert!(!text(&state).contains("no such adapter"), "{}", text(&state));
}

#[test]
fn what_was_set_aside_is_skipped_tried_again_and_edited() {
    let mut state = shown(View::Quarantine, 80, 24);
    let order = |order: QuarantineOrder| {
        let entry = Some("1795276490770-3".to_owned());
        Some(Effect::Order(Order::Quarantine { actor: DETAIL.to_owned(), entry, order }))
    };
    assert_eq!(press(&mut state, "sy"), order(QuarantineOrder::Skip));
    assert_eq!(press(&mut state, "ty"), order(QuarantineOrder::Retry));
    let (actor, entry) = (DETAIL.to_owned(), "1795276490770-3".to_owned());
    let edit = Effect::Edit { actor: actor.clone(), entry: entry.clone(), body: json!({"number": 3}) };
    assert_eq!(press(&mut state, "e"), Some(edit));
    let mut edited = |body| state.step(Input::Edited { actor: actor.clone(), entry: entry.clone(), body });
    assert_eq!(edited(Ok(None)), None);
    let body = json!({"number": 4});
    assert_eq!(edited(Ok(Some(body.clone()))), None, "it is asked first");
    assert_eq!(press(&mut state, "y"), order(QuarantineOrder::Edit { body }));
    // One that cannot be loaded has no entry.
    assert_eq!(press(&mut state, "↓e"), None);
    assert!(text(&state).contains("no entry to edit"), "{}", text(&state));
}

#[test]
fn the_tail_follows_its_end_until_somebody_reads_or_pauses() {
    let mut state = shown(View::Entries, 120, 24);
    assert!(selected(&state).contains("activity 29 completed"), "{}", selected(&state));
    give(&mut state, entries(30, 5));
    assert!(selected(&state).contains("activity 34 completed"), "{}", selected(&state));
    press(&mut state, "kk");
    give(&mut state, entries(35, 5));
    assert!(selected(&state).contains("activity 32 completed"), "{}", selected(&state));
    press(&mut state, "G ");
    give(&mut state, entries(40, 5));
    assert!(text(&state).contains("paused, 5 more came"), "{}", text(&state));
    assert!(!text(&state).contains("activity 44 completed"));
    press(&mut state, " ");
    assert!(selected(&state).contains("activity 44 completed"), "{}", selected(&state));
    // What is repeated is there once, and the oldest go.
    give(&mut state, entries(43, 4000));
    assert!(text(&state).contains("Entries  2000"), "{}", text(&state));

    press(&mut state, "/poison\n");
    assert_eq!(state.want(), Want::Entries { text: "poison".to_owned() });
    assert!(text(&state).contains("with 'poison'"), "{}", text(&state));
    press(&mut state, "\x1b");
    assert_eq!(state.want(), Want::Entries { text: String::new() });
    give(&mut state, entries(0, 3));
    press(&mut state, "\n");
    assert_eq!(state.want(), Want::Nothing, "an entry is shown as it is");
    assert!(text(&state).contains("1795276490770-2"), "{}", text(&state));
    press(&mut state, "\x1ba");
    assert_eq!(state.want(), Want::Detail(DETAIL.to_owned()));
    press(&mut state, "T");
    assert_eq!(state.want(), Want::Trace(DETAIL.to_owned()));
}

#[test]
fn trouble_is_told_and_what_was_known_stays() {
    let mut state = state(View::Events, 80, 24);
    answer(&mut state, Err(Trouble::NotFound("no such path".to_owned())));
    assert!(text(&state).contains("this node does not offer it (no such path)"), "{}", text(&state));
    press(&mut state, "3");
    give(&mut state, content(View::Nodes));
    answer(&mut state, Err(Trouble::Failed("no node answers".to_owned())));
    assert!(
        text(&state).contains("alpha (asked)") && text(&state).contains("no node answers"),
        "{}",
        text(&state)
    );
    state.step(Input::News(News::Overview(Err(Trouble::Failed("no node answers".to_owned())))));
    state.step(Input::Time(now() + Duration::from_secs(7)));
    state.step(Input::News(News::Overview(Err(Trouble::Failed("no node answers".to_owned())))));
    assert!(text(&state).contains("no answer for 7s"), "{}", text(&state));
    assert_eq!(state.step(Input::News(News::Stop)), Some(Effect::Quit));
}

#[test]
fn rows_are_selected_opened_and_folded_by_the_mouse() {
    let mut state = shown(View::Instances, 80, 24);
    // Two lines of head, the tabs, the line of the page, the headings.
    click(&mut state, 10, 5 + 3);
    assert!(selected(&state).contains("000000000003"), "{}", selected(&state));
    wheel(&mut state, MouseEventKind::ScrollDown);
    assert!(selected(&state).contains("000000000006"), "{}", selected(&state));
    click(&mut state, 10, 5 + 6);
    assert!(matches!(state.want(), Want::Detail(actor) if actor.ends_with("000000000006")));
    press(&mut state, "1");
    give(&mut state, content(View::Actors));
    click(&mut state, 5, 4);
    assert!(selected(&state).starts_with("▸ cluster"), "{}", text(&state));
    // Below the last row there is nothing to click at.
    click(&mut state, 5, 20);
    assert!(selected(&state).starts_with("▸ cluster"), "{}", text(&state));
}

#[test]
fn no_key_on_any_page_of_any_size_does_harm() {
    let keys = "↓↓→ *\n?x\x1bor12/\x1bo\n\x1bTf nprysteaGgkj-\n/zz\n\x1b\x1b";
    for view in View::ALL {
        for (width, height) in [(0, 0), (1, 1), (20, 5), (80, 24)] {
            for full in [true, false] {
                let mut state = if full { shown(view, width, height) } else { state(view, width, height) };
                for key in keys.chars() {
                    press(&mut state, &key.to_string());
                    text(&state);
                }
                wheel(&mut state, MouseEventKind::ScrollUp);
                click(&mut state, width / 2, height / 2);
                state.step(Input::Size(Size { width: 3, height: 4 }));
                text(&state);
            }
        }
    }
}
