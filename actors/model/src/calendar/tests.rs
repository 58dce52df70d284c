//! Rules, resolution, and what the book refuses.

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::*;

fn spec(value: Value) -> CalendarSpec {
    serde_json::from_value(value).unwrap()
}

fn calendar(value: Value) -> Calendar {
    Calendar::of("c", spec(value))
}

/// The first days from a day on.
fn first(calendar: &Calendar, from: Date, count: usize) -> Vec<String> {
    let mut days = Vec::new();
    let mut from = from;
    while days.len() < count {
        let Some(day) = calendar.next_day(from, 10) else { break };
        days.push(day.to_string());
        from = day.tomorrow().unwrap();
    }
    days
}

#[test]
fn rules_pick_the_days_that_they_say() {
    let table: Vec<(Value, &[&str])> = vec![
        (
            json!({ "repeat": "daily", "every": 3, "from": "2026-01-02" }),
            &["2026-01-02", "2026-01-05", "2026-01-08"],
        ),
        (json!({ "repeat": "daily", "until": "2026-01-02" }), &["2026-01-01", "2026-01-02"]),
        (
            json!({ "repeat": "weekly", "weekdays": ["mon", "sun"] }),
            &["2026-01-04", "2026-01-05", "2026-01-11"],
        ),
        // Every other week, counted from the week of a Wednesday: the Monday before it is not in it any more.
        (
            json!({ "repeat": "weekly", "weekdays": ["mon", "fri"], "every": 2, "from": "2026-01-07" }),
            &["2026-01-09", "2026-01-19", "2026-01-23"],
        ),
        (json!({ "repeat": "monthly", "days": [-1] }), &["2026-01-31", "2026-02-28", "2026-03-31"]),
        (json!({ "repeat": "monthly", "days": [31] }), &["2026-01-31", "2026-03-31", "2026-05-31"]),
        (
            json!({ "repeat": "monthly", "days": [1], "every": 5, "from": "2025-12-01" }),
            &["2026-05-01", "2026-10-01"],
        ),
        (
            json!({ "repeat": "monthly", "nth": [2], "of": ["tue"] }),
            &["2026-01-13", "2026-02-10", "2026-03-10"],
        ),
        // The last working day of the month.
        (
            json!({ "repeat": "monthly", "nth": [-1], "of": ["mon", "tue", "wed", "thu", "fri"] }),
            &["2026-01-30", "2026-02-27", "2026-03-31"],
        ),
        (
            json!({ "repeat": "quarterly", "days": [-1] }),
            &["2026-03-31", "2026-06-30", "2026-09-30", "2026-12-31"],
        ),
        // Fiscal quarters of a year that begins in February.
        (
            json!({ "repeat": "quarterly", "begins": 2, "days": [1, -1] }),
            &["2026-01-31", "2026-02-01", "2026-04-30"],
        ),
        (json!({ "repeat": "yearly", "begins": 4, "days": [-1] }), &["2026-03-31", "2027-03-31"]),
        (json!({ "repeat": "yearly", "days": [60] }), &["2026-03-01", "2027-03-01", "2028-02-29"]),
        (
            json!({ "repeat": "yearly", "months": [12], "days": [25, 26] }),
            &["2026-12-25", "2026-12-26", "2027-12-25"],
        ),
        (json!({ "repeat": "yearly", "months": [2], "days": [29] }), &["2028-02-29", "2032-02-29"]),
        (
            json!({ "repeat": "yearly", "months": [11], "nth": [4], "of": ["thu"] }),
            &["2026-11-26", "2027-11-25"],
        ),
        (
            json!({ "repeat": "yearly", "every": 4, "from": "2024-01-01", "months": [7], "days": [4] }),
            &["2028-07-04", "2032-07-04"],
        ),
    ];
    for (rule, expected) in table {
        let found = calendar(json!({ "include": { "rules": [rule.clone()] } }));
        assert_eq!(first(&found, date(2026, 1, 1), expected.len()), expected, "{rule}");
        let again: Rule = serde_json::from_value(
            serde_json::to_value(&found.parts["c"].include.as_ref().unwrap().rules[0]).unwrap(),
        )
        .unwrap();
        assert_eq!(again, found.parts["c"].include.as_ref().unwrap().rules[0], "{rule}");
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_with_the_reason() {
    let table = [
        (json!({ "repeat": "hourly" }), "daily, weekly"),
        (json!({ "repeat": "daily", "every": 2 }), "'from'"),
        (json!({ "repeat": "daily", "every": 0 }), "1 to 366"),
        (json!({ "repeat": "daily", "days": [1] }), "found 'days'"),
        (json!({ "repeat": "weekly" }), "weekdays"),
        (json!({ "repeat": "weekly", "weekdays": ["monday"] }), "monday"),
        (json!({ "repeat": "monthly" }), "either 'days' or 'nth'"),
        (json!({ "repeat": "monthly", "days": [32] }), "found 32"),
        (json!({ "repeat": "monthly", "days": [0] }), "found 0"),
        (json!({ "repeat": "monthly", "nth": [1] }), "with 'of'"),
        (json!({ "repeat": "monthly", "days": [1], "nth": [1], "of": ["mon"] }), "either"),
        (json!({ "repeat": "yearly", "months": [13], "days": [1] }), "found 13"),
        (json!({ "repeat": "yearly", "months": [1], "begins": 2, "days": [1] }), "found both"),
        (json!({ "repeat": "daily", "from": "2026-02-30" }), "2026-02-30"),
        (json!({ "repeat": "daily", "from": "2026-02-03T10:00" }), "such as 2026-12-24"),
        (json!({ "repeat": "daily", "from": "2026-02-03", "until": "2026-02-02" }), "not before"),
        (json!({ "repeat": "daily", "untl": "2026-02-02" }), "untl"),
    ];
    for (rule, part) in table {
        let found = serde_json::from_value::<Rule>(rule.clone()).unwrap_err().to_string();
        assert!(found.contains(part), "{rule}: {found}");
    }
}

fn book() -> Calendars {
    let mut book = Calendars::default();
    book.put(
        "holidays",
        spec(json!({ "include": { "dates": ["2026-12-25"], "rules": [
        { "repeat": "yearly", "months": [1], "days": [1] } ] } })),
    );
    book.put(
        "work",
        spec(json!({
            "description": "days on which people work",
            "include": { "weekdays": ["mon", "tue", "wed", "thu", "fri"] },
            "exclude": { "calendars": ["holidays"], "dates": ["2026-12-24"] },
        })),
    );
    book
}

#[test]
fn what_is_excluded_is_left_out_of_what_is_included() {
    let work = book().resolve("work").unwrap();
    let found = first(&work, date(2026, 12, 23), 6);
    assert_eq!(found, ["2026-12-23", "2026-12-28", "2026-12-29", "2026-12-30", "2026-12-31", "2027-01-04"]);
    // Without an include, all days but the excluded ones.
    let mut book = book();
    book.put("rest", spec(json!({ "exclude": { "calendars": ["work"] } })));
    let rest = book.resolve("rest").unwrap();
    assert_eq!(first(&rest, date(2026, 12, 23), 4), ["2026-12-24", "2026-12-25", "2026-12-26", "2026-12-27"]);
    assert_eq!(
        book.next_days("holidays", Ahead { from: date(2026, 6, 1), years: YEARS_MAX }, 3).unwrap().len(),
        3
    );
    // It is the local day that counts.
    let midnight_in_berlin = 1_782_856_800_000; // 2026-06-30T22:00Z
    let july = Calendar::of("july", spec(json!({ "include": { "dates": ["2026-07-01"] } })));
    assert!(july.covers(midnight_in_berlin, "Europe/Berlin"));
    assert!(!july.covers(midnight_in_berlin, "UTC"));
    assert!(!july.covers(midnight_in_berlin, "Europe/Nowhere"));
}

#[test]
fn the_book_refuses_circles_gaps_depth_and_what_never_comes() {
    let from = Ahead { from: date(2026, 11, 1), years: YEARS_MAX };
    let refused = |book: &Calendars, name: &str, value: Value, part: &str| {
        let found = book.check(name, &spec(value.clone()), from).unwrap_err().to_string();
        assert!(found.contains(part), "{value}: {found}");
    };
    let mut book = book();
    let in_work = json!({ "include": { "calendars": ["work"] } });
    refused(&book, "holidays", in_work.clone(), "holidays → work → holidays");
    refused(&book, "self", json!({ "include": { "calendars": ["self"] } }), "self → self");
    refused(&book, "a", json!({ "exclude": { "calendars": ["wrok"] } }), "did you mean 'work'?");
    refused(&book, "a", json!({ "include": {} }), "found none");
    refused(&book, "a", json!({ "include": { "dates": ["2019-01-01"] } }), "2026-11-01");
    refused(&book, "a", json!({ "exclude": { "rules": [{ "repeat": "daily" }] } }), "would ever fire");
    refused(
        &book,
        "a",
        json!({ "include": { "rules": [{ "repeat": "monthly", "months": [2], "days": [30] }] } }),
        "found none",
    );
    // What has passed is no reason to refuse what is there; what never comes is.
    book.check("a", &spec(json!({ "include": { "dates": ["2019-01-01"] } })), Ahead::EVER).unwrap();
    let never = json!({ "include": { "dates": ["2019-01-01"] }, "exclude": { "weekdays": ["tue"] } });
    assert!(book.check("a", &spec(never), Ahead::EVER).is_err());
    // A change that takes all days from one that names it is told too.
    refused(&book, "holidays", json!({}), "'work'");
    book.check("a", &spec(in_work), from).unwrap();
    let deep = |number: usize| match number {
        0 => json!({}),
        _ => json!({ "include": { "calendars": [format!("deep{}", number - 1)] } }),
    };
    for number in 0..DEPTH_MAX {
        book.check(&format!("deep{number}"), &spec(deep(number)), from).unwrap();
        book.put(&format!("deep{number}"), spec(deep(number)));
    }
    refused(&book, "deeper", deep(DEPTH_MAX), "at most 8 deep");
    assert!(matches!(book.check_removal("holidays"), Err(CalendarError::Conflict(_))));
    assert!(matches!(book.check_removal("none"), Err(CalendarError::NotFound(_))));
    book.check_removal("work").unwrap();
}

#[test]
fn a_resolved_calendar_survives_being_stored() {
    let work = book().resolve("work").unwrap();
    let bytes = crate::encoding::encode(&work).unwrap();
    assert_eq!(crate::encoding::decode::<Calendar>(&bytes).unwrap(), work);
}
