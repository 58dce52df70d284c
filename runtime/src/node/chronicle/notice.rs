//! What happened to the cluster, by comparing what a node saw with what it sees: pure.
//!
//! What concerns one node is noticed by that node; what all see alike, by one of them: the first of the living by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::AuditReport;
use crate::system_events::Severity;

/// What a node sees at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// The incarnation of this node.
    pub(super) me: String,
    /// The nodes, by incarnation.
    pub(super) nodes: BTreeMap<String, SeenNode>,
    /// Who owns each shard: name and incarnation.
    pub(super) owners: Vec<Option<(String, String)>>,
    /// The adapters of this node.
    pub(super) adapters: BTreeMap<String, SeenAdapter>,
    /// Why the store does not answer, if it does not.
    pub(super) store_away: Option<String>,
    /// What the store has lost.
    pub(super) alarms: BTreeSet<String>,
    /// The actors of this node's shards that are set aside, with the reason; a shard that did not answer is missing.
    pub(super) asides: BTreeMap<u16, BTreeMap<String, String>>,
    /// What the last audit of this node found.
    pub(super) audit: AuditReport,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SeenNode {
    pub(super) name: String,
    pub(super) alive: bool,
    pub(super) draining: bool,
}

/// An adapter of this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SeenAdapter {
    pub(super) state: String,
    pub(super) disappearances: u64,
    pub(super) restarts: u64,
    pub(super) last_error: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Noticed {
    pub(super) severity: Severity,
    pub(super) kind: &'static str,
    pub(super) subject: String,
    pub(super) message: String,
}

fn of(severity: Severity, kind: &'static str, subject: impl Into<String>, message: String) -> Noticed {
    Noticed { severity, kind, subject: subject.into(), message }
}

impl Seen {
    /// Whether this node tells what all see alike.
    fn tells(&self) -> bool {
        let alive = self.nodes.iter().filter(|(_, node)| node.alive);
        alive
            .min_by_key(|(incarnation, node)| (&node.name, *incarnation))
            .is_some_and(|(first, _)| *first == self.me)
    }

    /// What happened since `before`; at the first look, that this node is there.
    pub(super) fn since(&self, before: Option<&Seen>) -> Vec<Noticed> {
        let Some(before) = before else {
            let me = self.nodes.get(&self.me).map(|node| node.name.clone()).unwrap_or_default();
            let shards =
                self.owners.iter().flatten().filter(|(_, incarnation)| *incarnation == self.me).count();
            let message = format!("node {me} has started, with {shards} shards at first");
            return vec![of(Severity::Info, "node.up", me, message)];
        };
        let mut noticed = Vec::new();
        if self.tells() {
            self.nodes_since(before, &mut noticed);
        }
        self.shards_since(before, &mut noticed);
        self.adapters_since(before, &mut noticed);
        self.store_since(before, &mut noticed);
        self.actors_since(before, &mut noticed);
        noticed
    }

    fn nodes_since(&self, before: &Seen, noticed: &mut Vec<Noticed>) {
        for (incarnation, was) in before.nodes.iter().filter(|(_, node)| node.alive) {
            let now = self.nodes.get(incarnation);
            let name = &was.name;
            match now {
                Some(now) if now.alive && now.draining && !was.draining => noticed.push(of(
                    Severity::Info,
                    "node.draining",
                    name,
                    format!("node {name} finishes what it does, hands its shards over and leaves"),
                )),
                Some(now) if now.alive => {}
                // One that leaves in good order hands over what it has first.
                _ if was.draining => {
                    noticed.push(of(Severity::Info, "node.left", name, format!("node {name} has left")));
                }
                _ => {
                    let owned =
                        before.owners.iter().flatten().filter(|(_, owner)| owner == incarnation).count();
                    let message = format!("node {name} is gone without leave, with {owned} shards");
                    noticed.push(of(Severity::Critical, "node.down", name, message));
                }
            }
        }
    }

