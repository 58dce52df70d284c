//! Packs: a folder with `pack.yaml`, `definitions/*.yaml`, `functions/<name>/<version>/function.yaml`, and perhaps
//! `targets/*.yaml`, `groups/*.yaml` and `calendars/*.yaml` with parts of an inventory, and `webhooks/*.yaml`, `monitors/*.yaml` and
//! `sinks/*.yaml`, each named after what it declares.
//!
//! A single definition file is a pack too, named after the file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use impresario_model::definition::{Definition, DefinitionId};
use impresario_model::language::{self, Catalog, Diagnostic};
use serde::Deserialize;
use serde_json::Value;

use crate::declared::DeclaredKind;
use crate::diagnostics;
use crate::inventory::InventoryDocument;
use crate::webhook::WebhookSpec;

/// A file of a pack beyond this is no definition.
const FILE_LIMIT: u64 = 1 << 20;
/// Definitions or functions of one pack.
const FILES_LIMIT: usize = 10_000;

/// A loaded pack; nothing in it is checked yet but `pack.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is called.
    pub title: Option<String>,
    /// What it is for.
    pub summary: Option<String>,
    /// The definitions by path, each with its text.
    pub sources: Vec<(PathBuf, String)>,
    /// The functions that are tasks, by `name:version`, each with its text.
    pub functions: BTreeMap<String, String>,
    /// The targets, their types and groups, and the calendars by path.
    pub inventory: Vec<(PathBuf, InventoryDocument)>,
    /// What it declares by name: the path, what it is, its name, what it is to do.
    pub declared: Vec<(PathBuf, DeclaredKind, String, Value)>,
    /// The webhooks, by name.
    pub webhooks: BTreeMap<String, WebhookSpec>,
}

/// Why a path is no pack.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or folder cannot be read.
    #[error("expected to read {}, found: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds something else.
    #[error("expected {expected} in {}, found {found}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
}

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiagnostics {
    /// The file.
    pub path: PathBuf,
    /// Its text, to show the lines.
    pub source: String,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    name: String,
    version: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    summary: Option<String>,
}

/// Loads a pack folder or a single definition.
///
/// # Errors
/// When it cannot be read, or is no pack.
pub fn load(path: &Path) -> Result<Pack, PackError> {
    let folder = fs::metadata(path).map_err(|source| io_error(path, source))?.is_dir();
    if folder { load_folder(path) } else { load_file(path) }
}

fn load_file(path: &Path) -> Result<Pack, PackError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let sources = vec![(path.to_owned(), read(path)?)];
    let functions = BTreeMap::new();
    let (inventory, webhooks) = (Vec::new(), BTreeMap::new());
    let declared = Vec::new();
    let version = "0.0.0".to_owned();
    Ok(Pack { name, version, title: None, summary: None, sources, functions, inventory, webhooks, declared })
}

fn load_folder(path: &Path) -> Result<Pack, PackError> {
    let file = path.join("pack.yaml");
    let text = read(&file)?;
    let content = |found: String| PackError::Content {
        path: file.clone(),
        expected: "name, version, and perhaps title and summary".to_owned(),
        found,
    };
    let described: PackFile = serde_saphyr::from_str(&text).map_err(|error| content(error.to_string()))?;
    if described.name.is_empty() || described.version.is_empty() {
        return Err(content("an empty name or version".to_owned()));
    }
    let folder = path.join("definitions");
    let inventory = load_inventory(path)?;
    let webhooks = load_webhooks(&path.join("webhooks"))?;
    let declared = load_declared(path)?;
    let alone = inventory.is_empty() && webhooks.is_empty() && declared.is_empty();
    let found = if alone || folder.exists() { files(&folder)? } else { Vec::new() };
    let definitions = found.into_iter().filter(|path| is_yaml(path));
    let sources =
        definitions.map(|path| read(&path).map(|text| (path, text))).collect::<Result<Vec<_>, _>>()?;
    if sources.is_empty() && alone {
        let expected = "at least one definition, *.yaml,".to_owned();
        return Err(PackError::Content { path: folder, expected, found: "none".to_owned() });
    }
    let PackFile { name, version, title, summary } = described;
    let functions = load_functions(&path.join("functions"))?;
    Ok(Pack { name, version, title, summary, sources, functions, inventory, webhooks, declared })
}

