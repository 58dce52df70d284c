//! Those who order: they repeat what was not acknowledged, as every client of a durable service has to, and go to the
//! next node when one does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Orders, Placed, Placements, pack};
use crate::api::{Api, Failure, event};

/// How many order at the same time.
const CLIENTS: usize = 8;
/// The pause of a client that was refused.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one activity works, in seconds: long enough to be cut off now and then.
const WORK: &str = "0.02";

/// What the names of orders begin with that only ask how soon something is done.
const PROBE: &str = "start-probe";

/// The clients at work.
#[derive(Debug)]
pub struct Clients {
    tasks: JoinSet<Placements>,
    resent: Arc<AtomicU32>,
}

/// The name of an order; its first letter says which way it goes.
fn name(orders: &Orders, number: u64) -> String {
    // Both ways all the time: every so many orders, one is a start.
    let every = u64::from(orders.total() / orders.starts.max(1)).max(1);
    let is_start =
        orders.starts > 0 && number.is_multiple_of(every) && number / every < u64::from(orders.starts);
    format!("{}-{number}", if is_start { "start" } else { "event" })
}

/// The name of an order that only asks how soon something is done.
pub fn probe_name(number: usize) -> String {
    format!("{PROBE}-{number}")
}

/// Places one order once.
///
/// # Errors
/// When it was not acknowledged.
pub async fn place(api: &Api, orders: &Orders, order: &str) -> Result<Placed, Failure> {
    let work = if order.starts_with(PROBE) { "0" } else { WORK };
    let input = json!({ "order": order, "work": work });
    if order.starts_with("start") {
        let started = api.start(pack::NAME, input, Some(order)).await?;
        assert_eq!(started.durability, orders.durability);
        return Ok(Placed::Start(started.id));
    }
    let accepted = api.send(&event("/sweep", order, pack::EVENT, input)).await?;
    assert_eq!((accepted.accepted, accepted.durability.as_str()), (1, orders.durability));
    Ok(Placed::Event)
}

impl Clients {
    /// Starts them. `doors` are the nodes that may answer; `allowed` says how many orders may be placed so far.
    pub fn start(orders: &Orders, doors: watch::Receiver<Vec<Api>>, allowed: watch::Receiver<u64>) -> Self {
        let next = Arc::new(AtomicU64::new(0));
        let resent = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for client in 0..CLIENTS {
            let (orders, next, resent) = (orders.clone(), Arc::clone(&next), Arc::clone(&resent));
            let (mut doors, mut allowed) = (doors.clone(), allowed.clone());
            tasks.spawn(async move {
                let mut placed = Placements::new();
                let mut door = client;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= u64::from(orders.total()) {
                        return placed;
                    }
                    // The sender lives until the clients have finished.
                    allowed.wait_for(|allowed| number < *allowed).await.expect("an allowance");
                    let order = name(&orders, number);
                    let done = surely(&mut doors, &mut door, &orders, &order, &resent).await;
                    placed.insert(order, done);
                }
            });
        }
        Clients { tasks, resent }
    }

    /// Waits until every order is acknowledged; also how many requests had to be repeated.
    pub async fn finish(self) -> (Placements, u32) {
        let all = self.tasks.join_all().await;
        (all.into_iter().flatten().collect(), self.resent.load(Ordering::Relaxed))
    }
}

/// Places an order until it is acknowledged.
async fn surely(
    doors: &mut watch::Receiver<Vec<Api>>,
    door: &mut usize,
    orders: &Orders,
    order: &str,
    resent: &AtomicU32,
) -> Placed {
    loop {
        let open = doors.wait_for(|doors| !doors.is_empty()).await.expect("doors").clone();
        match place(&open[*door % open.len()], orders, order).await {
            Ok(placed) => return placed,
            Err(Failure::Broken(_)) => {}
            Err(Failure::Refused(status, _)) if matches!(status.as_u16(), 429 | 503 | 504) => {}
            Err(other) => panic!("order {order}: {other:?}"),
        }
        *door += 1;
        resent.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}
