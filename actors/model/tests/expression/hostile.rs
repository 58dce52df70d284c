//! Programs and data that mean harm: each ends soon, with a value or an error, on the smallest of stacks.

use std::time::{Duration, Instant};

use impresario_model::expression::{EvaluationError, Expression, Fuel};
use serde_json::{Value, json};

use super::{bound, on_small_stack};

/// How long a program may take that ends: what would not end takes for ever, and what takes long on a machine that is busy
/// with other things is no concern of a test.
const PATIENCE: Duration = Duration::from_secs(120);

fn run(program: &str, input: &Value) -> Result<Value, EvaluationError> {
    let start = Instant::now();
    let shown: String = program.chars().take(80).collect();
    let result = match Expression::parse(program, &super::NAMES) {
        Ok(expression) => expression.evaluate(input, &bound(), &mut Fuel(Fuel::PER_EXPRESSION)),
        Err(error) => Err(EvaluationError::Raised(error.message)),
    };
    let took = start.elapsed();
    assert!(took < PATIENCE, "{shown} took {took:?}");
    result
}

/// Programs that must run into a limit.
const ENDLESS: &[&str] = &[
    "last(repeat(1))",
    "until(false; .)",
    "until(false; . + 1)?",
    "try until(false; .) catch 1",
    "[until(false; ., .)]",
    "[range(1e9)]",
    "range(infinite) | select(false)",
    "[range(0; 1; 1e-9)]",
    "last(range(0; 1; 1e-300))",
    "[limit(1e9; repeat(1))]",
    "[recurse(.)]",
    "[while(true; .)]",
    "last(while(true; .))",
    "recurse(.) | select(false)",
    "[recurse(., .)] | length",
    "label $out | recurse(.) | if false then break $out else empty end",
    "first(repeat(1) | select(false))",
    "any(repeat(1); . == 2)",
    "all(range(infinite); . >= 0)",
    "isempty(repeat(1) | empty)",
    "reduce repeat(1) as $x (0; . + $x)",
    "last(foreach range(1e18) as $x (0; . + 1))",
    "[1, 2] | combinations(40)",
    "[range(10)] | [combinations(9)]",
    "[[range(1000)] | .[] as $a | .[] as $b | .[] as $c | 1]",
    "[[range(1000)] | combinations(3)] | length",
    "(.. = ..) | last(repeat(1))",
    "reduce range(200000) as $i (null; [.])",
    "reduce range(1000) as $i (null; {a: .})",
    "reduce range(1000) as $i (null; [.]) | tojson",
    "reduce range(60) as $i (\"aa\"; . + .)",
    "reduce range(60) as $i ([1]; . + .)",
    "reduce range(60) as $i ([1]; [.[], .[]])",
    "reduce range(60) as $i (\"aa\"; \"\\(.)\\(.)\")",
    "reduce range(60) as $i ([1]; [., .])",
    "reduce range(60) as $i ([1]; [., .]) | tojson",
    "reduce range(60) as $i ([1]; [., .]) | flatten",
    "reduce range(60) as $i ([1]; [., .]) | . == .",
    "reduce range(60) as $i ([1]; [., .]) | [..] | length",
    "reduce range(60) as $i ([1]; [., .]) | walk(.)",
    "reduce range(60) as $i ([1]; [., .]) | [paths]",
    "reduce range(60) as $i ({}; {a: ., b: .}) | tojson | length",
    "reduce range(1e6) as $i ({}; .[\"k\\($i)\"] = $i)",
    "\"a\" * 10000000000",
    "\"aa\" * 5000000",
    "\"ab\" * 1e300",
    "[\"a\" * 8000000 | ., ., ., ., ., ., ., ., ., .] | join(\"\")",
    "[range(10)] | map(\"a\" * 4000000) | add",
    "\"a\" * 4000000 | [., ., .] | tojson",
    "\"<\" * 4000000 | @html",
    "\"a\" * 8000000 | ascii_downcase | ascii_upcase | explode | implode",
    "\"a\" * 8000000 | explode",
    "\"a\" * 8000000 | gsub(\"a\"; \"bb\")",
    "\"a\" * 1000000 | split(\"\")",
    "\"a\" * 1000000 | [match(\"a\"; \"g\")] | length",
    "\"a\" * 200000 | [match(\"a*b|a\"; \"g\")] | length",
    "\"a\" * 200000 | [scan(\"(a*)*b|a\")] | length",
    "\"ab\" * 500000 | test(\"(a|b)*a(a|b){3000}$\")",
    "\"ab\" * 500000 | test(\"((a|b){50}a){50}$\")",
    "\"ab\" * 500000 | [limit(1e6; match(\"b|(a*b){300}\"; \"g\"))]",
    "\"a\" * 1000000 | [.[range(1000000):]]",
    "\"a\" * 1000000 | [range(100000) as $i | indices(\"aaaaaaaaaaaab\")]",
    "[range(1e6)] | tojson",
    "[range(50000)] | [.[] as $x | index($x)]",
    "[range(50000)] - [range(50000) | . + 0.5]",
    "[range(50000)] as $a | [range(50000) | [$a]] | unique",
    ".[1e9] = 1",
    ".[1e300] = 1",
    ".[infinite] = 1",
    "setpath([1e12]; 1)",
    "setpath([range(100000)]; 1)",
    "setpath([range(1000) | \"a\"]; 1)",
    "getpath([range(100000) | \"a\"]) = 1",
    "[path(getpath([range(100000) | \"a\"]))]",
    "(reduce range(100000) as $i (.; .[0])) = 1",
    "(reduce range(100000) as $i (.; .)) |= last(repeat(1))",
    "path(last(recurse(.a)))",
    "last(recurse(.a)) |= 1",
    "[[range(3000)] | transpose, ([range(3000)] | [.[] | [range(3000)]] | transpose)]",
    "[range(30)] | [.[] |= (range(1e7) | select(. == 9e6))]",
    "[limit(100000; repeat(\"a\" * 8000))] | join(\",\")",
    "\"[\" * 1000000 | fromjson | last(repeat(1))",
    "[range(100000) | {a: {b: {c: .}}}] | group_by(.a) | map(.[0]) | unique_by(.a.b)",
    "$__missing__ // last(repeat(1))",
];

