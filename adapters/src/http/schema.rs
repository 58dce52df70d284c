//! What `http` says of itself.

use impresario_adapter::{Function, Manifest, PROTOCOL};
use serde_json::{Value, json};

use super::arguments::{OUTPUT_LIMIT, REDIRECTS, REDIRECTS_MAX, TIMEOUT_SECONDS, TIMEOUT_SECONDS_MAX};
use super::send;

/// How many requests are under way at once.
const CONCURRENCY: u32 = 128;

/// The manifest of `http`.
pub fn manifest() -> Manifest {
    let request = Function {
        name: "request".into(),
        version: "1.0.0".into(),
        restartable: false,
        input: Some(input()),
        // No schema of the output: it is whatever the endpoint answers.
        ..Function::default()
    };
    let send_event = Function {
        name: "send-event".into(),
        version: "1.0.0".into(),
        // Whoever gets an event twice knows it by its source and id.
        restartable: true,
        input: Some(send::input()),
        output: Some(send::output()),
        ..Function::default()
    };
    Manifest {
        adapter: "http".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        functions: vec![request, send_event],
        concurrency: CONCURRENCY,
    }
}

fn input() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    json!({
        "type": "object",
        "required": ["method", "uri"],
        "additionalProperties": false,
        "properties": {
            "method": {"type": "string", "minLength": 1},
            "uri": {"type": "string", "description": "With http or https; below the target's `uri`, if it has no scheme. Credentials in it are sent \
                                as basic ones."},
            "headers": {"type": "object", "additionalProperties": scalar},
            "query": {"type": "object", "description": "Added to the uri's own; a list repeats its key."},
            "body": {"description": "A string is sent as it is; anything else as JSON, or as a form or in parts if \
                                     the content type says so."},
            "bodyEncoding": {"enum": ["text", "base64"], "default": "text", "description": "How a string is to be read."},
            "output": {"enum": ["content", "raw", "response"], "default": "content"},
            "redirect": {"type": "boolean", "default": false},
            "redirectLimit": {"type": "integer", "minimum": 0, "maximum": REDIRECTS_MAX, "default": REDIRECTS},
            "authentication": {
                "type": ["object", "null"],
                "maxProperties": 1,
                "description": "`basic`, `digest`, `bearer`, `oauth2` or `oidc`; what is missing is the runtime user's.",
            },
            "tls": {
                "type": "object",
                "additionalProperties": false,
                "description": "Texts in PEM, or paths of files on the node.",
                "properties": {
                    "ca": {"type": "string", "description": "Authorities beyond those of the system."},
                    "certificate": {"type": "string", "description": "What is shown to the endpoint."},
                    "key": {"type": "string", "description": "The private key of it."},
                },
            },
            "timeoutSeconds": {
                "type": "number", "exclusiveMinimum": 0, "maximum": TIMEOUT_SECONDS_MAX, "default": TIMEOUT_SECONDS,
            },
            "outputLimit": {
                "type": "integer", "minimum": 0, "maximum": OUTPUT_LIMIT, "default": OUTPUT_LIMIT,
                "description": "How many bytes the body may have.",
            },
        },
    })
}
