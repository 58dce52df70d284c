//! What `ssh` says of itself.

use impresario_adapter::{Function, Manifest, PROTOCOL};
use serde_json::{Map, Value, json};

use super::arguments::{FILE_LIMIT, FILE_LIMIT_MAX, INTERPRETER, TIMEOUT_SECONDS_MAX};
use super::place::{CONNECT_TIMEOUT_SECONDS, CONNECT_TIMEOUT_SECONDS_MAX};
use crate::arguments::{environment_schema, texts_schema};
use crate::ended::{expect_codes_schema, output_limit_schema, output_schema, return_schema};

/// How many pieces of work are under way at once.
const CONCURRENCY: u32 = 64;

/// The manifest of `ssh`.
pub fn manifest() -> Manifest {
    let function = |name: &str, restartable, input, output| Function {
        name: name.into(),
        version: "1.0.0".into(),
        restartable,
        input: Some(input),
        output: Some(output),
        ..Function::default()
    };
    Manifest {
        adapter: "ssh".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        functions: vec![
            // A command may do anything, so nothing is assumed about doing it twice.
            function("ssh-run", false, run(), output_schema()),
            function("ssh-script", false, script(), output_schema()),
            // All of a file is written, and takes its name in one step: twice is as good as once.
            function("ssh-put", true, put(), put_output()),
            function("ssh-get", true, get(), get_output()),
        ],
        concurrency: CONCURRENCY,
    }
}

fn run() -> Value {
    input(
        &["command"],
        json!({
            "command": {"type": "string", "minLength": 1, "description": "What the user's login shell there does."},
            "arguments": texts_schema("Added to the command, each as one word of a POSIX shell."),
            "environment": environment(),
            "stdin": {"description": "Its standard input: a string as it is, anything else as JSON."},
            "return": return_schema("all"),
            "outputLimit": output_limit_schema(),
            "expectCodes": expect_codes_schema(),
        }),
    )
}

fn script() -> Value {
    input(
        &["script"],
        json!({
            "script": {"type": "string", "minLength": 1, "description": "Sent to the interpreter's standard input."},
            "interpreter": {
                "type": "string", "minLength": 1, "default": INTERPRETER,
                "description": "A shell, which is given `-s`, or any other program, which is given `-`.",
            },
            "arguments": texts_schema("What the script finds in $1, $2 …"),
            "environment": environment(),
            "return": return_schema("all"),
            "outputLimit": output_limit_schema(),
            "expectCodes": expect_codes_schema(),
        }),
    )
}

fn put() -> Value {
    input(
        &["path", "content"],
        json!({
            "path": {"type": "string", "minLength": 1, "description": "Relative paths begin in the user's home folder."},
            "content": {"description": "A string as it is, anything else as JSON."},
            "encoding": encoding("How `content` is written."),
            "mode": {
                "type": "string", "pattern": "^[0-7]{3,4}$",
                "description": "By default the mode of the file that is replaced, or 0644.",
            },
        }),
    )
}

fn get() -> Value {
    input(
        &["path"],
        json!({
            "path": {"type": "string", "minLength": 1, "description": "Relative paths begin in the user's home folder."},
            "encoding": encoding("How the `content` is answered."),
            "limit": {
                "type": "integer", "minimum": 0, "maximum": FILE_LIMIT_MAX, "default": FILE_LIMIT,
                "description": "How many bytes the file may have.",
            },
        }),
    )
}

fn put_output() -> Value {
    json!({
        "type": "object",
        "required": ["path", "size", "mode", "replaced"],
        "properties": {
            "path": {"type": "string", "description": "The file that was written: where a link pointed to."},
            "size": {"type": "integer"},
            "mode": {"type": "string"},
            "replaced": {"type": "boolean", "description": "Whether there was one."},
        },
    })
}

fn get_output() -> Value {
    json!({
        "type": "object",
        "required": ["content", "size"],
        "properties": {
            "content": {"type": "string"},
            "size": {"type": "integer"},
            "mode": {"type": ["string", "null"], "description": "Octal digits."},
            "modified": {"type": ["integer", "null"], "description": "Seconds since 1970."},
        },
    })
}

/// The schema of a function's arguments: its own, how long it may take, and where it is done if no target says so.
fn input(required: &[&str], own: Value) -> Value {
    let mut properties = match own {
        Value::Object(own) => own,
        _ => Map::new(),
    };
    let everywhere = json!({
        "timeoutSeconds": {
            "type": "number", "exclusiveMinimum": 0, "maximum": TIMEOUT_SECONDS_MAX,
            "description": "After this it is told to end, and then killed.",
        },
        "host": {"type": "string", "minLength": 1, "description": "A name or an address, if there is no target."},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 22},
        "username": {"type": "string", "description": "If the runtime user has none."},
        "hostKey": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "The host's public key or its fingerprint, or several of them.",
        },
        "knownHosts": {"type": "string", "description": "A file on the node, in the format of OpenSSH."},
        "connectTimeoutSeconds": {
            "type": "number", "exclusiveMinimum": 0, "maximum": CONNECT_TIMEOUT_SECONDS_MAX,
            "default": CONNECT_TIMEOUT_SECONDS,
        },
    });
    if let Value::Object(everywhere) = everywhere {
        properties.extend(everywhere);
    }
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn encoding(description: &str) -> Value {
    json!({"enum": ["text", "base64"], "default": "text", "description": description})
}

fn environment() -> Value {
    environment_schema("Variables that the host's sshd accepts; one that it does not accept is a failure.")
}