    /// Shards that were another's and are this node's now.
    fn shards_since(&self, before: &Seen, noticed: &mut Vec<Noticed>) {
        let mut taken: BTreeMap<&(String, String), Vec<String>> = BTreeMap::new();
        for (shard, owner) in self.owners.iter().enumerate() {
            let was = before.owners.get(shard).and_then(Option::as_ref);
            let mine = owner.as_ref().is_some_and(|(_, incarnation)| *incarnation == self.me);
            if let Some(was) = was.filter(|(_, incarnation)| mine && *incarnation != self.me) {
                taken.entry(was).or_default().push(shard.to_string());
            }
        }
        for (was, shards) in taken {
            let (name, incarnation) = was;
            let gone = before.nodes.get(incarnation).is_none_or(|node| !node.alive)
                || self.nodes.get(incarnation).is_none_or(|node| !node.alive);
            let (severity, how) = if gone {
                (Severity::Warning, "which is gone")
            } else {
                (Severity::Info, "which handed them over")
            };
            let message = format!("shards {} were taken over from node {name}, {how}", shards.join(", "));
            noticed.push(of(severity, "shards.rehomed", name, message));
        }
    }

    fn adapters_since(&self, before: &Seen, noticed: &mut Vec<Noticed>) {
        for (name, now) in &self.adapters {
            let unknown = SeenAdapter::default();
            let was = before.adapters.get(name).unwrap_or(&unknown);
            let error = now.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            let times = now.disappearances.saturating_sub(was.disappearances);
            if times > 0 {
                let message = format!("the process of adapter {name} ended by itself ({times} times){error}");
                noticed.push(of(Severity::Warning, "adapter.disappeared", name, message));
            }
            if now.restarts > was.restarts {
                let message = format!("adapter {name} was started again");
                noticed.push(of(Severity::Info, "adapter.restarted", name, message));
            }
            if now.state == "quarantined" && was.state != "quarantined" {
                let message = format!("adapter {name} ended too often and takes no work any more{error}");
                noticed.push(of(Severity::Critical, "adapter.quarantined", name, message));
            }
            if was.state == "quarantined" && now.state != "quarantined" {
                let message = format!("adapter {name} takes work again");
                noticed.push(of(Severity::Info, "adapter.released", name, message));
            }
        }
    }

    fn store_since(&self, before: &Seen, noticed: &mut Vec<Noticed>) {
        match (&before.store_away, &self.store_away) {
            (None, Some(why)) => noticed.push(of(
                Severity::Critical,
                "store.trouble",
                "store",
                format!("the store does not answer: {why}"),
            )),
            (Some(_), None) => {
                noticed.push(of(Severity::Info, "store.back", "store", "the store answers again".to_owned()));
            }
            _ => {}
        }
        for alarm in self.alarms.difference(&before.alarms) {
            noticed.push(of(Severity::Critical, "store.lost", "store", alarm.clone()));
        }
    }

