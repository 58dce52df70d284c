//! Names of actors and instances, and the hash that assigns an actor to a shard.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The longest key of an actor, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The kinds of actors; the part of an actor id before the `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActorKind {
    /// A process instance.
    Process,
    /// A trigger monitor.
    Trigger,
    /// The event router of a shard.
    Router,
    /// The places at a target whose work is limited.
    Target,
    /// A monitor, for which an adapter observes something.
    Monitor,
    /// A sink, from which events go outside.
    Sink,
    /// Where events of one kind and one correlation value meet those who listen for them.
    Subscription,
    /// The turns of instances that may not all run at the same time.
    Overlap,
}

impl ActorKind {
    /// The word before the `/`.
    pub fn word(self) -> &'static str {
        match self {
            ActorKind::Process => "process",
            ActorKind::Trigger => "trigger",
            ActorKind::Router => "router",
            ActorKind::Target => "target",
            ActorKind::Monitor => "monitor",
            ActorKind::Sink => "sink",
            ActorKind::Subscription => "subscription",
            ActorKind::Overlap => "overlap",
        }
    }
}

/// An actor id, `kind/key`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActorId(String);

impl ActorId {
    /// The process actor of an instance.
    pub fn process(instance: &str) -> Self {
        ActorId(format!("process/{instance}"))
    }

    /// The trigger monitor of a name.
    pub fn trigger(name: &str) -> Self {
        ActorId(format!("trigger/{name}"))
    }

    /// The places at a target.
    pub fn target(name: &str) -> Self {
        ActorId(format!("target/{name}"))
    }

    /// The monitor of a name.
    pub fn monitor(name: &str) -> Self {
        ActorId(format!("monitor/{name}"))
    }

    /// The sink of a name.
    pub fn sink(name: &str) -> Self {
        ActorId(format!("sink/{name}"))
    }

    /// The subscription of a key.
    pub fn subscription(key: &str) -> Self {
        ActorId(format!("subscription/{key}"))
    }

    /// The turns of the instances of `namespace/name` that have a key in common.
    pub fn overlap(definition: &str, key: Option<&str>) -> Self {
        match key {
            None => ActorId(format!("overlap/{definition}")),
            Some(key) => ActorId(format!("overlap/{definition}#{key}")),
        }
    }

    /// The event router of a shard.
    pub fn router(shard: u16) -> Self {
        ActorId(format!("router/{shard}"))
    }

    /// Reads an actor id.
    ///
    /// # Errors
    /// What was expected and what was found: an unknown kind, an empty key, a key that is too long.
    pub fn parse(text: &str) -> Result<Self, String> {
        let id = ActorId(text.to_owned());
        if id.kind().is_none() {
            return Err(format!(
                "expected process/…, trigger/…, router/…, target/…, monitor/…, sink/…, subscription/… \
                 or overlap/…, found '{text}'"
            ));
        }
        let key = id.key();
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(format!("expected a key of 1 to {MAX_KEY_BYTES} bytes, found {} bytes", key.len()));
        }
        Ok(id)
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind, if it is one that this version knows.
    pub fn kind(&self) -> Option<ActorKind> {
        match self.0.split_once('/')?.0 {
            "process" => Some(ActorKind::Process),
            "trigger" => Some(ActorKind::Trigger),
            "router" => Some(ActorKind::Router),
            "target" => Some(ActorKind::Target),
            "monitor" => Some(ActorKind::Monitor),
            "sink" => Some(ActorKind::Sink),
            "subscription" => Some(ActorKind::Subscription),
            "overlap" => Some(ActorKind::Overlap),
            _ => None,
        }
    }

    /// The part after the first `/`.
    pub fn key(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, key)| key)
    }

    /// The shard that the actor lives in: routers in their own, all others by the CRC-32 of the id.
    ///
    /// The hash is part of the stored format: a change of it would orphan every row.
    pub fn shard(&self, shards: u16) -> u16 {
        if self.kind() == Some(ActorKind::Router)
            && let Ok(shard) = self.key().parse::<u16>()
        {
            return shard % shards.max(1);
        }
        shard_of(self.0.as_bytes(), shards)
    }
}

impl std::fmt::Display for ActorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The shard of a name, by its CRC-32.
pub fn shard_of(name: &[u8], shards: u16) -> u16 {
    let shards = u32::from(shards.max(1));
    // The remainder is below the number of shards, which is a u16.
    (crc32fast::hash(name) % shards) as u16
}

