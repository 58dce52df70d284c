//! The head, `use`, schemas and the operations profile.

use super::{check, whole};

#[test]
fn no_head() {
    whole(
        "do: [ { a: { wait: PT1S } } ]
",
        "line 1, column 1: expected a member 'document', found none",
    );
}

#[test]
fn head_incomplete() {
    whole(
        "document: { dsl: '1.0.3', namespase: n }
do: [ { a: { wait: PT1S } } ]
",
        "line 1, column 1: /document: expected a member 'name', found none
line 1, column 1: /document: expected a member 'namespace', found none
line 1, column 1: /document: expected a member 'version', found none
line 1, column 27: /document: unknown key 'namespase' (expected one of dsl, namespace, name, version, title, summary, tags, metadata); did you mean 'namespace'?",
    );
}

#[test]
fn head_wrong() {
    whole(
        "document: { dsl: '2.0.0', namespace: a b, name: -x, version: 1.0 }
do: [ { a: { wait: PT1S } } ]
",
        "line 1, column 18: /document/dsl: expected a version of the language from 1.0.0 to 1.0.3, found '2.0.0'
line 1, column 38: /document/namespace: expected letters, digits and '-' (at most 63, no '-' at the ends), found 'a b'
line 1, column 49: /document/name: expected letters, digits and '-' (at most 63, no '-' at the ends), found '-x'
line 1, column 62: /document/version: expected a string, found the number 1.0; put it in quotes: '1.0'",
    );
}

#[test]
fn version_not_semantic() {
    whole(
        "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0' }
do: [ { a: { wait: PT1S } } ]
",
        "line 1, column 59: /document/version: expected a semantic version such as 1.2.0, found '1.0'",
    );
}

#[test]
fn no_tasks() {
    check("", "line 1, column 1: expected a member 'do', found none");
}

#[test]
fn root_key() {
    check(
        "dos: 1
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 1: unknown key 'dos' (expected one of document, input, use, do, timeout, output, schedule, evaluate); did you mean 'do'?",
    );
}

#[test]
fn loose() {
    check(
        "evaluate: { mode: loose }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 19: /evaluate/mode: expected the mode strict, found 'loose', which would run whatever text looks like an expression; put each expression in ${ }",
    );
}

#[test]
fn javascript() {
    check(
        "evaluate: { language: javascript }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 23: /evaluate/language: expected the expression language jq, found 'javascript'",
    );
}

#[test]
fn ops_unknown() {
    whole(
        "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0.0', metadata: { ops: { restartble: true } } }
do: [ { a: { wait: PT1S, metadata: { ops: { restartWhenInterupted: true }, other: 1 } } } ]
",
        "line 1, column 87: /document/metadata/ops: unknown key 'restartble' (expected one of restartable, archive, concurrency, retain, taskLimit, misfire, timezone, triggers); did you mean 'restartable'?
line 2, column 45: /do/0/a/metadata/ops: unknown key 'restartWhenInterupted' (expected one of restartWhenInterrupted, startPoint, lookback, target, concurrency, onError); did you mean 'restartWhenInterrupted'?",
    );
}

#[test]
fn start_points() {
    whole(
        "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0.0' }
do:
  - a: { wait: PT1S, metadata: { ops: { startPoint: { id: here } } } }
  - b: { wait: PT1S, metadata: { ops: { startPoint: { id: here } } } }
  - c: { wait: PT1S, metadata: { ops: { startPoint: { title: no id } } } }
  - d: { for: { in: '[1]' }, do: [ { e: { wait: PT1S, metadata: { ops: { startPoint: { id: e } } } } } ] }
",
        "line 4, column 59: /do/1/b/metadata/ops/startPoint/id: expected each start point once, found 'here' again
line 5, column 41: /do/2/c/metadata/ops/startPoint: expected a member 'id', found none
line 6, column 92: /do/3/d/do/0/e/metadata/ops/startPoint/id: expected a start point only where nothing but `do` and the body of `try` is round the task, found one inside of a loop, a fork, a handler or a function; put it on the task that holds them",
    );
}