    fn actors_since(&self, before: &Seen, noticed: &mut Vec<Noticed>) {
        for (shard, asides) in &self.asides {
            // Those of a shard that comes from elsewhere were told there.
            let Some(was) = before.asides.get(shard) else { continue };
            for (actor, reason) in asides.iter().filter(|(actor, _)| !was.contains_key(*actor)) {
                let message = format!("{actor} was set aside: {reason}");
                noticed.push(of(Severity::Critical, "actor.quarantined", actor, message));
            }
            for actor in was.keys().filter(|actor| !asides.contains_key(*actor)) {
                noticed.push(of(Severity::Info, "actor.released", actor, format!("{actor} goes on")));
            }
        }
        let key = |violation: &crate::audit::Violation| (violation.subject.clone(), violation.since.clone());
        let known: BTreeMap<_, _> = before
            .audit
            .violations
            .iter()
            .map(|violation| (key(violation), violation.repaired.is_some()))
            .collect();
        for violation in &self.audit.violations {
            let (what, subject) = (&violation.what, &violation.subject);
            let was = known.get(&key(violation)).copied();
            if was.is_none() {
                let message = format!("nothing will wake {subject}: {what}");
                noticed.push(of(Severity::Critical, "instance.stuck", subject, message));
            }
            if let Some(repaired) = violation.repaired.as_ref().filter(|_| was != Some(true)) {
                noticed.push(of(
                    Severity::Warning,
                    "instance.repaired",
                    subject,
                    format!("{subject}: {repaired}"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Violation;

    fn node(name: &str, alive: bool, draining: bool) -> (String, SeenNode) {
        (format!("{name}1"), SeenNode { name: name.to_owned(), alive, draining })
    }

    /// What node `a` sees of itself and `b`, which owns the second of two shards.
    fn seen() -> Seen {
        let owner = |name: &str| Some((name.to_owned(), format!("{name}1")));
        Seen {
            me: "a1".to_owned(),
            nodes: [node("a", true, false), node("b", true, false)].into(),
            owners: vec![owner("a"), owner("b")],
            adapters: [(
                "ssh".to_owned(),
                SeenAdapter { state: "running".to_owned(), ..SeenAdapter::default() },
            )]
            .into(),
            asides: [(0, BTreeMap::new())].into(),
            ..Seen::default()
        }
    }

    fn kinds(before: &Seen, now: &Seen) -> Vec<(&'static str, String)> {
        now.since(Some(before)).into_iter().map(|noticed| (noticed.kind, noticed.subject)).collect()
    }

    #[test]
    fn a_node_that_goes_is_told_once_and_its_shards_by_who_takes_them() {
        let before = seen();
        let mut now = seen();
        now.nodes.extend([node("b", false, false)]);
        assert_eq!(kinds(&before, &now), [("node.down", "b".to_owned())]);
        assert!(kinds(&now, &now).is_empty());
        let mut taken = now.clone();
        taken.owners[1] = Some(("a".to_owned(), "a1".to_owned()));
        let noticed = taken.since(Some(&now));
        assert_eq!(noticed.len(), 1);
        assert_eq!((noticed[0].kind, noticed[0].severity), ("shards.rehomed", Severity::Warning));
        assert!(noticed[0].message.contains("shards 1 were taken over from node b, which is gone"));
        // Another one sees the same, and leaves it to `a`.
        let (mut other, mut other_before) = (now.clone(), before.clone());
        (other.me, other_before.me) = ("c1".to_owned(), "c1".to_owned());
        assert!(kinds(&other_before, &other).is_empty());
    }

    #[test]
    fn a_node_that_leaves_in_good_order_is_no_alarm() {
        let mut draining = seen();
        draining.nodes.extend([node("b", true, true)]);
        assert_eq!(kinds(&seen(), &draining), [("node.draining", "b".to_owned())]);
        let mut left = draining.clone();
        left.nodes.remove("b1");
        assert_eq!(kinds(&draining, &left), [("node.left", "b".to_owned())]);
        let first = seen().since(None);
        assert_eq!((first[0].kind, first[0].subject.as_str()), ("node.up", "a"));
    }

    #[test]
    fn adapters_store_actors_and_audits_are_told_when_they_change() {
        let before = seen();
        let mut now = seen();
        let ssh = now.adapters.get_mut("ssh").unwrap();
        (ssh.state, ssh.disappearances, ssh.restarts) = ("quarantined".to_owned(), 6, 5);
        now.store_away = Some("no server answers".to_owned());
        now.alarms.insert("shard 1 has lost 3 entries".to_owned());
        now.asides.insert(0, [("process/one".to_owned(), "the actor panicked".to_owned())].into());
        // Its shard was not seen before: it was told where it was.
        now.asides.insert(1, [("process/two".to_owned(), "the actor panicked".to_owned())].into());
        let violation = |repaired: Option<&str>| Violation {
            subject: "process/three".to_owned(),
            what: "its timer is in no index".to_owned(),
            since: "2026-01-31T08:30:00Z".to_owned(),
            repaired: repaired.map(str::to_owned),
        };
        now.audit.violations = vec![violation(None)];
        let expected = [
            ("adapter.disappeared", "ssh"),
            ("adapter.restarted", "ssh"),
            ("adapter.quarantined", "ssh"),
            ("store.trouble", "store"),
            ("store.lost", "store"),
            ("actor.quarantined", "process/one"),
            ("instance.stuck", "process/three"),
        ];
        assert_eq!(kinds(&before, &now), expected.map(|(kind, subject)| (kind, subject.to_owned())));
        let mut later = before.clone();
        later.adapters.get_mut("ssh").unwrap().disappearances = 6;
        later.audit.violations = vec![violation(Some("put back"))];
        let expected = [
            ("adapter.released", "ssh"),
            ("store.back", "store"),
            ("actor.released", "process/one"),
            ("instance.repaired", "process/three"),
        ];
        assert_eq!(kinds(&now, &later), expected.map(|(kind, subject)| (kind, subject.to_owned())));
        assert!(kinds(&later, &later).is_empty());
    }
}
