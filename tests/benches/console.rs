//! The figures of the console's screen: `cargo bench -p impresario-tests --bench console`.
//!
//! No terminal and no node: a tree of ten thousand actors of three nodes is taken, unfolded, scrolled, filtered and drawn, and
//! the slowest of many rounds is told as well as the median, for what somebody feels is the slowest.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::time::{Duration, Instant, SystemTime};

use impresario::console::{Content, Input, News, State, View, draw};
use impresario::orchestrator::{InstancePage, TreeNode};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::{Rect, Size};
use serde_json::json;

const ROUNDS: usize = 200;
const SIZE: Size = Size { width: 160, height: 50 };

fn tree() -> TreeNode {
    let actor = |shard: u32, number: u32| TreeNode {
        name: format!("process/01990000-0000-7000-{shard:04}-{number:012}"),
        state: "waiting".to_owned(),
        facts: vec!["ops/park:1.0.0".to_owned(), "due 2026-11-22T00:00:00Z".to_owned()],
        ..TreeNode::default()
    };
    let shard = |shard: u32| TreeNode {
        name: format!("shard {shard}"),
        state: "running".to_owned(),
        facts: vec!["834 live".to_owned(), "lag 0".to_owned(), "restarts 0".to_owned()],
        children: (0..834).map(|number| actor(shard, number)).collect(),
        ..TreeNode::default()
    };
    let node = |number: u32| TreeNode {
        name: format!("node node-{number}"),
        state: "running".to_owned(),
        children: (number * 4..number * 4 + 4).map(shard).collect(),
        ..TreeNode::default()
    };
    TreeNode {
        name: "cluster".to_owned(),
        state: "running".to_owned(),
        children: (0..3).map(node).collect(),
        ..TreeNode::default()
    }
}

fn instances() -> InstancePage {
    let item = |number: u64| {
        json!({"id": format!("01990000-0000-7000-0000-{number:012}"), "definition": "ops/park:1.0.0", "status": "waiting",
            "started_at": "2026-11-21T16:00:00Z"})
    };
    serde_json::from_value(json!({"items": (0..1000).map(item).collect::<Vec<_>>()})).unwrap()
}

fn measure(what: &str, mut round: impl FnMut(usize)) {
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|number| {
            let began = Instant::now();
            round(number);
            began.elapsed()
        })
        .collect();
    took.sort();
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    println!("{what:<58} median {:>8.3} ms   slowest {:>8.3} ms", ms(took[ROUNDS / 2]), ms(took[ROUNDS - 1]));
}

fn main() {
    let now = SystemTime::now();
    let mut buffer = Buffer::empty(Rect::new(0, 0, SIZE.width, SIZE.height));
    let mut state = State::new("http://127.0.0.1:4747", View::Actors, SIZE, now);
    let (tree, instances) = (tree(), instances());
    let give = |state: &mut State, content: Content| {
        let want = state.want();
        state.step(Input::News(News::Content { want, content: Ok(content) }));
    };
    let press = |state: &mut State, code: KeyCode| drop(state.step(Input::Key(KeyEvent::from(code))));

    measure("10 008 actors arrive, folded, and are drawn", |_| {
        give(&mut state, Content::Actors(tree.clone()));
        draw(&state, &mut buffer);
    });
    press(&mut state, KeyCode::Char('*'));
    measure("10 008 actors arrive, all unfolded, and are drawn", |_| {
        give(&mut state, Content::Actors(tree.clone()));
        draw(&state, &mut buffer);
    });
    measure("a second passes over 10 008 unfolded actors, and a draw", |round| {
        state.step(Input::Time(now + Duration::from_secs(round as u64)));
        draw(&state, &mut buffer);
    });
    measure("a page further, and a draw", |_| {
        press(&mut state, KeyCode::PageDown);
        draw(&state, &mut buffer);
    });
    measure("a draw of the same", |_| draw(&state, &mut buffer));
    press(&mut state, KeyCode::Char('/'));
    measure("a character more or less of a filter, and a draw", |round| {
        press(&mut state, if round % 2 == 0 { KeyCode::Char('7') } else { KeyCode::Backspace });
        draw(&state, &mut buffer);
    });
    press(&mut state, KeyCode::Esc);
    press(&mut state, KeyCode::Char('2'));
    measure("1000 instances arrive, and are drawn", |_| {
        give(&mut state, Content::Instances(instances.clone()));
        draw(&state, &mut buffer);
    });
}
