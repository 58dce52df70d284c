//! What becomes of nominal times at which nobody was there.

use std::collections::BTreeSet;

use impresario_model::trigger::{Choice, FIRES_PER_TURN, MISSED_MAX, PACE_MS};
use serde_json::json;

use crate::driver::{Schedule, millis};

/// Every hour from noon on; asleep from 12:30 until a moment.
fn hourly(misfire: &str, until: &str) -> Schedule {
    let ops = json!({ "misfire": misfire });
    let mut schedule = Schedule::new(&json!({ "cron": "0 * * * *" }), &ops, None, "2026-06-01T11:30:00Z");
    assert_eq!(schedule.run_until("2026-06-01T12:30:00Z").len(), 1);
    schedule.sleep_until(until);
    schedule
}

fn hours(found: &[String]) -> Vec<&str> {
    found.iter().map(|at| &at[11..16]).collect()
}

#[test]
fn each_rule_does_what_it_says() {
    let table: [(&str, &[&str], u64); 3] = [
        ("skip", &["17:00"], 4),
        ("fireOnce", &["16:00", "17:00"], 3),
        ("fireAll", &["13:00", "14:00", "15:00", "16:00", "17:00"], 0),
    ];
    for (misfire, expected, skipped) in table {
        let mut schedule = hourly(misfire, "2026-06-01T16:30:00Z");
        let found = schedule.run_until("2026-06-01T17:30:00Z");
        assert_eq!(hours(&found), expected, "{misfire}");
        assert_eq!(schedule.trigger.skipped, skipped, "{misfire}");
        let missed = schedule.trigger.missed.clone().unwrap();
        assert_eq!((missed.count, missed.more), (4, false), "{misfire}");
        assert_eq!(
            (missed.first, missed.last),
            (millis("2026-06-01T13:00:00Z"), millis("2026-06-01T16:00:00Z"))
        );
    }
}

/// Another node takes a schedule over within seconds. Nobody is to notice, whatever the rule.
#[test]
fn what_is_only_late_is_not_missed() {
    for misfire in ["skip", "fireOnce", "fireAll", "plan"] {
        let ops = json!({ "misfire": misfire });
        let mut schedule =
            Schedule::new(&json!({ "every": { "seconds": 1 } }), &ops, None, "2026-06-01T12:00:00Z");
        let mut seen = schedule.run("2026-06-01T12:00:05Z");
        schedule.sleep_until("2026-06-01T12:00:25Z");
        seen.extend(schedule.run("2026-06-01T12:00:30Z"));
        let nominal: Vec<u64> = seen.iter().map(|(_, nominal)| *nominal).collect();
        let from = millis("2026-06-01T12:00:00Z");
        assert_eq!(nominal, (0..=30).map(|n| from + n * 1_000).collect::<Vec<_>>(), "{misfire}");
        assert_eq!(schedule.trigger.missed, None, "{misfire}");
    }
}

#[test]
fn a_plan_fires_for_nothing_until_somebody_has_decided() {
    let plan = |schedule: &Schedule| schedule.trigger.plan.clone().unwrap();
    let some = ["2026-06-01T14:00:00Z", "2026-06-01T15:00:00Z", "2026-06-01T15:30:00Z"].map(millis);
    let table: [(Choice, &[&str], u64); 4] = [
        (Choice::All, &["13:00", "14:00", "15:00", "16:00"], 0),
        (Choice::Last, &["16:00"], 3),
        (Choice::Times(BTreeSet::from(some)), &["14:00", "15:00"], 2),
        (Choice::None, &[], 4),
    ];
    for (choice, expected, skipped) in table {
        let mut schedule = hourly("plan", "2026-06-01T16:30:00Z");
        // The schedule goes on; what was missed waits.
        assert_eq!(hours(&schedule.run_until("2026-06-01T17:30:00Z")), ["17:00"]);
        let seen = plan(&schedule);
        assert_eq!(seen.times.len(), 4);
        assert_eq!(seen.last, millis("2026-06-01T16:00:00Z"));
        // About a plan that nobody has seen nobody has decided.
        schedule.approve(seen.id + 1, Choice::All);
        assert_eq!(schedule.run_until("2026-06-01T17:31:00Z"), Vec::<String>::new());
        schedule.approve(seen.id, choice);
        let found = schedule.run_until("2026-06-01T17:40:00Z");
        assert_eq!(hours(&found), expected);
        assert_eq!(schedule.trigger.plan, None);
        assert_eq!(schedule.trigger.skipped, skipped);
        // Decided again, it is decided already.
        schedule.approve(seen.id, Choice::All);
        assert_eq!(hours(&schedule.run_until("2026-06-01T18:10:00Z")), ["18:00"]);
    }
}

