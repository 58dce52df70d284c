//! Expressions: the place is the one inside the text.

use super::check;

#[test]
fn an_unknown_variable() {
    check(
        "do:\n  - a: { set: { b: '${ .x + $contxt.y }' } }\n",
        "line 3, column 29: /do/0/a/set/b: unknown variable '$contxt'; did you mean '$context'?",
    );
}

#[test]
fn an_unknown_function_in_a_block() {
    check(
        "do:\n  - a:\n      set: |\n        ${\n          .x |\n            lenght\n        }\n",
        "line 7, column 13: /do/0/a/set: unknown function 'lenght'; did you mean 'length'?",
    );
}

#[test]
fn a_syntax_error_in_double_quotes() {
    check(
        "do:\n  - a: { if: \".x == \\\"y\\\" &\", wait: PT1S }\n",
        "line 3, column 27: /do/0/a/if: expected token, found '&'",
    );
}

#[test]
fn the_variable_of_a_loop_outside_of_it() {
    check(
        "do:\n  - a: { for: { each: pet, in: .x }, while: $pet, do: [ { b: { set: { c: '${ $pet }' } } } ] }\n  - d: { if: $pet, wait: PT1S }\n",
        "line 4, column 14: /do/1/d/if: unknown variable '$pet'",
    );
}

#[test]
fn the_variable_of_a_catch_in_its_body() {
    check(
        "do:\n  - a: { try: [ { b: { if: $error, wait: PT1S } } ], catch: { when: $error, do: [ { c: { set: $error } } ] } }\n",
        "line 3, column 28: /do/0/a/try/0/b/if: unknown variable '$error'",
    );
}

#[test]
fn a_function_does_not_see_the_loop_that_calls_it() {
    check(
        "use: { functions: { f: { set: { a: '${ $item }' } } } }\ndo:\n  - a: { for: { in: .x }, do: [ { b: { call: f } } ] }\n",
        "line 2, column 40: /use/functions/f/set/a: unknown variable '$item'",
    );
}

#[test]
fn secrets_where_they_would_end_in_the_journal() {
    check(
        "do:\n  - a: { set: { b: '${ $secrets.x }' } }\n",
        "line 3, column 24: /do/0/a/set/b: unknown variable '$secrets'; a secret can be a whole argument of a call ('${ $secrets.NAME.FIELD }'), an authentication's 'use', or 'runtimeUser'",
    );
}

#[test]
fn computing_with_a_secret() {
    check(
        "use: { secrets: [ x ] }\ndo:\n  - a: { run: { shell: { command: '${ $secrets.x.y + \"z\" }' } } }\n",
        "line 4, column 39: /do/0/a/run/shell/command: unknown variable '$secrets'; a secret can be a whole argument of a call ('${ $secrets.NAME.FIELD }'), an authentication's 'use', or 'runtimeUser'",
    );
}

#[test]
fn a_secret_that_is_not_declared() {
    check(
        "use: { secrets: [ token ] }\ndo:\n  - a: { run: { shell: { command: x, stdin: '${ $secrets.tokn }' } } }\n",
        "line 4, column 45: /do/0/a/run/shell/stdin: unknown secret 'tokn' (expected one of token); did you mean 'token'?",
    );
}

#[test]
fn a_trigger_sees_no_instance() {
    check(
        "schedule: { on: { one: { with: { type: t, data: '${ .x == $context.y }' } } } }\ndo: [ { a: { wait: PT1S } } ]\n",
        "line 2, column 59: /schedule/on/one/with/data: unknown variable '$context'",
    );
}
