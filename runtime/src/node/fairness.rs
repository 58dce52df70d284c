//! Room for others when events of one type storm: a type that makes up most of what comes is refused once half of what may
//! wait in any shard is taken, so that the other half is left to all other types.

use std::sync::atomic::{AtomicU64, Ordering};

use impresario_model::ids::shard_of;

/// Types are counted by a hash: two that share a place are counted as one.
const PLACES: u16 = 256;
/// After so many events all counts are halved: what counts is what came lately.
const WINDOW: u64 = 8192;
/// Before so many have come, nothing is most of them.
const LEAST: u64 = 256;

/// How much of what comes is of which type, about.
#[derive(Debug)]
pub(super) struct Shares {
    counts: Vec<AtomicU64>,
    total: AtomicU64,
}

impl Default for Shares {
    fn default() -> Self {
        Shares { counts: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), total: AtomicU64::new(0) }
    }
}

impl Shares {
    /// Counts an event of a type: whether most of what came lately is of that type.
    pub(super) fn note(&self, kind: &str) -> bool {
        let Some(count) = self.counts.get(usize::from(shard_of(kind.as_bytes(), PLACES))) else {
            return false;
        };
        let own = count.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        if total == WINDOW {
            // Others may count meanwhile; it is an estimate.
            for count in self.counts.iter().chain([&self.total]) {
                count.store(count.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
        total >= LEAST && own > total / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_known_and_forgotten_and_others_never_are_one() {
        let shares = Shares::default();
        assert!(!(0..LEAST - 1).any(|_| shares.note("storm")), "too few to tell");
        assert!((0..3 * WINDOW).all(|_| shares.note("storm")));
        assert!(!(0..500).any(|_| shares.note("calm")), "others are not a storm beside it");
        let kinds = ["a", "b", "c", "d"];
        let even = (0..4 * WINDOW).filter(|n| shares.note(kinds[(n % 4) as usize])).count();
        assert_eq!(even, 0, "none of four is most");
        assert!(!shares.note("storm"), "it is over");
    }
}
