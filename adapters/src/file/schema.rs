//! What `file` says of itself.

use impresario_adapter::{Function, FunctionKind, Manifest, PROTOCOL};
use serde_json::{Value, json};

use super::arguments::{
    INTERVAL_SECONDS, INTERVAL_SECONDS_MAX, LIST_LIMIT, LIST_LIMIT_MAX, READ_LIMIT, READ_LIMIT_MAX,
};

/// How many are under way at once. Each has a thread that may wait for a disk.
const CONCURRENCY: u32 = 32;

/// The manifest of `file`.
pub fn manifest() -> Manifest {
    let function = |name: &str, input| Function {
        name: name.into(),
        version: "1.0.0".into(),
        restartable: true,
        input: Some(input),
        ..Function::default()
    };
    Manifest {
        adapter: "file".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        functions: vec![
            function("file-read", read()),
            function("file-write", write()),
            Function { restartable: false, ..function("file-append", append()) },
            Function { restartable: false, probe: true, ..function("file-move", moving()) },
            function("file-delete", delete()),
            function("file-list", list()),
            Function { kind: FunctionKind::Monitor, ..function("file-watch", watch()) },
            Function { kind: FunctionKind::Monitor, ..function("file-follow", follow()) },
        ],
        concurrency: CONCURRENCY,
    }
}

/// A closed map; every function takes a root.
fn input(required: &[&str], mut properties: Value) -> Value {
    properties["root"] = json!({
        "type": ["string", "null"],
        "description": "A folder, as an absolute path: nothing outside of it is touched, and paths begin there.",
    });
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
}

fn path(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": description})
}

fn form(default: &str) -> Value {
    json!({"enum": ["text", "json", "base64"], "description": default})
}

fn mode() -> Value {
    json!({"type": ["string", "null"], "pattern": "^[0-7]{1,4}$", "description": "In octal digits, like 0640."})
}

fn read() -> Value {
    let bytes = json!({"type": "integer", "minimum": 0});
    input(
        &["path"],
        json!({
            "path": path("The file."),
            "as": form("text (default): UTF-8."),
            "offset": bytes,
            "length": {
                "type": ["integer", "null"], "minimum": 0, "maximum": READ_LIMIT_MAX,
                "description": "So many bytes, or as many as there are. Without it, all up to `limit`.",
            },
            "limit": {
                "type": "integer", "minimum": 0, "maximum": READ_LIMIT_MAX, "default": READ_LIMIT,
                "description": "A file with more bytes is a failure.",
            },
        }),
    )
}

fn write() -> Value {
    input(
        &["path", "content"],
        json!({
            "path": path("The file."),
            "content": {"description": "A string, or anything else as JSON."},
            "as": form("By default a string is text, and anything else JSON."),
            "existing": {
                "enum": ["replace", "refuse", "require"], "default": "replace",
                "description": "Whether there may be such a file, must be none, or must be one.",
            },
            "mode": mode(),
        }),
    )
}

fn append() -> Value {
    input(
        &["path", "content"],
        json!({
            "path": path("The file."),
            "content": {"description": "A string, or anything else as JSON. No line feed is added."},
            "as": form("By default a string is text, and anything else JSON."),
            "create": {"type": "boolean", "default": true, "description": "Make it if it is not there."},
            "mode": mode(),
        }),
    )
}

fn moving() -> Value {
    input(
        &["from", "to"],
        json!({
            "from": path("The file or folder."),
            "to": path("Its new path, on the same file system."),
            "replace": {"type": "boolean", "default": false},
        }),
    )
}

fn delete() -> Value {
    input(&["path"], json!({"path": path("The file."), "missingOk": {"type": "boolean", "default": false}}))
}

fn names() -> Value {
    json!({"type": "string", "default": "*", "description": "A pattern of names, with *, ? and [a-z]."})
}

fn list() -> Value {
    input(
        &["folder"],
        json!({
            "folder": path("The folder."),
            "pattern": names(),
            "limit": {"type": "integer", "minimum": 0, "maximum": LIST_LIMIT_MAX, "default": LIST_LIMIT},
        }),
    )
}

fn initial() -> Value {
    json!({
        "enum": ["skip", "tell"], "default": "skip",
        "description": "Whether what is there at the very beginning is told as well.",
    })
}

fn interval() -> Value {
    json!({"type": "number", "minimum": 0.1, "maximum": INTERVAL_SECONDS_MAX, "default": INTERVAL_SECONDS})
}

fn watch() -> Value {
    input(
        &["folder"],
        json!({
            "folder": path("The folder."),
            "pattern": names(),
            "initial": initial(),
            "settled": {
                "type": "boolean", "default": true,
                "description": "Tell of a file only once it did not change for an interval.",
            },
            "intervalSeconds": interval(),
        }),
    )
}

fn follow() -> Value {
    input(&["path"], json!({"path": path("The file."), "initial": initial(), "intervalSeconds": interval()}))
}
