//! The document of the API, OpenAPI 3.1: made from the routes and from the types that they read and write.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::{ProblemDocument, meaning};
use super::routes::{BodyDoc, Keyed, Operation};

/// Where the schemas of the document are.
const SCHEMAS: &str = "/components/schemas";
const PROBLEM: &str = "application/problem+json";

/// What is said of the parts of paths, by name.
const PARTS: [(&str, &str, &str); 4] = [
    ("id", "An instance, or the first 8 characters of its id or more.", "0f2c5d1e"),
    ("name", "A name. Slashes in it are written %2F.", "nightly"),
    ("activity", "The number of an activity, from 1.", "1"),
    ("actor", "The id of an actor.", "process/0f2c5d1e-8d0e-4a53-9d7b-0d9f6b1a2c3d"),
];

const TAGS: [(&str, &str); 14] = [
    ("events", "CloudEvents in, and what came of them."),
    ("instances", "Instances of processes: started, looked for, ended, decided about."),
    ("triggers", "What starts instances, and orders about it."),
    ("definitions", "What can be started."),
    ("inventory", "Targets, their types, groups of them, and calendars."),
    ("monitors", "What adapters observe."),
    ("sinks", "Where events go that are raised here."),
    ("adapters", "The programs that do the work."),
    ("users", "Runtime users, as whom work is done, and the key that their secrets are sealed under."),
    ("webhooks", "Requests of systems that know no CloudEvents."),
    ("cluster", "Nodes, their actors and their logs."),
    ("inspect", "A look into actors and mailbox logs, and actors that were set aside."),
    ("proof", "Why something waits, whether anything is stuck, and what happened to the cluster."),
    ("health", "For probes and for those who draw figures."),
];

/// Makes the document of what is registered.
pub(super) fn document(routes: &[(String, Vec<Operation>)]) -> Value {
    let mut writer = Writer::new();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (path, operations) in routes {
        let methods = paths.entry(path.replace("{*", "{")).or_default();
        for operation in operations {
            methods.insert(operation.method.to_owned(), writer.operation(path, operation));
        }
    }
    let problem = writer.replies.subschema_for::<ProblemDocument>();
    let tags: Vec<Value> =
        TAGS.iter().map(|(name, says)| json!({ "name": name, "description": says })).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Impresario",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The API of a node. Nodes that share a store are one installation: any of them answers for \
                            all of it. Times are RFC 3339 in UTC.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The node that serves this document." }],
        "security": [{ "token": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of the node, in the file `token` of its data folder.",
                },
            },
            "responses": problems(&problem),
            "schemas": writer.schemas(),
        },
    });
    plain_words(&mut document);
    document
}

/// Every problem that the API answers with, by status.
fn problems(schema: &Schema) -> Map<String, Value> {
    let statuses = [400, 401, 404, 405, 408, 409, 413, 415, 429, 500, 503, 504];
    let of_status = |status: u16| {
        let (word, title) = meaning(status);
        let example = json!({
            "type": format!("urn:impresario:problem:{word}"),
            "title": title,
            "status": status,
            "detail": "what was expected, what was found, and what to do",
        });
        let mut response = json!({
            "description": format!("{title} (`{word}`)."),
            "content": { PROBLEM: { "schema": schema, "example": example } },
        });
        if matches!(status, 429 | 503) {
            let after = json!({
                "description": "When to try again, in seconds.",
                "schema": { "type": "integer", "minimum": 1 },
            });
            response["headers"] = json!({ "Retry-After": after });
        }
        (status.to_string(), response)
    };
    statuses.into_iter().map(of_status).collect()
}

/// Writes operations, and collects the schemas that they name.
struct Writer {
    requests: SchemaGenerator,
    replies: SchemaGenerator,
}

impl Writer {
    fn new() -> Writer {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = SCHEMAS.into();
                settings.meta_schema = None;
            })
        };
        Writer {
            requests: settings().for_deserialize().into_generator(),
            replies: settings().for_serialize().into_generator(),
        }
    }

    fn operation(&mut self, path: &str, operation: &Operation) -> Value {
        let mut parameters = parts_of(path);
        parameters
            .extend(operation.query.into_iter().flat_map(|query| parameters_of(query(&mut self.requests))));
        parameters.extend(key_parameter(operation.keyed));
        let mut written = json!({
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "responses": self.responses(path, operation),
        });
        if !operation.description.is_empty() {
            written["description"] = json!(operation.description);
        }
        if !parameters.is_empty() {
            written["parameters"] = Value::Array(parameters);
        }
        if let Some(body) = &operation.body {
            written["requestBody"] = self.body(body);
        }
        if operation.open {
            written["security"] = json!([]);
        }
        written
    }

    fn body(&mut self, body: &BodyDoc) -> Value {
        let mut content = Map::new();
        for (media_type, schema) in &body.content {
            let mut of_type = json!({ "schema": schema(&mut self.requests) });
            if let Some(example) = &body.example {
                of_type["example"] = example.clone();
            }
            content.insert((*media_type).to_owned(), of_type);
        }
        json!({ "required": body.required, "content": content })
    }

    fn responses(&mut self, path: &str, operation: &Operation) -> Value {
        let mut responses = Map::new();
        for reply in &operation.replies {
            let mut written = json!({ "description": reply.says });
            if let Some((media_type, schema)) = reply.content {
                written["content"] = json!({ media_type: { "schema": schema(&mut self.replies) } });
            }
            responses.insert(reply.status.to_string(), written);
        }
        for status in statuses_of(path, operation) {
            let known = responses.contains_key(&status.to_string());
            if !known {
                let problem = json!({ "$ref": format!("#/components/responses/{status}") });
                responses.insert(status.to_string(), problem);
            }
        }
        Value::Object(responses)
    }

    /// All schemas that were named. A type that is read and written alike is there once.
    fn schemas(mut self) -> Map<String, Value> {
        let mut schemas = self.requests.take_definitions(true);
        schemas.extend(self.replies.take_definitions(true));
        schemas
    }
}

