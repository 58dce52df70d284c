//! Schedules of one second each, on three nodes of which one after another is killed: every second of every schedule starts
//! one instance, which completes.
//!
//! The id of an instance follows from its schedule and its nominal time, so the list of instances says which seconds there
//! were. How often a schedule says that it fired has to agree with it: else something fired twice for one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use impresario_model::ids::instance_of_fire;

use crate::api::{Api, Failure};
use crate::cluster::{Cluster, Design, Store, StoreKind};
use crate::poll::eventually;

/// How long everything may take to be caught up with after the last kill.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a killed node is away.
const AWAY: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many schedules there were.
    pub schedules: usize,
    /// How many nodes were killed.
    pub kills: usize,
    /// How many seconds of schedules were seen.
    pub fires: usize,
    /// Seconds that are missing, instances that belong to no second, counts that do not agree.
    pub wrong: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { schedules, kills, fires, wrong } = self;
        write!(f, "{schedules} schedules, {kills} kills, {fires} nominal times, {} wrong", wrong.len())
    }
}

fn definition(number: usize) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: seconds, name: s{number}, version: '1.0.0' }}
schedule: {{ cron: '* * * * * *' }}
do:
  - done: {{ set: {{ ok: true }} }}
"
    )
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs()
}

/// Kills one of three nodes every so often, so many times.
///
/// # Panics
/// When a node does not start, or the nodes do not catch up.
pub async fn measure(schedules: usize, kills: usize, between: Duration) -> Figures {
    let design = Design::of(3).set("log.level", "warn").set("engine.checkpoint_interval", "1s");
    let mut cluster = Cluster::prepare(Store::start(StoreKind::Redis).await, design).await;
    for number in 0..schedules {
        for member in 0..3 {
            cluster.define(member, &format!("s{number}"), &definition(number));
        }
    }
    let begin = now();
    for member in 0..3 {
        cluster.restart(member).await;
    }
    for kill in 0..kills {
        tokio::time::sleep(between.saturating_sub(AWAY)).await;
        cluster.kill(kill % 3).await;
        tokio::time::sleep(AWAY).await;
        cluster.restart(kill % 3).await;
    }
    let end = now();
    let mut figures = Figures { schedules, kills, ..Figures::default() };
    let api = cluster.member(kills % 3).node().api.clone();
    for number in 0..schedules {
        examine(&api, number, (begin, end), &mut figures).await;
    }
    cluster.stop_all().await;
    figures
}

/// Looks at one schedule once it has fired for all seconds up to the end, and the instances of these have completed.
async fn examine(api: &Api, number: usize, (begin, end): (u64, u64), figures: &mut Figures) {
    let trigger = format!("seconds/s{number}/cron");
    let seconds: BTreeMap<String, u64> =
        (begin..end + 600).map(|second| (instance_of_fire(&trigger, second * 1_000), second)).collect();
    let what = format!("every second of {trigger} up to the last kill is done");
    let (least, done, most) = eventually(LIMIT, &what, async || {
        let least = fired(api, &trigger).await.ok()?;
        let done = api.instances(&format!("definition=seconds/s{number}")).await.ok()?;
        let most = fired(api, &trigger).await.ok()?;
        let settled = |id: &String| seconds.get(id).is_none_or(|second| *second > end);
        let all = done.iter().all(|instance| instance.status == "completed" || settled(&instance.id));
        let last = done.iter().filter_map(|instance| seconds.get(&instance.id)).max();
        (all && last.is_some_and(|last| *last >= end)).then_some((least, done, most))
    })
    .await;
    let seen: BTreeSet<u64> = done.iter().filter_map(|instance| seconds.get(&instance.id).copied()).collect();
    let (first, last) = (seen.first().copied().unwrap_or(begin), seen.last().copied().unwrap_or(end));
    let missing = (first..=last).filter(|second| !seen.contains(second));
    figures.wrong.extend(missing.map(|second| format!("{trigger}: nothing for second {second}")));
    if seen.len() != done.len() {
        figures.wrong.push(format!("{trigger}: {} instances for {} seconds", done.len(), seen.len()));
    }
    let count = done.len() as u64;
    if !(least..=most).contains(&count) {
        figures.wrong.push(format!("{trigger}: fired {least} to {most} times for {count} instances"));
    }
    figures.fires += seen.len();
}

async fn fired(api: &Api, name: &str) -> Result<u64, Failure> {
    let triggers = api.triggers().await?;
    Ok(triggers.iter().find(|trigger| trigger.name == name).map_or(0, |trigger| trigger.fired))
}
