//! The kill sweep: a node under load that is killed at random moments, and the accounts afterwards.
//!
//! Clients order work through the HTTP door, by events and by starts with idempotency keys, and repeat what was not
//! acknowledged. Each instance runs five activities ([`pack`]) that write into a ledger file outside of the node. A
//! nemesis ends the node again and again ([`run`]). In the end the ledger, the node's own account of each instance
//! and the clients' acknowledgements have to agree ([`verdict`]).

mod clients;
mod ledger;
mod pack;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use impresario::orchestrator::InstanceDetail;
use tokio::sync::watch;

use self::clients::Clients;
use crate::api::Api;
use crate::chance::Chance;
use crate::node::{Node, Place};
use crate::poll::eventually;

/// How many activities run at once: few, so that an end interrupts some instances and not all.
const CONCURRENCY: usize = 8;

/// How a node is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nemesis {
    /// Killed at once, wherever it is, its start included.
    Kill,
    /// Asked to stop, in good order.
    Terminate,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides the moments.
    pub seed: u64,
    /// How the node is ended.
    pub nemesis: Nemesis,
    /// How often.
    pub ends: u32,
    /// How many instances are started by an event.
    pub events: u32,
    /// How many are started through the API, with an idempotency key.
    pub starts: u32,
    /// How long the node lives, counted from the moment at which it listens.
    pub life: (Duration, Duration),
    /// Settings beside those of a test.
    pub settings: Vec<(String, String)>,
}

impl Plan {
    /// The plan of a seed that fits into the tests of every change.
    pub fn short(seed: u64, nemesis: Nemesis) -> Self {
        Plan {
            seed,
            nemesis,
            ends: 22,
            events: 300,
            starts: 100,
            life: (Duration::from_millis(20), Duration::from_millis(800)),
            settings: Vec::new(),
        }
    }

    fn total(&self) -> u32 {
        self.events + self.starts
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often the node was ended.
    pub ends: u32,
    /// Of these, before it listened.
    pub ends_at_start: u32,
    /// Instances that completed.
    pub completed: usize,
    /// Instances that faulted because an activity was interrupted.
    pub interrupted: usize,
    /// Activities in the ledger.
    pub activities: usize,
    /// Of these, restartable ones that were started more than once.
    pub repeated: usize,
    /// Requests that were not acknowledged at first and had to be repeated.
    pub resent: u32,
    /// How long all of it took.
    pub took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ends ({} of them while it started), {} instances completed, {} interrupted; {} activities ran, {} of \
             them more than once; {} requests were repeated; {:.1} s",
            self.ends,
            self.ends_at_start,
            self.completed,
            self.interrupted,
            self.activities,
            self.repeated,
            self.resent,
            self.took.as_secs_f64()
        )
    }
}

/// An order that a client placed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Placed {
    /// As an event.
    Event,
    /// As a start, which answered this id.
    Start(String),
}

/// Runs the plan.
///
/// # Panics
/// When the accounts do not agree; the folder with the ledger and the node's log is kept and named.
pub async fn run(plan: Plan) -> Tally {
    let began = Instant::now();
    let (place, ledger) = build(&plan);
    let mut chance = Chance::new(plan.seed);
    let (address, addresses) = watch::channel(None::<Api>);
    let (allowance, allowed) = watch::channel(0);
    let clients = Clients::start(&plan, addresses, allowed);
    let mut ends_at_start = 0;
    for end in 0..plan.ends {
        // A share of the orders for each life, so that every end meets work.
        allowance.send_replace(u64::from(plan.total()) * u64::from(end + 1) / u64::from(plan.ends));
        let mut process = place.spawn();
        if plan.nemesis == Nemesis::Kill && chance.below(4) == 0 {
            ends_at_start += 1;
            let moment = chance.moment(Duration::ZERO, Duration::from_millis(400));
            tokio::time::sleep(moment).await;
            process.kill().await;
            continue;
        }
        let node = process.listening().await;
        address.send_replace(Some(node.api.clone()));
        let moment = chance.moment(plan.life.0, plan.life.1);
        tokio::time::sleep(moment).await;
        match plan.nemesis {
            Nemesis::Kill => node.kill().await,
            Nemesis::Terminate => node.stop().await,
        }
        address.send_replace(None);
    }
    let node = place.start().await;
    address.send_replace(Some(node.api.clone()));
    let (placed, resent) = clients.finish().await;
    let details = all_ended(&node, plan.total() as usize).await;
    let found = verdict::judge(&plan, &placed, &details, &ledger::read(&ledger));
    if let Err(wrong) = &found {
        keep(place, wrong);
    }
    nothing_starts_again(&node, &plan, &placed).await;
    node.stop().await;
    let mut tally = found.unwrap_or_default();
    (tally.ends, tally.ends_at_start, tally.resent) = (plan.ends, ends_at_start, resent);
    tally.took = began.elapsed();
    tally
}

fn build(plan: &Plan) -> (Place, PathBuf) {
    let mut place = Place::new()
        .set("adapters.concurrency", &CONCURRENCY.to_string())
        // Often, so that ends fall before, into and behind checkpoints.
        .set("engine.checkpoint_interval", "200ms")
        .set("engine.idle_after", "300ms")
        .set("store.shards", "4")
        .set("log.level", "info");
    for (key, value) in &plan.settings {
        place = place.set(key, value);
    }
    let ledger = place.path().join("ledger");
    let script = place.write("mark.sh", pack::SCRIPT);
    let definition = pack::definition(&script, &ledger);
    (place.define("five", &definition), ledger)
}

/// Waits until as many instances as were ordered have ended, and shows them all.
async fn all_ended(node: &Node, total: usize) -> Vec<InstanceDetail> {
    let limit = Duration::from_secs(120);
    let summaries = eventually(limit, "every instance has ended", async || {
        let all = node.api.instances(&format!("definition={}", pack::NAME)).await.ok()?;
        (all.len() >= total && all.iter().all(|one| one.ended_at.is_some())).then_some(all)
    })
    .await;
    let mut details = Vec::with_capacity(summaries.len());
    for summary in summaries {
        details.push(node.api.instance(&summary.id).await.expect("a listed instance can be shown"));
    }
    details
}

/// Sends everything once more: nothing new may come of it.
async fn nothing_starts_again(node: &Node, plan: &Plan, placed: &BTreeMap<String, Placed>) {
    for order in placed.keys() {
        let again = clients::place(&node.api, order).await.expect("a node at rest takes an order");
        let before = &placed[order];
        assert_eq!(&again, before, "order {order} was placed again and meant something else");
    }
    eventually(Duration::from_secs(30), "every shard has applied its log", async || {
        let tree = node.api.tree().await.ok()?;
        let shards = tree.children.iter().find(|group| group.name == "shards")?;
        shards.children.iter().all(|shard| shard.facts.iter().any(|fact| fact == "lag 0")).then_some(())
    })
    .await;
    let all = node.api.instances(&format!("definition={}", pack::NAME)).await.expect("a list");
    assert_eq!(all.len(), plan.total() as usize, "orders that were sent again started instances");
    let triggers = node.api.triggers().await.expect("a list");
    let fired: Vec<u64> = triggers.iter().map(|trigger| trigger.fired).collect();
    assert_eq!(fired, [u64::from(plan.events)], "the trigger has to fire once for each event");
}

/// Keeps the evidence.
fn keep(place: Place, wrong: &[String]) -> ! {
    let kept = place.keep();
    let shown: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    panic!(
        "{} findings, the first ones:\n{}\nevidence is kept in {}",
        wrong.len(),
        shown.join("\n"),
        kept.display()
    )
}
