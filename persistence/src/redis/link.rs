//! A link to the server of a lane: finds it, checks it, and gives out one connection after the other.
//!
//! Whoever meets trouble reports the generation of the connection; the link drops it and makes a new one. Nothing is let
//! through a new connection before the server was found to be the right one, in good order, and not behind what this
//! node knows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::clock::ServerClock;
use super::config::{RedisConfig, Topology};
use super::live::{Live, Trouble, chance};
use super::{find, server};
use crate::StoreError;
use crate::port::{Standing, Tier};
use crate::sync::lock;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MOST: Duration = Duration::from_millis(500);
/// How often an idle connection is tried, and the server's clock measured.
const BEAT: Duration = Duration::from_secs(1);

/// Every how many beats the Sentinels are asked again.
const FIND_BEATS: u64 = 3;

/// What is asked of a server before anything is let through: the environment, and what this node knows of it.
pub(super) type Greeting = Arc<dyn Fn(Live) -> BoxFuture<'static, Result<(), Trouble>> + Send + Sync>;

#[derive(Clone)]
enum State {
    Up(Live),
    Away(StoreError),
    Closed,
}

/// A link; cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    state: Arc<watch::Sender<State>>,
    tier: Arc<Mutex<Tier>>,
}

/// What a link needs.
pub(super) struct Setup {
    pub(super) config: Arc<RedisConfig>,
    /// The tag whose server is meant, in a Redis Cluster.
    pub(super) tag: String,
    pub(super) clock: Arc<ServerClock>,
    pub(super) greeting: Greeting,
    /// Is told when the server comes and goes.
    pub(super) standing: Arc<dyn Fn(Standing) + Send + Sync>,
}

impl Link {
    /// Makes the first connection and keeps it up from then on.
    ///
    /// # Errors
    /// When there is none within the time an answer may take, or the server is refused.
    pub(super) async fn open(setup: Setup) -> Result<Link, StoreError> {
        let away = StoreError::Away("not connected yet".to_owned());
        let link = Link {
            state: Arc::new(watch::Sender::new(State::Away(away))),
            tier: Arc::new(Mutex::new(Tier::MEMORY)),
        };
        let mut generation = 1;
        let patience = setup.config.timeout * 2;
        let mut latest = format!("no answer within {patience:?}");
        let first = timeout(patience, async {
            loop {
                match link.attempt(&setup, generation).await {
                    Ok(live) => return Ok(live),
                    Err(Trouble::Refused(error)) => return Err(error),
                    Err(Trouble::Lost(reason)) => latest = reason,
                }
                generation += 1;
                sleep(BACKOFF_FIRST).await;
            }
        });
        let live = match first.await {
            Ok(first) => first?,
            Err(_) => return Err(StoreError::Away(latest)),
        };
        link.state.send_replace(State::Up(live));
        tokio::spawn(link.clone().keep(setup, generation));
        Ok(link)
    }

    /// The connection of now.
    pub(super) fn live(&self) -> Result<Live, StoreError> {
        match &*self.state.borrow() {
            State::Up(live) => Ok(live.clone()),
            State::Away(error) => Err(StoreError::Away(words(error))),
            State::Closed => Err(StoreError::Away("the store was closed".to_owned())),
        }
    }

    /// The connection of now, or the next; `None` once the link is closed.
    pub(super) async fn wait(&self) -> Option<Live> {
        let mut state = self.state.subscribe();
        let found = state.wait_for(|state| !matches!(state, State::Away(_))).await.ok()?;
        match &*found {
            State::Up(live) => Some(live.clone()),
            State::Away(_) | State::Closed => None,
        }
    }

    /// Drops a connection that is of no more use, unless that was done already.
    pub(super) fn fault(&self, generation: u64, reason: &str) {
        self.state.send_if_modified(|state| {
            let current = matches!(state, State::Up(live) if live.generation == generation);
            if current {
                *state = State::Away(StoreError::Away(reason.to_owned()));
            }
            current
        });
    }

    /// What trouble means for a question that changes nothing; a connection that is of no more use is dropped.
    pub(super) fn trouble(&self, live: &Live, trouble: Trouble) -> StoreError {
        if let Trouble::Lost(reason) = &trouble {
            self.fault(live.generation, reason);
        }
        trouble.into_store()
    }

