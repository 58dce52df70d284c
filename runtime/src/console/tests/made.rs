//! Replies of a cluster that is not there.

use std::time::{Duration, SystemTime};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::console::{Content, Detail, Effect, Input, News, Overview, State, Trouble, View};

pub(super) const DETAIL: &str = "process/01990000-0000-7000-8000-00000000002a";

pub(super) fn now() -> SystemTime {
    humantime::parse_rfc3339("2026-11-21T16:00:00Z").unwrap()
}

fn ago(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(now() - Duration::from_secs(seconds)).to_string()
}

/// What a node would have sent; fields may be added to it elsewhere.
fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(super) fn state(view: View, width: u16, height: u16) -> State {
    let mut state = State::new("http://127.0.0.1:4747", view, Size { width, height }, now());
    state.step(Input::News(News::Overview(Ok(overview()))));
    state
}

/// With what a page shows.
pub(super) fn shown(view: View, width: u16, height: u16) -> State {
    let mut state = state(view, width, height);
    give(&mut state, content(view));
    state
}

pub(super) fn give(state: &mut State, content: Content) {
    answer(state, Ok(content));
}

pub(super) fn answer(state: &mut State, content: Result<Content, Trouble>) {
    let want = state.want();
    state.step(Input::News(News::Content { want, content }));
}

pub(super) fn press(state: &mut State, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            '↓' => KeyCode::Down,
            '→' => KeyCode::Right,
            '←' => KeyCode::Left,
            other => KeyCode::Char(other),
        };
        effect = state.step(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    effect
}

pub(super) fn overview() -> Overview {
    Overview {
        nodes: of(nodes()),
        audit: Some(of(json!({"stuck": 0, "proven_ms_ago": 4200, "checked": 120}))),
        counts: vec![("running", 3, false), ("waiting", 100, true), ("faulted", 2, false)],
    }
}

fn nodes() -> Value {
    let node = |name: &str, state: &str, me: bool, shards: u64| {
        json!({"name": name, "incarnation": format!("{name}-1"), "state": state, "me": me, "url": format!("http://{name}:4747"),
            "site": "north", "labels": {"rack": "7", "role": "worker"}, "version": "0.1.0", "started": ago(7500),
            "shards": shards, "live": shards * 40, "running": 3})
    };
    json!([node("alpha", "alive", true, 6), node("beta", "alive", false, 6), node("gamma", "gone", false, 0)])
}

pub(super) fn entries(from: usize, count: usize) -> Content {
    let entry = |number: usize| {
        json!({"shard": number % 12, "offset": format!("1795276490770-{number}"), "at": ago(9), "actor": DETAIL,
            "kind": "process.activity", "origin": "3/1795276490769-0", "summary": format!("activity {number} completed"),
            "body": {"number": number, "result": {"ok": true}}})
    };
    let items: Vec<Value> = (from..from + count).map(entry).collect();
    Content::Entries(of(json!({"items": items, "next": "later"})))
}

