//! The kill sweep: a node under load that is killed at random moments, and the accounts afterwards ([`crate::accounts`]).

use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::accounts::{
    Account, Books, CONCURRENCY, Clients, Harm, Orders, all_ended, judge, nothing_starts_again, read,
};
use crate::api::Api;
use crate::chance::Chance;
use crate::node::Place;

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

    fn orders(&self) -> Orders {
        Orders { events: self.events, starts: self.starts, durability: "fsync" }
    }

    fn harm(&self) -> Harm {
        match self.nemesis {
            Nemesis::Kill => Harm::InDoubt(self.ends as usize * CONCURRENCY),
            Nemesis::Terminate => Harm::None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often the node was ended.
    pub ends: u32,
    /// Of these, before it listened.
    pub ends_at_start: u32,
    /// What became of the orders.
    pub account: Account,
    /// Requests that were not acknowledged at first and had to be repeated.
    pub resent: u32,
    /// How long all of it took.
    pub took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ends ({} of them while it started), {}; {} requests were repeated; {:.1} s",
            self.ends,
            self.ends_at_start,
            self.account,
            self.resent,
            self.took.as_secs_f64()
        )
    }
}

/// Runs the plan.
///
/// # Panics
/// When the accounts do not agree; the folder with the ledger and the node's log is kept and named.
pub async fn run(plan: Plan) -> Tally {
    let began = Instant::now();
    let (place, books) = build(&plan);
    let orders = plan.orders();
    let mut chance = Chance::new(plan.seed);
    let (doors, addresses) = watch::channel(Vec::<Api>::new());
    let (allowance, allowed) = watch::channel(0);
    let clients = Clients::start(&orders, addresses, allowed);
    let mut ends_at_start = 0;
    for end in 0..plan.ends {
        // A share of the orders for each life, so that every end meets work.
        allowance.send_replace(u64::from(orders.total()) * u64::from(end + 1) / u64::from(plan.ends));
        let mut process = place.spawn();
        if plan.nemesis == Nemesis::Kill && chance.below(4) == 0 {
            ends_at_start += 1;
            let moment = chance.moment(Duration::ZERO, Duration::from_millis(400));
            tokio::time::sleep(moment).await;
            process.kill().await;
            continue;
        }
        let node = process.listening().await;
        doors.send_replace(vec![node.api.clone()]);
        let moment = chance.moment(plan.life.0, plan.life.1);
        tokio::time::sleep(moment).await;
        match plan.nemesis {
            Nemesis::Kill => node.kill().await,
            Nemesis::Terminate => node.stop().await,
        }
        doors.send_replace(Vec::new());
    }
    let node = place.start().await;
    doors.send_replace(vec![node.api.clone()]);
    let (placed, resent) = clients.finish().await;
    let details = all_ended(&node.api, orders.total() as usize).await;
    let mut account = judge(plan.harm(), &placed, &details, &read(&books.ledger));
    let again = nothing_starts_again(std::slice::from_ref(&node.api), &orders, &placed).await;
    account.wrong.extend(again);
    if !account.wrong.is_empty() {
        keep(place, &account.wrong);
    }
    node.stop().await;
    Tally { ends: plan.ends, ends_at_start, account, resent, took: began.elapsed() }
}

fn build(plan: &Plan) -> (Place, Books) {
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
    let books = Books::open(place.path());
    (place.define("five", &books.definition), books)
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
