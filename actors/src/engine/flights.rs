//! The attempts that this node has given to its adapter hosts and that are not reported yet, by shard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// An attempt at a host.
#[derive(Clone, Debug)]
struct Flight {
    shard: u16,
    adapter: String,
}

/// The attempts under way on this node; cheap to clone. Their number is bounded by the slots and queues of the hosts.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    by_token: Arc<Mutex<HashMap<String, Flight>>>,
    /// Changes when one has landed.
    landed: watch::Sender<()>,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt is given to a host now.
    pub fn depart(&self, token: &str, shard: u16, adapter: &str) {
        self.lock().insert(token.to_owned(), Flight { shard, adapter: adapter.to_owned() });
    }

    /// Its report is durable, or the host did not take it.
    pub fn land(&self, token: &str) {
        if self.lock().remove(token).is_some() {
            self.landed.send_replace(());
        }
    }

    /// Whether an attempt is under way here.
    pub fn holds(&self, token: &str) -> bool {
        self.lock().contains_key(token)
    }

    /// The attempts of a shard, as (adapter, token).
    pub fn of(&self, shard: u16) -> Vec<(String, String)> {
        let flights = self.lock();
        let own = flights.iter().filter(|(_, flight)| flight.shard == shard);
        own.map(|(token, flight)| (flight.adapter.clone(), token.clone())).collect()
    }

    /// How many attempts of a shard are under way.
    pub fn count(&self, shard: u16) -> usize {
        self.lock().values().filter(|flight| flight.shard == shard).count()
    }

    /// How many attempts are under way.
    pub fn total(&self) -> usize {
        self.lock().len()
    }

    /// Resolves once nothing of the shard is under way.
    pub(super) async fn all_landed(&self, shard: u16) {
        let mut landed = self.landed.subscribe();
        while self.count(shard) > 0 {
            // The sender lives in `self`.
            let _ = landed.changed().await;
        }
    }
}
