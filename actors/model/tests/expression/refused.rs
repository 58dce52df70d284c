//! What is refused when a definition is loaded, with its place and with advice.

use impresario_model::expression::Expression;

use super::NAMES;

/// Program, the text at fault, a part of the message.
const ROWS: &[[&str; 3]] = &[
    // Syntax.
    ["", "", "expected term, found the end"],
    [".a |", "", "expected term, found the end"],
    ["(1", "(", "expected closing parenthesis for `(`"],
    ["1 )", ")", "expected token, found `)`"],
    ["if . then 1", "", "expected else or end"],
    ["{a b}", "b", "expected comma or right brace, found `b`"],
    ["\"abc", "\"", "expected closing quote"],
    ["reduce . (1; 2)", "(1; 2)", "expected as, found `(1; 2)`"],
    [". as x | 1", "x", "expected pattern, found `x`"],
    ["&", "&", "expected token, found `&`"],
    ["1e999", "1e999", "a number that can be represented"],
    // Names.
    ["lenght", "lenght", "unknown function `lenght`; did you mean `length`?"],
    ["1 | map_value(.)", "map_value", "did you mean `map_values`?"],
    ["length(1)", "length", "`length` takes 0 arguments, found 1"],
    ["range", "range", "takes 1 or 2 or 3 arguments, found 0"],
    ["$contxt.user", "$contxt", "unknown variable `$contxt`; did you mean `$context`?"],
    [". as $abcd | $abce", "$abce", "did you mean `$abcd`?"],
    ["zzzzzz", "zzzzzz", "unknown function `zzzzzz`"],
    ["@base65", "@base65", "unknown format `@base65`; did you mean `@base64`?"],
    ["break $out", "$out", "unknown label"],
    ["_match(1; 2)", "_match", "unknown function `_match`"],
    ["reduce . as $x (1)", "reduce", "`reduce` takes 2 arguments, found 1"],
    // The world outside.
    ["now", "now", "use `$task.startedAt`"],
    ["[.a, env]", "env", "`env` is not available in expressions"],
    ["$ENV.PATH", "$ENV", "`$ENV` is not available"],
    ["$__prog_args", "$__prog_args", "not available"],
    ["input", "input", "see only their input and their variables"],
    ["inputs", "inputs", "not available"],
    ["input_line_number", "input_line_number", "not available"],
    ["debug(1)", "debug", "no side effects"],
    ["stderr", "stderr", "no side effects"],
    ["halt", "halt", "no side effects"],
    ["1 | halt_error", "halt_error", "use `error(..)`"],
    ["localtime", "localtime", "replayed"],
    ["import \"a\" as $p; $p", "import", "no modules"],
    ["include \"a\"; 1", "include", "no modules"],
    ["get_search_list", "get_search_list", "not available"],
    // Recursion.
    ["def f: f; f", "f", "`f` calls itself"],
    ["def f: 1 + f; f", "f", "`f` calls itself"],
    ["def f: def g: f; g; f", "f", "`f` calls itself"],
    ["def f(g): g | f(g); f(.)", "f", "`f` calls itself"],
    ["def f: .[]? |= f; f", "f", "`f` calls itself"],
    ["def f: 1; def f: f; f", "f", "`f` calls itself"],
];

#[test]
fn programs_are_refused_with_their_place_and_advice() {
    for [program, part, expected] in ROWS {
        let error = Expression::parse(program, &NAMES).map(|_| ()).expect_err(program);
        assert!(error.message.contains(expected), "{program}: {}", error.message);
        let span = error.span.unwrap_or_else(|| panic!("{program}: no span for {}", error.message));
        assert_eq!(&program[span], *part, "{program}");
    }
}

#[test]
fn programs_beyond_the_limits_are_refused() {
    let deep = |open: &str, inside: &str, close: &str, n: usize| open.repeat(n) + inside + &close.repeat(n);
    let rows = [
        " ".repeat(70_000),
        deep("(", "1", ")", 65),
        deep("(", "1", ")", 20_000),
        deep("[", "", "]", 30_000),
        deep("{a:", "1", "}", 20_000),
        deep("\"\\(", "1", ")\"", 15_000),
        deep("\"x)\\(\"x)\" + ", "1", ")\"", 4_000),
        "-".repeat(60_000) + "1",
        ".|".repeat(30_000) + ".",
        "1+".repeat(30_000) + "1",
        "1 as $x|".repeat(8_000) + "1",
        "try ".repeat(16_000) + "1",
        "if 1 then ".repeat(6_000) + "1" + &" end".repeat(6_000),
        "label $x|".repeat(7_000) + "1",
        "def f: ".repeat(8_000) + "1" + &"; f".repeat(100),
        "reduce ".repeat(9_000) + "1",
        ".a=".repeat(20_000) + "1",
        "1 // ".repeat(12_000) + "1",
        ". as ".to_owned() + &deep("[", "$x", "]", 20_000) + "|1",
    ];
    for program in &rows {
        let refused = Expression::parse(program, &NAMES);
        assert!(refused.is_err(), "{}...", &program[..40.min(program.len())]);
    }
}

#[test]
fn long_but_flat_programs_are_fine() {
    let list = format!("[{}]", (0..10_000).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    let object = format!("{{{}}}", (0..3_000).map(|i| format!("a{i}: .b")).collect::<Vec<_>>().join(","));
    let path = format!(".{}", "a.".repeat(20_000) + "b");
    for program in [list, object, path, ".".to_owned() + &"[0]".repeat(10_000)] {
        let expression = Expression::parse(&program, &[]).unwrap();
        let _ = expression.evaluate(
            &serde_json::json!(null),
            &super::bound(),
            &mut impresario_model::expression::Fuel(1_000_000),
        );
    }
}

#[test]
fn chains_of_any_length_are_parsed_or_refused() {
    for link in [
        "-",
        ".|",
        "1+",
        "1,",
        "1 as $x|",
        "try ",
        "label $x|",
        ".a=",
        "1//",
        "1 and ",
        "def f:1;",
        "[]|",
        "if 1 then ",
    ] {
        for n in [10, 100, 150, 200, 500, 1_000, 2_000, 4_000, 8_000] {
            let _ = Expression::parse(&(link.repeat(n) + "1"), &NAMES);
            let _ = Expression::parse(&(link.repeat(n) + "1" + &" end".repeat(n)), &NAMES);
        }
    }
}
