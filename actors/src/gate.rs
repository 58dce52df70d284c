//! Whether this node may start something in the world at the moment.

use std::fmt;
use std::sync::Arc;

/// Asked right before each start of an activity; cheap to clone. A node that cannot prove its presence to the others
/// has a closed gate, because they may be doing its work already.
#[derive(Clone)]
pub struct Gate(Arc<dyn Fn() -> bool + Send + Sync>);

impl Gate {
    /// Open whenever `open` says so.
    pub fn new(open: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Gate(Arc::new(open))
    }

    /// Whether something may start.
    pub fn is_open(&self) -> bool {
        (self.0)()
    }
}

impl Default for Gate {
    /// Always open: a node that shares nothing needs to prove nothing.
    fn default() -> Self {
        Gate::new(|| true)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.is_open()).finish()
    }
}
