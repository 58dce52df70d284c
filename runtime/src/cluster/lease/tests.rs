//! The lease against a store that takes renewals late, loses them, or answers out of order.

use std::sync::Arc;

use proptest::prelude::*;

use impresario_persistence::monotonic_ms;

use super::Lease;

#[test]
fn it_holds_from_a_renewal_until_a_quarter_before_the_presence_can_end() {
    let lease = Lease::new(2_000);
    assert!(!lease.holds(0), "nobody has confirmed it");
    lease.renewed(10_000);
    assert!(lease.holds(10_000));
    assert!(lease.holds(11_499));
    assert!(!lease.holds(11_500));
    assert_eq!((lease.left_ms(10_500), lease.left_ms(12_000)), (1_000, 0));
    lease.revoke();
    assert!(!lease.holds(10_000));
    lease.renewed(12_000);
    assert!(lease.holds(12_000));
    assert!(Lease::unlimited().holds(u64::MAX - 1));
    let tiny = Lease::new(1);
    tiny.renewed(5);
    assert!(!tiny.holds(5), "a time to live of nothing starts nothing");
}

#[test]
fn renewals_of_many_threads_leave_the_latest() {
    let lease = Arc::new(Lease::new(2_000));
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let lease = Arc::clone(&lease);
            std::thread::spawn(move || (0..1_000).for_each(|at| lease.renewed(at * 4 + thread)))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(lease.left_ms(0), 3_999 + 1_500);
}

#[test]
fn the_monotonic_clock_goes_on() {
    let begin = monotonic_ms();
    assert!(begin > 0);
    assert!(monotonic_ms() >= begin);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever the lease holds, the presence in the store has a quarter of its time left at least, whichever renewals
    /// got through, however long they and their answers took, and in whatever order the answers came.
    #[test]
    fn it_ends_before_the_presence_does(
        ttl in 4_u64..10_000,
        renewals in prop::collection::vec((0_u64..800, 0_u64..3_000, prop::option::of(0_u64..3_000)), 1..40),
    ) {
        let lease = Lease::new(ttl);
        // What happens when: the store takes a renewal, or its answer arrives.
        let mut events = Vec::new();
        let mut sent = 1_000;
        for (pause, there, back) in renewals {
            sent += pause;
            events.push((sent + there, false, sent));
            if let Some(back) = back {
                events.push((sent + there + back, true, sent));
            }
        }
        events.sort_unstable();
        let mut presence_ends = 0;
        for at in 0..events.len() {
            let (now, answer, sent) = events[at];
            if answer {
                lease.renewed(sent);
            } else {
                presence_ends = now + ttl;
            }
            let next = events.get(at + 1).map_or(now + 2 * ttl, |next| next.0);
            for looked in [now, (now + next) / 2, next.saturating_sub(1).max(now)] {
                if lease.holds(looked) {
                    prop_assert!(looked + ttl.div_ceil(4) < presence_ends + 1, "at {looked}: until {presence_ends}");
                }
            }
        }
    }
}
