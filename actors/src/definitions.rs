//! The definitions that this node knows: immutable, so they are shared and never copied.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dashmap::DashMap;
use impresario_model::definition::{Definition, DefinitionId};
use impresario_model::instance::DEFAULT_TASK_LIMIT;

/// All known definitions, by id and by name.
#[derive(Debug)]
pub struct Definitions {
    /// How many tasks an instance may run, unless its definition says.
    task_limit: u64,
    by_id: DashMap<DefinitionId, Arc<Definition>>,
    /// `namespace/name` to the id of the highest version.
    newest: DashMap<String, DefinitionId>,
}

impl Default for Definitions {
    fn default() -> Self {
        Definitions::new(DEFAULT_TASK_LIMIT)
    }
}

impl Definitions {
    /// None yet. An instance may run `task_limit` tasks, unless its definition says otherwise.
    pub fn new(task_limit: u64) -> Self {
        Definitions { task_limit, by_id: DashMap::new(), newest: DashMap::new() }
    }

    /// Adds a definition. The newest of a name is the one with the highest version.
    pub fn add(&self, mut definition: Definition) -> Arc<Definition> {
        definition.ops.task_limit.get_or_insert(self.task_limit);
        let definition = Arc::new(definition);
        let id = definition.id.clone();
        let mut newest =
            self.newest.entry(format!("{}/{}", id.namespace, id.name)).or_insert_with(|| id.clone());
        if compare_versions(&newest.version, &id.version) != Ordering::Greater {
            newest.clone_from(&id);
        }
        drop(newest);
        self.by_id.insert(id, Arc::clone(&definition));
        definition
    }

    /// The definition of an id.
    pub fn get(&self, id: &DefinitionId) -> Option<Arc<Definition>> {
        self.by_id.get(id).map(|found| Arc::clone(found.value()))
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

    /// All definitions, by id.
    pub fn all(&self) -> Vec<Arc<Definition>> {
        let mut all: Vec<_> = self.by_id.iter().map(|found| Arc::clone(found.value())).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The newest definition of each name.
    pub fn newest(&self) -> Vec<Arc<Definition>> {
        let ids: Vec<DefinitionId> = self.newest.iter().map(|found| found.value().clone()).collect();
        let mut newest: Vec<_> = ids.iter().filter_map(|id| self.get(id)).collect();
        newest.sort_by(|a, b| a.id.cmp(&b.id));
        newest
    }

    /// The newest of each name among `ids`, by id.
    pub fn newest_of(&self, ids: &BTreeSet<DefinitionId>) -> Vec<Arc<Definition>> {
        let mut newest: BTreeMap<(&str, &str), &DefinitionId> = BTreeMap::new();
        for id in ids {
            let known = newest.entry((&id.namespace, &id.name)).or_insert(id);
            if compare_versions(&known.version, &id.version) == Ordering::Less {
                *known = id;
            }
        }
        newest.into_values().filter_map(|id| self.get(id)).collect()
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
}
