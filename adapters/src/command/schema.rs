//! What `command` says of itself.

use impresario_adapter::{Function, Manifest, PROTOCOL};
use serde_json::{Value, json};

use super::arguments::{OUTPUT_LIMIT, OUTPUT_LIMIT_MAX};

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
            function("run", false, Some(run()), Some(output())),
            function("shell", false, Some(shell()), Some(output())),
            function("echo", true, None, None),
        ],
        concurrency: CONCURRENCY,
    }
}

fn run() -> Value {
    json!({
        "type": "object",
        "required": ["program"],
        "additionalProperties": false,
        "properties": {
            "program": {"type": "string", "minLength": 1, "description": "A name in PATH, or a full path."},
            "arguments": texts("Its arguments, one by one: no shell splits or expands them."),
            "environment": environment(),
            "directory": {"type": "string", "description": "Where it runs; by default where the node does."},
            "stdin": {"description": "Its standard input: a string as it is, anything else as JSON."},
            "return": returned("all"),
            "outputLimit": {
                "type": "integer", "minimum": 0, "maximum": OUTPUT_LIMIT_MAX, "default": OUTPUT_LIMIT,
                "description": "How many bytes of each output are kept.",
            },
            "expectCodes": {
                "type": "array", "items": {"type": "integer"},
                "description": "The exit codes that are no failure: by default 0, and any for `code` and `all`.",
            },
        },
    })
}

fn shell() -> Value {
    json!({
        "type": "object",
        "required": ["command"],
        "additionalProperties": false,
        "properties": {
            "command": {"type": "string", "description": "What `/bin/sh` does."},
            "arguments": texts("What the command finds in $1, $2 …"),
            "environment": environment(),
            "stdin": {"description": "Its standard input: a string as it is, anything else as JSON."},
            "return": returned("stdout"),
        },
    })
}

fn output() -> Value {
    json!({
        "anyOf": [
            {"type": ["string", "integer", "null"]},
            {
                "type": "object",
                "required": ["code", "stdout", "stderr"],
                "properties": {
                    "code": {"type": "integer"},
                    "stdout": {"type": "string"},
                    "stderr": {"type": "string"},
                    "truncated": {"const": true},
                },
            },
        ],
    })
}

fn texts(description: &str) -> Value {
    json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}, "description": description})
}

fn environment() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "description": "Variables beyond the few that every program gets, such as PATH and HOME.",
    })
}

fn returned(default: &str) -> Value {
    json!({"enum": ["stdout", "stderr", "code", "all", "none"], "default": default})
}
