//! What follows when a shard ends by itself on an engine that runs shards on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Shards, child};
use crate::supervision::{ExitReason, Intensity, Observer, SupervisorAction};

/// A shard may fail so often; the registry claims it again each time.
pub(super) const INTENSITY: Intensity = Intensity { restarts: 5, period: Duration::from_secs(60) };

/// Forgets shards that have ended, and escalates when one keeps failing.
pub(super) fn observer(shards: Shards, failed: watch::Sender<Option<String>>) -> Observer {
    let failures: Mutex<HashMap<String, VecDeque<Instant>>> = Mutex::default();
    Arc::new(move |name: &str, reason: &ExitReason, action: &SupervisorAction| {
        if *action != SupervisorAction::Remove {
            return;
        }
        shards.retain(|number, _| child::name(*number) != name);
        if !reason.is_abnormal() {
            return;
        }
        let now = Instant::now();
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = failures.entry(name.to_owned()).or_default();
        recent.retain(|then| now.duration_since(*then) < INTENSITY.period);
        recent.push_back(now);
        if recent.len() > INTENSITY.restarts as usize {
            failed.send_replace(Some(format!("{name}: {reason} (beyond {INTENSITY})")));
        }
    })
}