/// The problems that a request may be answered with.
fn statuses_of(path: &str, operation: &Operation) -> Vec<u16> {
    // A probe and the document itself ask nobody.
    let mut statuses = match operation.open {
        true => vec![500, 503],
        false => vec![401, 429, 500, 503, 504],
    };
    let asks = operation.query.is_some() || operation.body.is_some() || operation.keyed != Keyed::No;
    if asks || path.contains('{') {
        statuses.push(400);
    }
    if operation.body.is_some() {
        statuses.extend([408, 413]);
    }
    if operation.body.as_ref().is_some_and(|body| body.required) {
        statuses.push(415);
    }
    if operation.keyed == Keyed::Window {
        // The body belongs to what the key is compared by.
        statuses.extend([408, 409, 413]);
    }
    statuses.extend(&operation.problems);
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The parameters that are parts of a path.
fn parts_of(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let name = name.trim_start_matches('*');
        let known = PARTS.iter().find(|(known, _, _)| *known == name);
        let (says, example) = known.map_or(("", ""), |(_, says, example)| (*says, *example));
        let schema = match name {
            "activity" => json!({ "type": "integer", "minimum": 0 }),
            _ => json!({ "type": "string", "minLength": 1, "maxLength": 256 }),
        };
        let example = if name == "activity" { json!(1) } else { json!(example) };
        json!({
            "name": name, "in": "path", "required": true, "description": says, "schema": schema, "example": example,
        })
    };
    names.map(parameter).collect()
}

/// The members of a type as parameters behind the path.
fn parameters_of(schema: Schema) -> Vec<Value> {
    let schema = schema.to_value();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(members) = schema["properties"].as_object() else { return Vec::new() };
    let parameter = |(name, member): (&String, &Value)| {
        let mut schema = member.clone();
        // What is not given is not there: null is a text like any other, behind a path.
        if let Some(kinds) = schema["type"].as_array() {
            let kind = kinds.iter().find(|kind| *kind != "null").cloned();
            schema["type"] = kind.unwrap_or_else(|| json!("string"));
        }
        let mut parameter =
            json!({ "name": name, "in": "query", "required": required.contains(&json!(name)) });
        if let Some(members) = schema.as_object_mut() {
            members.remove("default");
            for (from, to) in [("description", "description"), ("examples", "examples")] {
                let Some(found) = members.remove(from) else { continue };
                match found.as_array().and_then(|all| all.first()) {
                    Some(example) => parameter["example"] = example.clone(),
                    None => parameter[to] = found,
                }
            }
        }
        parameter["schema"] = schema;
        parameter
    };
    members.iter().map(parameter).collect()
}

fn key_parameter(keyed: Keyed) -> Option<Value> {
    let says = match keyed {
        Keyed::No => return None,
        Keyed::Window => {
            "Makes the request safe to repeat: with the same key and content it is answered as it was, for some \
             minutes, by the node that was asked first. 409 if the content differs."
        }
        Keyed::Named => {
            "Makes the request safe to repeat, at any node, as long as what it has made is kept. 409 if the content \
             differs."
        }
    };
    Some(json!({
        "name": "Idempotency-Key", "in": "header", "required": false, "description": says,
        "schema": { "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$" },
    }))
}

/// Makes the words of the code's documentation plain: its links lead nowhere from here.
fn plain_words(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
                    }
                    other => plain_words(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain_words),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schema of any JSON.
pub(super) fn anything(_: &mut SchemaGenerator) -> Schema {
    Schema::from(true)
}

/// The schema of a text.
pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "string" })
}

/// The schema of a CloudEvent in JSON.
pub(super) fn cloud_event(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "minLength": 1 },
            "source": { "type": "string", "minLength": 1 },
            "type": { "type": "string", "minLength": 1 },
            "subject": { "type": ["string", "null"], "minLength": 1 },
            "time": { "type": ["string", "null"], "format": "date-time" },
            "datacontenttype": { "type": ["string", "null"] },
            "dataschema": { "type": ["string", "null"] },
            "data": true,
            "data_base64": { "type": ["string", "null"] }
        },
        "examples": [{
            "specversion": "1.0", "id": "1", "source": "/here", "type": "com.example.done", "data": { "n": 1 }
        }]
    })
}

/// The schema of a list of CloudEvents.
pub(super) fn cloud_events(generator: &mut SchemaGenerator) -> Schema {
    let event = cloud_event(generator);
    schemars::json_schema!({ "type": "array", "items": event, "maxItems": 10_000 })
}

/// What an object of the inventory, or a monitor or sink, is described by: each type has a schema of its own.
pub(super) fn described(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}
