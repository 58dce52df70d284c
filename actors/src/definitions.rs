//! The definitions that this node knows: immutable, so they are shared and never copied.
//!
//! There may be very many, of which few are at work. So a definition is kept as its text and its outline, and compiled when
//! somebody asks for it. Whoever has it keeps it; of those that nobody has, the last [`KEPT`] compiled ones are kept.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dashmap::DashMap;
use impresario_model::definition::{Definition, DefinitionId, Outline};
use impresario_model::instance::DEFAULT_TASK_LIMIT;
use impresario_model::language::{Catalog, compile};

/// So many compiled definitions stay in memory that nobody may need any more: some 45 MiB of those of common size.
pub const KEPT: usize = 4_096;

/// What a definition is compiled from. It compiles: whoever adds it has seen that.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its text.
    pub text: Arc<str>,
    /// What it may call, shared by the definitions of a pack.
    pub catalog: Arc<Catalog>,
}

/// All known definitions, by id and by name.
#[derive(Debug)]
pub struct Definitions {
    /// How many tasks an instance may run, unless its definition says.
    task_limit: u64,
    by_id: DashMap<DefinitionId, Known>,
    /// `namespace/name` to the id of the highest version.
    newest: DashMap<String, DefinitionId>,
    /// Those that were compiled last, oldest first.
    recent: Mutex<VecDeque<Arc<Definition>>>,
    kept: usize,
}

#[derive(Debug)]
struct Known {
    outline: Arc<Outline>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// There is no text of it.
    Compiled(Arc<Definition>),
    Text(Source, Weak<Definition>),
}

impl Default for Definitions {
    fn default() -> Self {
        Definitions::new(DEFAULT_TASK_LIMIT)
    }
}

impl Definitions {
    /// None yet. An instance may run `task_limit` tasks, unless its definition says otherwise.
    pub fn new(task_limit: u64) -> Self {
        Definitions {
            task_limit,
            by_id: DashMap::new(),
            newest: DashMap::new(),
            recent: Mutex::default(),
            kept: KEPT,
        }
    }

    /// With another number of compiled definitions that stay in memory though nobody has them.
    pub fn keeping(self, kept: usize) -> Self {
        Definitions { kept, ..self }
    }

    /// Adds a definition that stays compiled.
    pub fn add(&self, definition: Definition) -> Arc<Definition> {
        let outline = Arc::new(Outline::of(&definition));
        let definition = self.completed(definition);
        self.insert(Known { outline, form: Form::Compiled(Arc::clone(&definition)) });
        definition
    }

    /// Adds a definition that is compiled when somebody asks for it.
    pub fn add_source(&self, outline: Arc<Outline>, source: Source) {
        self.insert(Known { outline, form: Form::Text(source, Weak::new()) });
    }

    /// The newest of a name is the one with the highest version.
    fn insert(&self, known: Known) {
        let id = known.outline.id.clone();
        let mut newest =
            self.newest.entry(format!("{}/{}", id.namespace, id.name)).or_insert_with(|| id.clone());
        if compare_versions(&newest.version, &id.version) != Ordering::Greater {
            newest.clone_from(&id);
        }
        drop(newest);
        self.by_id.insert(id, known);
    }

    fn completed(&self, mut definition: Definition) -> Arc<Definition> {
        definition.ops.task_limit.get_or_insert(self.task_limit);
        Arc::new(definition)
    }

