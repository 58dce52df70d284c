//! The listener for SNMP notifications: traps and informs of v1, v2c and v3, each an event.
//!
//! An inform is acknowledged only once it is durable ([`informs`]); a trap knows no acknowledgement, so beyond the queue it is
//! lost, and counted. Who is heard is said by runtime users ([`credentials`]): a listener without any hears nobody.
//!
//! The library decodes, verifies, decrypts and answers, on a socket and a thread of its own; it asks for each notification
//! whether it is taken.

mod credentials;
mod engine;
pub mod event;
mod informs;

use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_snmp::{
    AuthoritativeEngine, NotificationAcceptance, NotificationEnvelope, NotificationPduClass,
    NotificationReceiver,
};
use impresario_actors::secrets::Resolver;
use impresario_config::Snmp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};
use uuid::Uuid;

use self::credentials::Credentials;
use self::informs::Informs;
use crate::intake::{Lost, Queue, Waiting, work_off};
use crate::listener::DoorError;
use crate::orchestrator::Orchestrator;
use crate::syslog::Now;

/// How long an inform is waited for before its sender has to repeat it: longer than a store that is well takes.
const INFORM_PATIENCE: Duration = Duration::from_millis(250);
/// How often the runtime users are looked at for changes, and the counts of what was refused are told.
const LOOK: Duration = Duration::from_secs(2);
/// The pause after the socket failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A bound listener that hears nobody yet.
pub struct SnmpDoor {
    /// Keeps the port until the library takes it.
    held: UdpSocket,
    address: SocketAddr,
    engine: AuthoritativeEngine,
    settings: Snmp,
    lost: Arc<Lost>,
}

impl SnmpDoor {
    /// Binds the socket, if the settings want one, and starts the engine of the data folder.
    ///
    /// # Errors
    /// When the address cannot be listened at, or the engine cannot be kept.
    pub async fn bind(settings: Snmp, data: &Path) -> Result<Option<SnmpDoor>, DoorError> {
        let Some(address) = settings.listen else { return Ok(None) };
        let failed = |source| DoorError::Bind { setting: "snmp.listen", address, source };
        let held = UdpSocket::bind(address).map_err(failed)?;
        let address = held.local_addr().map_err(failed)?;
        let data: PathBuf = data.to_owned();
        let engine = tokio::task::spawn_blocking(move || engine::open(&data)).await;
        let engine = match engine {
            Ok(engine) => engine.map_err(DoorError::Engine)?,
            Err(error) => return Err(DoorError::Engine(error.to_string())),
        };
        let lost = Lost::new("snmp", "SNMP notifications (setting snmp.queue)");
        Ok(Some(SnmpDoor { held, address, engine, settings, lost }))
    }

    /// The address with the port that the system chose, if the setting said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts what is lost.
    pub fn lost(&self) -> Arc<Lost> {
        Arc::clone(&self.lost)
    }

