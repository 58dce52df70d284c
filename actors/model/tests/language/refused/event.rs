//! Events and schedules.

use super::check;

#[test]
fn schedule_key() {
    check(
        "schedule: { evry: PT1S }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 13: /schedule: unknown key 'evry' (expected one of every, cron, after, on, read); did you mean 'every'?",
    );
}

#[test]
fn schedule_zero() {
    check(
        "schedule: { every: PT0S, after: '${ .x }' }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 20: /schedule/every: expected a duration of more than zero
line 2, column 33: /schedule/after: expected a fixed duration, found an expression, which no instance is there for",
    );
}

#[test]
fn schedule_cron() {
    check(
        "schedule: { cron: '0 0 * *' }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 19: /schedule/cron: expected a cron expression such as '0 3 * * 1', found '0 0 * *': pattern must have between 5 and 7 fields",
    );
}

#[test]
fn schedule_cron_never() {
    check(
        "schedule: { cron: '0 0 30 2 *' }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 19: /schedule/cron: expected a cron expression that fires at some time, found '0 0 30 2 *'",
    );
}

#[test]
fn schedule_on() {
    check(
        "schedule: { on: { one: { wth: {} } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 19: /schedule/on/one: expected a member 'with', found none
line 2, column 26: /schedule/on/one: unknown key 'wth' (expected one of with, correlate); did you mean 'with'?",
    );
}

#[test]
fn schedule_pattern() {
    check(
        "schedule: { on: { one: { with: { type: '^a(b$' } } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 40: /schedule/on/one/with/type: expected a regular expression: unclosed group",
    );
}

#[test]
fn schedule_until() {
    check(
        "schedule: { on: { all: [ { with: { type: t } } ], until: .x } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 51: /schedule/on/until: expected 'until' beside 'any' only, found it beside 'all'",
    );
}

#[test]
fn emit_without_type() {
    check(
        "do:
  - a: { emit: { event: { with: { source: x } } } }
",
        "line 3, column 27: /do/0/a/emit/event/with: expected a member 'type', found none",
    );
}

#[test]
fn listen_strategy() {
    check(
        "do:
  - a: { listen: { to: { any: [], one: { with: { type: t } } } } }
  - b: { listen: { too: {} } }
",
        "line 3, column 20: /do/0/a/listen/to: expected one strategy, found both 'one' and 'any'
line 4, column 10: /do/1/b/listen: expected a member 'to', found none
line 4, column 20: /do/1/b/listen: unknown key 'too' (expected one of to, read); did you mean 'to'?",
    );
}

#[test]
fn listen_lookback() {
    check(
        "do:
  - a: { wait: PT1S, metadata: { ops: { lookback: PT1H } } }
  - b: { listen: { to: { any: [] } }, metadata: { ops: { lookback: P8D } } }
  - c: { listen: { to: { any: [] } }, metadata: { ops: { lookback: P1M } } }
",
        "line 3, column 41: /do/0/a/metadata/ops/lookback: expected it at a 'listen', found it at 'wait'
line 4, column 68: /do/1/b/metadata/ops/lookback: expected a fixed duration of at most P7D, found 'P8D'
line 5, column 68: /do/2/c/metadata/ops/lookback: expected a fixed duration of at most P7D, found 'P1M'",
    );
}

#[test]
fn listen_foreach() {
    check(
        "do:
  - a: { listen: { to: { any: [] } }, foreach: { item: e, at: e } }
  - b: { listen: { to: { any: [] } }, foreach: { do: [ { c: { wait: PT1S, metadata: { ops: { startPoint: { id: c } } } } } ] } }
",
        "line 3, column 39: /do/0/a/foreach: expected two names for the event and its index, found 'e' for both
line 4, column 112: /do/1/b/foreach/do/0/c/metadata/ops/startPoint/id: expected a start point only where nothing but `do` and the body of `try` is round the task, found one inside of a loop, a fork, a handler or a function; put it on the task that holds them",
    );
}
