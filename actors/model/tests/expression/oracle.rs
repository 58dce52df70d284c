//! jaq as the oracle: whatever harmless program it evaluates, it evaluates to what we do.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::evaluate;

fn jaq(program: &str, input: &Value) -> Option<Result<Value, String>> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(defs).load(&arena, File { code: program, path: () }).ok()?;
    let filter = Compiler::default().with_funs(funs).compile(modules).ok()?;
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let input = read::parse_single(input.to_string().as_bytes()).ok()?;
    let first = filter.id.run((context, input)).map(unwrap_valr).next();
    Some(match first {
        None => Ok(Value::Null),
        Some(Ok(value)) => Ok(serde_json::from_str(&value.to_string()).ok()?),
        Some(Err(error)) => Err(error.to_string()),
    })
}

/// Numbers of both sides by value: we write a calculated 2.0 as 2, as jq does, and jaq as 2.0.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Programs without anything in which we follow jq where jaq does not.
fn program() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        ".",
        ".a",
        ".b",
        "if type == \"array\" then .[0] else empty end",
        ".[]?",
        ".a?",
        "1",
        "2.5",
        "-3",
        "null",
        "true",
        "\"s\"",
        "[]",
        "{}",
        "[1,2,3]",
        "empty",
        "{a: 1, b: [2]}",
        "length?",
        "type",
        "..",
        "(1,2)",
        "not",
        "keys?",
        "[.[]?]",
        "tojson",
        "range(3)",
        "error(\"e\")",
        "sort?",
        "unique?",
        "[.[]?] | reverse",
        "add?",
        "min?",
        "max?",
        "any?",
        "all?",
        "select(type == \"object\") | to_entries",
        "[[.], [[2]]] | flatten",
        "tostring",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let pair = prop::sample::select(vec![
            "(A) | (B)",
            "(A), (B)",
            "((A)?) // (B)",
            "[A] == [B]",
            "[A] < [B]",
            "try ([A][0] + [B][0]) catch 0",
            "try ([A][0] - [B][0]) catch 0",
            "(A) and (B)",
            "(A) or (B)",
            "[A] + [B]",
            "[A, (B)]",
            "{a: [A], b: [B]}",
            "if (A) then (B) else . end",
            "try (A) catch (null | (B))",
            "reduce (A) as $x (0; [., $x] | length)",
            "[foreach (A) as $x (0; . + 1; [$x, .])]",
            "(A) as $x | [$x, (B)]",
            "first(A), (B)",
            "[limit(2; (A), (B))]",
            "label $l | (A), break $l, (B)",
            "[(A), (B)] | sort",
            "[A] | map(B)",
            "[A] | group_by(B)",
            "[1, 2, (A)] | sort_by(B)",
            "[A] | unique_by(B)",
            "[A] | map(select(B))",
            "\"\\([A])-\\([B])\"",
            "def f: A; [f, (B)]",
            "def f(g): [g, g]; f(A) | (B)",
            "[1, (A)] | .[0] |= (B)",
            "[A] | .[1:] | (B)",
            "[A] | any(B)",
            "[A] | (first, last) | (B)",
            "{a: (A)} | to_entries | map(.value) | (B)",
            "[A] | contains([B])?",
            "{a: [1, (A)]} | .a[0] = (B)",
            "[recurse(if type == \"array\" then .[] else empty end)] | (A), (B)",
            "[1, (A)] | del(.[0]) | (B)",
        ]);
        (pair, inner.clone(), inner).prop_map(|(pair, a, b)| {
            // Both at once, so that what replaces `A` is not searched for `B`.
            pair.split('A')
                .map(|part| part.replace('B', &format!("({b})")))
                .collect::<Vec<_>>()
                .join(&format!("({a})"))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_agree_with_jaq(program in program(), at in 0..5_usize) {
        let inputs = [json!(null), json!({"a": [1, {"b": 2}], "b": "x"}), json!([3, 1, [2], "a"]), json!("text"), json!(4)];
        if let Some(theirs) = jaq(&program, &inputs[at]) {
            match (evaluate(&program, &inputs[at]), theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{program} on {}: ours {ours}, jaq's {theirs}", inputs[at]),
                // A limit is ours alone, and messages differ.
                (Err(_), Err(_)) | (Err(impresario_model::expression::EvaluationError::Limit(_)), _) => {}
                (ours, theirs) => prop_assert!(false, "{program} on {}: ours {ours:?}, jaq's {theirs:?}", inputs[at]),
            }
        }
    }
}