    /// Drops the connection for good.
    pub(super) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Ends once the link is closed.
    pub(super) async fn closed(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Closed)).await;
    }

    /// What the server keeps, as it was found at the last connection.
    pub(super) fn tier(&self) -> Tier {
        *lock(&self.tier)
    }

    async fn attempt(&self, setup: &Setup, generation: u64) -> Result<Live, Trouble> {
        let mut latest = Trouble::Lost("no server was found".to_owned());
        for address in find::candidates(&setup.config, &setup.tag).await? {
            match self.try_address(setup, &address, generation).await {
                Ok(live) => return Ok(live),
                Err(trouble) => latest = trouble,
            }
        }
        Err(latest)
    }

    async fn try_address(
        &self,
        setup: &Setup,
        address: &super::live::Address,
        generation: u64,
    ) -> Result<Live, Trouble> {
        let live = Live::connect(&setup.config, address, true, generation).await?;
        let tier = server::check(&live, &setup.config).await?;
        *lock(&self.tier) = tier;
        setup.clock.measure(&live).await?;
        (setup.greeting)(live.clone()).await?;
        Ok(live)
    }

    /// Watches over the connection and makes a new one whenever it was dropped.
    async fn keep(self, setup: Setup, mut generation: u64) {
        let mut state = self.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                State::Closed => return,
                State::Up(live) => {
                    (setup.standing)(Standing::Up);
                    self.watch_over(&setup, &live, &mut state).await;
                }
                State::Away(error) => {
                    (setup.standing)(Standing::Away(words(&error)));
                    tracing::warn!(tag = setup.tag, %error, "lost the connection to Redis");
                    generation += 1;
                    if !self.reconnect(&setup, &mut generation).await {
                        return;
                    }
                }
            }
        }
    }

    /// Whether the Sentinels name another server by now: one that was cut off goes on answering as if nothing had been.
    async fn moved(&self, setup: &Setup, live: &Live) -> bool {
        matches!(setup.config.topology, Topology::Sentinel { .. })
            && find::candidates(&setup.config, &setup.tag)
                .await
                .is_ok_and(|named| !named.contains(&live.address))
    }

    /// Ends when the connection was dropped.
    async fn watch_over(&self, setup: &Setup, live: &Live, state: &mut watch::Receiver<State>) {
        let mut beats = 0u64;
        loop {
            tokio::select! {
                changed = state.changed() => {
                    let same = matches!(&*state.borrow(), State::Up(now) if now.generation == live.generation);
                    if changed.is_err() || !same {
                        return;
                    }
                }
                () = sleep(BEAT) => {
                    beats += 1;
                    if beats.is_multiple_of(FIND_BEATS) && self.moved(setup, live).await {
                        self.fault(live.generation, "the Sentinels name another primary");
                        return;
                    }
                    if let Err(trouble) = setup.clock.measure(live).await {
                        self.fault(live.generation, &trouble.words());
                        return;
                    }
                }
            }
        }
    }

    /// False once the link is closed.
    async fn reconnect(&self, setup: &Setup, generation: &mut u64) -> bool {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let attempt = tokio::select! {
                attempt = self.attempt(setup, *generation) => attempt,
                () = self.closed() => return false,
            };
            let error = match attempt {
                Ok(live) => {
                    tracing::info!(tag = setup.tag, server = ?live.address, "connected to Redis again");
                    return self.replace(State::Up(live));
                }
                Err(Trouble::Refused(error)) => error,
                Err(Trouble::Lost(reason)) => StoreError::Away(reason),
            };
            (setup.standing)(Standing::Away(words(&error)));
            if !self.replace(State::Away(error)) {
                return false;
            }
            *generation += 1;
            // Half of it is fixed, half by chance: nodes that lost their server together come back one by one.
            let half = u64::try_from(backoff.as_millis() / 2).unwrap_or(0).max(1);
            let pause = Duration::from_millis(half + chance() % half);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.closed() => return false,
            }
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }

    /// False once the link is closed.
    fn replace(&self, next: State) -> bool {
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = next;
            }
            open
        })
    }
}

/// An error without the words that are said of every store that is away.
pub(super) fn words(error: &StoreError) -> String {
    match error {
        StoreError::Away(reason) => reason.clone(),
        other => other.to_string(),
    }
}
