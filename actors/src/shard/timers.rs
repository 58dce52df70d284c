//! When the actors of a shard have to be woken.

use std::collections::{BTreeSet, HashMap};

/// The due times of actors, one each.
#[derive(Debug, Default)]
pub struct Timers {
    order: BTreeSet<(u64, String)>,
    by_actor: HashMap<String, u64>,
}

impl Timers {
    /// Sets when an actor is due; none clears it.
    pub fn set(&mut self, actor: &str, due: Option<u64>) {
        if self.by_actor.get(actor).copied() == due {
            return;
        }
        if let Some(old) = self.by_actor.remove(actor) {
            self.order.remove(&(old, actor.to_owned()));
        }
        if let Some(due) = due {
            self.by_actor.insert(actor.to_owned(), due);
            self.order.insert((due, actor.to_owned()));
        }
    }

    /// When an actor is due.
    pub fn of(&self, actor: &str) -> Option<u64> {
        // Both or neither: what is in one index alone would never fire.
        self.by_actor.get(actor).copied().filter(|due| self.order.contains(&(*due, actor.to_owned())))
    }

    /// When the first actor is due.
    pub fn next(&self) -> Option<u64> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes out up to `limit` actors that are due at `now`.
    pub fn take_due(&mut self, now: u64, limit: usize) -> Vec<String> {
        let mut due = Vec::new();
        while due.len() < limit && self.order.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, actor)) = self.order.pop_first() {
                self.by_actor.remove(&actor);
                due.push(actor);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_actor_is_due_once_at_its_newest_time() {
        let mut timers = Timers::default();
        timers.set("a", Some(10));
        timers.set("b", Some(5));
        timers.set("a", Some(3));
        timers.set("c", Some(4));
        timers.set("c", None);
        assert_eq!(timers.next(), Some(3));
        assert_eq!(timers.take_due(4, 10), ["a"]);
        assert_eq!(timers.take_due(9, 10), ["b"]);
        assert_eq!(timers.take_due(99, 10), Vec::<String>::new());
        assert_eq!(timers.next(), None);
    }
}
