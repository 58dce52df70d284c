//! Scenarios as data: one YAML file per theme in `scenarios/`, each with a list of scenarios.
//!
//! ```yaml
//! - name: what is shown, in words
//!   do: […]                # the tasks; a header is put in front
//!   document: {…}          # further top-level members of the definition, and members of `document`
//!   input: …
//!   answers:               # what activities answer, by what they are about (see `world`)
//!     SUBJECT: [answer, …] # one for each activity of that subject; the last one stands for all later ones
//!   probes:                # what the adapter finds out about attempts that were cut off
//!     SUBJECT: [answer, …] # one for each attempt of an activity; the last one stands for all later ones
//!   events: [{ at: MILLISECONDS, … }]   # what happens from outside, see `Happening`
//!   sweep: false        # not for the crash sweep, where times and attempts may differ
//!   expect:
//!     status: completed
//!     output: …            # exactly
//!     error: {…}           # at least these members
//!     tasks: [a, b]        # the names of all tasks that began, in order
//!     activities: [{…}]    # of each activity at least these members, in order
//!     events: [a.b]        # the types of the events it emits, in order
//!     states: […]          # what each attempt found saved, in order; null for nothing
//!     took: MILLISECONDS   # from start to end, exactly; or [at least, at most]
//!     turns: [1, 9]        # how many entries it took, at least and at most
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use impresario_model::definition::Definition;
use impresario_model::inventory::{ADAPTER, SELECT};
use impresario_model::language::{AdapterFunction, Catalog, compile};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    #[serde(rename = "do")]
    tasks: Value,
    #[serde(default)]
    document: Map<String, Value>,
    #[serde(default = "empty")]
    pub input: Value,
    #[serde(default)]
    pub answers: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    pub probes: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    pub events: Vec<Happening>,
    #[serde(default = "yes")]
    pub sweep: bool,
    pub expect: Expectation,
}

/// What happens from outside, `at` so many milliseconds after the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happening {
    pub at: u64,
    /// An operator cancels it, for this reason.
    #[serde(default)]
    pub cancel: Option<String>,
    /// It is started again with this input.
    #[serde(default)]
    pub start: Option<Value>,
    /// A report `{activity, attempt, output}` comes from nowhere.
    #[serde(default)]
    pub report: Option<StrayReport>,
    /// An operator decides about an activity.
    #[serde(default)]
    pub resolve: Option<Order>,
    /// An attempt `{activity, attempt, state}` saves something.
    #[serde(default)]
    pub save: Option<Save>,
    /// An event comes in; `id`, `source` and `specversion` are filled in.
    #[serde(default)]
    pub event: Option<Map<String, Value>>,
}

/// `{activity, attempt}` and one of `retry: true`, `accept: OUTPUT`, `skip: true`, `fail: REASON`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub activity: u64,
    pub attempt: u32,
    #[serde(default)]
    pub retry: bool,
    #[serde(default)]
    pub accept: Option<Value>,
    #[serde(default)]
    pub skip: bool,
    #[serde(default)]
    pub fail: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Save {
    pub activity: u64,
    pub attempt: u32,
    pub state: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrayReport {
    pub activity: u64,
    pub attempt: u32,
    pub output: Value,
}

/// What is expected of the end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    pub status: String,
    #[serde(default, deserialize_with = "present")]
    pub output: Option<Value>,
    #[serde(default)]
    pub error: Option<Value>,
    #[serde(default)]
    pub tasks: Option<Vec<String>>,
    #[serde(default)]
    pub activities: Option<Vec<Value>>,
    /// The types of the events that it emits, in order.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// What each attempt found saved, in order.
    #[serde(default)]
    pub states: Option<Vec<Value>>,
    #[serde(default)]
    pub took: Option<Value>,
    #[serde(default)]
    pub turns: Option<[usize; 2]>,
}

/// Tells an expected `null` from nothing expected.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn empty() -> Value {
    json!({})
}

fn yes() -> bool {
    true
}

impl Scenario {
    /// Its definition, compiled.
    pub fn definition(&self) -> Definition {
        let mut document = json!({
            "document": { "dsl": "1.0.3", "namespace": "test", "name": "scenario", "version": "1.0.0" },
            "do": self.tasks,
        });
        for (key, value) in &self.document {
            match (key.as_str(), value) {
                ("document", Value::Object(members)) => {
                    for (key, value) in members {
                        document["document"][key] = value.clone();
                    }
                }
                _ => document[key] = value.clone(),
            }
        }
        definition_of(&document)
    }
}

/// A definition from its document.
pub fn definition_of(document: &Value) -> Definition {
    compile(&document.to_string(), &catalog()).unwrap_or_else(|found| {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        panic!("it does not compile:\n{}", found.join("\n"))
    })
}

/// The functions that scenarios call: `work` may be done again, `once` may not, nor `checked`, of which the adapter can
/// find out what became of it; `select` selects targets; `twice` and `strict` are tasks.
pub fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (adapter, name, restartable, probe) in [
        ("test", "work", true, false),
        ("test", "once", false, false),
        ("test", "checked", false, true),
        (ADAPTER, SELECT, true, false),
    ] {
        let function = AdapterFunction {
            adapter: adapter.to_owned(),
            function: name.to_owned(),
            restartable,
            probe,
            input: None,
        };
        catalog.adapter_functions.insert(format!("{name}:1.0.0"), function);
    }
    let twice = json!({ "do": [
        { "first": { "call": "work:1.0.0@default", "with": { "job": "${ .job }" }, "output": { "as": "$input" } } },
        { "second": { "call": "work:1.0.0@default", "with": { "job": "${ .job + \"-again\" }" } } },
    ]});
    let strict = json!({
        "input": { "schema": { "document": {
            "type": "object", "required": ["size"], "properties": { "size": { "type": "integer" } },
        } } },
        "set": { "area": "${ .size * .size }" },
    });
    for (name, body) in [("twice", twice), ("strict", strict)] {
        catalog.task_functions.insert(format!("{name}:1.0.0"), body.to_string());
    }
    catalog
}

/// All scenarios, with the name of their file in front of their own.
pub fn all() -> Vec<Scenario> {
    let folder = folder();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files.iter().flat_map(|path| read(path)).collect()
}

/// Beside this file, whichever package includes it.
fn folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = package.join("tests/scenarios");
    if own.is_dir() { own } else { package.join("model/tests/scenarios") }
}

fn read(path: &Path) -> Vec<Scenario> {
    let text = std::fs::read_to_string(path).unwrap();
    let theme = path.file_stem().unwrap().to_string_lossy().into_owned();
    let scenarios: Vec<Scenario> =
        serde_saphyr::from_str_with_options(&text, serde_saphyr::options! { strict_booleans: true })
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let named = |scenario: Scenario| Scenario { name: format!("{theme}: {}", scenario.name), ..scenario };
    scenarios.into_iter().map(named).collect()
}

/// Whether `found` has at least the members of `wanted`, at any depth; lists are compared item by item.
pub fn includes(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| found.get(key).map_or(wanted.is_null(), |found| includes(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| includes(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}
