//! Task lists, the members of tasks, and flow.

use super::check;

#[test]
fn empty_list() {
    check(
        "do: []
",
        "line 2, column 5: /do: expected at least one task, found an empty list",
    );
}

#[test]
fn tasks_as_a_map() {
    check(
        "do:
  a: { wait: PT1S }
",
        "line 3, column 3: /do: expected a list of tasks, found a map",
    );
}

#[test]
fn two_names_in_an_item() {
    check(
        "do:
  - a: { wait: PT1S }
    b: { wait: PT1S }
",
        "line 3, column 5: /do/0: expected a map of one name, found 2 names; write each task as a list item of its own: '- name: …'",
    );
}

#[test]
fn duplicate_task() {
    check(
        "do:
  - a: { wait: PT1S }
  - a: { wait: PT1S }
",
        "line 4, column 5: /do/1/a: expected each name once in a list, found 'a' again",
    );
}

#[test]
fn task_kind() {
    check(
        "do:
  - watch:
      swich: []
",
        "line 4, column 7: /do/0/watch: unknown task kind 'swich' (expected one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait); did you mean 'switch'?",
    );
}

#[test]
fn no_task_kind() {
    check(
        "do:
  - a: { then: end }
",
        "line 3, column 5: /do/0/a: expected a task kind (one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait), found none",
    );
}

#[test]
fn two_task_kinds() {
    check(
        "do:
  - a: { set: { b: 1 }, wait: PT1S }
",
        "line 3, column 5: /do/0/a: expected one kind of task, found both 'set' and 'wait'; make two tasks of it",
    );
}

#[test]
fn task_key() {
    check(
        "do:
  - a: { set: { b: 1 }, thn: end }
",
        "line 3, column 25: /do/0/a: unknown key 'thn' (expected one of set, if, input, output, export, timeout, then, metadata); did you mean 'then'?",
    );
}

#[test]
fn task_is_text() {
    check(
        "do:
  - a: wait
",
        "line 3, column 8: /do/0/a: expected a task, found 'wait'",
    );
}

#[test]
fn then_unknown() {
    check(
        "do:
  - prepare: { wait: PT1S, then: finsh }
  - finish: { wait: PT1S }
",
        "line 3, column 34: /do/0/prepare/then: unknown task of this list 'finsh' (expected one of continue, exit, end, prepare, finish); did you mean 'finish'?",
    );
}

#[test]
fn then_of_another_list() {
    check(
        "do:
  - a: { do: [ { b: { wait: PT1S, then: c } } ] }
  - c: { wait: PT1S }
",
        "line 3, column 41: /do/0/a/do/0/b/then: unknown task of this list 'c' (expected one of continue, exit, end, b)",
    );
}

#[test]
fn then_of_a_branch() {
    check(
        "do:
  - a: { fork: { branches: [ { b: { wait: PT1S, then: c } }, { c: { wait: PT1S } } ] } }
",
        "line 3, column 55: /do/0/a/fork/branches/0/b/then: expected continue, exit or end, found 'c': a branch of a fork stands alone",
    );
}

#[test]
fn switch_case() {
    check(
        "do:
  - a:
      switch:
        - b: { wen: '.x', then: end }
        - c: { when: '.x' }
",
        "line 5, column 16: /do/0/a/switch/0/b: unknown key 'wen' (expected one of when, then); did you mean 'when'?
line 6, column 11: /do/0/a/switch/1/c: expected a member 'then', found none",
    );
}

#[test]
fn if_is_boolean() {
    check(
        "do:
  - a: { if: true, wait: PT1S }
",
        "line 3, column 14: /do/0/a/if: expected an expression, found the boolean true; put it in quotes: 'true'",
    );
}

#[test]
fn empty_expression() {
    check(
        "do:
  - a: { if: '${ }', wait: PT1S }
",
        "line 3, column 14: /do/0/a/if: expected an expression, found nothing",
    );
}

#[test]
fn wait_number() {
    check(
        "do:
  - a: { wait: 30 }
",
        "line 3, column 16: /do/0/a/wait: expected a duration, found the number 30; write it as PT30S or as { seconds: 30 }",
    );
}

#[test]
fn wait_milliseconds() {
    check(
        "do:
  - a: { wait: PT250MS }
",
        "line 3, column 16: /do/0/a/wait: expected an ISO 8601 duration such as PT30S or P1DT12H, found 'PT250MS'; write 250 milliseconds as PT0.25S or as { milliseconds: 250 }",
    );
}

#[test]
fn wait_unit() {
    check(
        "do:
  - a: { wait: { second: 3 } }
",
        "line 3, column 18: /do/0/a/wait: unknown key 'second' (expected one of days, hours, minutes, seconds, milliseconds); did you mean 'seconds'?",
    );
}

#[test]
fn wait_negative() {
    check(
        "do:
  - a: { wait: { seconds: -3 } }
",
        "line 3, column 16: /do/0/a/wait: expected a whole number of seconds, found -3",
    );
}

#[test]
fn timeout_name() {
    check(
        "use: { timeouts: { long: { after: PT1H } } }
do:
  - a: { wait: PT1S, timeout: lang }
",
        "line 4, column 31: /do/0/a/timeout: unknown timeout 'lang' (expected one of long); did you mean 'long'?",
    );
}

#[test]
fn timeout_key() {
    check(
        "do:
  - a: { wait: PT1S, timeout: { aftr: PT1S } }
",
        "line 3, column 22: /do/0/a/timeout: expected a member 'after', found none
line 3, column 33: /do/0/a/timeout: unknown key 'aftr' (expected one of after); did you mean 'after'?",
    );
}

#[test]
fn for_in() {
    check(
        "do:
  - a: { for: { each: x }, do: [ { b: { wait: PT1S } } ] }
",
        "line 3, column 10: /do/0/a/for: expected a member 'in', found none",
    );
}

#[test]
fn for_do() {
    check(
        "do:
  - a: { for: { in: .x } }
",
        "line 3, column 5: /do/0/a: expected a member 'do', found none",
    );
}

#[test]
fn for_variables() {
    check(
        "do:
  - a: { for: { each: x, at: x, in: .x }, do: [ { b: { wait: PT1S } } ] }
  - b: { for: { each: $x, in: .x }, do: [ { b: { wait: PT1S } } ] }
",
        "line 3, column 10: /do/0/a/for: expected two names for the item and its index, found 'x' for both
line 4, column 23: /do/1/b/for/each: expected a name of letters, digits and '_', found '$x'; write it without the '$'",
    );
}

#[test]
fn fork_compete() {
    check(
        "do:
  - a: { fork: { compete: 1, branches: [ { b: { wait: PT1S } } ] } }
",
        "line 3, column 27: /do/0/a/fork/compete: expected true or false, found the number 1",
    );
}

#[test]
fn set_empty() {
    check(
        "do:
  - a: { set: {} }
",
        "line 3, column 15: /do/0/a/set: expected at least one value to set, found an empty map",
    );
}

#[test]
fn set_list() {
    check(
        "do:
  - a: { set: [ 1 ] }
",
        "line 3, column 15: /do/0/a/set: expected a map or an expression, found a list",
    );
}