    /// Serves until `shutdown` resolves; then hears no more, and resolves once everything that was heard is durable.
    ///
    /// Dropping the future ends the listener soon, and loses the traps that are not durable yet.
    pub async fn serve(
        self,
        orchestrator: Arc<dyn Orchestrator>,
        secrets: Arc<dyn Resolver>,
        now: Now,
        shutdown: impl Future<Output = ()>,
    ) {
        let SnmpDoor { held, address, engine, settings, lost } = self;
        let (queue, receiver) = Queue::new(settings.queue, lost);
        let (stop, stopped) = watch::channel(false);
        let heard = Heard { settings, queue, informs: Informs::default(), now };
        let listener = Listener { heard, address, engine, secrets };
        // A thread of its own, because it waits for informs.
        let thread = std::thread::Builder::new().name("impresario-snmp".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let spawned = runtime.and_then(|runtime| {
            thread.spawn(move || {
                drop(held);
                runtime.block_on(listener.run(stopped));
            })
        });
        if let Err(error) = spawned {
            error!(%error, "the SNMP listener has no thread: it hears nobody");
            return;
        }
        let stopping = async {
            shutdown.await;
            stop.send_replace(true);
        };
        // The queue ends when the thread does.
        tokio::join!(stopping, work_off(receiver, orchestrator));
    }
}

/// What is done with each notification.
#[derive(Clone)]
struct Heard {
    settings: Snmp,
    queue: Queue,
    informs: Informs,
    now: Now,
}

impl Heard {
    fn take(
        &self,
        credentials: &Credentials,
        notification: &NotificationEnvelope<'_>,
    ) -> NotificationAcceptance {
        if !self.settings.networks.contain(notification.source.ip()) || !believed(credentials, notification) {
            return NotificationAcceptance::Reject;
        }
        match notification.pdu_class {
            NotificationPduClass::Trap => {
                if let Some(event) = event::event(notification, Uuid::now_v7().to_string(), (self.now)()) {
                    self.queue.offer(Waiting { event, durable: None });
                }
                NotificationAcceptance::Accept
            }
            NotificationPduClass::Inform => {
                let id = event::inform_id(notification);
                if self.informs.note(&id) {
                    let Some(event) = event::event(notification, id.clone(), (self.now)()) else {
                        return NotificationAcceptance::Reject;
                    };
                    let (informs, noted) = (self.informs.clone(), id.clone());
                    let durable = Some(Box::new(move || informs.durable(&noted)) as Box<dyn FnOnce() + Send>);
                    if !self.queue.offer(Waiting { event, durable }) {
                        self.informs.forget(&id);
                        return NotificationAcceptance::Reject;
                    }
                }
                match self.informs.await_durable(&id, INFORM_PATIENCE) {
                    true => NotificationAcceptance::Accept,
                    false => NotificationAcceptance::Reject,
                }
            }
        }
    }
}

/// Whether a sender is one of those who are to be heard. The library has compared communities and passwords; without a
/// community it would hear all.
fn believed(credentials: &Credentials, notification: &NotificationEnvelope<'_>) -> bool {
    match (notification.username, notification.security_level) {
        (None, _) => !credentials.communities.is_empty(),
        (Some(name), level) => std::str::from_utf8(name)
            .ok()
            .and_then(|name| credentials.users.get(name))
            .is_some_and(|user| level == Some(user.level())),
    }
}

/// The listener's thread.
struct Listener {
    heard: Heard,
    address: SocketAddr,
    engine: AuthoritativeEngine,
    secrets: Arc<dyn Resolver>,
}

impl Listener {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut credentials = Credentials::default();
        let mut receiver: Option<NotificationReceiver> = None;
        let mut refused = Refused::default();
        loop {
            tokio::select! {
                // A sender that went away with its door means the same.
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = looks.tick() => {
                    let now = Credentials::read(&self.heard.settings.runtime_users, self.secrets.as_ref());
                    if now != credentials || (receiver.is_none() && now.any()) {
                        // The old one first: it has the port.
                        drop(receiver.take());
                        refused = Refused::default();
                        credentials = now;
                        receiver = self.listen(&credentials).await;
                    }
                    if let Some(receiver) = &receiver {
                        refused.tell(receiver);
                    }
                }
                // What it answers was taken when it asked.
                heard = next(receiver.as_ref()) => if let Err(error) = heard {
                    warn!(%error, "the SNMP listener cannot receive");
                    sleep(PAUSE).await;
                },
            }
        }
    }

    async fn listen(&self, credentials: &Credentials) -> Option<NotificationReceiver> {
        for problem in &credentials.problems {
            warn!(problem, "SNMP: a runtime user of snmp.runtime_users is not heard");
        }
        if !credentials.any() {
            warn!("SNMP: nobody is heard, because no runtime user of snmp.runtime_users can be used");
            return None;
        }
        let (heard, known) = (self.heard.clone(), credentials.clone());
        let mut builder = NotificationReceiver::builder()
            .bind(self.address.to_string())
            .communities(credentials.communities.iter().map(|community| community.as_bytes().to_vec()))
            .acceptance_policy(move |notification| heard.take(&known, notification))
            .authoritative_engine(self.engine.clone());
        for (name, user) in &credentials.users {
            builder = match builder.usm_user(name.clone(), |fresh| user.configure(fresh)) {
                Ok(builder) => builder,
                Err(error) => {
                    error!(%error, user = name, "SNMP: a user of version 3 cannot be used");
                    return None;
                }
            };
        }
        match builder.build().await {
            Ok(receiver) => {
                let (communities, users) = (credentials.communities.len(), credentials.users.len());
                info!(address = %self.address, communities, users, "SNMP notifications are heard");
                Some(receiver)
            }
            Err(error) => {
                error!(%error, address = %self.address, "the SNMP listener cannot listen; it tries again");
                None
            }
        }
    }
}

async fn next(receiver: Option<&NotificationReceiver>) -> async_snmp::Result<()> {
    match receiver {
        Some(receiver) => receiver.recv().await.map(drop),
        None => std::future::pending().await,
    }
}

/// What the library has refused of version 3, as it was told last.
#[derive(Default)]
struct Refused {
    counts: [u32; 5],
    told: Option<Instant>,
}

impl Refused {
    /// Tells, now and then, what was refused since: a sender with a wrong password is found by it.
    fn tell(&mut self, receiver: &NotificationReceiver) {
        let counts = [
            receiver.usm_unknown_usernames(),
            receiver.usm_wrong_digests(),
            receiver.usm_decryption_errors(),
            receiver.usm_unsupported_sec_levels(),
            receiver.usm_not_in_time_windows(),
        ];
        let recently = self.told.is_some_and(|told| told.elapsed() < Duration::from_secs(60));
        if counts == self.counts || recently {
            return;
        }
        let [unknown_users, wrong_digests, decryption_errors, unsupported_levels, not_in_time] = counts;
        warn!(
            unknown_users,
            wrong_digests,
            decryption_errors,
            unsupported_levels,
            not_in_time,
            "SNMP: messages of version 3 were refused"
        );
        (self.counts, self.told) = (counts, Some(Instant::now()));
    }
}
