//! Which lifecycle events somebody asks for: all others are not made.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The types that a trigger or a sink asks for, as this node knows it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<RwLock<BTreeSet<String>>>);

impl Asked {
    /// These, and no others, from now on.
    pub fn set(&self, types: BTreeSet<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = types;
    }

    /// Whether somebody asks for any.
    pub fn any(&self) -> bool {
        !self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether somebody asks for this type.
    pub fn wants(&self, kind: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(kind)
    }
}
