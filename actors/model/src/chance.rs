//! Chance that a replay repeats: numbers that depend on a seed alone, such as the offset of an entry.

/// A number from `low` to `high`, both included.
pub fn uniform(seed: u64, low: u64, high: u64) -> u64 {
    let span = high.saturating_sub(low).saturating_add(1);
    low + splitmix(seed) % span.max(1)
}

/// How long to wait before the next try, after so many that failed in a row: twice as long each time, up to `most`, and
/// somewhere in the upper half of that, so that those who failed together do not come back together.
pub fn backoff(seed: u64, failures: u32, first: u64, most: u64) -> u64 {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(32));
    let whole = doubled.min(most).max(1);
    uniform(seed, whole.div_ceil(2), whole)
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): spreads a counter over 64 bits.
fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_most_and_is_never_less_than_half() {
        for failures in 1..70 {
            let whole = 1_000_u64.saturating_mul(1 << (failures - 1).min(20)).min(300_000);
            for seed in 0..20 {
                let wait = backoff(seed, failures, 1_000, 300_000);
                assert!((whole / 2..=whole).contains(&wait), "{failures}: {wait} of {whole}");
            }
        }
        let waits: std::collections::HashSet<u64> =
            (0..50).map(|seed| backoff(seed, 9, 1_000, 300_000)).collect();
        assert!(waits.len() > 40, "{waits:?}");
    }
}
