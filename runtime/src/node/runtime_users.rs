//! Runtime users and the environment key, as the doors ask for them.

use super::local::Local;
use crate::orchestrator::Refusal;

impl Local {
    /// Rotates the environment key. The new key is made here, so with other nodes it would be missing there while
    /// secrets are already sealed under it.
    pub(super) async fn rotate_key(&self) -> Result<String, Refusal> {
        let view = self.view();
        let others: Vec<&str> = view
            .nodes
            .iter()
            .filter(|node| node.alive && node.incarnation != view.me)
            .map(|node| node.name.as_str())
            .collect();
        if !others.is_empty() {
            return Err(Refusal::Conflict(format!(
                "expected this node to be the only one that runs, found also {}: stop them, rotate here, `impresario key export` here, `impresario key import` there, and start them",
                others.join(", ")
            )));
        }
        self.vault.rotate().await
    }
}
