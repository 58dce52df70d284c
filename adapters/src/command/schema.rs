//! What `command` says of itself.

use impresario_adapter::{Function, Manifest, PROTOCOL};
use serde_json::{Value, json};

use super::arguments::{INTERPRETER, TIMEOUT_SECONDS_MAX};
use crate::arguments::{environment_schema, texts_schema};
use crate::ended::{expect_codes_schema, output_limit_schema, output_schema, return_schema};

/// How many programs run at once.
const CONCURRENCY: u32 = 64;

/// The manifest of `command`.
pub fn manifest() -> Manifest {
    let function = |name: &str, restartable, input, output| Function {
        name: name.into(),
        version: "1.0.0".into(),
        restartable,
        input,
        output,
        ..Function::default()
    };
    Manifest {
        adapter: "command".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        functions: vec![
            function("run", false, Some(run()), Some(output_schema())),
            function("script", false, Some(script()), Some(output_schema())),
            function("shell", false, Some(shell()), Some(output_schema())),
            function("echo", true, None, None),
        ],
        concurrency: CONCURRENCY,
    }
}

fn run() -> Value {
    input(
        "program",
        json!({
            "program": {"type": "string", "minLength": 1, "description": "A name in PATH, or a full path."},
            "arguments": texts_schema("Its arguments, one by one: no shell splits or expands them."),
        }),
    )
}

fn script() -> Value {
    input(
        "script",
        json!({
            "script": {"type": "string", "description": "What the interpreter finds in a file."},
            "interpreter": {
                "type": "string", "minLength": 1, "default": INTERPRETER,
                "description": "A name in PATH or a full path, and arguments of its own if it needs any.",
            },
            "arguments": texts_schema("What the script finds in $1, $2 …"),
        }),
    )
}

/// The schema of a function's arguments: its own, and what can be said of every program.
fn input(required: &str, own: Value) -> Value {
    let mut properties = json!({
        "environment": environment(),
        "directory": {"type": "string", "description": "Where it runs; by default where the node does."},
        "stdin": {"description": "Its standard input: a string as it is, anything else as JSON."},
        "return": return_schema("all"),
        "outputLimit": output_limit_schema(),
        "expectCodes": expect_codes_schema(),
        "timeoutSeconds": timeout(),
        "user": user(),
        "umask": umask(),
    });
    if let (Value::Object(properties), Value::Object(own)) = (&mut properties, own) {
        properties.extend(own);
    }
    json!({
        "type": "object",
        "required": [required],
        "additionalProperties": false,
        "properties": properties,
    })
}

fn timeout() -> Value {
    json!({
        "type": "number", "exclusiveMinimum": 0, "maximum": TIMEOUT_SECONDS_MAX,
        "description": "After this it is asked to end, and then killed.",
    })
}

fn user() -> Value {
    json!({"type": "string", "description": "Whom it runs as, if the node runs as root; by default as the node does."})
}

fn umask() -> Value {
    json!({"type": "string", "pattern": "^[0-7]{3,4}$", "description": "Octal digits, such as 027."})
}

fn shell() -> Value {
    json!({
        "type": "object",
        "required": ["command"],
        "additionalProperties": false,
        "properties": {
            "command": {"type": "string", "description": "What `/bin/sh` does."},
            "arguments": texts_schema("What the command finds in $1, $2 …"),
            "environment": environment(),
            "stdin": {"description": "Its standard input: a string as it is, anything else as JSON."},
            "return": return_schema("stdout"),
        },
    })
}

fn environment() -> Value {
    environment_schema("Variables beyond the few that every program gets, such as PATH and HOME.")
}
