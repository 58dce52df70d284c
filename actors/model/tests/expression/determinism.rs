//! The same evaluation gives the same, and costs the same.

use impresario_model::expression::{Expression, Fuel};
use serde_json::json;

use super::bound;

#[test]
fn the_same_evaluation_spends_the_same_fuel() {
    let input = json!({"a": (0..100).map(|i| json!({"k": i % 7, "s": "x".repeat(i)})).collect::<Vec<_>>()});
    for program in [
        ".a[3].k",
        "[.a[] | select(.k > 2) | .s | length] | add",
        ".a | group_by(.k) | map({k: .[0].k, n: length})",
        "[.a[].s | gsub(\"x\"; \"yy\")] | join(\",\")",
        "[limit(5; .a[] | .s)]",
        "error(.a)",
        "last(range(infinite))",
    ] {
        let expression = Expression::parse(program, &[]).unwrap();
        let run = |fuel: u64| {
            let mut fuel = Fuel(fuel);
            (expression.evaluate(&input, &bound(), &mut fuel), fuel)
        };
        assert_eq!(run(100_000), run(100_000), "{program}");
        let spent = 100_000 - run(100_000).1.0;
        assert!(spent > 0, "{program}");
        assert!(run(spent / 2).0.is_err() || spent < 2, "{program} costs {spent}");
    }
}

#[test]
fn fuel_is_shared_by_evaluations() {
    let expression = Expression::parse("[range(1000)] | length", &[]).unwrap();
    let mut fuel = Fuel(3_000);
    let mut evaluations = 0;
    while expression.evaluate(&json!(null), &bound(), &mut fuel).is_ok() {
        evaluations += 1;
    }
    assert!((2..10).contains(&evaluations), "{evaluations}");
    assert_eq!(fuel, Fuel(0));
}

#[test]
fn only_the_variables_that_are_used_are_fetched() {
    let expression = Expression::parse(". as $x | $x + $list[0] + $list[1]", &super::NAMES).unwrap();
    assert_eq!(expression.uses(), ["list"]);
}

#[test]
fn expressions_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&Expression::parse(".", &[]).unwrap());
}