#[test]
fn another_stop_adds_to_the_plan() {
    let mut schedule = hourly("plan", "2026-06-01T14:30:00Z");
    schedule.run_until("2026-06-01T15:30:00Z");
    let first = schedule.trigger.plan.clone().unwrap();
    schedule.sleep_until("2026-06-01T18:30:00Z");
    schedule.run_until("2026-06-01T18:31:00Z");
    let second = schedule.trigger.plan.clone().unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!((first.times.len(), second.times.len()), (2, 5));
    assert_eq!(second.since, first.since);
    schedule.approve(first.id, Choice::All);
    assert_eq!(schedule.trigger.plan, Some(second));
}

/// A year of seconds: bounded in number, and a few at a time.
#[test]
fn a_long_stop_does_not_flood() {
    for schedule in [json!({ "cron": "* * * * * *" }), json!({ "every": { "seconds": 1 } })] {
        let ops = json!({ "misfire": "fireAll" });
        let mut schedule = Schedule::new(&schedule, &ops, None, "2026-06-01T12:00:00Z");
        let before = schedule.run("2026-06-01T12:00:10Z").len();
        schedule.sleep_until("2027-06-01T12:00:10Z");
        let found = schedule.run("2027-06-01T12:01:00Z");
        let late = found.iter().filter(|(at, nominal)| at - nominal > 60_000).collect::<Vec<_>>();
        assert_eq!(late.len(), MISSED_MAX);
        assert_eq!(late[0].1, millis("2026-06-01T12:00:11Z"));
        let per_turn = |from: u64| late.iter().filter(|(at, _)| (from..from + PACE_MS).contains(at)).count();
        let begin = late[0].0;
        for turn in 0..10 {
            assert_eq!(per_turn(begin + turn * PACE_MS), FIRES_PER_TURN);
        }
        // The last half minute and everything since then is only late.
        assert_eq!(found.len() - late.len(), 30 + 50 + 1);
        let missed = schedule.trigger.missed.clone().unwrap();
        assert!(missed.more);
        assert_eq!(missed.last, millis("2027-06-01T11:59:39Z"));
        assert_eq!(schedule.trigger.fired as usize, before + found.len());
    }
}

#[test]
fn the_last_of_a_year_of_seconds_is_the_last() {
    let ops = json!({ "misfire": "fireOnce" });
    let mut schedule = Schedule::new(&json!({ "cron": "*/7 * * * * *" }), &ops, None, "2026-06-01T12:00:00Z");
    schedule.sleep_until("2027-06-01T12:00:10Z");
    let found = schedule.run_until("2027-06-01T12:00:10Z");
    assert_eq!(found[0], "2027-06-01 11:59:35 +00:00");
    assert_eq!(found[1], "2027-06-01 11:59:42 +00:00");
}

#[test]
fn another_schedule_owes_nothing_of_the_one_before() {
    let mut schedule = hourly("plan", "2026-06-01T16:30:00Z");
    schedule.run_until("2026-06-01T16:31:00Z");
    assert!(schedule.trigger.plan.is_some());
    let other = Schedule::new(
        &json!({ "cron": "30 3 * * *" }),
        &json!({ "misfire": "plan" }),
        None,
        "2026-06-01T11:30:00Z",
    );
    schedule.definition = other.definition;
    schedule.arm();
    assert_eq!(schedule.trigger.plan, None);
    assert_eq!(schedule.trigger.skipped, 4);
    assert_eq!(schedule.next().unwrap(), "2026-06-02 03:30:00 +00:00");
}
