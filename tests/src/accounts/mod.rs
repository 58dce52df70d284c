//! The accounts of a trial: what clients ordered and had acknowledged, what the activities wrote into a ledger outside of
//! every node, and what the nodes say became of it. In the end the three have to agree, whatever was broken meanwhile.
//!
//! Clients order work through the HTTP door, by events and by starts with idempotency keys, and repeat what was not
//! acknowledged ([`Clients`]). Each instance runs five activities ([`pack`]) that note their begin and their end
//! ([`ledger`]). [`judge`] compares.

mod clients;
mod ledger;
pub mod pack;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use impresario::orchestrator::{InstanceDetail, InstanceSummary, TreeNode};

pub use self::clients::{Clients, place, probe_name};
pub use self::ledger::{Ledger, read};
pub use self::verdict::{Account, judge};
use crate::api::Api;
use crate::poll::eventually;

/// How many activities run at once on one node: few, so that an end interrupts some instances and not all.
pub const CONCURRENCY: usize = 8;
/// How long the last instances may take to end.
const END_LIMIT: Duration = Duration::from_secs(120);

/// What is ordered, and what the clients expect.
#[derive(Clone, Debug)]
pub struct Orders {
    /// How many instances are started by an event.
    pub events: u32,
    /// How many are started through the API, with an idempotency key.
    pub starts: u32,
    /// What every acknowledgement has to promise.
    pub durability: &'static str,
}

impl Orders {
    /// All of them.
    pub fn total(&self) -> u32 {
        self.events + self.starts
    }
}

/// What a trial did to the nodes, as far as it limits what may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing that may interrupt or repeat an activity.
    None,
    /// At most so many activities were at work when something was broken.
    InDoubt(usize),
    /// The same, and a node may go on for a moment with what another one has taken over: both may run a restartable
    /// activity, and as the same attempt. One that is not restartable cannot be begun by two.
    Zombie(usize),
}

/// An order that a client placed and had acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// As an event.
    Event,
    /// As a start, which answered this id.
    Start(String),
}

/// Everything that was acknowledged, by the name of the order.
pub type Placements = BTreeMap<String, Placed>;

/// The files outside of the nodes: the script that every activity runs, and the ledger that it writes.
#[derive(Clone, Debug)]
pub struct Books {
    /// The ledger.
    pub ledger: PathBuf,
    /// The definition that writes into it.
    pub definition: String,
}

impl Books {
    /// Opens them in a folder.
    pub fn open(folder: &std::path::Path) -> Self {
        let (ledger, script) = (folder.join("ledger"), folder.join("mark.sh"));
        std::fs::write(&script, pack::SCRIPT).expect("a temporary folder can be written");
        let definition = pack::definition(&script, &ledger);
        Books { ledger, definition }
    }
}

/// Whether nothing happens to an instance any more by itself: it has ended, or waits for an operator to say what became of
/// something that was cut off.
pub fn settled(one: &InstanceSummary) -> bool {
    one.ended_at.is_some() || one.status == "uncertain"
}

/// Waits until as many instances as were ordered have ended, or wait for an operator, and shows them all.
pub async fn all_ended(api: &Api, total: usize) -> Vec<InstanceDetail> {
    let summaries = eventually(END_LIMIT, "every instance has ended, or waits for an operator", async || {
        let all = api.instances(&format!("definition={}", pack::NAME)).await.ok()?;
        (all.len() >= total && all.iter().all(settled)).then_some(all)
    })
    .await;
    let mut details = Vec::with_capacity(summaries.len());
    for summary in summaries {
        details.push(api.instance(&summary.id).await.expect("a listed instance can be shown"));
    }
    details
}

/// Sends everything once more, to one node after another: nothing new may come of it. Answers what did.
pub async fn nothing_starts_again(apis: &[Api], orders: &Orders, placed: &Placements) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, (order, before)) in placed.iter().enumerate() {
        let again = place(&apis[number % apis.len()], orders, order).await;
        let again = again.expect("a node at rest takes an order");
        if again != *before {
            wrong.push(format!("{order} was placed again as {again:?}, and before as {before:?}"));
        }
    }
    eventually(Duration::from_secs(30), "every shard has applied its log", async || {
        let tree = apis[0].tree().await.ok()?;
        has_caught_up(&tree).then_some(())
    })
    .await;
    let query = format!("definition={}", pack::NAME);
    let all = eventually(END_LIMIT, "a list", async || apis[0].instances(&query).await.ok()).await;
    if all.len() != placed.len() {
        wrong.push(format!("{} orders have {} instances once they were sent again", placed.len(), all.len()));
    }
    let triggers = apis[0].triggers().await.expect("a list");
    let fired: Vec<u64> = triggers.iter().map(|trigger| trigger.fired).collect();
    // What a store lost of what it had acknowledged is appended once more, under an alarm: an event that had reached the
    // trigger before reaches it again, and starts nothing new.
    let expected = [u64::from(orders.events)];
    let repeats = fired.len() == 1 && fired[0] > expected[0] && has_alarms(apis).await;
    if fired != expected && !repeats {
        wrong.push(format!("the trigger fired {fired:?} times for {} events", orders.events));
    }
    wrong
}

async fn has_alarms(apis: &[Api]) -> bool {
    for api in apis {
        if api.health().await.is_some_and(|health| !health.alarms.is_empty()) {
            return true;
        }
    }
    false
}

/// Whether every shard of the node, or of all nodes, has applied what is in its log.
fn has_caught_up(tree: &TreeNode) -> bool {
    let mut shards = Vec::new();
    collect(tree, &mut shards);
    !shards.is_empty() && shards.iter().all(|shard| shard.facts.iter().any(|fact| fact == "lag 0"))
}

fn collect<'a>(tree: &'a TreeNode, shards: &mut Vec<&'a TreeNode>) {
    if tree.name.starts_with("shard ") {
        shards.push(tree);
    }
    for child in &tree.children {
        collect(child, shards);
    }
}
