//! What follows from an exit, as tables.

use std::time::Duration;

use crate::supervision::{
    Backoff, ChildSpec, ChildState, ExitReason, Family, Intensity, Regime, Restart, SpecError,
    SupervisorAction,
};

const S: Duration = Duration::from_secs(1);

fn spec(restart: Restart) -> ChildSpec {
    ChildSpec {
        name: "child".into(),
        kind: "test",
        restart,
        intensity: Intensity { restarts: 2, period: 10 * S },
        backoff: Backoff { initial: S, max: 4 * S, jitter: 0.0 },
        shutdown: S,
    }
}

fn failed() -> ExitReason {
    ExitReason::Failed("boom".into())
}

#[test]
fn restart_type_and_reason_decide() {
    use Restart::{Permanent, Temporary, Transient};
    let abnormal = [ExitReason::Killed, failed(), ExitReason::NotStarted("no".into())];
    let table = [
        (Permanent, ExitReason::Normal, true),
        (Transient, ExitReason::Normal, false),
        (Temporary, ExitReason::Normal, false),
    ]
    .into_iter()
    .chain(abnormal.into_iter().flat_map(|reason| {
        [(Permanent, reason.clone(), true), (Transient, reason.clone(), true), (Temporary, reason, false)]
    }));
    for (restart, reason, again) in table {
        let mut family = Family::new(Regime::Quarantine, 0);
        assert!(family.add(spec(restart), Duration::ZERO));
        let actions = family.on_exit("child", &reason, S);
        let expected = if again { SupervisorAction::RestartAfter(S) } else { SupervisorAction::Remove };
        assert_eq!(actions, [expected], "{restart:?} {reason:?}");
        assert_eq!(family.len(), usize::from(again), "{restart:?} {reason:?}");
    }
}