    /// Whether there is a definition of an id.
    pub fn knows(&self, id: &DefinitionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The definition of an id, compiled if need be.
    pub fn get(&self, id: &DefinitionId) -> Option<Arc<Definition>> {
        let source = match &self.by_id.get(id)?.form {
            Form::Compiled(definition) => return Some(Arc::clone(definition)),
            Form::Text(source, compiled) => match compiled.upgrade() {
                Some(definition) => return Some(definition),
                None => source.clone(),
            },
        };
        // Nobody waits for it at the map meanwhile. Two who ask at the same time may both compile it.
        let definition = match compile(&source.text, &source.catalog) {
            Ok(definition) => self.completed(definition),
            Err(diagnostics) => {
                let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(definition = %id, error = first, "a definition that was checked does not compile");
                return None;
            }
        };
        if let Some(mut known) = self.by_id.get_mut(id)
            && let Form::Text(_, compiled) = &mut known.form
        {
            *compiled = Arc::downgrade(&definition);
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(Arc::clone(&definition));
        let oldest = if recent.len() > self.kept { recent.pop_front() } else { None };
        drop(recent);
        drop(oldest);
        Some(definition)
    }

    /// The definition that `namespace/name:version` names, or the newest of `namespace/name`.
    pub fn find(&self, name: &str) -> Option<Arc<Definition>> {
        match name.parse::<DefinitionId>() {
            Ok(id) => self.get(&id),
            Err(_) => {
                let id = self.newest.get(name).map(|found| found.value().clone())?;
                self.get(&id)
            }
        }
    }

    /// The outline of the newest of `namespace/name`.
    pub fn newest_named(&self, name: &str) -> Option<Arc<Outline>> {
        let id = self.newest.get(name).map(|found| found.value().clone())?;
        self.outline(&id)
    }

    /// The outline of an id.
    pub fn outline(&self, id: &DefinitionId) -> Option<Arc<Outline>> {
        self.by_id.get(id).map(|known| Arc::clone(&known.outline))
    }

    /// All definitions, by id.
    pub fn all(&self) -> Vec<Arc<Outline>> {
        let mut all: Vec<_> = self.by_id.iter().map(|known| Arc::clone(&known.outline)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// What definitions are compiled from, by their text.
    pub fn sources(&self) -> HashMap<Arc<str>, (DefinitionId, Arc<Catalog>)> {
        let source = |known: &Known| match &known.form {
            Form::Compiled(_) => None,
            Form::Text(source, _) => {
                Some((Arc::clone(&source.text), (known.outline.id.clone(), Arc::clone(&source.catalog))))
            }
        };
        self.by_id.iter().filter_map(|known| source(known.value())).collect()
    }

    /// The newest definition of each name.
    pub fn newest(&self) -> Vec<Arc<Outline>> {
        let ids: Vec<DefinitionId> = self.newest.iter().map(|found| found.value().clone()).collect();
        let mut newest: Vec<_> = ids.iter().filter_map(|id| self.outline(id)).collect();
        newest.sort_by(|a, b| a.id.cmp(&b.id));
        newest
    }

    /// The newest of each name among `ids`, by id.
    pub fn newest_of(&self, ids: &BTreeSet<DefinitionId>) -> Vec<Arc<Outline>> {
        let mut newest: BTreeMap<(&str, &str), &DefinitionId> = BTreeMap::new();
        for id in ids {
            let known = newest.entry((&id.namespace, &id.name)).or_insert(id);
            if compare_versions(&known.version, &id.version) == Ordering::Less {
                *known = id;
            }
        }
        newest.into_values().filter_map(|id| self.outline(id)).collect()
    }
}

/// The order of semantic versions (semver.org, section 11), near enough: numbers first, then a release after its
/// candidates, then the text of the candidate.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    precedence(a).cmp(&precedence(b))
}

fn precedence(version: &str) -> (Vec<u64>, bool, &str) {
    let version = version.split('+').next().unwrap_or_default();
    let (numbers, candidate) = version.split_once('-').unwrap_or((version, ""));
    let numbers = numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect();
    (numbers, candidate.is_empty(), candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        let ordered = ["0.9.0", "0.10.0", "1.0.0-rc1", "1.0.0-rc2", "1.0.0", "1.0.1"];
        for pair in ordered.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    /// Adds definitions of these names, of which nothing is compiled afterwards.
    fn texts(definitions: &Definitions, count: usize) -> Vec<DefinitionId> {
        let catalog = Arc::new(Catalog::default());
        let add = |number: usize| {
            let text = format!(
                "document: {{ dsl: '1.0.3', namespace: many, name: n{number}, version: '1.0.0' }}\n\
                 schedule: {{ cron: '0 0 * * *' }}\ndo: [ {{ done: {{ set: {{ ok: true }} }} }} ]\n"
            );
            let outline = Arc::new(Outline::of(&compile(&text, &catalog).unwrap()));
            let id = outline.id.clone();
            definitions.add_source(outline, Source { text: text.into(), catalog: Arc::clone(&catalog) });
            id
        };
        (0..count).map(add).collect()
    }

    fn compiled(definitions: &Definitions) -> usize {
        let is_compiled = |known: &Known| match &known.form {
            Form::Compiled(_) => true,
            Form::Text(_, compiled) => compiled.strong_count() > 0,
        };
        definitions.by_id.iter().filter(|known| is_compiled(known.value())).count()
    }

    #[test]
    fn a_definition_is_compiled_when_it_is_asked_for_and_kept_while_somebody_has_it() {
        let definitions = Definitions::new(7).keeping(3);
        let ids = texts(&definitions, 10);
        let names: Vec<String> =
            definitions.newest().iter().map(|known| known.triggers[0].name.clone()).collect();
        assert_eq!((names.len(), compiled(&definitions)), (10, 0), "to list them compiles none");

        let first = definitions.get(&ids[0]).unwrap();
        assert!(Arc::ptr_eq(&first, &definitions.find("many/n0").unwrap()), "it is shared");
        assert_eq!(first.ops.task_limit, Some(7), "completed as any other");
        for id in &ids {
            assert_eq!(definitions.get(id).unwrap().id, *id);
        }
        assert_eq!(compiled(&definitions), 4, "the last three, and the one that is in use");
        assert!(Arc::ptr_eq(&first, &definitions.get(&ids[0]).unwrap()), "which is not compiled again");
        drop(first);
        assert_eq!(compiled(&definitions), 3);
        assert_eq!(definitions.get(&ids[0]).unwrap().id, ids[0], "and then it is");
    }
}
