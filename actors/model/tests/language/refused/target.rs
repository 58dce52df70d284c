//! On what calls are done, and loops side by side.

use super::check;

#[test]
fn a_call_says_on_what_it_is_done_once() {
    check(
        "do:
  - a: { call: approval:1.0.0@default, with: { title: t, target: a, group: b } }
  - b: { call: approval:1.0.0@default, with: { title: t, target: a, select: any } }
  - c: { call: approval:1.0.0@default, with: { title: t, select: any } }
  - d: { call: approval:1.0.0@default, with: { title: t, group: g, select: all } }
  - e: { call: approval:1.0.0@default, with: { title: t, group: g, select: { wher: x } } }
  - f: { call: approval:1.0.0@default, with: { title: t, group: g, select: { where: '.a ==' } } }
  - g: { call: approval:1.0.0@default, with: { title: t, group: g, select: { where: '.a == $b' } } }
  - h: { call: approval:1.0.0@default, with: { title: t, target: 3 } }
",
        "line 3, column 69: /do/0/a/with/group: expected either 'target' or 'group', found both
line 4, column 69: /do/1/b/with/select: expected a 'group' to select from, found a 'target'
line 5, column 58: /do/2/c/with/select: expected a 'group' beside it, found none
line 6, column 76: /do/3/d/with/select: expected a selection of one target, found 'all'; select them with 'call: select:1.0.0@default', and call once for each in a 'for'
line 7, column 78: /do/4/e/with/select: unknown key 'wher' (expected one of where, variables, name); did you mean 'where'?
line 8, column 91: /do/5/f/with/select/where: expected term, found the end
line 9, column 92: /do/6/g/with/select/where: unknown variable '$b'
line 10, column 66: /do/7/h/with/target: expected a string, found the number 3; put it in quotes: '3'",
    );
}

#[test]
fn a_target_under_ops_is_for_what_has_no_other_place() {
    check(
        "do:
  - a: { call: approval:1.0.0@default, with: { title: t }, metadata: { ops: { target: a } } }
  - b: { set: { a: 1 }, metadata: { ops: { target: a } } }
",
        "line 3, column 87: /do/0/a/metadata/ops/target: expected the target of a function under 'with'; write with.target
line 4, column 52: /do/1/b/metadata/ops/target: expected a target at a call or a run, found one at 'set'",
    );
}

#[test]
fn concurrency_is_for_loops() {
    check(
        "do:
  - a: { set: { a: 1 }, metadata: { ops: { concurrency: 2 } } }
  - b: { for: { in: . }, while: 'true', do: [ { c: { set: { a: 1 } } } ], metadata: { ops: { concurrency: 2 } } }
  - c: { for: { in: . }, do: [ { c: { set: { a: 1 } } } ], metadata: { ops: { concurrency: 0 } } }
  - d: { for: { in: . }, do: [ { c: { set: { a: 1 } } } ], metadata: { ops: { concurrency: 257, onError: stop } } }
  - e: { for: { in: . }, do: [ { c: { set: { a: 1 } } } ], metadata: { ops: { onError: collect } } }
",
        "line 3, column 44: /do/0/a/metadata/ops/concurrency: expected it at a 'for', found it at 'set'
line 4, column 26: /do/1/b/while: expected either 'while' or 'metadata.ops.concurrency', found both
line 5, column 92: /do/2/c/metadata/ops/concurrency: expected a number from 1 to 256, found the number 0
line 6, column 92: /do/3/d/metadata/ops/concurrency: expected a number from 1 to 256, found the number 257
line 6, column 106: /do/3/d/metadata/ops/onError: unknown onError rule 'stop' (expected one of cancel, collect)
line 7, column 79: /do/4/e/metadata/ops/onError: expected a 'concurrency' beside it, found none",
    );
}
