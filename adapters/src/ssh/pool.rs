//! The connections that are kept: a few for each place and user, for as long as they are used now and then.
//!
//! A connection is shared by several pieces of work, each on a channel of its own. One that turns out to be dead when a
//! channel is opened is replaced at once: nothing was started on it. What breaks later is told, and never repeated here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use impresario_adapter::Failure;
use russh::Channel;
use russh::client::Msg;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::identity::Identity;
use super::place::Place;
use super::session::{Closed, Session};

/// How long a connection is kept that nobody uses.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many channels share one connection: OpenSSH allows ten unless it is told otherwise.
const CHANNELS_MAX: usize = 8;
/// How many connections there are to one place for one user.
const SESSIONS_MAX: usize = 8;
/// How many pairs of place and user have connections at once.
const LANES_MAX: usize = 256;
/// How often within that time it is looked which are idle.
const SWEEPS: u32 = 8;

/// Place and user, with all that they show: other credentials never meet a session of these. A digest, so that the
/// secrets are not kept a second time.
type Key = [u8; 32];

/// The connections.
pub(super) struct Pool {
    idle: Duration,
    lanes: Mutex<HashMap<Key, Arc<Lane>>>,
}

/// The connections to one place for one user.
#[derive(Default)]
struct Lane {
    /// Held while one is made, so that ten pieces of work that begin at once do not make ten.
    sessions: tokio::sync::Mutex<Vec<Kept>>,
}

#[derive(Clone)]
struct Kept {
    session: Arc<Session>,
    channels: Arc<Semaphore>,
    used: Arc<Mutex<Instant>>,
}

/// A channel, and the right to it. The connection stays while it is held.
pub(super) struct Lease {
    pub(super) channel: Channel<Msg>,
    pub(super) hold: Hold,
}

/// What keeps a connection.
pub(super) struct Hold {
    _session: Arc<Session>,
    _channel: OwnedSemaphorePermit,
    used: Arc<Mutex<Instant>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("lanes", &self.lock().len()).finish()
    }
}

impl Pool {
    /// None yet; those to come are closed when nobody has used them for `idle`.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, lanes: Mutex::default() }
    }

    /// A channel to that place for that user.
    pub(super) async fn channel(
        self: &Arc<Self>,
        place: &Place,
        identity: &Identity,
    ) -> Result<Lease, Failure> {
        let lane = self.lane(key(place, identity)?)?;
        // Each round but the last takes a connection away that is of no use.
        for _ in 0..=SESSIONS_MAX {
            let (kept, permit, fresh) = lane.session(place, identity).await?;
            let hold =
                Hold { _session: Arc::clone(&kept.session), _channel: permit, used: Arc::clone(&kept.used) };
            match kept.session.channel().await {
                Ok(channel) => return Ok(Lease { channel, hold }),
                Err(Closed::Dead(why) | Closed::Refused(why)) if fresh => {
                    return Err(Failure::communication(format!("{} opens no channel", place.shown()))
                        .with_detail(format!("{why}; nothing was started")));
                }
                Err(Closed::Dead(_)) => lane.forget(&kept).await,
                // It has fewer places than was thought: those who use it go on, and nobody joins them.
                Err(Closed::Refused(_)) => kept.channels.close(),
            }
        }
        Err(Failure::communication(format!("{} opens no channel", place.shown()))
            .with_detail("it refused one on each of several connections; nothing was started"))
    }

    /// How many connections there are.
    #[cfg(test)]
    pub(super) async fn sessions(&self) -> usize {
        let lanes: Vec<_> = self.lock().values().cloned().collect();
        let mut count = 0;
        for lane in lanes {
            count += lane.sessions.lock().await.len();
        }
        count
    }

    fn lane(self: &Arc<Self>, key: Key) -> Result<Arc<Lane>, Failure> {
        let mut lanes = self.lock();
        if let Some(lane) = lanes.get(&key) {
            return Ok(Arc::clone(lane));
        }
        if lanes.len() >= LANES_MAX {
            lanes.retain(|_, lane| lane.is_used(Duration::ZERO));
        }
        if lanes.len() >= LANES_MAX {
            return Err(Failure::runtime(format!(
                "there are connections to {LANES_MAX} places and users already"
            ))
            .with_detail("try again when some of them are idle, or give this work fewer targets at once"));
        }
        if lanes.is_empty() {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle));
        }
        Ok(Arc::clone(lanes.entry(key).or_default()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Lets go of the connections that nobody has used for that long; says whether any is left, or about to be made.
    fn is_used(self: &Arc<Self>, idle: Duration) -> bool {
        // One that is being made is in use.
        let Ok(mut sessions) = self.sessions.try_lock() else { return true };
        sessions.retain(|kept| !kept.session.is_closed() && !kept.is_idle(idle));
        !sessions.is_empty() || Arc::strong_count(self) > 1
    }

    /// A connection with room for a channel; says whether it was made just now.
    async fn session(
        &self,
        place: &Place,
        identity: &Identity,
    ) -> Result<(Kept, OwnedSemaphorePermit, bool), Failure> {
        let mut sessions = self.sessions.lock().await;
        sessions.retain(|kept| !kept.session.is_closed());
        for kept in &*sessions {
            if let Ok(permit) = Arc::clone(&kept.channels).try_acquire_owned() {
                return Ok((kept.clone(), permit, false));
            }
        }
        if sessions.len() >= SESSIONS_MAX {
            return Err(Failure::runtime(format!(
                "there are {SESSIONS_MAX} connections to {} for this user already, all in use",
                place.shown()
            ))
            .with_detail("give the target a limit, so that work waits instead"));
        }
        let channels = Arc::new(Semaphore::new(CHANNELS_MAX));
        let session = Arc::new(Session::open(place, identity).await?);
        let kept = Kept { session, channels, used: Arc::new(Mutex::new(Instant::now())) };
        let Ok(permit) = Arc::clone(&kept.channels).try_acquire_owned() else {
            return Err(Failure::runtime("a new connection has no room"));
        };
        sessions.push(kept.clone());
        Ok((kept, permit, true))
    }

    async fn forget(&self, dead: &Kept) {
        self.sessions.lock().await.retain(|kept| !Arc::ptr_eq(&kept.session, &dead.session));
    }
}

impl Kept {
    /// Whether nobody uses it, and has not for that long.
    fn is_idle(&self, idle: Duration) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // This one, and nobody who holds a channel.
        Arc::strong_count(&self.session) == 1 && used.elapsed() >= idle
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Lets go of what is idle, for as long as there is anything.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    loop {
        sleep(idle / SWEEPS).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut lanes = pool.lock();
        lanes.retain(|_, lane| lane.is_used(idle));
        if lanes.is_empty() {
            return;
        }
    }
}

fn key(place: &Place, identity: &Identity) -> Result<Key, Failure> {
    let text = serde_json::to_vec(&(place, identity))
        .map_err(|error| Failure::runtime("a place without a name").with_detail(error.to_string()))?;
    Ok(Sha256::digest(&text).into())
}
