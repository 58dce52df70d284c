//! What becomes of an instance that begins while others of its definition run: `metadata.ops.concurrency`.

use serde::{Deserialize, Serialize};

use crate::expression::Expression;

/// How many instances of a definition may run at the same time, and what becomes of those beyond.
#[derive(Clone, Debug)]
pub struct OverlapRule {
    /// Instances count together that have the same value of this, evaluated on their input; all of them if absent.
    pub key: Option<Expression>,
    /// How many may run.
    pub max: usize,
    /// What becomes of the next one.
    pub on_conflict: OnConflict,
}

/// What becomes of an instance that begins while as many run as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// It waits for its turn.
    #[default]
    Queue,
    /// It ends at once, as cancelled.
    Skip,
    /// The one that runs longest is cancelled, and those that wait are skipped: the newest counts.
    Replace,
}
