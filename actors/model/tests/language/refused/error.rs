//! Errors, catches and retries.

use super::check;

#[test]
fn retry_name() {
    check(
        "use: { retries: { transient: { delay: PT1S } } }
do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { retry: transent } }
",
        "line 4, column 58: /do/0/a/catch/retry: unknown retry policy 'transent' (expected one of transient); did you mean 'transient'?",
    );
}

#[test]
fn retry_backoff() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { retry: { backoff: { exponential: { factor: 0.5 } } } } }
",
        "line 3, column 94: /do/0/a/catch/retry/backoff/exponential/factor: expected a number of at least 1, found the number 0.5",
    );
}

#[test]
fn retry_backoff_two() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { retry: { backoff: { linear: {}, constant: {} } } } }
",
        "line 3, column 69: /do/0/a/catch/retry/backoff: expected one of constant, linear, exponential",
    );
}

#[test]
fn retry_jitter() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { retry: { jitter: { from: PT2S, to: PT1S } } } }
",
        "line 3, column 68: /do/0/a/catch/retry/jitter: expected 'from' to be at most 'to', found it longer",
    );
}

#[test]
fn retry_count() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { retry: { limit: { attempt: { count: -1 } } } } }
",
        "line 3, column 87: /do/0/a/catch/retry/limit/attempt/count: expected a whole number that is not negative, found the number -1",
    );
}

#[test]
fn catch_missing() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ] }
",
        "line 3, column 5: /do/0/a: expected a member 'catch', found none",
    );
}

#[test]
fn catch_filter() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { errors: { with: { status: '404', type: '${ .x }' } } } }
",
        "line 3, column 77: /do/0/a/catch/errors/with/status: expected a status between 100 and 599, found '404'
line 3, column 90: /do/0/a/catch/errors/with/type: expected a fixed value, found an expression; put the condition into 'when' of the catch",
    );
}

#[test]
fn catch_variable() {
    check(
        "do:
  - a: { try: [ { b: { wait: PT1S } } ], catch: { as: input } }
",
        "line 3, column 55: /do/0/a/catch/as: expected a name of its own, found 'input', which the language defines",
    );
}

#[test]
fn raise_name() {
    check(
        "do:
  - a: { raise: { error: broken } }
",
        "line 3, column 26: /do/0/a/raise/error: unknown error 'broken' (use.errors declares none)",
    );
}

#[test]
fn raise_status() {
    check(
        "do:
  - a: { raise: { error: { type: x, status: 99 } } }
",
        "line 3, column 45: /do/0/a/raise/error/status: expected a status between 100 and 599, found the number 99",
    );
}

#[test]
fn raise_missing() {
    check(
        "do:
  - a: { raise: { error: { status: 500 } } }
",
        "line 3, column 19: /do/0/a/raise/error: expected a member 'type', found none",
    );
}
