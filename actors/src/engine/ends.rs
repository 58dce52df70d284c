//! What follows when a shard ends by itself on an engine that runs shards on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Shards, child};
use crate::supervision::{Budget, ExitReason, Intensity, Observer, SupervisorAction};

/// A shard may fail so often; the registry claims it again each time.
pub(super) const INTENSITY: Intensity = Intensity { restarts: 5, period: Duration::from_secs(60) };

/// Forgets shards that have ended, and escalates when one keeps failing.
pub(super) fn observer(shards: Shards, failed: watch::Sender<Option<String>>) -> Observer {
    let failures: Mutex<HashMap<String, Budget>> = Mutex::default();
    let began = Instant::now();
    Arc::new(move |name: &str, reason: &ExitReason, action: &SupervisorAction| {
        if *action != SupervisorAction::Remove {
            return;
        }
        shards.retain(|number, _| child::name(*number) != name);
        if !reason.is_abnormal() {
            return;
        }
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        if !failures.entry(name.to_owned()).or_default().spend(INTENSITY, began.elapsed()) {
            failed.send_replace(Some(format!("{name}: {reason} (beyond {INTENSITY})")));
        }
    })
}
