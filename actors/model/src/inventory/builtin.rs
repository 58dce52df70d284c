//! The types of targets that every environment has.

use serde_json::{Value, json};

use super::{NODE_TYPE, TargetType};

/// A built-in type.
pub(super) fn target_type(name: &str) -> Option<TargetType> {
    let (description, schema) = match name {
        "unix-server" => ("A server that is reached over SSH.", unix_server()),
        "http-endpoint" => ("A service that is reached over HTTP.", http_endpoint()),
        NODE_TYPE => ("A node of this environment.", node()),
        _ => return None,
    };
    Some(TargetType { description: Some(description.to_owned()), schema })
}

/// All of them.
pub(super) fn target_types() -> Vec<(&'static str, TargetType)> {
    let names = ["unix-server", "http-endpoint", NODE_TYPE];
    names.into_iter().filter_map(|name| Some((name, target_type(name)?))).collect()
}

fn unix_server() -> Value {
    json!({
        "type": "object",
        "required": ["host"],
        "additionalProperties": false,
        "properties": {
            "host": { "type": "string", "minLength": 1, "description": "Its name or address." },
            "port": { "type": "integer", "minimum": 1, "maximum": 65535, "description": "22 if absent." },
            "hostKey": {
                "description": "The keys by which it is known, as in a line of authorized keys.",
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            },
        },
    })
}

fn http_endpoint() -> Value {
    json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "properties": {
            "url": { "type": "string", "pattern": "^https?://", "description": "What all paths are below." },
            "ca": { "type": "string", "description": "The certificates that are trusted, in PEM." },
        },
    })
}

fn node() -> Value {
    json!({
        "type": "object",
        "required": ["url", "version"],
        "properties": {
            "url": { "type": "string", "description": "Where its HTTP door is." },
            "site": { "type": "string", "description": "Where it stands." },
            "version": { "type": "string", "description": "The program's version." },
        },
    })
}
