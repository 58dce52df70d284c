//! The attempts that this node has given to its adapter hosts and that are not reported yet, by shard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// An attempt at a host.
#[derive(Clone, Debug)]
struct Flight {
    shard: u16,
    adapter: String,
    /// Whether its shard went to another node meanwhile, so that what becomes of it here counts for nothing.
    disowned: bool,
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
        self.lock().insert(token.to_owned(), Flight { shard, adapter: adapter.to_owned(), disowned: false });
    }

    /// Its report is durable, or the host did not take it.
    pub fn land(&self, token: &str) {
        if self.lock().remove(token).is_some() {
            self.landed.send_replace(());
        }
    }

    /// Whether an attempt is under way here.
    pub fn holds(&self, token: &str) -> bool {
        self.lock().get(token).is_some_and(|flight| !flight.disowned)
    }

    /// Whether an attempt is under way here that counts for nothing any more.
    pub fn is_disowned(&self, token: &str) -> bool {
        self.lock().get(token).is_some_and(|flight| flight.disowned)
    }

    /// The shard has a newer owner, which makes its attempts anew: those under way here, as (adapter, token), count for
    /// nothing from now on.
    pub fn disown(&self, shard: u16) -> Vec<(String, String)> {
        for flight in self.lock().values_mut().filter(|flight| flight.shard == shard) {
            flight.disowned = true;
        }
        self.landed.send_replace(());
        self.of(shard)
    }

    /// The attempts of a shard, as (adapter, token).
    pub fn of(&self, shard: u16) -> Vec<(String, String)> {
        let flights = self.lock();
        let own = flights.iter().filter(|(_, flight)| flight.shard == shard);
        own.map(|(token, flight)| (flight.adapter.clone(), token.clone())).collect()
    }

    /// How many attempts of a shard are under way.
    pub fn count(&self, shard: u16) -> usize {
        self.lock().values().filter(|flight| flight.shard == shard && !flight.disowned).count()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_owner_makes_anew_counts_for_nothing_here() {
        let flights = Flights::default();
        flights.depart("mine", 1, "http");
        flights.depart("lost", 2, "http");
        assert_eq!(flights.disown(2), [("http".to_owned(), "lost".to_owned())]);
        assert!(flights.is_disowned("lost") && !flights.holds("lost") && flights.count(2) == 0);
        assert!(flights.holds("mine") && !flights.is_disowned("mine"));
        flights.land("lost");
        assert!(!flights.is_disowned("lost"), "it may depart again once the host has ended it");
    }
}
