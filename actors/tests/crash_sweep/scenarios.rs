//! Every scenario of the language, with a crash at every durable write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use impresario_actors::shard::ShardSettings;
use impresario_model::definition::Definition;
use impresario_model::entry::{ActivityOutcome, ProcessEvent};
use impresario_model::instance::{ActivityState, Instance, Status};
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time, settings, to_process, to_router};
use crate::support::outside::{ID, START_MS, activity_view, cloud_event_of, event_of, start_event};
use crate::support::scenario::{self, Scenario};
use crate::support::world::World;

const SHARDS: u16 = 2;
/// At most so many writes of one scenario are crashed at; they are spread over its whole run.
const POINTS_MAX: u64 = 16;

/// How a run ended.
struct End {
    instance: Instance,
    world: World,
    crashes: usize,
    writes: u64,
}

/// Runs a scenario to its end, with a crash, and with another one after the restart.
fn run(
    scenario: &Scenario,
    definition: &Definition,
    settings: &ShardSettings,
    points: [Option<CrashPoint>; 2],
) -> End {
    on_paused_time(async {
        let mut node = Node::start(Setup {
            world: World::new(&scenario.answers).probing(&scenario.probes),
            settings: settings.clone(),
            crash: points[0],
            second_crash: points[1],
            ..Setup::new(SHARDS, kinds_of(&[definition]))
        })
        .await;
        node.send_routes(&[definition]);
        let start = start_event(definition, scenario.input.clone());
        node.send(to_process(ID, ProcessEvent::Start(Box::new(start))));
        for happening in &scenario.events {
            let entry = match cloud_event_of(happening) {
                Some(event) => to_router(event, SHARDS),
                None => to_process(ID, event_of(happening, definition)),
            };
            node.send_at(START_MS + happening.at, entry);
        }
        let instance = node.run_to_end(ID).await;
        let writes = node.store.counts().total();
        node.engine.stop().await;
        let world = std::mem::take(&mut *node.world.lock().unwrap());
        End { instance, world, crashes: node.crashes, writes }
    })
}

/// What must be the same however often the node crashed.
fn lasting(instance: &Instance, definition: &Definition) -> Value {
    let mut activities = activity_view(instance, definition);
    for activity in &mut activities {
        activity.as_object_mut().unwrap().remove("attempt");
    }
    let error = instance.fault.as_ref().map(|fault| fault.to_value());
    json!({
        "status": instance.status.word(),
        "output": instance.output,
        "error": error,
        "tasks": instance.tasks_run,
        "activities": activities,
    })
}

/// What is wrong with a run that crashed.
fn compare(calm: &End, crashed: &End, definition: &Definition) -> Result<(), String> {
    attempts(crashed)?;
    // What the adapter finds out leads to the same end; without it an operator is waited for, until a time runs out.
    let in_doubt = |instance: &Instance| {
        let mut activities = instance.activities.kept.iter();
        activities.any(|activity| {
            let given_up = matches!(activity.state, ActivityState::Uncertain(_) | ActivityState::Cancelled);
            !activity.restartable && activity.lost > 0 && given_up
        })
    };
    if in_doubt(&crashed.instance) && !in_doubt(&calm.instance) {
        let uncertain = crashed.instance.activities.open().count() > 0;
        let (status, fault) = (crashed.instance.status, &crashed.instance.fault);
        // A detached activity may be in doubt while its instance goes on.
        let fits = status.ended() || uncertain && status == Status::Uncertain;
        return if fits { Ok(()) } else { Err(format!("in doubt, and yet {status:?}: {fault:?}")) };
    }
    let (calm, crashed) = (lasting(&calm.instance, definition), lasting(&crashed.instance, definition));
    if calm == crashed { Ok(()) } else { Err(format!("\n  calm    {calm}\n  crashed {crashed}")) }
}

