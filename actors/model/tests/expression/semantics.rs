//! What programs compute, as rows of program, input and result.

use serde_json::Value;

use super::evaluate;

/// `program`, `input`, `result`; an input or a result in JSON.
const ROWS: &[[&str; 3]] = &[
    // Paths and variables.
    [".", r#"{"a":1.0}"#, r#"{"a":1.0}"#],
    [".a.b.c", r#"{"a":{"b":{"c":[1]}}}"#, "[1]"],
    [".a.b", "null", "null"],
    [".[0], .[1]", "[1,2]", "1"],
    ["[.[-1], .[5], .[1.7]]", "[1,2]", "[2,null,2]"],
    [r#"."a b", .["a b"]"#, r#"{"a b":3}"#, "3"],
    ["[.[1:], .[:1], .[-1:], .[1:2]]", "[1,2,3]", "[[2,3],[1],[3],[2]]"],
    [".[1:3]", r#""aébc""#, r#""éb""#],
    ["$x", "null", "7"],
    ["$context.user.name", "null", r#""ada""#],
    ["$unset", "null", "null"],
    ["[$nothing, $list[0]]", "null", "[null,3]"],
    ["[..]", "[1,[2]]", "[[1,[2]],1,[2],2]"],
    ["[.[]?]", "3", "[]"],
    ["[.a?, .b]", r#"{"b":1}"#, "[null,1]"],
    ["[.[] | .a?]", r#"[{"a":1},2,{"a":3}]"#, "[1,3]"],
    ["empty", "1", "null"],
    // Data.
    [
        r#"{a, "b", "c d": 1, (.k): 2, $x, "e\(.a)": .b}"#,
        r#"{"a":1,"b":2,"k":"z"}"#,
        r#"{"a":1,"b":2,"c d":1,"z":2,"x":7,"e1":2}"#,
    ],
    ["[{a: (1,2), b: (3,4)} | [.a,.b]]", "null", "[[1,3],[1,4],[2,3],[2,4]]"],
    [r#""a\(1+1)b\("x")\u00e9\n""#, "null", r#""a2bxé\n""#],
    [
        r#"[@base64 "x\(.)y", @uri "?q=\(.)", @json "j\(.)"]"#,
        r#""a b""#,
        r#"["xYSBiy","?q=a%20b","j\"a b\""]"#,
    ],
    // Arithmetic.
    ["[1+2, 5-3, 2*3, 7/2, 6/2, 7%3, -7%3, 5%-2]", "null", "[3,2,6,3.5,3,1,-1,1]"],
    ["[(1,2)+(10,20)]", "null", "[11,12,21,22]"],
    [r#"["a"+"b", [1]+[2], {a:1}+{b:2}, null+1, 1+null]"#, "null", r#"["ab",[1,2],{"a":1,"b":2},1,1]"#],
    [
        r#"[[1,2,1]-[1], "a,b"/",", {a:{b:1}}*{a:{c:2}}, "ab"*2, "ab"*0]"#,
        "null",
        r#"[[2],["a","b"],{"a":{"b":1,"c":2}},"abab",null]"#,
    ],
    [". + 1", "9223372036854775807", "9223372036854775808"],
    [".", "18446744073709551615", "18446744073709551615"],
    ["[.[] + 0]", "[1.0, 1.5, 1e3]", "[1,1.5,1000]"],
    [
        "[1 == 1.0, [1] == [1.0], 1 < 2, \"a\" < \"b\", [] < {}, null < false]",
        "null",
        "[true,true,true,true,true,true]",
    ],
    ["-(.a) + -1", r#"{"a":2}"#, "-3"],
    // Control.
    [
        "[.[] | if . > 2 then \"big\" elif . == 2 then \"two\" else \"small\" end]",
        "[1,2,3]",
        r#"["small","two","big"]"#,
    ],
    ["if .a then 1 end", r#"{"a":false}"#, r#"{"a":false}"#],
    ["[.a // 5, .b // 5, (.[] // 6), (empty // 7)]", r#"{"a":null,"b":0}"#, "[5,0,0,7]"],
    ["[.[] // \"none\"]", "[null,false]", r#"["none"]"#],
    ["[(error(\"x\"), 1) // 2]", "null", "[2]"],
    ["[true and (true,false), (false,true) or false, (null|not)]", "null", "[true,false,false,true,true]"],
    ["try error(\"x\") catch .", "null", r#""x""#],
    ["try error({a:1}) catch .a", "null", "1"],
    ["[.[] | try (if . > 1 then error(\"e\") else . end) catch \"c\"]", "[1,2]", r#"[1,"c"]"#],
    ["try (try error(\"in\") catch error(\"out\")) catch .", "null", r#""out""#],
    ["try ((1,2) | error(\"down\")) catch .", "null", r#""down""#],
    ["[error(\"x\")?, 1]", "null", "[1]"],
    ["[label $out | .[] | if . > 2 then break $out else . end]", "[1,2,3,1]", "[1,2]"],
    ["[label $a | label $b | 1, break $a, 2]", "null", "[1]"],
    // Bindings and functions.
    ["[.[] as [$a, {b: $c}] | $a + $c]", r#"[[1,{"b":2}],[3,{"b":4}]]"#, "[3,7]"],
    [". as {a: $x, $b, (\"c\"): [$y]} | [$x, $b, $y]", r#"{"a":1,"b":2,"c":[3]}"#, "[1,2,3]"],
    ["def f: . + 1; def g(h): h | h; g(f)", "1", "3"],
    ["def f($a; b): [$a, b, $a]; [f(1,2; 3,4)] | length", "null", "2"],
    ["def f(x): def g: x + 1; g; . as $n | f($n * 2)", "5", "11"],
    ["def a: def b: 1; b + 1; a", "null", "2"],
    ["reduce .[] as $n (0; . + $n)", "[1,2,3]", "6"],
    ["reduce .[] as [$k, $v] ({}; .[$k] = $v)", r#"[["a",1],["b",2]]"#, r#"{"a":1,"b":2}"#],
    ["reduce empty as $n (3; . + $n)", "null", "3"],
    ["reduce .[] as $n (0; empty)", "[1]", "null"],
    ["[foreach .[] as $n (0; . + $n)]", "[1,2,3]", "[1,3,6]"],
    ["[foreach .[] as $n (0; . + $n; [$n, .])]", "[1,2]", "[[1,1],[2,3]]"],
    ["[limit(3; range(10))], [limit(0; 1)], [first(range(5;9))], [skip(2; range(4))]", "null", "[0,1,2]"],
    [
        "[first(empty), last(range(4)), nth(2; range(9)), isempty(empty), isempty(1)]",
        "null",
        "[3,2,true,false]",
    ],
    ["[range(3)], [range(1;3)], [range(5;0;-2)]", "null", "[0,1,2]"],
    ["[range(5;0;-2)]", "null", "[5,3,1]"],
    ["[1 | while(. < 20; . * 3)]", "null", "[1,3,9]"],
    ["1 | until(. > 100; . * 2)", "null", "128"],
    ["[limit(4; 1 | repeat(. * 2))]", "null", "[1,2,4,8]"],
    ["[2 | recurse(if . < 50 then . * . else empty end)]", "null", "[2,4,16,256]"],
    ["[recurse(.c[]; .n > 1) | .n]", r#"{"n":5,"c":[{"n":3,"c":[]},{"n":1,"c":[]}]}"#, "[5,3]"],
    // Collections.
    ["[map(. * 2), map(select(. > 1))]", "[1,2,3]", "[[2,4,6],[2,3]]"],
    ["map_values(. + 1)", r#"{"a":1,"b":2}"#, r#"{"a":2,"b":3}"#],
    ["map_values(empty)", r#"[1,2,3]"#, "[]"],
    [
        "[sort, sort_by(-.), min, max, unique, add, length, reverse, any(. > 2), all(. > 0)]",
        "[3,1,2,1]",
        "[[1,1,2,3],[3,2,1,1],1,3,[1,2,3],7,4,[1,2,1,3],true,true]",
    ],
    ["sort", r#"[{"a":1},[],"a",1,true,false,null]"#, r#"[null,false,true,1,"a",[],{"a":1}]"#],
    ["[group_by(.k)[] | [.[].v]]", r#"[{"k":2,"v":1},{"k":1,"v":2},{"k":2,"v":3}]"#, "[[2],[1,3]]"],
    [
        "[unique_by(length), min_by(length), max_by(length)]",
        r#"["a","bb","c","dd"]"#,
        r#"[["a","bb"],"a","dd"]"#,
    ],
    [
        "[keys, keys_unsorted, length, has(\"a\"), (to_entries|map(.key)), (.a|has(1))]",
        r#"{"b":1,"a":[1,2]}"#,
        r#"[["a","b"],["a","b"],2,true,["a","b"],true]"#,
    ],
    ["with_entries(.value += 1 | .key |= ascii_upcase)", r#"{"a":1}"#, r#"{"A":2}"#],
    [
        "from_entries",
        r#"[{"name":"a","value":1},{"k":"b","v":2},{"key":null,"value":false},{"key":1}]"#,
        r#"{"a":1,"b":2,"null":false,"1":null}"#,
    ],
    [
        "[flatten, flatten(1), (.[1]|transpose)]",
        "[1,[[2,3],[4]]]",
        "[[1,2,3,4],[1,[2,3],[4]],[[2,4],[3,null]]]",
    ],
    ["[.[]|[contains(\"b\"), inside(\"abc\")]]", r#"["ab","c"]"#, "[[true,true],[false,true]]"],
    ["[contains({a:[{b:1}]}), contains([])?]", r#"{"a":[{"b":1,"c":2}],"d":1}"#, "[true]"],
    ["[index(1), rindex(1), indices(1), indices([1,2])]", "[0,1,2,1,2]", "[1,3,[1,3],[1,3]]"],
    ["[index(\"b\"), indices(\"ab\"), .[\"a\"]?]", r#""éabcab""#, "[2,[1,4]]"],
    ["[combinations]", "[[1,2],[3,4]]", "[[1,3],[1,4],[2,3],[2,4]]"],
    ["[combinations(2)] | length", "[0,1]", "4"],
    ["[splits(\", *\")], [walk(if type == \"number\" then . + 1 else . end)]", r#""a,  b""#, r#"["a","b"]"#],
    [
        "walk(if type == \"object\" then del(.secret) else . end)",
        r#"[{"secret":1,"a":{"secret":2}}]"#,
        r#"[{"a":{}}]"#,
    ],
    ["[IN(2,3), IN(5)], [.[]?]", "2", "[true,false]"],
    ["INDEX(.id)", r#"[{"id":1},{"id":"b"}]"#, r#"{"1":{"id":1},"b":{"id":"b"}}"#],
    ["[bsearch(2), bsearch(0), bsearch(9)]", "[1,2,3]", "[1,-1,-4]"],
    ["[.[] | numbers, strings], [.[]|scalars]", r#"[1,"a",[],{}]"#, r#"[1,"a"]"#],
    // Paths and updates.
    ["[paths], [leaf_paths]", r#"{"a":[1]}"#, r#"[["a"],["a",0]]"#],
    [
        "[path(.a[1:2], .b?, first(.a[]), .a[-1])]",
        r#"{"a":[1,2]}"#,
        r#"[["a",{"start":1,"end":2}],["b"],["a",0],["a",-1]]"#,
    ],
    ["[getpath([\"a\",0,\"b\"]), getpath([\"x\",\"y\"])]", r#"{"a":[{"b":5}]}"#, "[5,null]"],
    ["[paths(type == \"number\")]", r#"{"a":[1,"b"],"c":2}"#, r#"[["a",0],["c"]]"#],
    ["setpath([\"a\",1]; 9), delpaths([[\"a\"]])", "null", r#"{"a":[null,9]}"#],
    ["del(.a, .b[0,2])", r#"{"a":1,"b":[1,2,3]}"#, r#"{"b":[2]}"#],
    ["del(.[1:])", "[1,2,3]", "[1]"],
    ["del(.[] | select(. > 1))", "[1,2,3,1]", "[1,1]"],
    [".a.b |= 5 | .c[1] = 2", "null", r#"{"a":{"b":5},"c":[null,2]}"#],
    [".[] += 1 | .[0] -= 5", "[1,2]", "[-3,3]"],
    [".a //= 3 | .b //= 4", r#"{"a":1}"#, r#"{"a":1,"b":4}"#],
    [".a = (.b | length)", r#"{"b":[1,2]}"#, r#"{"a":2,"b":[1,2]}"#],
    ["(.[] | select(. > 1)) |= empty", "[1,2,3,1]", "[1,1]"],
    [".[1:] = [9]", "[1,2,3]", "[1,9]"],
    [".. |= (if type == \"number\" then . * 10 else . end)", "[1,[2]]", "[10,[20]]"],
    ["[.a = (1,2) | .a]", "null", "[1,2]"],
    ["(.a, .b) = 1 | pick(.a)", "null", r#"{"a":1}"#],
    ["(.a | select(. != null)) |= . + 1", r#"{"a":null}"#, r#"{"a":null}"#],
    ["(if .t then .a else .b end) = 0", r#"{"t":true,"a":1,"b":2}"#, r#"{"t":true,"a":0,"b":2}"#],
    ["(reduce (\"a\",\"b\") as $k (.; .[$k])) = 3", "null", r#"{"a":{"b":3}}"#],
    ["(.a // .b) = 1", r#"{"b":2}"#, r#"{"b":1}"#],
    // Strings.
    [
        "[ascii_downcase, ascii_upcase, length, utf8bytelength, explode, (explode|implode)]",
        r#""Aé""#,
        r#"["aé","Aé",2,3,[65,233],"Aé"]"#,
    ],
    [
        "[startswith(\"a\"), endswith(\"a\"), ltrimstr(\"a\"), rtrimstr(\"c\"), ltrimstr(1), trimstr(\"c\")]",
        r#""abc""#,
        r#"[true,false,"bc","ab","abc","ab"]"#,
    ],
    ["[trim, ltrim, rtrim]", r#"" a ""#, r#"["a","a "," a"]"#],
    ["[split(\",\"), split(\", *\"; null), join(\"-\")?]", r#""a, b""#, r#"[["a"," b"],["a","b"]]"#],
    ["join(\"-\")", r#"["a",1,null,true]"#, r#""a-1--true""#],
    [
        "[tostring, tojson, (tojson|fromjson)]",
        r#"{"a":[1,2.5,"x"]}"#,
        r#"["{\"a\":[1,2.5,\"x\"]}","{\"a\":[1,2.5,\"x\"]}",{"a":[1,2.5,"x"]}]"#,
    ],
    ["[.[] | tonumber]", r#"["1","-2.5","1e3",4]"#, "[1,-2.5,1000,4]"],
    ["[test(\"B\"), test(\"B\"; \"i\"), test([\"B\",\"i\"])]", r#""abc""#, "[false,true,true]"],
    [
        "[match(\"(?<l>[a-z])(x)?\"; \"g\") | [.offset, .string, .captures[0].name, .captures[1].string]]",
        r#""éa1b""#,
        r#"[[1,"a","l",null],[3,"b","l",null]]"#,
    ],
    ["capture(\"(?<y>\\\\d+)-(?<m>\\\\d+)\")", r#""2026-11""#, r#"{"y":"2026","m":"11"}"#],
    ["[scan(\"[a-z]\\\\d\"), scan(\"([a-z])(\\\\d)\")]", r#""a1b2""#, r#"["a1","b2",["a","1"],["b","2"]]"#],
    [
        "[sub(\"a\"; \"x\"), gsub(\"a\"; \"x\"), gsub(\"(?<c>b)\"; \"<\\(.c)>\"), gsub(\"\"; \"-\")]",
        r#""aba""#,
        r#"["xba","xbx","a<b>a","-a-b-a-"]"#,
    ],
    [
        "[@text, @json, @html, @uri, @base64, (@base64|@base64d), @sh]",
        r#""<a'é>""#,
        r#"["<a'é>","\"<a'é>\"","&lt;a&#39;é&gt;","%3Ca%27%C3%A9%3E","PGEnw6k+","<a'é>","'<a'\\''é>'"]"#,
    ],
    [
        "[@csv, @tsv, @sh]",
        r#"[1,"a\"b",null,true]"#,
        r#"["1,\"a\"\"b\",,true","1\ta\"b\t\ttrue","1 'a\"b' null true"]"#,
    ],
    // Dates and numbers.
    [
        "[fromdate, (fromdate|todate), (fromdate|strftime(\"%Y-%m-%d %H:%M:%S\"))]",
        r#""2026-01-02T03:04:05Z""#,
        r#"[1767323045,"2026-01-02T03:04:05Z","2026-01-02 03:04:05"]"#,
    ],
    [
        "[gmtime, (gmtime|mktime), todate]",
        "1767323045",
        r#"[[2026,0,2,3,4,5,5,1],1767323045,"2026-01-02T03:04:05Z"]"#,
    ],
    ["strptime(\"%Y-%m-%d\") | mktime", r#""2026-01-02""#, "1767312000"],
    [
        "[floor, ceil, round, sqrt, pow(.; 2), log2, fabs, trunc]",
        "6.25",
        "[6,7,6,2.5,39.0625,2.643856189774725,6.25,6]",
    ],
    ["[(.[]|abs), (infinite|isinfinite), (nan|isnan), (nan < nan)]", "[-1,1.5]", "[1,1.5,true,true,true]"],
    ["[.[]|tojson]", "[1.0,100000000000000000000,0.1]", r#"["1.0","1e+20","0.1"]"#],
    ["[.[]|type]", r#"[null,true,1,"",[],{}]"#, r#"["null","boolean","number","string","array","object"]"#],
    ["[.[]|not]", "[null,0]", "[true,false]"],
    ["ascii", "65", r#""A""#],
];

#[test]
fn programs_compute_what_jq_says() {
    let mut failures = Vec::new();
    for [program, input, expected] in ROWS {
        let input: Value = serde_json::from_str(input).unwrap_or_else(|e| panic!("{input}: {e}"));
        let expected: Value = serde_json::from_str(expected).unwrap_or_else(|e| panic!("{expected}: {e}"));
        match evaluate(program, &input) {
            // `1` and `1.0` are different results.
            Ok(value) if value == expected => {}
            other => failures.push(format!("{program}\n  expected {expected}\n  found    {other:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `program`, `input`, a part of the message.
const ERRORS: &[[&str; 3]] = &[
    [".a", "1", "cannot index number with \"a\""],
    [".[0]", r#"{"a":1}"#, "cannot index object with number"],
    [".[]", "1", "cannot iterate over number (1)"],
    ["1 + \"a\"", "null", "number (1) and string (\"a\") cannot be added"],
    ["1 / 0", "null", "cannot be divided by zero"],
    ["{(.a): 1}", r#"{"a":1}"#, "object keys must be strings, not number (1)"],
    ["error(\"boom\")", "null", "boom"],
    ["error({code: 1})", "null", "raised {\"code\":1}"],
    ["error", "null", "raised null"],
    ["(1,2) = 3", "null", "invalid path expression with result 1"],
    ["path(map(.))", "[1]", "invalid path expression"],
    ["infinite", "null", "not finite"],
    ["[nan]", "null", "not finite"],
    ["fromjson", r#""{""#, "while parsing"],
    ["tonumber", r#""x1""#, "cannot be parsed as a number"],
    ["[.[] | length]", "[true]", "boolean (true) has no length"],
    ["test(\"(\")", r#""a""#, "not a regular expression"],
    [".[\"a\", 0]", "[1]", "cannot index array with \"a\""],
    ["strftime(\"%!\")", "0", "not a date"],
    ["sort", "1", "cannot be sorted"],
    ["implode", "[1114112]", "not a code point"],
    ["ltrimstr(\"a\") | .x", r#""ab""#, "cannot index string with \"x\""],
];

#[test]
fn errors_say_what_is_wrong() {
    for [program, input, expected] in ERRORS {
        let input: Value = serde_json::from_str(input).unwrap();
        let error = evaluate(program, &input).expect_err(program).to_string();
        assert!(error.contains(expected), "{program}: {error}");
    }
}
