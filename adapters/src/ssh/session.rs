//! One connection to one host, for one user.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use impresario_adapter::Failure;
use russh::client::{Config, Handle, Handler, Msg};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{Channel, Preferred, client};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::identity::Identity;
use super::place::Place;
use super::trust::Known;

/// After this long without a word the host is asked whether it is there, and given up after three unanswered questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVES_MAX: usize = 3;
/// How many messages of one channel wait to be read. Beyond that the host has to wait too.
const WAITING_MAX: usize = 64;

/// A connection, authenticated.
pub(super) struct Session {
    handle: Handle<Guest>,
    patience: Duration,
}

/// Why a channel was not opened. Nothing was started in either case.
#[derive(Debug)]
pub(super) enum Closed {
    /// The connection is of no use any more.
    Dead(String),
    /// The host does not want another channel on it.
    Refused(String),
}

impl Session {
    /// Connects, makes sure that it is the right host, and logs in.
    pub(super) async fn open(place: &Place, identity: &Identity) -> Result<Self, Failure> {
        let known = {
            let place = place.clone();
            spawn_blocking(move || Known::read(&place)).await
        };
        let known = known.map_err(|error| {
            Failure::runtime("the known hosts could not be read").with_detail(error.to_string())
        })??;
        let config = Arc::new(config(&known.algorithms()));
        let verdict = Arc::new(OnceLock::new());
        let guest = Guest { known, verdict: Arc::clone(&verdict) };
        let shown = place.shown();
        let connecting = client::connect(config, (place.host.as_str(), place.port), guest);
        let mut handle = match timeout(place.connect_timeout, connecting).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => {
                let unreachable = || {
                    Failure::communication(format!("no connection to {shown}")).with_detail(error.to_string())
                };
                return Err(verdict.get().cloned().unwrap_or_else(unreachable));
            }
            Err(_) => {
                let seconds = place.connect_timeout.as_secs_f64();
                return Err(Failure::timeout(format!("no connection to {shown} within {seconds} s")));
            }
        };
        identity.prove(&mut handle, place).await?;
        Ok(Self { handle, patience: place.connect_timeout })
    }

    /// Opens a channel for one piece of work.
    pub(super) async fn channel(&self) -> Result<Channel<Msg>, Closed> {
        match timeout(self.patience, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => Err(Closed::Refused(format!("{why:?}"))),
            Ok(Err(error)) => Err(Closed::Dead(error.to_string())),
            Err(_) => Err(Closed::Dead("it does not answer".into())),
        }
    }

    /// Whether it is known to have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

/// Kinds of keys that can be compared are asked for first: a host has several keys, and shows one.
fn config(known: &[Algorithm]) -> Config {
    let usual = Preferred::default();
    let fits = |offered: &Algorithm| {
        known.iter().any(|known| match (known, offered) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (known, offered) => known == offered,
        })
    };
    let (first, rest): (Vec<_>, Vec<_>) = usual.key.iter().cloned().partition(fits);
    let key = Cow::Owned(first.into_iter().chain(rest).collect());
    Config {
        preferred: Preferred { key, ..usual },
        channel_buffer_size: WAITING_MAX,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MAX,
        nodelay: true,
        ..Config::default()
    }
}

/// Our side of a connection: it looks at the host's key.
pub(super) struct Guest {
    known: Known,
    /// What is wrong with the key, for whoever waits for the connection.
    verdict: Arc<OnceLock<Failure>>,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        match self.known.check(&shown.public_key()) {
            Ok(()) => Ok(true),
            Err(failure) => {
                // The first one counts.
                let _: Result<(), Failure> = self.verdict.set(failure);
                Ok(false)
            }
        }
    }
}
