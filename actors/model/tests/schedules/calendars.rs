//! Schedules that fire on the days of a calendar only.

use impresario_model::calendar::{Calendar, Calendars};
use serde_json::{Value, json};

use crate::driver::{Schedule, spec};

fn on(schedule: &Value, zone: &str, calendar: Calendar, at: &str) -> Schedule {
    Schedule::new(schedule, &json!({ "timezone": zone, "calendar": calendar.name }), Some(calendar), at)
}

fn working_days() -> Calendar {
    let mut book = Calendars::default();
    book.put("holidays", spec(json!({ "include": { "dates": ["2026-12-25", "2027-01-01"] } })));
    book.put(
        "work",
        spec(json!({
            "include": { "weekdays": ["mon", "tue", "wed", "thu", "fri"] },
            "exclude": { "calendars": ["holidays"] },
        })),
    );
    book.resolve("work").unwrap()
}

#[test]
fn cron_fires_on_covered_days_only() {
    let mut schedule =
        on(&json!({ "cron": "0 9 * * *" }), "Europe/Berlin", working_days(), "2026-12-23T12:00:00Z");
    let found = schedule.run_until("2026-12-30T00:00:00Z");
    let expected = ["2026-12-24 09:00:00 +01:00", "2026-12-28 09:00:00 +01:00", "2026-12-29 09:00:00 +01:00"];
    assert_eq!(found, expected);
}

/// It is the day of the trigger's zone that counts: Friday evening in New York is Saturday in UTC.
#[test]
fn the_day_is_that_of_the_zone() {
    let mut schedule =
        on(&json!({ "cron": "0 22 * * *" }), "America/New_York", working_days(), "2026-06-05T12:00:00Z");
    let found = schedule.run_until("2026-06-09T12:00:00Z");
    assert_eq!(found, ["2026-06-05 22:00:00 -04:00", "2026-06-08 22:00:00 -04:00"]);
}

#[test]
fn an_interval_keeps_its_rhythm_over_days_that_do_not_count() {
    // From Friday 22:30 on every 45 minutes: the rhythm goes on over the weekend, without firing.
    let mut schedule =
        on(&json!({ "every": { "minutes": 45 } }), "UTC", working_days(), "2026-06-05T22:30:00Z");
    let found = schedule.run_until("2026-06-08T01:00:00Z");
    let expected = [
        "2026-06-05 22:30:00 +00:00",
        "2026-06-05 23:15:00 +00:00",
        // 48 hours are 64 times 45 minutes.
        "2026-06-08 00:00:00 +00:00",
        "2026-06-08 00:45:00 +00:00",
    ];
    assert_eq!(found, expected);
    // One that begins on a day that does not count waits for one that does.
    let mut schedule = on(&json!({ "every": { "hours": 1 } }), "UTC", working_days(), "2026-06-06T12:00:00Z");
    assert_eq!(schedule.run_until("2026-06-08T00:30:00Z"), ["2026-06-08 00:00:00 +00:00"]);
}

#[test]
fn a_second_cron_over_a_year_of_days_that_do_not_count_is_no_work() {
    let rare = Calendar::of("rare", spec(json!({ "include": { "dates": ["2031-02-03"] } })));
    let mut schedule = on(&json!({ "cron": "* * * * * *" }), "UTC", rare, "2026-06-05T22:30:00Z");
    assert_eq!(schedule.next().unwrap(), "2031-02-03 00:00:00 +00:00");
    let found = schedule.run_until("2031-02-03T00:00:02Z");
    assert_eq!(found.len(), 3);
}

#[test]
fn a_changed_calendar_keeps_the_rhythm_and_takes_no_time_back() {
    let all = || Calendar::of("c", spec(json!({})));
    let none_before = |day: &str| Calendar::of("c", spec(json!({ "include": { "dates": [day] } })));
    let mut schedule = on(&json!({ "every": { "hours": 5 } }), "UTC", all(), "2026-06-01T00:00:00Z");
    assert_eq!(schedule.run_until("2026-06-01T11:00:00Z").len(), 3);
    schedule.change(none_before("2026-06-03"));
    // 00:00 plus eleven times five hours.
    assert_eq!(schedule.next().unwrap(), "2026-06-03 02:00:00 +00:00");
    schedule.change(all());
    assert_eq!(schedule.next().unwrap(), "2026-06-01 15:00:00 +00:00");
    // The same again changes nothing, nor does another text of what it does not cover.
    schedule.arm();
    assert_eq!(schedule.next().unwrap(), "2026-06-01 15:00:00 +00:00");

    let mut schedule =
        on(&json!({ "cron": "0 9 * * *" }), "UTC", none_before("2026-06-03"), "2026-06-01T12:00:00Z");
    assert_eq!(schedule.next().unwrap(), "2026-06-03 09:00:00 +00:00");
    schedule.change(all());
    assert_eq!(schedule.next().unwrap(), "2026-06-02 09:00:00 +00:00");
}

#[test]
fn a_schedule_that_can_never_fire_says_so() {
    let sundays = || Calendar::of("c", spec(json!({ "include": { "weekdays": ["sun"] } })));
    let schedule = on(&json!({ "cron": "0 9 * * 1" }), "UTC", sundays(), "2026-06-01T00:00:00Z");
    assert_eq!(schedule.next(), None);
    let problem = schedule.trigger.problem.unwrap();
    assert!(problem.contains("calendar 'c'"), "{problem}");
    // Its calendar is not there.
    let ops = json!({ "calendar": "c" });
    let mut schedule = Schedule::new(&json!({ "cron": "0 9 * * *" }), &ops, None, "2026-06-01T00:00:00Z");
    assert_eq!(schedule.next(), None);
    assert_eq!(schedule.trigger.problem.clone().unwrap(), "expected a calendar named 'c', found none");
    schedule.change(sundays());
    assert_eq!(schedule.trigger.problem, None);
    assert_eq!(schedule.next().unwrap(), "2026-06-07 09:00:00 +00:00");
    // The days of its calendar have run out.
    let last = Calendar::of("c", spec(json!({ "include": { "dates": ["2026-06-08"] } })));
    schedule.change(last);
    assert_eq!(schedule.run_until("2026-07-01T00:00:00Z").len(), 1);
    assert!(schedule.trigger.problem.is_some());
}

#[test]
fn what_counts_from_an_end_waits_for_a_covered_day() {
    let mut schedule =
        on(&json!({ "after": { "hours": 2 } }), "Europe/Berlin", working_days(), "2026-06-05T20:00:00Z");
    let fired = schedule.run_until("2026-06-05T20:30:00Z");
    assert_eq!(fired, ["2026-06-05 22:00:00 +02:00"]);
    let instance = schedule.trigger.waits_for.clone().unwrap();
    schedule.apply(&impresario_model::entry::TriggerEvent::Ended { instance });
    assert_eq!(schedule.next().unwrap(), "2026-06-08 00:00:00 +02:00");
}
