//! The way between one node and what all nodes share: it takes its time, can be cut, and can hold everything up.
//!
//! A call travels, is carried out, and its answer travels back. Whatever happens to the way meanwhile happens to the
//! call: one that is held up is carried out late, and one whose node has died may still arrive.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, pending, ready};
use impresario_persistence::{Result, Standing, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::chance::Chance;

/// How many appends may wait on the way.
const QUEUE_MAX: usize = 10_000;
/// How late a call of a node that has died may arrive.
const LATE_MAX: Duration = Duration::from_secs(3);

/// How the way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// Calls and answers get through, after at most this time.
    Open(Duration),
    /// Nothing gets through, and the node knows it.
    Cut,
    /// The node stands still: whatever it is about to do, it does afterwards.
    Frozen,
    /// The node has died.
    Gone,
}

/// What becomes of a call on a way that is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It fails.
    Fails,
    /// It was taken, and gets there in the end.
    Waits,
}

type Job = BoxFuture<'static, ()>;

/// The way of one node; cheap to clone.
#[derive(Clone)]
pub struct Link {
    road: Arc<watch::Sender<Road>>,
    standing: Arc<watch::Sender<Standing>>,
    chance: Arc<Mutex<Chance>>,
    appends: mpsc::Sender<Job>,
}

impl Link {
    /// An open way, with delays by chance.
    pub fn new(chance: Chance) -> Self {
        let (appends, mut jobs) = mpsc::channel::<Job>(QUEUE_MAX);
        tokio::spawn(async move {
            while let Some(job) = jobs.recv().await {
                job.await;
            }
        });
        Link {
            road: Arc::new(watch::Sender::new(Road::Open(Duration::from_millis(2)))),
            standing: Arc::new(watch::Sender::new(Standing::Up)),
            chance: Arc::new(Mutex::new(chance)),
            appends,
        }
    }

    /// Changes the way.
    pub fn set(&self, road: Road) {
        let away = || Standing::Away("the way to the store is cut".to_owned());
        self.standing.send_replace(if road == Road::Cut { away() } else { Standing::Up });
        // Death is for good.
        self.road.send_if_modified(|now| {
            let changes = *now != Road::Gone;
            if changes {
                *now = road;
            }
            changes
        });
    }

    /// How it is.
    pub fn road(&self) -> Road {
        *self.road.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Road> {
        self.road.subscribe()
    }

    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A time by chance.
    pub(super) fn some(&self, most: Duration) -> Duration {
        self.chance(|chance| chance.moment(Duration::ZERO, most))
    }

    /// Waits while the node stands still. False once it has died.
    pub(super) async fn stands(&self) -> bool {
        let mut road = self.road.subscribe();
        let road = road.wait_for(|road| *road != Road::Frozen).await;
        road.is_ok_and(|road| *road != Road::Gone)
    }

    /// Goes one way.
    async fn travel(&self, patience: Patience) -> Result<()> {
        let mut road = self.road.subscribe();
        loop {
            let now = *road.borrow_and_update();
            match now {
                Road::Open(most) => {
                    sleep(self.some(most)).await;
                    if matches!(self.road(), Road::Open(_)) {
                        return Ok(());
                    }
                }
                Road::Cut if patience == Patience::Fails => {
                    return Err(StoreError::Away("the way to the store was cut".to_owned()));
                }
                Road::Cut | Road::Frozen => drop(road.changed().await),
                // What was sent before may arrive all the same.
                Road::Gone if self.chance(|chance| chance.below(2)) == 0 => {
                    sleep(self.some(LATE_MAX)).await;
                    return Ok(());
                }
                Road::Gone => pending().await,
            }
        }
    }

    /// Makes a call. It goes on even when nobody waits for its answer any more.
    pub(super) fn call<T: Send + 'static>(
        &self,
        patience: Patience,
        act: impl FnOnce() -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        self.make(patience, act, |job| {
            tokio::spawn(job);
            true
        })
    }

    /// Makes a call that keeps its place among the others of this kind.
    pub(super) fn call_in_order<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        self.make(Patience::Waits, act, |job| self.appends.try_send(job).is_ok())
    }

    fn make<T: Send + 'static>(
        &self,
        patience: Patience,
        act: impl FnOnce() -> BoxFuture<'static, Result<T>> + Send + 'static,
        begin: impl FnOnce(Job) -> bool,
    ) -> BoxFuture<'static, Result<T>> {
        match self.road() {
            Road::Cut => {
                let away = StoreError::Away("the way to the store is cut".to_owned());
                return ready(Err(away)).boxed();
            }
            // A call that a dead node would make is none.
            Road::Gone => return pending().boxed(),
            Road::Open(_) | Road::Frozen => {}
        }
        let (answer, answered) = oneshot::channel();
        let link = self.clone();
        let job = async move {
            let result = match link.travel(patience).await {
                Ok(()) => act().await,
                Err(error) => Err(error),
            };
            // The way back, while the next call is already on its way.
            tokio::spawn(async move {
                let back = link.travel(patience).await;
                let _ = answer.send(back.and(result));
            });
        };
        if !begin(job.boxed()) {
            return ready(Err(StoreError::Busy)).boxed();
        }
        async move {
            match answered.await {
                Ok(result) => result,
                Err(_) => pending().await,
            }
        }
        .boxed()
    }
}
