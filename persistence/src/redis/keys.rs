//! The names of the keys, and what stands in them in other words than here.

use crate::port::{Offset, ShardId};

/// How many groups an environment is made with at most: that many servers of a Redis Cluster can share its shards.
pub(super) const GROUPS: u16 = 8;

/// How many slots a Redis Cluster has.
const SLOTS: u16 = 16_384;

/// The keys of one environment.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    environment: String,
    groups: u16,
}

impl Keys {
    pub(super) fn new(environment: &str, groups: u16) -> Self {
        Keys { environment: environment.to_owned(), groups }
    }

    /// The tag of what belongs to no shard.
    pub(super) fn tag(&self) -> String {
        format!("{{{}}}", self.environment)
    }

    /// The tag of a group of shards.
    pub(super) fn group_tag(&self, group: u16) -> String {
        format!("{{{}:{group}}}", self.environment)
    }

    pub(super) fn group(&self, shard: ShardId) -> u16 {
        shard.0 % self.groups
    }

    /// A key of the environment.
    pub(super) fn common(&self, name: &str) -> String {
        format!("{}:{name}", self.tag())
    }

    /// What all keys of a shard begin with.
    pub(super) fn stem(&self, shard: ShardId) -> String {
        format!("{}:{}:", self.group_tag(self.group(shard)), shard.0)
    }

    /// The key that stands for a shard in every call of a function.
    pub(super) fn meta(&self, shard: ShardId) -> String {
        format!("{}meta", self.stem(shard))
    }

    pub(super) fn log(&self, shard: ShardId) -> String {
        format!("{}log", self.stem(shard))
    }
}

/// An offset as milliseconds and sequence.
pub(super) fn parts(offset: Offset) -> (u64, u32) {
    let sequence = offset.0 & ((1 << Offset::SEQUENCE_BITS) - 1);
    (offset.millis(), u32::try_from(sequence).unwrap_or(u32::MAX))
}

/// The id of an entry in its stream.
pub(super) fn id(offset: Offset) -> String {
    let (millis, sequence) = parts(offset);
    format!("{millis}-{sequence}")
}

/// An offset from its parts; `None` when they do not fit.
pub(super) fn offset(millis: u64, sequence: u64) -> Option<Offset> {
    let sequence = u32::try_from(sequence).ok().filter(|sequence| *sequence < 1 << Offset::SEQUENCE_BITS)?;
    (millis < 1 << (64 - Offset::SEQUENCE_BITS)).then(|| Offset::new(millis, sequence))
}

/// The slot of a tag, braces included, in a Redis Cluster.
pub(super) fn slot(tag: &str) -> u16 {
    let inner = tag.trim_start_matches('{').trim_end_matches('}');
    let mut crc = 0u16;
    for byte in inner.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_shard_have_one_tag() {
        let keys = Keys::new("PRODUCTION", 8);
        assert_eq!(keys.log(ShardId(17)), "{PRODUCTION:1}:17:log");
        assert_eq!(keys.meta(ShardId(17)), "{PRODUCTION:1}:17:meta");
        assert_eq!(keys.common("settings"), "{PRODUCTION}:settings");
    }

    #[test]
    fn slots_are_those_of_the_cluster() {
        // As the specification of Redis Cluster has it, and `CLUSTER KEYSLOT`.
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("{user1000}"), 3443);
    }

    #[test]
    fn offsets_go_there_and_back() {
        for offset_in in [Offset(1), Offset::new(1_763_000_000_000, (1 << 20) - 1)] {
            let (millis, sequence) = parts(offset_in);
            assert_eq!(offset(millis, u64::from(sequence)), Some(offset_in));
        }
        assert_eq!(offset(1, 1 << 20), None);
        assert_eq!(offset(1 << 44, 0), None);
    }
}
