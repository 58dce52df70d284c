//! The text itself: YAML, and its traps.

use super::{check, whole};

#[test]
fn nothing() {
    whole("", "expected a definition, found an empty document");
}

#[test]
fn only_a_comment() {
    whole(
        "# nothing
",
        "expected a definition, found an empty document",
    );
}

#[test]
fn a_list() {
    whole(
        "- a
",
        "line 1, column 1: expected a definition, found a list",
    );
}

#[test]
fn two_documents() {
    check(
        "do: [ { a: { wait: PT1S } } ]
---
b: 1
",
        "line 3, column 1: expected one document, found a second one",
    );
}

#[test]
fn escape_in_double_quotes() {
    check(
        r#"do:
  - a:
      set: { b: "${ \"x \(.y)\" }" }
"#,
        r#"line 4, column 17: /do/0/a/set/b: expected YAML: while parsing a quoted scalar, found unknown escape character; double quotes have escapes of their own, so '\(' is not allowed in them: write the expression in single quotes or as a block"#,
    );
}

#[test]
fn unclosed() {
    check(
        "do: [ { a: { wait: PT1S }
",
        "line 2, column 7: /do/0: expected YAML: unclosed bracket '{'",
    );
}

#[test]
fn tab() {
    check(
        "do:
	- a: 1
",
        "line 3, column 2: /do: expected YAML: tabs disallowed within this context (block indentation)",
    );
}

#[test]
fn duplicate_key() {
    check(
        "do:
  - a:
      wait: PT1S
      wait: PT2S
",
        "line 5, column 7: /do/0/a: expected each key once, found 'wait' again",
    );
}

#[test]
fn merge_key() {
    check(
        "x: &x { a: 1 }
y: { <<: *x }
",
        "line 3, column 6: /y: expected a name, found the merge key '<<', which YAML 1.2 has no longer",
    );
}

#[test]
fn tag() {
    check(
        "do:
  - a: { set: { b: !secret x } }
",
        "line 3, column 28: /do/0/a/set/b: expected a plain value, found the tag '!secret'",
    );
}

#[test]
fn infinite() {
    check(
        "do:
  - a: { set: { b: .inf } }
",
        "line 3, column 20: /do/0/a/set/b: expected a finite number, found '.inf'",
    );
}

#[test]
fn alias_of_itself() {
    check(
        "do: &d [ *d ]
",
        "line 2, column 10: /do/0: expected an alias of a finished value, found one of the value it is in",
    );
}

#[test]
fn unknown_anchor() {
    check(
        "do: *d
",
        "line 2, column 5: /do: expected YAML: while parsing node, found unknown anchor",
    );
}

#[test]
fn a_list_as_key() {
    check(
        "? [ a ]
: b
",
        "line 2, column 3: expected a name, found a list or a map as a key",
    );
}
