//! What is wanted of an adapter in the whole environment: the durable setting `adapter/NAME`, and what it means for the
//! host of a node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use impresario_actors::hosts::HostSpec;
use impresario_adapter::{FunctionKind, Manifest};
use impresario_model::definition::Schema;
use impresario_model::language::{AdapterFunction, Catalog};
use impresario_persistence::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Where the environment keeps it, under the adapter's name.
const PREFIX: &str = "adapter/";
/// Beyond this a manifest is no description any more.
const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The longest wait that makes sense to somebody.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// What may be set, for an error.
const KEYS: &str =
    "concurrency, queue, memory_limit, idle_timeout, stop_timeout, retire_timeout, hello_timeout";

/// What is wanted of an adapter. An adapter without a setting is wanted as [`Wanted::default`] says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Wanted {
    /// It has no process, and its work waits.
    pub stopped: bool,
    /// Grows by one with each restart that is asked for, and each change of what follows: every node follows it.
    pub restarts: u64,
    /// Why it has grown last.
    pub reason: String,
    /// Settings that differ from those of the nodes, by key.
    pub settings: BTreeMap<String, String>,
    /// What to start, for an adapter that is not built in. One that has none was removed.
    pub program: Option<Program>,
}

/// An adapter that is any program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// It and its arguments.
    pub command: Vec<String>,
    /// Variables beyond those that every adapter gets.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What it said of itself when it was added, so that every node can compile what calls it.
    pub manifest: Manifest,
}

impl Program {
    /// As definitions call them, with what they are.
    pub fn functions(&self, adapter: &str) -> BTreeMap<String, AdapterFunction> {
        // What it watches is no activity.
        let activities = self.manifest.functions.iter().filter(|it| it.kind == FunctionKind::Activity);
        let functions = activities.map(|function| {
            let known = AdapterFunction {
                adapter: adapter.to_owned(),
                function: function.name.clone(),
                restartable: function.restartable,
                probe: function.probe,
                input: function.input.clone(),
            };
            (format!("{}:{}", function.name, function.version), known)
        });
        functions.collect()
    }
}

/// The key of the setting.
pub fn key(adapter: &str) -> String {
    format!("{PREFIX}{adapter}")
}

/// What is wanted of all adapters that anything is wanted of. What cannot be read is left out and told: the others go on.
///
/// # Errors
/// When the store does not answer.
pub async fn read_all(store: &Arc<dyn Store>) -> Result<BTreeMap<String, Wanted>, StoreError> {
    let mut all = BTreeMap::new();
    for (key, setting) in store.settings(PREFIX.to_owned()).await? {
        match serde_json::from_slice(&setting.bytes) {
            Ok(wanted) => {
                all.insert(key.trim_start_matches(PREFIX).to_owned(), wanted);
            }
            Err(error) => {
                tracing::error!(key, %error, "a setting of the environment is damaged; it is left out")
            }
        }
    }
    Ok(all)
}

/// Adds what programs can do to what the built-in adapters can.
pub fn extend(catalog: &mut Catalog, wanted: &BTreeMap<String, Wanted>) {
    for (name, wanted) in wanted {
        if let Some(program) = &wanted.program {
            for (function, known) in program.functions(name) {
                // What is built in comes first, also when a newer version of this program brings it.
                catalog.adapter_functions.entry(function).or_insert(known);
            }
        }
    }
}

/// The host that is wanted, on the ground of what the node starts all of them with.
///
/// # Errors
/// What is wrong with a setting: what was expected, and what was found.
pub fn host(mut spec: HostSpec, wanted: &Wanted) -> Result<HostSpec, String> {
    if let Some(program) = &wanted.program {
        let (first, arguments) = program.command.split_first().ok_or("expected a program, found none")?;
        spec.program = first.into();
        spec.arguments = arguments.to_vec();
        spec.environment.extend(program.environment.clone());
    }
    for (key, value) in &wanted.settings {
        match key.as_str() {
            "concurrency" => spec.concurrency = count(key, value)?,
            "queue" => spec.queue = count(key, value)?,
            "memory_limit" => spec.memory_max = Some(bytes(key, value)?).filter(|limit| *limit > 0),
            "idle_timeout" => spec.idle_timeout = Some(wait(key, value)?).filter(|wait| !wait.is_zero()),
            "stop_timeout" => spec.stop_timeout = wait(key, value)?,
            "retire_timeout" => spec.retire_timeout = wait(key, value)?,
            "hello_timeout" => spec.hello_timeout = wait(key, value)?,
            _ => return Err(format!("expected one of the settings {KEYS}, found '{key}'")),
        }
    }
    spec.validate().map_err(|error| error.to_string())?;
    Ok(spec)
}