#[test]
fn intensity_slides_and_the_wait_grows_within_it() {
    // When the child ends, in seconds, and how long the wait is; none: beyond the intensity of 2 in 10 s.
    let table: [&[(u64, Option<u64>)]; 4] = [
        &[(0, Some(1)), (1, Some(2)), (3, None)],
        // The first has left the window by the third, at exactly its period.
        &[(0, Some(1)), (5, Some(2)), (10, Some(2)), (14, None)],
        // After a calm period the wait begins anew.
        &[(0, Some(1)), (1, Some(2)), (60, Some(1)), (61, Some(2)), (69, None)],
        &[(0, Some(1)), (20, Some(1)), (40, Some(1))],
    ];
    for exits in table {
        for regime in [Regime::Quarantine, Regime::Escalate] {
            let mut family = Family::new(regime, 0);
            family.add(spec(Restart::Permanent), Duration::ZERO);
            for (nth, (at, wait)) in exits.iter().enumerate() {
                let (now, restart) = (*at as u32 * S, nth as u64 + 1);
                let action = family.on_exit("child", &failed(), now).remove(0);
                match wait {
                    Some(wait) => {
                        assert_eq!(
                            action,
                            SupervisorAction::RestartAfter(*wait as u32 * S),
                            "{exits:?} {at}"
                        );
                        assert!(family.restarted("child", restart, now), "{exits:?} {at}");
                    }
                    None if regime == Regime::Escalate => {
                        assert!(
                            matches!(action, SupervisorAction::Escalate(why) if why.starts_with("child: boom"))
                        );
                    }
                    None => {
                        assert!(
                            matches!(&action, SupervisorAction::Quarantine(why) if why.starts_with("boom"))
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_quarantined_child_is_visible_and_its_release_gives_a_new_budget() {
    let mut family = Family::new(Regime::Quarantine, 0);
    family.add(ChildSpec { intensity: Intensity { restarts: 0, period: S }, ..spec(Restart::Permanent) }, S);
    assert!(!family.release("child", S), "it runs");
    family.on_exit("child", &failed(), 2 * S);
    let status = family.status("child").unwrap();
    assert_eq!(status.state, ChildState::Quarantined { reason: "boom (beyond 0 restarts in 1s)".into() });
    assert_eq!(status.last_error.as_deref(), Some("boom"));
    assert!(family.release("child", 3 * S));
    let status = family.status("child").unwrap();
    assert_eq!((status.state, status.restarts, status.started_at), (ChildState::Running, 1, 3 * S));
}

#[test]
fn a_wait_that_is_outdated_starts_nothing() {
    let mut family = Family::new(Regime::Quarantine, 0);
    family.add(spec(Restart::Permanent), Duration::ZERO);
    assert!(!family.restarted("child", 0, S), "it runs");
    family.on_exit("child", &failed(), S);
    assert!(!family.restarted("child", 2, S), "another restart's wait");
    assert!(family.restarted("child", 1, S));
    assert!(!family.restarted("child", 1, S), "twice");
}

#[test]
fn the_end_of_a_stopping_child_is_wanted_however_it_comes() {
    let mut family = Family::new(Regime::Escalate, 0);
    family.add(spec(Restart::Permanent), Duration::ZERO);
    family.stopping("child");
    assert_eq!(family.on_exit("child", &ExitReason::Killed, S), [SupervisorAction::Remove]);
    assert!(family.is_empty());
    assert_eq!(family.on_exit("child", &ExitReason::Killed, S), [], "unknown by now");
}

#[test]
fn children_are_stopped_in_reverse() {
    let mut family = Family::new(Regime::Escalate, 0);
    for name in ["a", "b", "c"] {
        assert!(family.add(ChildSpec { name: name.into(), ..spec(Restart::Permanent) }, S));
    }
    assert!(!family.add(ChildSpec { name: "a".into(), ..spec(Restart::Permanent) }, S), "the name is taken");
    assert_eq!(family.stop_order(), ["c", "b", "a"]);
    family.remove("b");
    assert_eq!(family.stop_order(), ["c", "a"]);
}

#[test]
fn jitter_stays_within_its_share_and_differs_between_children() {
    let backoff = Backoff { initial: S, max: 4 * S, jitter: 0.5 };
    assert_eq!(backoff.delay(1, 0.0), S);
    assert_eq!(backoff.delay(1, 1.0), S / 2);
    assert_eq!(backoff.delay(3, 0.0), 4 * S);
    assert_eq!(backoff.delay(40, 0.0), 4 * S);
    let wait = |name: &str| {
        let mut family = Family::new(Regime::Quarantine, 7);
        family.add(ChildSpec { name: name.into(), backoff, ..spec(Restart::Permanent) }, S);
        family.on_exit(name, &failed(), S).remove(0)
    };
    assert_eq!(wait("a"), wait("a"));
    assert_ne!(wait("a"), wait("b"));
}

#[test]
fn specs_that_could_not_work_are_refused() {
    let good = || spec(Restart::Permanent);
    good().validate().unwrap();
    let name = String::from("child");
    let table = [
        (ChildSpec { name: String::new(), ..good() }, SpecError::NoName),
        (
            ChildSpec { intensity: Intensity { restarts: 1, period: Duration::ZERO }, ..good() },
            SpecError::Intensity { name: name.clone() },
        ),
        (
            ChildSpec { intensity: Intensity { restarts: 1_001, period: 9_999 * S }, ..good() },
            SpecError::Intensity { name: name.clone() },
        ),
        (
            ChildSpec { backoff: Backoff { initial: 2 * S, max: S, jitter: 0.0 }, ..good() },
            SpecError::Backoff { name: name.clone() },
        ),
        (
            ChildSpec { backoff: Backoff { initial: S, max: S, jitter: f64::NAN }, ..good() },
            SpecError::Backoff { name: name.clone() },
        ),
        (
            ChildSpec { intensity: Intensity { restarts: 2, period: 3 * S }, ..good() },
            SpecError::Unreachable { name, restarts: 2, period: 3 * S },
        ),
    ];
    for (spec, error) in table {
        assert_eq!(spec.validate(), Err(error));
    }
}
