//! One trial: nodes under load, faults, and the accounts in the end.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::{Cluster, Nemesis};
use crate::accounts::{
    Account, Clients, Harm, Orders, Placed, Placements, all_ended, judge, nothing_starts_again, place,
    probe_name, read, settled,
};
use crate::api::{Api, Failure};
use crate::chance::Chance;
use crate::poll::eventually;

/// New work that was ordered right after something was put right has to be done within this time.
pub const PROGRESS: Duration = Duration::from_secs(30);
/// How many orders look whether there is progress: enough to meet most shards.
const PROBES: usize = 8;
/// One more order each time.
const PACE: Duration = Duration::from_millis(50);
/// How long the nodes work between two faults.
const CALM: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

/// What to try.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What goes wrong.
    pub nemesis: Nemesis,
    /// Decides whom and when.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How often it goes wrong.
    pub faults: u32,
    /// How many instances are ordered meanwhile, one after another at a steady pace; a quarter of them by starts, the others by events.
    pub instances: u32,
}

impl Trial {
    /// One that fits into the tests of every change.
    pub fn short(nemesis: Nemesis, seed: u64) -> Self {
        Trial { nemesis, seed, nodes: 3, faults: 2, instances: 160 }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was tried.
    pub trial: Trial,
    /// The accounts.
    pub account: Account,
    /// Requests that were not acknowledged at first and had to be repeated.
    pub resent: u32,
    /// From each fault until new work on the other nodes was done; none where all nodes are struck.
    pub take_overs: Vec<Duration>,
    /// From each repair until new work through every node was done.
    pub heals: Vec<Duration>,
    /// How long all of it took.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} faults; {}; {} lost, {} duplicated; {} requests were repeated; taken over after {:.1?}, whole after \
             {:.1?}; {:.1?}; seed {}",
            self.trial.nemesis,
            self.trial.faults,
            self.account,
            self.account.lost,
            self.account.duplicated,
            self.resent,
            self.take_overs,
            self.heals,
            self.took,
            self.trial.seed
        )
    }
}

/// Whether work gets done, and how soon.
#[derive(Debug)]
pub struct Progress {
    orders: Orders,
    /// What was ordered to see it.
    pub placed: Placements,
    take_overs: Vec<Duration>,
    heals: Vec<Duration>,
}

impl Progress {
    /// Orders like these.
    pub fn new(orders: Orders) -> Self {
        Progress { orders, placed: Placements::new(), take_overs: Vec::new(), heals: Vec::new() }
    }

    /// The nodes that are left have taken over: new work through each of these doors gets done.
    pub async fn taken_over(&mut self, since: Instant, doors: &[Api]) {
        self.work_is_done(doors).await;
        self.take_overs.push(since.elapsed());
    }

    /// All is whole again: new work through each of these doors gets done.
    pub async fn whole(&mut self, since: Instant, doors: &[Api]) {
        self.work_is_done(doors).await;
        self.heals.push(since.elapsed());
    }

    /// Waits for something else that has to happen within the same time.
    pub(super) async fn seen(&self, what: &str, look: impl Fn() -> bool) {
        eventually(PROGRESS, what, async || look().then_some(())).await;
    }

    async fn work_is_done(&mut self, doors: &[Api]) {
        let count = PROBES.max(doors.len());
        let done = (0..count).map(|number| {
            let (door, order) = (&doors[number % doors.len()], probe_name(self.placed.len() + number));
            let orders = &self.orders;
            async move {
                let what = format!("{order} is done through {}", door.url());
                let placed = eventually(PROGRESS, &what, async || match place(door, orders, &order).await {
                    Ok(placed) => Some(placed),
                    Err(Failure::Broken(_) | Failure::Refused(..)) => None,
                    Err(other) => panic!("order {order}: {other:?}"),
                })
                .await;
                let Placed::Start(id) = &placed else { panic!("a probe is a start") };
                eventually(PROGRESS, &what, async || {
                    settled(&door.instance(id).await.ok()?.summary).then_some(())
                })
                .await;
                (order, placed)
            }
        });
        let done = join_all(done).await;
        self.placed.extend(done);
    }
}

/// Runs a trial.
///
/// # Panics
/// When there is no progress in time, or a node does not start or stop as it should; what the nodes wrote is kept. What
/// the accounts say is for the caller to judge: see [`Outcome::expect_good`].
pub async fn run(trial: Trial) -> Outcome {
    let began = Instant::now();
    let mut chance = Chance::new(trial.seed);
    let nemesis = trial.nemesis;
    let mut cluster = Cluster::start(nemesis.store(), nemesis.design(trial.nodes)).await;
    nemesis.prepare(&mut cluster).await;
    let orders = orders(&cluster, trial.instances);
    let mut progress = Progress::new(orders.clone());
    let (allowance, allowed) = watch::channel(0);
    let clients = Clients::start(&orders, cluster.doors(), allowed);
    let faults = async {
        for _ in 0..trial.faults {
            tokio::time::sleep(chance.moment(CALM.0, CALM.1)).await;
            nemesis.strike(&mut cluster, &mut chance, &mut progress).await;
        }
    };
    // All the time, so that every fault meets work; what is left in the end comes at once.
    tokio::select! {
        () = faults => {}
        () = steadily(&allowance, u64::from(orders.total())) => {}
    }
    allowance.send_replace(u64::from(orders.total()));
    let (mut placed, resent) = clients.finish().await;
    placed.append(&mut progress.placed);
    let harm = nemesis.harm(trial.faults, trial.nodes);
    let account = audit(&mut cluster, harm, &orders, &placed).await;
    if account.wrong.is_empty() {
        cluster.stop_all().await;
    }
    let Progress { take_overs, heals, .. } = progress;
    Outcome { trial, account, resent, take_overs, heals, took: began.elapsed() }
}

/// Lets clients place more and more orders, for ever.
async fn steadily(allowance: &watch::Sender<u64>, total: u64) {
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        allowance.send_modify(|allowed| *allowed = (*allowed + 1).min(total));
    }
}

/// So many orders to a cluster; a quarter of them by starts, the others by events.
pub fn orders(cluster: &Cluster, instances: u32) -> Orders {
    let starts = instances / 4;
    Orders { events: instances - starts, starts, durability: cluster.store.durability() }
}

/// Compares the accounts once everything that was ordered has ended; what is not in good order is kept for a look.
pub async fn audit(cluster: &mut Cluster, harm: Harm, orders: &Orders, placed: &Placements) -> Account {
    let apis = cluster.apis();
    let details = all_ended(&apis[0], placed.len()).await;
    let mut account = judge(harm, placed, &details, &read(&cluster.books.ledger));
    account.wrong.extend(nothing_starts_again(&apis, orders, placed).await);
    if !account.wrong.is_empty() {
        eprintln!("evidence is kept in {:?}", cluster.keep());
    }
    account
}

impl Outcome {
    /// Expects that the accounts agree.
    ///
    /// # Panics
    /// When they do not, with the first findings.
    pub fn expect_good(&self) {
        let wrong = &self.account.wrong;
        let shown: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
        assert!(wrong.is_empty(), "{self}\n{} findings, the first ones:\n{}", wrong.len(), shown.join("\n"));
    }
}
