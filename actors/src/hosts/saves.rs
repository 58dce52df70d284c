//! What attempts save as they run, on its way to the log: the newest of each, once in a while. Pure.
//!
//! What was saved right before its attempt was lost is worth the most, so it goes out before the report of the loss.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::activity::{ActivityAddress, ActivityReport, ActivitySave, Outcome};

/// Between two states of one attempt: each is an entry, and part of every checkpoint of its instance.
const INTERVAL: Duration = Duration::from_secs(1);
/// The largest state, in bytes of JSON: an instance holds one for each of its activities.
pub(super) const STATE_BYTES_MAX: usize = 64 << 10;

/// By token; no more than attempts are at work.
#[derive(Debug, Default)]
pub(super) struct Saves {
    by_token: HashMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    address: ActivityAddress,
    /// What waits; none if the newest is out.
    state: Option<Value>,
    /// When it may go out.
    due: Instant,
}

impl Saves {
    /// An attempt that is at work saves something.
    ///
    /// # Errors
    /// Its size, when it is too large; what was saved before stays.
    pub(super) fn note(
        &mut self,
        token: &str,
        address: &ActivityAddress,
        state: Value,
        now: Instant,
    ) -> Result<(), usize> {
        let bytes = size(&state);
        if bytes > STATE_BYTES_MAX {
            return Err(bytes);
        }
        match self.by_token.get_mut(token) {
            Some(slot) => slot.state = Some(state),
            None => {
                let slot = Slot { address: address.clone(), state: Some(state), due: now };
                self.by_token.insert(token.to_owned(), slot);
            }
        }
        Ok(())
    }

    /// What goes out now, before these reports: of an attempt that was lost at once, of one that ended otherwise never.
    pub(super) fn take(&mut self, now: Instant, reports: &[ActivityReport], max: usize) -> Vec<ActivitySave> {
        let mut out = Vec::new();
        for report in reports {
            let Some(slot) = self.by_token.remove(&report.token) else { continue };
            if let (Some(state), Outcome::Lost { .. }) = (slot.state, &report.outcome) {
                out.push(ActivitySave { address: slot.address, token: report.token.clone(), state });
            }
        }
        let due = self.by_token.iter_mut().filter(|(_, slot)| slot.due <= now && slot.state.is_some());
        for (token, slot) in due.take(max) {
            let Some(state) = slot.state.take() else { continue };
            slot.due = now + INTERVAL;
            out.push(ActivitySave { address: slot.address.clone(), token: token.clone(), state });
        }
        out
    }

    /// When something is to go out next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_token.values().filter(|slot| slot.state.is_some()).map(|slot| slot.due).min()
    }
}

/// How long the JSON text of a value is, in bytes.
fn size(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither the counter nor a value of JSON can fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use impresario_persistence::ShardId;
    use serde_json::json;

    use super::*;

    fn address() -> ActivityAddress {
        ActivityAddress { shard: ShardId(1), actor: "process/p".to_owned(), activity: 1 }
    }

    fn states(saves: Vec<ActivitySave>) -> Vec<Value> {
        saves.into_iter().map(|save| save.state).collect()
    }

    #[test]
    fn the_newest_goes_out_once_in_an_interval() {
        let (mut saves, start) = (Saves::default(), Instant::now());
        saves.note("a", &address(), json!(1), start).unwrap();
        assert_eq!(states(saves.take(start, &[], 9)), [json!(1)]);
        assert_eq!(saves.next(), None);
        for state in 2..5 {
            saves.note("a", &address(), json!(state), start).unwrap();
        }
        assert_eq!(states(saves.take(start + INTERVAL / 2, &[], 9)), [] as [Value; 0]);
        assert_eq!(saves.next(), Some(start + INTERVAL));
        assert_eq!(states(saves.take(start + INTERVAL, &[], 9)), [json!(4)]);
    }

    #[test]
    fn what_was_saved_goes_out_before_the_loss_and_not_after_an_end() {
        let now = Instant::now();
        let outcomes = [
            (Outcome::Lost { reason: "gone".to_owned() }, vec![json!(2)]),
            (Outcome::Completed(json!(0)), vec![]),
        ];
        for (outcome, expected) in outcomes {
            let mut saves = Saves::default();
            saves.note("a", &address(), json!(1), now).unwrap();
            saves.take(now, &[], 9);
            saves.note("a", &address(), json!(2), now).unwrap();
            let report = ActivityReport { address: address(), token: "a".to_owned(), outcome };
            assert_eq!(states(saves.take(now, &[report], 9)), expected);
            assert!(saves.by_token.is_empty());
        }
    }

    #[test]
    fn a_state_that_is_too_large_leaves_the_one_before() {
        let (mut saves, now) = (Saves::default(), Instant::now());
        saves.note("a", &address(), json!("small"), now).unwrap();
        let large = json!("x".repeat(STATE_BYTES_MAX));
        assert_eq!(saves.note("a", &address(), large, now), Err(STATE_BYTES_MAX + 2));
        assert_eq!(states(saves.take(now, &[], 9)), [json!("small")]);
    }
}
