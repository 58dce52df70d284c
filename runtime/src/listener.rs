//! A listening socket and its connections: bound early, served late, bounded, drained at the end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// The pause after the system refused a new connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address cannot be listened at.
    #[error("expected to listen at {address} (setting {setting}), found: {source}{}", hint(.source))]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What a listener keeps in the data folder cannot be used.
    #[error("{0}")]
    Engine(String),
    /// The certificate or its key cannot be used.
    #[error("expected {expected}, found: {found}")]
    Tls {
        /// What, and in which file.
        expected: String,
        /// What is wrong with it.
        found: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another node or program has the port: stop it, or choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// A bound socket that serves nobody yet.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Turns true when a connection should end as soon as what it has begun is answered.
pub(crate) type Closing = watch::Receiver<bool>;

/// Resolves when the connection should end. The sender lives as long as the door, so its end means the same.
pub(crate) async fn closing(closing: &mut Closing) {
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Listener {
    /// Binds the socket, so that a port that is taken is told before anything else starts.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub(crate) async fn bind(address: SocketAddr, setting: &'static str) -> Result<Listener, DoorError> {
        let failed = |source| DoorError::Bind { setting, address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Listener { socket, address })
    }

    /// The address with the port that the system chose, if the setting said 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves up to `places` connections at once until `shutdown` resolves; then takes no more, tells those that are
    /// open, and resolves once they have ended.
    ///
    /// Dropping the future closes every connection at once.
    pub(crate) async fn serve<C>(
        self,
        places: usize,
        shutdown: impl Future<Output = ()>,
        connection: impl Fn(TcpStream, Closing) -> C,
    ) where
        C: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(places));
        let (close, closing) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            // Without a free place nothing is accepted: the connection waits in the kernel's queue.
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.socket.accept().await)
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => log_ended(ended),
                (place, accepted) = accepted => match accepted {
                    Ok((stream, _)) => {
                        // Replies are small and complete: nothing is gained by waiting for more to send.
                        if let Err(error) = stream.set_nodelay(true) {
                            debug!(%error, "cannot switch delays off");
                        }
                        let connection = connection(stream, closing.clone());
                        connections.spawn(async move {
                            connection.await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        close.send_replace(true);
        while let Some(ended) = connections.join_next().await {
            log_ended(ended);
        }
    }
}

fn log_ended(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "a connection ended badly");
    }
}