fn load_functions(folder: &Path) -> Result<BTreeMap<String, String>, PackError> {
    let mut functions = BTreeMap::new();
    if !folder.exists() {
        return Ok(functions);
    }
    for name in files(folder)? {
        for version in files(&name)? {
            let text = read(&version.join("function.yaml"))?;
            let part = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            functions.insert(format!("{}:{}", part(&name), part(&version)), text);
        }
    }
    Ok(functions)
}

/// One file each, named after what it declares: `monitors/NAME.yaml`.
fn load_declared(pack: &Path) -> Result<Vec<(PathBuf, DeclaredKind, String, Value)>, PackError> {
    let mut declared = Vec::new();
    for kind in DeclaredKind::ALL {
        let folder = pack.join(kind.plural());
        if !folder.exists() {
            continue;
        }
        for path in files(&folder)?.into_iter().filter(|path| is_yaml(path)) {
            let options = serde_saphyr::options! { strict_booleans: true };
            let spec: Value =
                serde_saphyr::from_str_with_options(&read(&path)?, options).map_err(|found| {
                    PackError::Content {
                        path: path.clone(),
                        expected: format!("what a {kind} is to do"),
                        found: found.to_string(),
                    }
                })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            declared.push((path, kind, name, spec));
        }
    }
    Ok(declared)
}

/// Targets before groups, which name them.
fn load_inventory(pack: &Path) -> Result<Vec<(PathBuf, InventoryDocument)>, PackError> {
    let mut documents = Vec::new();
    for folder in ["targets", "groups", "calendars"]
        .map(|name| pack.join(name))
        .into_iter()
        .filter(|folder| folder.exists())
    {
        for path in files(&folder)?.into_iter().filter(|path| is_yaml(path)) {
            let document = InventoryDocument::parse(&read(&path)?).map_err(|found| PackError::Content {
                path: path.clone(),
                expected: "targetTypes, targets, groups or calendars, each by name,".to_owned(),
                found,
            })?;
            documents.push((path, document));
        }
    }
    Ok(documents)
}

/// Each is compiled once, so that a mistake is told with its place before anything is deployed.
fn load_webhooks(folder: &Path) -> Result<BTreeMap<String, WebhookSpec>, PackError> {
    let mut webhooks = BTreeMap::new();
    if !folder.exists() {
        return Ok(webhooks);
    }
    for path in files(folder)?.into_iter().filter(|path| is_yaml(path)) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = read(&path)?;
        let spec = WebhookSpec::parse(&text).and_then(|spec| spec.compile(&name).map(|_| spec));
        let spec = spec.map_err(|found| PackError::Content {
            path: path.clone(),
            expected: "a webhook".to_owned(),
            found,
        })?;
        if webhooks.insert(name.clone(), spec).is_some() {
            let expected = format!("one file of the webhook '{name}'");
            return Err(PackError::Content { path, expected, found: "two".to_owned() });
        }
    }
    Ok(webhooks)
}

