//! Random programs: whatever the text, parsing and evaluating it ends soon and takes nothing down.

use impresario_model::expression::{Expression, Fuel};
use proptest::prelude::*;
use serde_json::json;

use super::{NAMES, bound, on_small_stack};

/// Everything that a program is made of.
const WORDS: &[&str] = &[
    ".",
    "..",
    ".a",
    ".b.c",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "|",
    ",",
    ":",
    ";",
    "?",
    "//",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    "=",
    "|=",
    "+=",
    "//=",
    "and",
    "or",
    "not",
    "if",
    "then",
    "elif",
    "else",
    "end",
    "try",
    "catch",
    "reduce",
    "foreach",
    "as",
    "def",
    "f",
    "g",
    "$x",
    "$y",
    "$list",
    "label",
    "break",
    "$out",
    "import",
    "\"",
    "\"a\"",
    "\\(",
    "1",
    "0",
    "-1",
    "1e9",
    "9223372036854775807",
    "0.5",
    "null",
    "true",
    "empty",
    "error",
    "range",
    "recurse",
    "repeat",
    "while",
    "until",
    "limit",
    "first",
    "last",
    "map",
    "select",
    "path",
    "paths",
    "getpath",
    "setpath",
    "del",
    "to_entries",
    "with_entries",
    "group_by",
    "sort_by",
    "unique",
    "add",
    "join",
    "split",
    "test",
    "match",
    "sub",
    "gsub",
    "scan",
    "walk",
    "flatten",
    "combinations",
    "transpose",
    "implode",
    "explode",
    "tojson",
    "fromjson",
    "tonumber",
    "@base64",
    "@uri",
    "@csv",
    "nan",
    "infinite",
    "todate",
    "strftime",
    "length",
    "keys",
    "contains",
    "indices",
    "min_by",
    "reverse",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS), 1..40).prop_map(|words| words.join(" "))
}

/// Programs that parse, full of loops and growth.
fn program() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        ".",
        ".[]?",
        "1",
        "1e9",
        "\"ab\"",
        "[1, 2]",
        "{a: 1}",
        "..",
        "$list",
        "empty",
        "range(1e6)",
        "nan",
        "infinite",
        "null",
        "paths",
        "keys?",
        "add?",
        "tojson",
        "fromjson?",
        "explode?",
        "implode?",
        "flatten?",
        "transpose?",
        "combinations?",
        "todate?",
        "reverse?",
        "unique?",
        "to_entries?",
        "error",
        "@base64",
        "@json",
        "@csv?",
        "tonumber?",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(6, 60, 2, |inner| {
        let pair = prop::sample::select(vec![
            "(A) | (B)",
            "(A), (B)",
            "(A) + (B)",
            "(A) * (B)",
            "(A) // (B)",
            "[A] | map(B)",
            "[limit(100; A)] | (B)",
            "reduce (A) as $x (null; [., $x, (B)])",
            "reduce range(1000) as $x (A; . + (B))",
            "repeat(A) | (B)",
            "reduce range(100) as $x (A; [., .])",
            "recurse(A) | (B)",
            "until(A; B)",
            "[while(A; B)]",
            "(A) |= (B)",
            "(A) = (B)",
            "(A) += (B)",
            "path(A), (B)",
            "[A] | group_by(B)",
            "walk(A) | (B)",
            "first(A) | (B)",
            "try (A) catch (B)",
            "setpath([A]; B)",
            "getpath([A]) | (B)",
            "\"\\(A)\" * (B)",
            "[A] | join(B)",
            "\"\\(A)\" | gsub(\"\\(B)\"; \"xx\")",
            "\"\\(A)\" | split(\"\\(B)\")",
            "def f: A; f | f | (B)",
            "def f(g): g | g | g; f(A), f(f(B))",
            "[A] - [B]",
            "[A] | combinations(2) | (B)",
            ".[A]? | (B)",
            "[A] | .[B]?",
            "label $l | (A) | (B), break $l",
            "[A] | sort_by(B)",
            "foreach (A) as [$x, $y] (0; . + 1; (B))",
            "{(A | tostring): (B)}",
            "[A] | index(B)",
            "[A] | contains([B])",
            "[A, (B)] | tojson | fromjson",
            "del(A) | (B)",
            "if (A) then (B) end",
            "(A) as {a: $x} | (B)",
            "any(A; B)",
        ]);
        (pair, inner.clone(), inner).prop_map(|(pair, a, b)| {
            pair.split('A').map(|part| part.replace('B', &b)).collect::<Vec<_>>().join(&a)
        })
    })
}

fn survive(program: String) {
    on_small_stack(move || {
        if let Ok(expression) = Expression::parse(&program, &NAMES) {
            for input in
                [json!(null), json!({"a": [1, "b"], "b": {"c": null}}), json!([[1, 2], "x", {"a": 1}])]
            {
                let mut fuel = Fuel(5_000);
                let first = expression.evaluate(&input, &bound(), &mut fuel);
                let mut again = Fuel(5_000);
                assert_eq!(first, expression.evaluate(&input, &bound(), &mut again), "{program}");
                assert_eq!(fuel, again, "{program}");
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC{0,80}") { survive(text); }

    #[test]
    fn any_words_are_survived(program in soup()) { survive(program); }

    #[test]
    fn any_program_is_survived(program in program()) { survive(program); }
}
