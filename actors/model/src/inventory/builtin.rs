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
                "description": "By what it is known: public keys in OpenSSH's form, or fingerprints SHA256:….",
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            },
            "knownHosts": { "type": "string", "description": "A file on the node that holds its key." },
            "username": { "type": "string", "description": "Who logs in, if the runtime user does not say." },
            "connectTimeoutSeconds": { "type": "number", "exclusiveMinimum": 0 },
        },
    })
}

fn http_endpoint() -> Value {
    json!({
        "type": "object",
        "required": ["uri"],
        "additionalProperties": false,
        "properties": {
            "uri": { "type": "string", "pattern": "^https?://", "description": "What relative URIs begin at." },
            "caCertificate": { "type": "string", "description": "The certificates that are trusted, in PEM." },
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