/// Programs that may succeed or fail.
const ODD: &[&str] = &[
    "\"[\" * 100000 | fromjson",
    "(\"[\" * 127) + (\"]\" * 127) | fromjson",
    "(\"[\" * 99) + (\"]\" * 99) | fromjson | tojson | fromjson | flatten",
    "\"\" * 1e18",
    "\"\" * infinite",
    "nan * \"a\"",
    "[limit(-1; 1)]",
    "[limit(nan; 1)]",
    "[range(nan)]",
    "[range(0; 10; nan)]",
    "[range(0; 10; 0)] | length",
    "[.[nan]?, .[infinite]?, .[-infinite]?]",
    "[1,2,3] | .[-1e300:1e300]",
    "[1,2,3] | .[nan:nan]",
    "[1,2,3] | del(.[-1e300], .[1e300], .[nan])",
    "[1,2,3] | .[nan] = 1",
    "[1,2,3] | .[-5] = 1",
    "[1,2,3] | has(nan, 1e300, -1)",
    "\"abc\" | .[1e300:]",
    "[1e18, -1e300, nan, infinite, 1.5] | .[] | todate?",
    "[1e18, -1e300, nan] | .[] | gmtime?",
    "[1e300,1e300,1e300,1e300,1e300,1e300] | mktime?",
    "[2026,-200,0,99,99,99] | mktime?",
    "[9999,11,31,23,59,60] | mktime?",
    "0 | strftime(\"%9999999999d\")",
    "0 | strftime(\"%999d\" * 300)",
    "0 | strftime(\"%\")",
    "\"x\" | strptime(\"%99999999999Y\")",
    "[nan, nan, 1, nan] | sort, unique, group_by(.), min, max",
    "[range(100) | if . % 2 == 0 then nan else . end] | sort | length",
    "9223372036854775807 + 1, -9223372036854775808 - 1, -9223372036854775808 % -1",
    "18446744073709551615 * 18446744073709551615",
    "-9223372036854775808 / -1, -(-9223372036854775808)",
    "5 % 0.5, 5 % nan, 5 % infinite, nan % 5, infinite % 3, 5 % 1e300",
    "pow(10; 400), pow(0; -1), (0 | log), (-1 | sqrt)",
    "test(\"(((((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}\")?",
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\" | test(\"(a*)*$\")",
    "\"a\" * 100000 | test(\"(x+x+)+y|(a|a)*b\")",
    "\"a\" | test(\"(\" * 1000)",
    "\"a\" | test(\"(\" * 1000 + \")\" * 1000)",
    "\"a\" | test(\"[\" * 1000)",
    "\"a\" | test(\"\\\\pL{1000}\")",
    "\"a\" | test(\"a\"; \"zzz\")",
    "\"\" | [match(\"\"; \"g\")] | length",
    "\"é\" | [match(\"\"; \"gn\")]",
    "\"%C3\" | @urid",
    "\"%\", \"%zz\", \"%é\" | @urid?",
    "\"=\", \"a\", \"ab==cd\", \"é\" | @base64d?",
    "[-1, 55296, 1114112, 1e300, nan, \"a\"] | map([.] | implode?)",
    "{} | .a.b.c[3].d = 1 | tojson",
    "[[], {}, \"\", 0] | map(try keys catch 0), map(try implode catch 0), map(try transpose catch 0)",
    "error(error(error(1)))",
    "\"a\" * 4000000 | @base64 | @base64",
    "try error(\"a\" * 1000000) catch length",
    "error(\"a\" * 1000000)",
    "error([range(10000)])",
    "[range(10000)] | .a",
    "reduce range(99) as $i (1; [.]) | error",
    "{(\"a\" * 1000000): 1} | keys | .[0] | length",
    "def f(g): def h: g | g; h | h; def i: f(f(f(f(.)))); i",
    "def a: (., .); def b: a | a | a | a; def c: b | b | b | b; def d: c | c | c | c; [d] | length",
    "def a(f): f | f; a(a(a(a(a(a(a(a(a(a(a(a(a(a(. + 1))))))))))))))",
    "label $a | (label $b | break $a), 1",
    "first(first(first(range(10))))",
    "[limit(3; limit(5; limit(7; repeat(1))))]",
    "path(..), path(empty), [path(first(.a, .b))]",
    "to_entries, from_entries, with_entries(.)",
];

