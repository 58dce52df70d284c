//! The scenarios of `scenarios/*.yaml`, one instance each.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::executor::{self, Run};
use crate::support::outside::{self, ID};
use crate::support::scenario::{self, Scenario, includes};

/// Fewer would mean that files were not found.
const SCENARIOS_MIN: usize = 60;

#[test]
fn scenarios_end_as_expected() {
    let scenarios = scenario::all();
    let mut failed = Vec::new();
    for scenario in &scenarios {
        let result = catch_unwind(AssertUnwindSafe(|| check(scenario)));
        let problem = match result {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(panic) => panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default(),
        };
        failed.push(format!("{}\n  {problem}", scenario.name));
    }
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), scenarios.len(), failed.join("\n"));
    assert!(scenarios.len() >= SCENARIOS_MIN, "only {} scenarios", scenarios.len());
    println!("{} scenarios", scenarios.len());
}

fn check(scenario: &Scenario) -> Result<(), String> {
    let definition = scenario.definition();
    let run = executor::run(scenario, &definition);
    let mut problems = Vec::new();
    let expected = &scenario.expect;
    let instance = &run.instance;
    let mut compare = |what: &str, found: Value, wanted: Option<Value>, exactly: bool| {
        let Some(wanted) = wanted else { return };
        let same = if exactly { found == wanted } else { includes(&found, &wanted) };
        if !same {
            problems.push(format!("{what}: expected {wanted}\n    found {found}"));
        }
    };
    let error = instance.fault.as_ref().map_or(Value::Null, |fault| fault.to_value());
    compare("status", json!(instance.status.word()), Some(json!(expected.status)), true);
    compare("error", error, expected.error.clone(), false);
    compare("output", instance.output.clone().unwrap_or(json!("(none)")), expected.output.clone(), true);
    compare("tasks", json!(run.tasks), expected.tasks.as_ref().map(|tasks| json!(tasks)), true);
    let activities = outside::activity_view(instance, &definition);
    let wanted = expected.activities.as_ref().map(|activities| json!(activities));
    compare("activities", json!(activities), wanted, false);
    let events: Vec<&String> = run.world.events.iter().map(|event| &event.kind).collect();
    compare("events", json!(events), expected.events.as_ref().map(|events| json!(events)), true);
    let states: Vec<&Option<Value>> = run.world.arrivals.iter().map(|arrival| &arrival.state).collect();
    compare("states", json!(states), expected.states.as_ref().map(|states| json!(states)), true);
    times(&run, scenario, &mut problems);
    attempts(&run, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n  ")) }
}

fn times(run: &Run, scenario: &Scenario, problems: &mut Vec<String>) {
    let took = run.instance.ended.map(|ended| ended - run.instance.started);
    let within = |range: &Value| match range {
        Value::Array(ends) => took >= ends[0].as_u64() && took <= ends[1].as_u64(),
        exact => took == exact.as_u64(),
    };
    if let Some(wanted) = scenario.expect.took.as_ref().filter(|range| !within(range)) {
        problems.push(format!("took: expected {wanted} ms, found {took:?}"));
    }
    if let Some([least, most]) = scenario.expect.turns
        && !(least..=most).contains(&run.turns)
    {
        problems.push(format!("turns: expected {least} to {most}, found {}", run.turns));
    }
}

/// Each attempt has a token of its own, and all attempts of an activity have one key.
fn attempts(run: &Run, problems: &mut Vec<String>) {
    let mut tokens = BTreeSet::new();
    for arrival in &run.world.arrivals {
        let (number, attempt) = (arrival.key.strip_prefix(ID), arrival.attempt);
        let belongs = number.is_some_and(|number| arrival.token == format!("{ID}{number}.{attempt}"));
        if !belongs || !tokens.insert(&arrival.token) {
            problems.push(format!("attempt {} of {} came as {}", attempt, arrival.key, arrival.token));
        }
    }
}
