//! The OpenTelemetry Protocol, version 1, as its JSON encoding writes it: ids in hexadecimal, times and other 64-bit
//! numbers as text. It is part of the stable protocol, and spares us a second encoding of everything.

use impresario_model::trace::{Span, SpanKind};
use serde_json::{Value, json};

const NANOS_PER_MILLI: u128 = 1_000_000;
/// What marks a span that failed.
const STATUS_ERROR: u8 = 2;

/// Whose spans they are.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The environment.
    pub environment: String,
    /// The node.
    pub node: String,
    /// This start of it.
    pub incarnation: String,
}

/// The request that exports spans.
pub fn document(resource: &Resource, spans: &[Span]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let about = [
        ("service.name", "impresario"),
        ("service.version", version),
        ("service.instance.id", &resource.incarnation),
        ("host.name", &resource.node),
        ("deployment.environment.name", &resource.environment),
    ];
    let about: Vec<Value> = about.iter().map(|(key, value)| attribute(key, value)).collect();
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let scope = json!({ "scope": { "name": "impresario", "version": version }, "spans": spans });
    json!({ "resourceSpans": [{ "resource": { "attributes": about }, "scopeSpans": [scope] }] })
}

fn span(span: &Span) -> Value {
    let attributes = span.attributes.iter().map(|(key, value)| attribute(key, value));
    let nanos = |millis: u64| (u128::from(millis) * NANOS_PER_MILLI).to_string();
    let mut written = json!({
        "traceId": format!("{:032x}", span.context.trace),
        "spanId": format!("{:016x}", span.context.span),
        "flags": u8::from(span.context.sampled),
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": nanos(span.start),
        "endTimeUnixNano": nanos(span.end.max(span.start)),
        "attributes": attributes.collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        written["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    if let Some(error) = &span.error {
        written["status"] = json!({ "code": STATUS_ERROR, "message": error });
    }
    written
}

fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// How many spans of a request the collector says that it did not want.
pub(super) fn rejected(said: &Value) -> u64 {
    let rejected = &said["partialSuccess"]["rejectedSpans"];
    rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0)
}
