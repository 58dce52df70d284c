//! Those who order: they repeat what was not acknowledged, as every client of a durable service has to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Placed, Plan, pack};
use crate::api::{Api, Failure, event};

/// How many order at the same time.
const CLIENTS: usize = 8;
/// The pause of a client that was refused.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one activity works, in seconds: long enough to be cut off now and then.
const WORK: &str = "0.02";

/// The clients at work.
pub(super) struct Clients {
    tasks: JoinSet<BTreeMap<String, Placed>>,
    resent: Arc<AtomicU32>,
}

/// The name of an order; its first letter says which way it goes.
fn name(plan: &Plan, number: u64) -> String {
    // Both ways all the time: every so many orders, one is a start.
    let every = u64::from(plan.total() / plan.starts.max(1)).max(1);
    let is_start = plan.starts > 0 && number.is_multiple_of(every) && number / every < u64::from(plan.starts);
    format!("{}-{number}", if is_start { "start" } else { "event" })
}

/// Places one order once.
pub(super) async fn place(api: &Api, order: &str) -> Result<Placed, Failure> {
    let input = json!({ "order": order, "work": WORK });
    if order.starts_with("start") {
        let started = api.start(pack::NAME, input, Some(order)).await?;
        assert_eq!(started.durability, "fsync");
        return Ok(Placed::Start(started.id));
    }
    let accepted = api.send(&event("/sweep", order, pack::EVENT, input)).await?;
    assert_eq!((accepted.accepted, accepted.durability.as_str()), (1, "fsync"));
    Ok(Placed::Event)
}

impl Clients {
    /// Starts them. `allowed` says how many orders may be placed so far.
    pub(super) fn start(
        plan: &Plan,
        addresses: watch::Receiver<Option<Api>>,
        allowed: watch::Receiver<u64>,
    ) -> Self {
        let next = Arc::new(AtomicU64::new(0));
        let resent = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let (plan, next, resent) = (plan.clone(), Arc::clone(&next), Arc::clone(&resent));
            let (mut addresses, mut allowed) = (addresses.clone(), allowed.clone());
            tasks.spawn(async move {
                let mut placed = BTreeMap::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= u64::from(plan.total()) {
                        return placed;
                    }
                    // The sender lives until the clients have finished.
                    allowed.wait_for(|allowed| number < *allowed).await.expect("an allowance");
                    let order = name(&plan, number);
                    let done = place_surely(&mut addresses, &order, &resent).await;
                    placed.insert(order, done);
                }
            });
        }
        Clients { tasks, resent }
    }

    /// Waits until every order is acknowledged; also how many requests had to be repeated.
    pub(super) async fn finish(self) -> (BTreeMap<String, Placed>, u32) {
        let all = self.tasks.join_all().await;
        (all.into_iter().flatten().collect(), self.resent.load(Ordering::Relaxed))
    }
}

/// Places an order until it is acknowledged.
async fn place_surely(
    addresses: &mut watch::Receiver<Option<Api>>,
    order: &str,
    resent: &AtomicU32,
) -> Placed {
    loop {
        let api = addresses.wait_for(Option::is_some).await.expect("an address").clone();
        let api = api.expect("it was waited for");
        match place(&api, order).await {
            Ok(placed) => return placed,
            Err(Failure::Broken(_)) => {}
            Err(Failure::Refused(status, _)) if matches!(status.as_u16(), 429 | 503 | 504) => {}
            Err(other) => panic!("order {order}: {other:?}"),
        }
        resent.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}
