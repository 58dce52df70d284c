//! Nights in which the clock of a zone goes forward or back.

use serde_json::{Value, json};

use crate::driver::Schedule;

fn fires(schedule: &Value, zone: &str, from: &str, until: &str) -> Vec<String> {
    Schedule::new(schedule, &json!({ "timezone": zone }), None, from).run_until(until)
}

fn cron(pattern: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
    fires(&json!({ "cron": pattern }), zone, from, until)
}

#[test]
fn a_time_that_the_night_skips_comes_once_behind_the_gap() {
    let table: [(&str, &str, &str, &str, &[&str]); 6] = [
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            "2026-03-30T12:00:00Z",
            &["2026-03-28 02:30:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"],
        ),
        (
            "15 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            "2026-03-09T12:00:00Z",
            &["2026-03-08 03:00:00 -04:00", "2026-03-09 02:15:00 -04:00"],
        ),
        // Half an hour.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-02T20:00:00Z",
            "2026-10-04T20:00:00Z",
            &["2026-10-04 02:30:00 +11:00", "2026-10-05 02:15:00 +11:00"],
        ),
        // What the gap does not touch comes as ever.
        (
            "30 3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "2026-03-29T12:00:00Z",
            &["2026-03-29 03:30:00 +02:00"],
        ),
        // A whole day that never was has no times.
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            "2012-01-01T12:00:00Z",
            &["2011-12-29 12:00:00 -10:00", "2011-12-31 12:00:00 +14:00", "2012-01-01 12:00:00 +14:00"],
        ),
        (
            "30 2 * * *",
            "Asia/Kolkata",
            "2026-03-28T12:00:00Z",
            "2026-03-30T12:00:00Z",
            &["2026-03-29 02:30:00 +05:30", "2026-03-30 02:30:00 +05:30"],
        ),
    ];
    for (pattern, zone, from, until, expected) in table {
        assert_eq!(cron(pattern, zone, from, until), expected, "{pattern} in {zone}");
    }
}

#[test]
fn a_time_that_the_night_has_twice_comes_once() {
    let table: [(&str, &str, &str, &str, &[&str]); 4] = [
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-23T12:00:00Z",
            "2026-10-26T12:00:00Z",
            &["2026-10-24 02:30:00 +02:00", "2026-10-25 02:30:00 +02:00", "2026-10-26 02:30:00 +01:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            "2026-11-02T12:00:00Z",
            &["2026-11-01 01:30:00 -04:00", "2026-11-02 01:30:00 -05:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            "2026-04-06T00:00:00Z",
            &["2026-04-05 01:45:00 +11:00", "2026-04-06 01:45:00 +10:30"],
        ),
        (
            "30 2 * * *",
            "Asia/Kolkata",
            "2026-10-24T12:00:00Z",
            "2026-10-25T12:00:00Z",
            &["2026-10-25 02:30:00 +05:30"],
        ),
    ];
    for (pattern, zone, from, until, expected) in table {
        assert_eq!(cron(pattern, zone, from, until), expected, "{pattern} in {zone}");
    }
}

#[test]
fn what_repeats_within_the_hour_comes_in_both_hours_and_in_no_gap() {
    let count = |pattern, zone, from, until| cron(pattern, zone, from, until).len();
    // From midnight to midnight: 25 and 23 hours, and 24 and a half and 23 and a half.
    let (autumn, spring) =
        (("2026-10-24T21:59:59Z", "2026-10-25T22:59:59Z"), ("2026-03-28T22:59:59Z", "2026-03-29T21:59:59Z"));
    assert_eq!(count("*/30 * * * *", "Europe/Berlin", autumn.0, autumn.1), 50);
    assert_eq!(count("*/30 * * * *", "Europe/Berlin", spring.0, spring.1), 46);
    let found = cron("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:29:59Z", "2026-04-04T15:44:59Z");
    let expected = [
        "2026-04-05 01:30:00 +11:00",
        "2026-04-05 01:45:00 +11:00",
        "2026-04-05 01:30:00 +10:30",
        "2026-04-05 01:45:00 +10:30",
        "2026-04-05 02:00:00 +10:30",
    ];
    assert_eq!(found, expected);
    let distinct: std::collections::BTreeSet<String> = found.into_iter().collect();
    assert_eq!(distinct.len(), 5);
}

#[test]
fn an_interval_is_time_that_passes() {
    for (zone, from, until) in [
        ("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T22:00:00Z"),
        ("Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T22:00:00Z"),
        ("Pacific/Apia", "2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"),
    ] {
        let found = fires(&json!({ "every": { "hours": 6 } }), zone, from, until);
        assert_eq!(found.len(), 5, "{zone}: {found:?}");
    }
}

/// The entries of a log are never stamped with an earlier time than those before, so a clock that leaps back stands still
/// until it is there again; one that leaps forward has missed what lies between.
#[test]
fn a_leap_of_the_clock_fires_nothing_twice_and_loses_nothing() {
    let mut schedule = Schedule::new(
        &json!({ "cron": "* * * * *" }),
        &json!({ "misfire": "fireAll" }),
        None,
        "2026-06-01T12:00:30Z",
    );
    let mut seen = schedule.run("2026-06-01T12:02:00Z");
    // Back by an hour: woken for nothing, it does nothing.
    for _ in 0..3 {
        let woken = schedule.apply(&impresario_model::entry::TriggerEvent::Timer);
        assert_eq!(woken, Vec::<String>::new());
    }
    seen.extend(schedule.run("2026-06-01T12:04:00Z"));
    // Forward by an hour.
    schedule.sleep_until("2026-06-01T13:04:00Z");
    seen.extend(schedule.run("2026-06-01T13:06:00Z"));
    let nominal: Vec<u64> = seen.iter().map(|(_, nominal)| *nominal).collect();
    let first = crate::driver::millis("2026-06-01T12:01:00Z");
    let expected: Vec<u64> = (0..66).map(|minute| first + minute * 60_000).collect();
    let mut sorted = nominal.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
}