fn count(key: &str, value: &str) -> Result<usize, String> {
    let found = value.parse().ok().filter(|count| (1..=1_000_000).contains(count));
    found.ok_or_else(|| format!("{key}: expected a whole number from 1 to 1000000, found '{value}'"))
}

fn bytes(key: &str, value: &str) -> Result<u64, String> {
    let found = value.parse::<impresario_config::ByteSize>();
    found.map(|size| size.0).map_err(|expected| format!("{key}: expected {expected}, found '{value}'"))
}

fn wait(key: &str, value: &str) -> Result<Duration, String> {
    let found = humantime::parse_duration(value).ok().filter(|wait| *wait <= WAIT_MAX);
    found.ok_or_else(|| format!("{key}: expected a duration such as 30s, 5m or 0s, found '{value}'"))
}

/// Whether a manifest can be taken into the catalog of the environment, beside what is there.
///
/// # Errors
/// What was expected, and what was found.
pub fn check(adapter: &str, program: &Program, others: &Catalog) -> Result<(), String> {
    let manifest = &program.manifest;
    let size = serde_json::to_vec(manifest).map_or(usize::MAX, |bytes| bytes.len());
    if size > MANIFEST_BYTES_MAX {
        return Err(format!("expected a hello of at most {MANIFEST_BYTES_MAX} bytes, found {size}"));
    }
    for function in &manifest.functions {
        let name = &function.name;
        if name.is_empty() || name.contains([':', '@', '/', ' ']) {
            return Err(format!(
                "expected a function's name without ':', '@', '/' and spaces, found '{name}'"
            ));
        }
        for (of, schema) in [("arguments", &function.input), ("output", &function.output)] {
            if let Some(Err(error)) = schema.as_ref().map(Schema::compile) {
                return Err(format!("function '{name}': expected a JSON Schema of its {of}, found: {error}"));
            }
        }
    }
    for called in program.functions(adapter).keys() {
        if let Some(other) = others.adapter_functions.get(called).filter(|other| other.adapter != adapter) {
            return Err(format!(
                "expected functions that no other adapter has, found '{called}' of adapter '{}' too",
                other.adapter
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use impresario_adapter::{Function, PROTOCOL};
    use serde_json::json;

    use super::*;

    fn spec(settings: &[(&str, &str)]) -> Result<HostSpec, String> {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        host(HostSpec::new("x", "/bin/x"), &Wanted { settings, ..Wanted::default() })
    }

    #[test]
    fn settings_change_the_host_and_wrong_ones_are_told() {
        let host = spec(&[("concurrency", "7"), ("memory_limit", "64MiB"), ("idle_timeout", "0s")]).unwrap();
        assert_eq!((host.concurrency, host.memory_max, host.idle_timeout), (7, Some(64 << 20), None));
        for (key, value, words) in [
            ("concurency", "7", "found 'concurency'"),
            ("concurrency", "0", "from 1 to"),
            ("memory_limit", "much", "expected a size"),
            ("stop_timeout", "soon", "expected a duration"),
        ] {
            let error = spec(&[(key, value)]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_hello_that_makes_no_sense_is_refused() {
        let program = |function: Function| Program {
            command: vec!["/bin/x".to_owned()],
            environment: BTreeMap::new(),
            manifest: Manifest {
                adapter: "x".to_owned(),
                version: "1".to_owned(),
                protocol: PROTOCOL,
                functions: vec![function],
                concurrency: 1,
            },
        };
        let function = |name: &str| Function {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            ..Function::default()
        };
        let catalog = crate::node::builtin_catalog();
        assert_eq!(check("x", &program(function("greet")), &catalog), Ok(()));
        let bad = Function { input: Some(json!({"type": 7})), ..function("greet") };
        assert!(check("x", &program(bad), &catalog).unwrap_err().contains("JSON Schema of its arguments"));
        assert!(check("x", &program(function("a b")), &catalog).unwrap_err().contains("found 'a b'"));
        assert!(
            check("x", &program(function("echo")), &catalog).unwrap_err().contains("of adapter 'command'")
        );
    }
}