#[test]
fn ops_values() {
    whole(
        "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0.0', metadata: { ops: { misfire: once, timezone: Europe/Berln, taskLimit: 0, archive: sometimes } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 1, column 96: /document/metadata/ops/misfire: unknown misfire rule 'once' (expected one of skip, fireOnce, fireAll, plan)
line 1, column 112: /document/metadata/ops/timezone: unknown time zone 'Europe/Berln'; use a name of the IANA database, such as Europe/Berlin
line 1, column 137: /document/metadata/ops/taskLimit: expected a number of at least 1, found the number 0
line 1, column 149: /document/metadata/ops/archive: unknown archive rule 'sometimes' (expected one of always, onFailure, never)",
    );
}

#[test]
fn schema_resource() {
    check(
        "input: { schema: { resource: { endpoint: http://x } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 20: /input/schema/resource: expected 'document', found 'resource', which is not fetched; put the schema itself under 'document'",
    );
}

#[test]
fn schema_invalid() {
    check(
        "input: { schema: { document: { type: objct } } }
do: [ { a: { wait: PT1S } } ]
",
        r#"line 2, column 30: /input/schema/document: expected a JSON Schema: "objct" is not valid under any of the schemas listed in the 'anyOf' keyword at '/type'"#,
    );
}

#[test]
fn schema_remote() {
    check(
        "input: { schema: { document: { $ref: 'http://x/y.json' } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 30: /input/schema/document: expected a JSON Schema: Resource 'http://x/y.json' is not present in a registry and retrieving it failed: 'http://x/y.json' is not fetched: put it under $defs",
    );
}

#[test]
fn schema_format() {
    check(
        "input: { schema: { format: avro, document: {} } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 28: /input/schema/format: expected the schema format json, found 'avro'",
    );
}

#[test]
fn schema_incomplete() {
    check(
        "input: { schema: {} }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 10: /input/schema: expected a member 'document', found none",
    );
}

#[test]
fn transformation() {
    check(
        "output: { as: 3, to: x }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 15: /output/as: expected an expression or a map, found the number 3
line 2, column 18: /output: unknown key 'to' (expected one of schema, as)",
    );
}

#[test]
fn authentication_scheme() {
    check(
        "use: { authentications: { admin: { basik: { username: a } } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 36: /use/authentications/admin: unknown authentication scheme 'basik' (expected one of basic, bearer, digest, oauth2, oidc); did you mean 'basic'?",
    );
}

#[test]
fn authentication_incomplete() {
    check(
        "use: { authentications: { admin: { basic: { username: a } } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 36: /use/authentications/admin/basic: expected a member 'password', found none",
    );
}

#[test]
fn authentication_secret() {
    check(
        "use: { secrets: [ token ], authentications: { admin: { bearer: { use: tokn } } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 71: /use/authentications/admin/bearer/use: unknown secret 'tokn' (expected one of token); did you mean 'token'?",
    );
}

#[test]
fn function_reserved() {
    check(
        "use: { functions: { http: { wait: PT1S } } }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 21: /use/functions/http: expected a name of its own, found 'http', which the language defines",
    );
}

#[test]
fn extension() {
    check(
        "use: { extensions: [ { e: { extend: cal, befor: [] } } ] }
do: [ { a: { wait: PT1S } } ]
",
        "line 2, column 37: /use/extensions/0/e/extend: unknown kind of task 'cal' (expected one of all, call, composite, emit, for, listen, raise, run, set, switch, try, wait); did you mean 'call'?
line 2, column 42: /use/extensions/0/e: unknown key 'befor' (expected one of extend, when, before, after); did you mean 'before'?",
    );
}

#[test]
fn several_at_once() {
    check(
        "schedule: { evry: PT1S }
do:
  - a: { wiat: PT1S }
  - b: { set: {}, thn: c }
timeot: x
",
        "line 2, column 13: /schedule: unknown key 'evry' (expected one of every, cron, after, on, read); did you mean 'every'?
line 4, column 10: /do/0/a: unknown task kind 'wiat' (expected one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait); did you mean 'wait'?
line 5, column 15: /do/1/b/set: expected at least one value to set, found an empty map
line 5, column 19: /do/1/b: unknown key 'thn' (expected one of set, if, input, output, export, timeout, then, metadata); did you mean 'then'?
line 6, column 1: unknown key 'timeot' (expected one of document, input, use, do, timeout, output, schedule, evaluate); did you mean 'timeout'?",
    );
}
