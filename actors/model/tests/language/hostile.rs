//! Texts that nobody writes in good faith: each must be refused, or compiled, soon and without a panic.

use std::fmt::Write as _;

use impresario_model::language::compile;
use proptest::prelude::*;

use super::{catalog, lines, refuse};

const HEAD: &str = "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0.0' }\n";

#[track_caller]
fn refused_with(source: &str, part: &str) {
    let found = lines(&refuse(source));
    assert!(found.contains(part), "{found}");
}

#[test]
fn an_alias_bomb() {
    let mut source = format!("{HEAD}a0: &a0 [ x, x, x, x, x, x, x, x, x, x ]\n");
    for level in 1..30 {
        let below = level - 1;
        writeln!(source, "a{level}: &a{level} [ {} ]", vec![format!("*a{below}"); 10].join(", ")).unwrap();
    }
    refused_with(&source, "too many values or aliases");
}

#[test]
fn an_alias_chain_that_gets_deep() {
    let mut source = format!("{HEAD}a0: &a0 [ x ]\n");
    for level in 1..200 {
        writeln!(source, "a{level}: &a{level} [ *a{} ]", level - 1).unwrap();
    }
    refused_with(&source, "at most 128 lists and maps inside each other");
}

#[test]
fn brackets_without_end() {
    refused_with(&"[".repeat(500_000), "expected YAML: ");
    refused_with(&"{ a: ".repeat(100_000), "expected YAML: ");
    refused_with(&"- ".repeat(400_000), "expected YAML: ");
}

#[test]
fn a_document_beyond_a_mebibyte() {
    refused_with(&" ".repeat((1 << 20) + 1), "expected a document of at most 1 MiB, found 1048577 bytes");
}

#[test]
fn as_deep_as_yaml_may_go() {
    let mut source = format!("{HEAD}do: [ ");
    for _ in 0..40 {
        source.push_str("{ a: { do: [ ");
    }
    source.push_str("{ a: { set: { b: { c: '${ . }' } } } }");
    source.push_str(&" ] } }".repeat(40));
    source.push_str(" ]\n");
    assert_eq!(compile(&source, &catalog()).unwrap().tasks.len(), 41);
}

#[test]
fn functions_that_call_each_other_deeply() {
    let mut source = format!("{HEAD}use:\n  functions:\n    f0: {{ wait: PT1S }}\n");
    for level in 1..100 {
        writeln!(source, "    f{level}: {{ call: f{} }}", level - 1).unwrap();
    }
    source.push_str("do: [ { a: { call: f99 } } ]\n");
    refused_with(&source, "expected at most 64 tasks inside each other, calls included");
}

#[test]
fn functions_that_double_at_each_level() {
    let mut source = format!("{HEAD}use:\n  functions:\n    f0: {{ set: {{ a: '${{ .x }}' }} }}\n");
    for level in 1..15 {
        let below = level - 1;
        writeln!(
            source,
            "    f{level}: {{ do: [ {{ a: {{ call: f{below} }} }}, {{ b: {{ call: f{below} }} }} ] }}"
        )
        .unwrap();
    }
    source.push_str("do: [ { a: { call: f14 } } ]\n");
    refused_with(&source, "expected at most 5000 tasks, calls of functions included");
}

#[test]
fn a_large_function_called_often() {
    let text = "x".repeat(400_000);
    let mut source = format!("{HEAD}use: {{ functions: {{ f: {{ set: {{ a: {text} }} }} }} }}\ndo:\n");
    for index in 0..2_000 {
        writeln!(source, "  - t{index}: {{ call: f }}").unwrap();
    }
    refused_with(&source, "expected a smaller definition");
}

#[test]
fn more_errors_than_anybody_reads() {
    let mut source = format!("{HEAD}do:\n");
    for index in 0..4_000 {
        writeln!(source, "  - t{index}: {{ wiat: PT1S }}").unwrap();
    }
    assert_eq!(refuse(&source).len(), 50);
}

#[test]
fn a_schema_that_refers_to_itself() {
    let source = format!(
        "{HEAD}input: {{ schema: {{ document: {{ $ref: '#' }} }} }}\ndo: [ {{ a: {{ wait: PT1S }} }} ]\n"
    );
    if let Ok(definition) = compile(&source, &catalog()) {
        let _ = definition.input.schema.unwrap().check(&serde_json::json!({}));
    }
}

/// One slip, or one act of malice: what it does to the text, where, and with what.
fn mutation() -> impl Strategy<Value = (u8, prop::sample::Index, prop::sample::Index, String)> {
    let pieces = prop::sample::select(vec![
        "\n",
        " ",
        "  ",
        ":",
        "- ",
        "*a",
        "&a ",
        "{",
        "}",
        "[",
        "]",
        "'",
        "\"",
        "|",
        ">",
        "\\(",
        "${",
        "#",
        "\t",
        "null",
        "true",
        "-1",
        "1e999",
        "P1Y",
        "PT",
        "do:",
        "call: ",
        "\u{feff}",
        "\u{0}",
        "ä",
        "---\n",
        "!!str ",
        "? ",
        "%YAML 1.2\n",
    ]);
    (0_u8..5, any::<prop::sample::Index>(), any::<prop::sample::Index>(), pieces.prop_map(str::to_owned))
}

fn mutate(
    mut text: Vec<char>,
    mutations: &[(u8, prop::sample::Index, prop::sample::Index, String)],
) -> String {
    for (act, one, other, piece) in mutations {
        let length = text.len().max(1);
        let (from, to) = (one.index(length), other.index(length));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 60).min(text.len()));
        let from = from.min(to);
        match act {
            0 => drop(text.splice(from..from, piece.chars())),
            1 => drop(text.splice(from..to, piece.chars())),
            2 => drop(text.drain(from..to)),
            3 => {
                let copied = text[from..to].to_vec();
                text.splice(from..from, copied);
            }
            _ => text[from..to].reverse(),
        }
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_document_is_answered(mutations in prop::collection::vec(mutation(), 1..6)) {
        let text = include_str!("../definitions/every-task.yaml").chars().collect();
        let source = mutate(text, &mutations);
        match compile(&source, &catalog()) {
            Ok(definition) => prop_assert!(!definition.root.is_empty()),
            Err(found) => {
                prop_assert!(!found.is_empty() && found.len() <= 50);
                let lines = u32::try_from(source.split(['\n', '\r']).count()).unwrap();
                for one in found {
                    prop_assert!(one.line <= lines + 1, "{one}");
                    prop_assert!(!one.message.is_empty() && !one.message.ends_with('.'), "{one}");
                }
            }
        }
    }

    #[test]
    fn any_text_is_answered(source in "[ -~\n\t]{0,200}") {
        let _ = compile(&source, &catalog());
    }
}
