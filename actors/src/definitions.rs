//! The definitions that this node knows: immutable, so they are shared and never copied.

use std::sync::Arc;

use dashmap::DashMap;
use impresario_model::definition::{Definition, DefinitionId};

/// All known definitions, by id and by name.
#[derive(Debug, Default)]
pub struct Definitions {
    by_id: DashMap<DefinitionId, Arc<Definition>>,
    /// `namespace/name` to the id that was added last.
    newest: DashMap<String, DefinitionId>,
}

impl Definitions {
    /// Adds a definition; it is the newest of its name from now on.
    pub fn add(&self, definition: Definition) -> Arc<Definition> {
        let definition = Arc::new(definition);
        let id = definition.id.clone();
        self.newest.insert(format!("{}/{}", id.namespace, id.name), id.clone());
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
}