/// What must hold of the attempts of one run.
fn attempts(end: &End) -> Result<(), String> {
    let arrivals = &end.world.arrivals;
    let tokens: BTreeSet<&str> = arrivals.iter().map(|arrival| arrival.token.as_str()).collect();
    if tokens.len() != arrivals.len() {
        return Err(format!("a token came twice: {:?}", end.world.tokens()));
    }
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for (arrival, reply) in arrivals.iter().zip(&end.world.replies) {
        if reply.outcome != Some(ActivityOutcome::NotStarted) {
            *runs.entry(&arrival.key).or_default() += 1;
        }
    }
    for activity in &end.instance.activities.kept {
        let key = activity.key(ID);
        let count = runs.get(key.as_str()).copied().unwrap_or(0);
        let told = activity.probe || activity.resolved.is_some();
        if !activity.restartable && !told && count > 1 {
            return Err(format!("activity {} is not restartable, and ran {count} times", activity.number));
        }
        if matches!(activity.state, ActivityState::Uncertain(_))
            && !activity.restartable
            && activity.marker.is_none()
        {
            return Err(format!("activity {} is in doubt, and was never begun", activity.number));
        }
        let ended = matches!(activity.state, ActivityState::Completed(_) | ActivityState::Failed(_));
        if ended && activity.resolved.is_none() && count == 0 {
            return Err(format!("activity {} ended, and never ran", activity.number));
        }
    }
    let numbers = 1..=end.instance.activities.last;
    let keys: BTreeSet<String> = numbers.map(|number| format!("{ID}.{number}")).collect();
    match runs.keys().find(|key| !keys.contains(**key)) {
        Some(key) => Err(format!("the key {key} belongs to no activity")),
        None => Ok(()),
    }
}

/// Crashes one scenario everywhere: how many crash points were swept.
fn sweep(scenario: &Scenario, settings: &ShardSettings, problems: &mut Vec<String>) -> usize {
    let definition = scenario.definition();
    let calm = run(scenario, &definition, settings, [None, None]);
    assert_eq!(calm.crashes, 0);
    if let Err(problem) = attempts(&calm) {
        problems.push(format!("{}, uninterrupted: {problem}", scenario.name));
    }
    let seen = lasting(&calm.instance, &definition);
    let expected = &scenario.expect;
    if seen["status"] != json!(expected.status)
        || expected.output.as_ref().is_some_and(|output| seen["output"] != *output)
        || expected.error.as_ref().is_some_and(|error| !scenario::includes(&seen["error"], error))
    {
        problems.push(format!("{}, uninterrupted: {seen}", scenario.name));
    }
    let mut swept = 0;
    let step = calm.writes.div_ceil(POINTS_MAX).max(1);
    for nth in (1..=calm.writes).step_by(step as usize) {
        let at = |nth, side| Some(CrashPoint { write: None, nth, side });
        // The last of them crashes in the recovery too, at another place each time.
        let again = at(1 + nth % 7, Side::After);
        for points in
            [[at(nth, Side::Before), None], [at(nth, Side::After), None], [at(nth, Side::After), again]]
        {
            let crashed = run(scenario, &definition, settings, points);
            swept += 1;
            if crashed.crashes == 0 {
                problems.push(format!("{}: {points:?} was not reached", scenario.name));
            }
            if let Err(problem) = compare(&calm, &crashed, &definition) {
                problems.push(format!("{}: {points:?}: {problem}", scenario.name));
            }
        }
    }
    swept
}

fn sweep_all(settings: &ShardSettings) {
    let mut problems = Vec::new();
    let (mut swept, mut count) = (0, 0);
    for scenario in scenario::all().iter().filter(|scenario| scenario.sweep) {
        count += 1;
        swept += sweep(scenario, settings, &mut problems);
    }
    println!("{count} scenarios, {swept} crash points");
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn scenarios_survive_crashes_with_checkpoints_all_the_time() {
    sweep_all(&settings());
}

/// Then a recovery replays everything, in batches as large as the log.
#[test]
fn scenarios_survive_crashes_with_hardly_a_checkpoint() {
    sweep_all(&ShardSettings {
        batch_entries: 512,
        checkpoint_entries: 1_000,
        idle_after: Duration::from_secs(3600),
        ..settings()
    });
}
