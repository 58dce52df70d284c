//! Calls and processes.

use super::check;

#[test]
fn http_method() {
    check(
        "do:
  - a: { call: http, with: { method: gett, endpoint: http://x } }
",
        "line 3, column 38: /do/0/a/with/method: unknown method 'gett' (expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT); did you mean 'GET'?",
    );
}

#[test]
fn http_missing() {
    check(
        "do:
  - a: { call: http, with: { url: http://x } }
  - b: { call: http }
",
        "line 3, column 22: /do/0/a/with: expected a member 'endpoint', found none
line 3, column 22: /do/0/a/with: expected a member 'method', found none
line 3, column 30: /do/0/a/with: unknown key 'url' (expected one of method, endpoint, headers, body, query, output, redirect)
line 4, column 5: /do/1/b: expected a member 'with', found none",
    );
}

#[test]
fn http_uri() {
    check(
        "do:
  - a: { call: http, with: { method: get, endpoint: 'http://x/{a' } }
  - b: { call: http, with: { method: get, endpoint: 'http://x y' } }
",
        "line 3, column 53: /do/0/a/with/endpoint: expected a '}' after the '{' in the URI 'http://x/{a'
line 4, column 53: /do/1/b/with/endpoint: expected a URI without spaces, found 'http://x y'; put an expression in ${ }",
    );
}

#[test]
fn http_output() {
    check(
        "do:
  - a: { call: http, with: { method: get, endpoint: http://x, output: contents, redirect: maybe, headers: [ a ] } }
",
        "line 3, column 71: /do/0/a/with/output: unknown output 'contents' (expected one of raw, content, response); did you mean 'content'?
line 3, column 91: /do/0/a/with/redirect: expected true or false, found 'maybe'
line 3, column 107: /do/0/a/with/headers: expected a map of strings, or an expression in ${ }, found a list",
    );
}

#[test]
fn endpoint_scheme() {
    check(
        "do:
  - a: { call: http, with: { method: get, endpoint: 'ftp://x/{a}' } }
",
        "line 3, column 53: /do/0/a/with/endpoint: expected an endpoint of http or https, found one of ftp",
    );
}

#[test]
fn authentication_name() {
    check(
        "use: { authentications: { admin: { basic: { username: a, password: b } } } }
do:
  - a: { call: http, with: { method: get, endpoint: { uri: http://x, authentication: { use: admn } } } }
",
        "line 4, column 93: /do/0/a/with/endpoint/authentication/use: unknown authentication 'admn' (expected one of admin); did you mean 'admin'?",
    );
}

#[test]
fn shell_arguments() {
    check(
        "do:
  - a: { run: { shell: { command: ls, arguments: { l: true } } } }
",
        "line 3, column 50: /do/0/a/run/shell/arguments: expected a list of arguments, found a map; since 1.0.3 arguments are a list: [--name, value]",
    );
}

#[test]
fn shell_return() {
    check(
        "do:
  - a: { run: { shell: { command: ls }, return: stdot } }
",
        "line 3, column 49: /do/0/a/run/return: unknown return 'stdot' (expected one of stdout, stderr, code, all, none); did you mean 'stdout'?",
    );
}

#[test]
fn shell_command() {
    check(
        "do:
  - a: { run: { shell: { cmd: ls } } }
  - b: { run: {} }
",
        "line 3, column 17: /do/0/a/run/shell: expected a member 'command', found none
line 3, column 26: /do/0/a/run/shell: unknown key 'cmd' (expected one of command, arguments, environment, stdin)
line 4, column 10: /do/1/b/run: expected one of container, script, shell, workflow, found none",
    );
}

#[test]
fn run_two() {
    check(
        "do:
  - a: { run: { shell: { command: ls }, script: { language: js } } }
",
        "line 3, column 10: /do/0/a/run: expected one process, found both 'script' and 'shell'",
    );
}

#[test]
fn function_unknown() {
    check(
        "use: { functions: { greet: { wait: PT1S } } }
do:
  - a: { call: great }
  - b: { call: approvl:1.0.0@default }
  - c: { call: x:1.0.0@elsewhere }
",
        "line 4, column 16: /do/0/a/call: unknown function 'great' (expected one of http, openapi, grpc, asyncapi, a2a, mcp, greet, approval:1.0.0@default, broken:1.0.0@default, endless:1.0.0@default, shared:2.0.0@default); did you mean 'greet'?
line 5, column 16: /do/1/b/call: unknown function 'approvl:1.0.0@default' (expected one of http, openapi, grpc, asyncapi, a2a, mcp, greet, approval:1.0.0@default, broken:1.0.0@default, endless:1.0.0@default, shared:2.0.0@default); did you mean 'approval:1.0.0@default'?
line 6, column 16: /do/2/c/call: unknown catalog 'elsewhere' (use.catalogs declares none)",
    );
}

#[test]
fn function_cycle() {
    check(
        "use:
  functions:
    a: { call: b }
    b: { do: [ { c: { call: a } } ] }
do: [ { x: { call: a } } ]
",
        "line 5, column 29: /use/functions/b/do/0/c/call: expected functions that do not call themselves, found a → b → a",
    );
}

#[test]
fn function_wrong() {
    check(
        "use:
  functions:
    a: { sett: {} }
do: [ { x: { call: a } }, { y: { call: a } } ]
",
        "line 4, column 10: /use/functions/a: unknown task kind 'sett' (expected one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait); did you mean 'set'?",
    );
}

#[test]
fn function_of_the_catalog() {
    check(
        "do:
  - a: { call: broken:1.0.0@default }
  - b: { call: endless:1.0.0@default }
",
        "line 3, column 16: /do/0/a/call: function 'broken:1.0.0' cannot be used: line 3, column 7: /do/0/one: unknown task kind 'sett' (expected one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait); did you mean 'set'?
line 4, column 16: /do/1/b/call: function 'endless:1.0.0' cannot be used: line 3, column 13: /do/0/one/call: function 'endless:1.0.0' cannot be used: line 3, column 13: /do/0/one/call: expected functions that do not call themselves, found endless:1.0.0 → endless:1.0.0",
    );
}

#[test]
fn function_arguments() {
    check(
        "do:
  - a: { call: approval:1.0.0@default, with: { title: 3 } }
  - b: { call: approval:1.0.0@default }
  - c: { call: approval:1.0.0@default, with: { titel: '${ .x }' } }
",
        r#"line 3, column 40: /do/0/a/with: expected other arguments: 3 is not of type "string" at '/title'
line 4, column 5: /do/1/b: expected other arguments: "title" is a required property at ''
line 5, column 40: /do/2/c/with: expected a member 'title', found none
line 5, column 48: /do/2/c/with: unknown key 'titel' (expected one of choices, title, target, group, select, runtimeUser); did you mean 'title'?"#,
    );
}

#[test]
fn openapi() {
    check(
        "do:
  - a: { call: openapi, with: { document: { endpoint: http://x }, operation: y } }
",
        "line 3, column 25: /do/0/a/with: expected a member 'operationId', found none
line 3, column 67: /do/0/a/with: unknown key 'operation' (expected one of document, operationId, parameters, authentication, output, redirect); did you mean 'operationId'?",
    );
}