#[test]
fn what_would_not_end_meets_a_limit() {
    on_small_stack(|| {
        let ended: Vec<_> = ENDLESS.iter().filter(|program| run(program, &json!(null)).is_ok()).collect();
        assert!(ended.is_empty(), "{ended:#?}");
    });
}

#[test]
fn odd_programs_end() {
    on_small_stack(|| {
        for program in ODD {
            for input in
                [json!(null), json!([1, "a", [2]]), json!({"a": {"b": [1]}}), json!("text"), json!(1.5)]
            {
                let _ = run(program, &input);
                let _ = run(&format!("[{program}]"), &input);
            }
        }
    });
}

/// A deep value, which is never dropped: dropping one takes more stack than these tests give.
fn nested(depth: usize, wrap: fn(Value) -> Value) -> &'static Value {
    Box::leak(Box::new((0..depth).fold(Value::from(1), |inner, _| wrap(inner))))
}

fn array(inner: Value) -> Value {
    Value::Array(vec![inner])
}

fn object(inner: Value) -> Value {
    Value::Object(std::iter::once(("a".to_owned(), inner)).collect())
}

#[test]
fn deep_values_are_refused_or_handled() {
    on_small_stack(|| {
        for depth in [50, 99, 127, 10_000] {
            for input in [nested(depth, array), nested(depth, object)] {
                for program in [
                    ".",
                    "[.]",
                    "..",
                    "[..]",
                    ". == .",
                    "tojson",
                    "tostring",
                    "\"\\(.)\"",
                    "walk(.)",
                    "flatten",
                    "[paths]",
                    "[leaf_paths]",
                    "sort",
                    "unique",
                    "group_by(.)",
                    ". * .",
                    ". + .",
                    "contains(.)",
                    "del(..)",
                    ".. |= .",
                    "to_entries",
                    "[recurse]",
                    "map_values(.)",
                    "error",
                    "@json",
                    "add",
                    ". as [$a] | $a",
                    "reduce . as $x (.; [.])",
                    "[.[]?, .[0]?]",
                    "first(..)",
                    "last(..)",
                    "[., .] | min, max",
                    "keys",
                    "tojson | fromjson",
                    "[.] - [.]",
                    "IN(.)",
                    "@text",
                    "limit(5; ..)",
                    "[.] | index(.)",
                    "walk(if type == \"number\" then [.] else . end)",
                    "pick(..)",
                    ".a += .",
                ] {
                    let start = Instant::now();
                    let result = run(program, input);
                    if start.elapsed() > Duration::from_millis(200) {
                        eprintln!("SLOWROW {depth} {program} {:?}", start.elapsed());
                    }
                    drop(result);
                }
            }
        }
        // Small results of deep data are fine.
        assert_eq!(run("length", nested(10_000, array)), Ok(json!(1)));
        assert_eq!(run(".a.a | type", nested(10_000, object)), Ok(json!("object")));
    });
}