pub(super) fn content(view: View) -> Content {
    match view {
        View::Actors => {
            let leaf = |name: String, state: &str, fact: &str| json!({"name": name, "state": state, "facts": [fact]});
            let shard = |number: u64| {
                let mut actors: Vec<Value> = (0..3)
                    .map(|actor| {
                        leaf(
                            format!("process/01990000-{number}-{actor}"),
                            "waiting",
                            "due 2026-11-22T00:00:00Z",
                        )
                    })
                    .collect();
                if number == 1 {
                    actors
                        .insert(0, leaf("process/01990000-poison".to_owned(), "quarantined", "it panicked"));
                }
                json!({"name": format!("shard {number}"), "state": "running", "children": actors, "more": number * 7,
                    "facts": ["10 live", "lag 0", "restarts 0"]})
            };
            let node = |name: &str, shards: [u64; 2]| {
                json!({"name": format!("node {name}"), "state": "running", "children": [
                    {"name": "shards", "state": "running", "children": shards.map(shard)},
                    {"name": "hosts", "state": "running", "children": [
                        leaf("adapter command".to_owned(), "running", "pid 4711"),
                        leaf("adapter http".to_owned(), "idle", "0 in flight"),
                    ]},
                ]})
            };
            Content::Actors(of(json!({"name": "cluster", "state": "running",
                "children": [node("alpha", [0, 1]), node("beta", [2, 3])]})))
        }
        View::Instances => {
            let instance = |number: u64| {
                let status = ["completed", "running", "waiting", "faulted"][number as usize % 4];
                let ended = number.is_multiple_of(4).then(|| ago(number * 10));
                json!({"id": format!("01990000-0000-7000-8000-{number:012}"), "definition": "ops/clean-disks:1.2.0",
                    "status": status, "started_at": ago(number * 11 + 3), "ended_at": ended})
            };
            Content::Instances(of(json!({"items": (0..40).map(instance).collect::<Vec<_>>(), "next": "n1"})))
        }
        View::Nodes => Content::Nodes(of(nodes())),
        View::Adapters => {
            let adapter = |name: &str, node: &str, state: &str, generation: u64| {
                let error = (state != "running").then_some("exited with status 1: cannot open /dev/none");
                json!({"name": name, "node": node, "state": state, "generation": generation, "pid": 4700 + generation,
                    "uptime_ms": 65_000, "in_flight": generation, "queued": 0, "memory_bytes": 30 << 20,
                    "restarts_wanted": 1, "restarts_followed": 1, "last_error": error})
            };
            Content::Adapters(of(json!([
                adapter("command", "alpha", "running", 2),
                adapter("command", "beta", "running", 1),
                adapter("http", "alpha", "quarantined", 7),
                adapter("http", "beta", "running", 1),
            ])))
        }
        View::Triggers => Content::Triggers(of(json!([
            {"name": "ops/clean-disks/nightly", "definition": "ops/clean-disks:1.2.0", "kind": "schedule",
                "watches": "at 02:00 in Europe/Berlin", "state": "enabled", "fired": 12, "last_fire": ago(50_000),
                "next_fire": "2026-11-22T01:00:00Z"},
            {"name": "ops/restart/on", "definition": "ops/restart:1.0.0", "watches": "host.down", "state": "paused", "fired": 0},
            {"name": "ops/odd/on", "definition": "ops/odd:1.0.0", "watches": "odd", "state": "problem", "fired": 0,
                "problem": "no calendar 'work'"},
        ]))),
        View::Entries => entries(0, 30),
        View::Quarantine => Content::Quarantine(of(json!([
            {"actor": DETAIL, "shard": 3, "node": "alpha", "reason": "it panicked: attempt to divide by zero",
                "since": ago(100), "held": 2, "entry": {"shard": 3, "offset": "1795276490770-3", "at": ago(101), "actor": DETAIL,
                    "kind": "process.activity", "summary": "activity 3 completed", "body": {"number": 3}}},
            {"actor": "trigger/ops/odd/on", "shard": 4, "node": "beta", "reason": "its row cannot be read", "since": ago(9000), "held": 0},
        ]))),
        View::Events => {
            let event = |number: u64, severity: &str, kind: &str, subject: &str, message: &str| {
                json!({"id": number.to_string(), "time": ago(number * 40), "severity": severity, "kind": kind, "node": "alpha",
                    "subject": subject, "message": message})
            };
            Content::Events(of(json!({"items": [
                event(1, "critical", "actor.quarantined", DETAIL, "an entry made the actor panic, and it was set aside"),
                event(2, "warning", "node.down", "gamma", "the node gamma does not answer: its 6 shards go to others"),
                event(3, "info", "node.up", "beta", "the node beta has started"),
            ]})))
        }
    }
}

pub(super) fn detail() -> Content {
    let id = DETAIL.strip_prefix("process/").unwrap();
    let Content::Entries(entries) = entries(1, 3) else { unreachable!() };
    Content::Detail(Box::new(Detail {
        actor: DETAIL.to_owned(),
        inside: Ok(of(json!({"actor": DETAIL, "kind": "process", "shard": 3, "node": "alpha", "epoch": 5,
            "offset": "1795276490770-3", "lag": 0, "live": true, "status": "waiting", "due": "2026-11-21T16:10:00Z",
            "waits_for": ["activity 2"], "state": {"status": "waiting", "tasks": {"hold": {"until": 77}}, "vars": [1, true, null]},
            "entries": entries.items}))),
        instance: Some(Ok(of(
            json!({"id": id, "definition": "ops/clean-disks:1.2.0", "status": "waiting", "started_at": ago(70),
            "started_by": "trigger ops/clean-disks/nightly", "input": {"disk": "/var"},
            "waits_for": ["activity 2 measure (command/shell), attempt 1"],
            "activities": [
                {"number": 1, "task": "look", "pointer": "/do/0/look", "function": "command/shell", "status": "completed",
                    "key": "k1", "attempts": 1, "restartable": true, "input": {"command": "df"}, "output": {"code": 0},
                    "started_at": ago(69), "ended_at": ago(68)},
                {"number": 2, "task": "measure", "pointer": "/do/1/measure", "function": "command/shell", "target": "web-1",
                    "status": "running", "key": "k2", "attempts": 2, "restartable": true, "input": {"command": "du /var"},
                    "started_at": ago(60)},
            ], "activities_dropped": 0}),
        ))),
        explanation: Ok(of(json!({"subject": DETAIL, "state": "waiting", "since": ago(60),
            "text": "It waits for activity 2 'measure', which the adapter command runs at alpha on the target web-1 since a minute; \
                     it goes on when that ends, or after ten minutes, when the attempt is cut off.",
            "wakes": "the end of activity 2", "evidence": ["attempt 2 is in flight in process 4712"],
            "can_do": [format!("impresario cancel {id}")]}))),
    }))
}

pub(super) fn trace() -> Content {
    let step = |depth: u64, actor: &str, what: &str, status: &str, took: Option<u64>| json!({"depth": depth, "at": ago(60 - depth), "actor": actor, "what": what, "status": status, "took_ms": took});
    Content::Trace(of(json!({"subject": DETAIL, "gaps": ["what came before the last checkpoint"], "steps": [
        step(0, "router/5", "took the event host.down", "completed", Some(3)),
        step(1, "trigger/ops/restart/on", "started an instance", "completed", Some(12)),
        step(2, DETAIL, "asked for activity 1 look", "running", None),
    ]})))
}