/// The shard whose router takes an event: the same for every repetition of the same (source, id).
pub fn event_shard(source: &str, id: &str, shards: u16) -> u16 {
    let mut name = Vec::with_capacity(source.len() + id.len() + 1);
    name.extend_from_slice(source.as_bytes());
    name.push(0);
    name.extend_from_slice(id.as_bytes());
    shard_of(&name, shards)
}

/// The namespace of all derived instance ids (UUID version 5).
const DERIVED: Uuid = Uuid::from_u128(0x6d1f_6e0a_52c8_4f0e_9b1b_07f1_4c1d_8a52);

/// The instance id that a start with an idempotency key always gets.
pub fn instance_of_key(definition_name: &str, key: &str) -> String {
    derive(&["key", definition_name, key])
}

/// The instance id that a rerun with an idempotency key always gets.
pub fn instance_of_rerun(instance: &str, key: &str) -> String {
    derive(&["rerun", instance, key])
}

/// The instance id that an event always starts through a trigger.
pub fn instance_of_event(trigger: &str, source: &str, id: &str) -> String {
    derive(&["event", trigger, source, id])
}

/// The instance id that several events always start together through a trigger: (source, id) of each.
pub fn instance_of_events<'e>(trigger: &str, events: impl Iterator<Item = (&'e str, &'e str)>) -> String {
    let mut parts = vec!["events", trigger];
    events.for_each(|(source, id)| parts.extend([source, id]));
    derive(&parts)
}

/// The instance id that an order with an idempotency key always starts through a trigger.
pub fn instance_of_order(trigger: &str, key: &str) -> String {
    derive(&["hand", trigger, key])
}

/// The instance id that a schedule always starts for a nominal time (milliseconds since the Unix epoch).
pub fn instance_of_fire(trigger: &str, nominal_ms: u64) -> String {
    derive(&["fire", trigger, &nominal_ms.to_string()])
}

/// What the id of a decision with an idempotency key about an activity always begins with.
pub fn decision_of_key(instance: &str, activity: u64, key: &str) -> String {
    derive(&["decide", instance, &activity.to_string(), key])
}

/// The id of the event that an instance emits as the task at `pointer`, the `run`th task it began.
pub fn event_of_task(instance: &str, pointer: &str, run: u64) -> String {
    derive(&["emit", instance, pointer, &run.to_string()])
}

/// The id of the event that a monitor makes around data that was observed at a place.
pub fn event_of_monitor(monitor: &str, observed: &str, place: &str) -> String {
    derive(&["monitor", monitor, observed, place])
}

/// The id of the event of this type that tells what became of an instance.
pub fn event_of_lifecycle(instance: &str, kind: &str) -> String {
    derive(&["lifecycle", instance, kind])
}

/// Tells events apart: the first half of the SHA-256 of (source, id).
pub fn event_digest(source: &str, id: &str) -> u128 {
    let mut hash = Sha256::new();
    hash.update((source.len() as u64).to_be_bytes());
    hash.update(source.as_bytes());
    hash.update(id.as_bytes());
    hash.finalize()[..16].iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

fn derive(parts: &[&str]) -> String {
    let mut name = Vec::new();
    for part in parts {
        // The length in front keeps ("a", "bc") and ("ab", "c") apart.
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&DERIVED, &name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_hostile_keys_apart() {
        for hostile in ["a/b", "ü", "a:b c", "\u{0}", "x".repeat(512).as_str()] {
            let id = ActorId::process(hostile);
            assert_eq!(ActorId::parse(id.as_str()).unwrap().key(), hostile);
        }
        assert!(ActorId::parse("process/").is_err());
        assert!(ActorId::parse(&format!("process/{}", "x".repeat(513))).is_err());
        assert!(ActorId::parse("nobody/x").is_err());
        assert_ne!(derive(&["a", "bc"]), derive(&["ab", "c"]));
    }

    #[test]
    fn the_hash_is_part_of_the_format() {
        assert_eq!(ActorId::process("00000000-0000-0000-0000-000000000000").shard(16), 15);
        assert_eq!(ActorId::router(7).shard(16), 7);
        assert_eq!(instance_of_fire("a/b/every", 1000), instance_of_fire("a/b/every", 1000));
    }
}