/// What is in a folder, by name, without hidden files: editors leave some.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PackError> {
    let failed = |source| io_error(folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
        if paths.len() > FILES_LIMIT {
            let expected = format!("at most {FILES_LIMIT} files");
            return Err(PackError::Content { path: folder.to_owned(), expected, found: "more".to_owned() });
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn read(path: &Path) -> Result<String, PackError> {
    let length = fs::metadata(path).map_err(|source| io_error(path, source))?.len();
    if length > FILE_LIMIT {
        let expected = format!("at most {FILE_LIMIT} bytes");
        return Err(PackError::Content { path: path.to_owned(), expected, found: length.to_string() });
    }
    fs::read_to_string(path).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> PackError {
    PackError::Io { path: path.to_owned(), source }
}

/// What a source of a pack is.
#[derive(Debug)]
pub enum Compiled {
    /// The text of a definition that is known, so it was not compiled.
    Known(DefinitionId),
    /// Another one.
    New(Box<Definition>),
}

/// Compiles all definitions of a pack, in the order of its sources, with its own functions in the catalog.
///
/// # Errors
/// Everything that is wrong, by file.
pub fn compile(pack: &Pack, catalog: &Catalog) -> Result<Vec<Definition>, Vec<FileDiagnostics>> {
    let mut catalog = catalog.clone();
    catalog.task_functions.extend(pack.functions.clone());
    let compiled = compile_new(pack, &catalog, &|_| None)?;
    let new = compiled.into_iter().filter_map(|compiled| match compiled {
        Compiled::New(definition) => Some(*definition),
        Compiled::Known(_) => None,
    });
    Ok(new.collect())
}

/// The same with those left out whose text is known, and with a catalog that has the functions of the pack.
///
/// # Errors
/// Everything that is wrong, by file.
pub fn compile_new(
    pack: &Pack,
    catalog: &Catalog,
    known: &(dyn Fn(&str) -> Option<DefinitionId> + Sync),
) -> Result<Vec<Compiled>, Vec<FileDiagnostics>> {
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<DefinitionId, &Path> = BTreeMap::new();
    for ((path, source), compiled) in pack.sources.iter().zip(compile_all(&pack.sources, catalog, known)) {
        let diagnostics = match compiled {
            Ok(compiled) => {
                let id = match &compiled {
                    Compiled::Known(id) => id,
                    Compiled::New(definition) => &definition.id,
                };
                match seen.insert(id.clone(), path) {
                    None => {
                        all.push(compiled);
                        continue;
                    }
                    Some(first) => vec![twice(id, first)],
                }
            }
            Err(diagnostics) => diagnostics,
        };
        wrong.push(FileDiagnostics { path: path.clone(), source: source.clone(), diagnostics });
    }
    if wrong.is_empty() { Ok(all) } else { Err(wrong) }
}

/// Compiles sources on all processors, as there may be very many, and answers in their order.
fn compile_all(
    sources: &[(PathBuf, String)],
    catalog: &Catalog,
    known: &(dyn Fn(&str) -> Option<DefinitionId> + Sync),
) -> Vec<Result<Compiled, Vec<Diagnostic>>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let each = sources.len().div_ceil(processors).max(1);
    let one = |source: &str| match known(source) {
        Some(id) => Ok(Compiled::Known(id)),
        None => language::compile(source, catalog).map(|definition| Compiled::New(Box::new(definition))),
    };
    let part =
        |part: &[(PathBuf, String)]| -> Vec<_> { part.iter().map(|(_, source)| one(source)).collect() };
    thread::scope(|scope| {
        let parts: Vec<_> =
            sources.chunks(each).map(|chunk| (chunk, scope.spawn(move || part(chunk)))).collect();
        // A part that panicked does so again here, where it belongs to whoever asked.
        parts
            .into_iter()
            .flat_map(|(chunk, running)| running.join().unwrap_or_else(|_| part(chunk)))
            .collect()
    })
}

fn twice(id: &DefinitionId, first: &Path) -> Diagnostic {
    Diagnostic {
        line: 0,
        column: 0,
        pointer: "/document".to_owned(),
        message: format!("expected a definition of its own, found {id} again as in {}", first.display()),
        hint: Some("change document.name, or raise document.version".to_owned()),
    }
}

/// What is wrong, as plain text with the lines in question.
pub fn describe(files: &[FileDiagnostics]) -> String {
    anstream::adapter::strip_str(&diagnostics::render(files)).to_string()
}