/// Ways to use what a function gives; each is nested through a long chain of functions.
const FRAMES: &[&str] = &[
    "[F]",
    "{a: F}",
    "{(F | tostring): 1}",
    "\"\\(F)\"",
    "F | F",
    "F, F",
    "1 + F",
    "F + 1",
    "-F",
    "F == 1",
    "F and true",
    "true and F",
    "F // 1",
    "empty // F",
    "try F catch .",
    "try error catch F",
    "F?",
    "if F then 1 else 2 end",
    "if . then F else F end",
    "reduce F as $x (0; . + 1)",
    "reduce 1 as $x (F; .)",
    "reduce 1 as $x (0; F)",
    "foreach F as $x (0; F)",
    "foreach 1 as $x (0; 1; F)",
    "F as $x | $x",
    ". as $x | F",
    ". as [$x] | F",
    "[.] as [$x, $y, $z] | F",
    "label $out | F",
    "first(F)",
    "last(F)",
    "limit(1; F)",
    "skip(0; F)",
    "[range(F)] | length",
    "[path(F)] | length",
    "getpath([F])",
    ".a |= F",
    "[1] | .[0] |= F",
    ".a += F",
    ".a = F",
    "[1] | .[F]?",
    "[1] | .[F:]?",
    "[1, 2] | sort_by(F)",
    "[1] | group_by(F)",
    "[1] | walk(F)",
    "select(F)",
    "until(true; F)",
    "[recurse(empty, F)] | 1",
    "recurse(F; false)",
    "map(F)?",
    "[1] | map(F)",
    "[1] | map_values(F)",
    "{a: 1} | with_entries(F)?",
    "any(F; .)",
    "all(F; .)",
    "isempty(F)",
    "add(F)",
    "\"a\" | gsub(\"a\"; \"b\" | F | tostring)",
    "error(F)?",
    "[F] | .[0]",
    "F | .",
    "def g: F; g",
    "def g(h): h; g(F)",
    "def g($h): $h; g(F)",
    "def g(h): [1] | map(h); g(F)",
    "[F, F]",
    "(F, F) | .",
    "[(F, 1) + (1, F)] | length",
    "[\"\\(F, 1)\\(1, F)\"] | length",
    "[{a: (F, F)}] | length",
    "pick(F)?",
    "del(F)?",
    "(F | F) // 1",
    "first((F, 1) | select(.))",
    "limit(1; (1, F))",
    "[.[]?, F] | .[0]",
    "[[1] | .[] | F] | .[0]",
];

#[test]
fn the_deepest_programs_fit_the_smallest_stack() {
    on_small_stack(|| {
        for leaf in ["1", "(1, 2)", ".a?"] {
            for frame in FRAMES {
                let mut program = format!("def f0: {leaf};");
                for i in 1..250 {
                    program.push_str(&format!("def f{i}: {};", frame.replace('F', &format!("f{}", i - 1))));
                }
                for i in [1, 249] {
                    let _ = run(&format!("{program} f{i}"), &json!(null));
                    let _ = run(&format!("{program} [(f{i}, 1)]"), &json!({"a": 1}));
                    let _ = run(&format!("{program} [paths | f{i}] | length"), &json!([1, [2]]));
                }
            }
        }
    });
}

#[test]
fn nested_brackets_and_chains_fit_the_smallest_stack() {
    on_small_stack(|| {
        let rows: &[[&str; 3]] = &[
            ["[", "1", "]"],
            ["(", "1,2", ")"],
            ["{a: ", "1", "}"],
            ["first(", "1,2", ")"],
            ["[.[]? | ", "1", "]"],
            ["map(", "1", ")"],
            ["walk(", ".", ")"],
            ["path(", ".", ")"],
            ["\"\\(", "1", ")\""],
            ["[limit(1; ", "1", ")]"],
            ["sort_by(", ".", ")"],
            ["with_entries(", ".", ")"],
            ["reduce (", "1", ") as $x (0; . + 1)"],
            ["foreach (", "1,2", ") as $x (0; . + 1)"],
            ["any(", ".", "; .)"],
            ["recurse(", "empty", ")"],
        ];
        for [open, inside, close] in rows {
            for n in [1, 10, 31, 60, 64] {
                let program = open.repeat(n) + inside + &close.repeat(n);
                let _ = run(&program, &json!([[1], {"a": 1}]));
            }
        }
        for link in [
            "1 + ",
            ". | ",
            "1, ",
            "1 as $x | ",
            "try ",
            "-",
            "1 == ",
            "1 and ",
            ".a = ",
            "1 // ",
            "label $x | ",
        ] {
            for n in [100, 140, 149] {
                let _ = run(&format!("{}1", link.repeat(n)), &json!(null));
            }
        }
    });
}
