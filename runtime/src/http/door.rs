//! The listening socket and its connections: bound early, served late, drained at the end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use impresario_config::Http;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::gate::Gate;
use super::token::TokenKeeper;
use crate::orchestrator::Orchestrator;

/// How many connections may be open for each request that may be at work: senders keep idle ones.
const CONNECTIONS_PER_REQUEST: usize = 4;
/// How long a client may take to send the head of a request, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The buffer of one connection; it bounds the head of a request too.
const BUFFER_BYTES: usize = 64 * 1024;
/// The pause after the system refused a new connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address cannot be listened at.
    #[error("expected to listen at {address} (setting http.listen), found: {source}{}", hint(.source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
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

/// A bound door that serves nobody yet.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    settings: Http,
}

impl Door {
    /// Binds the socket, so that a port that is taken is told before anything else starts.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn bind(settings: Http) -> Result<Door, DoorError> {
        let address = settings.listen;
        let failed = |source| DoorError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Door { listener, address, settings })
    }

    /// The address with the port that the system chose, if the setting said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as the start of URLs, such as `http://127.0.0.1:4747`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `shutdown` resolves; then takes no more requests, and resolves once those at work are answered.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(
        self,
        orchestrator: Arc<dyn Orchestrator>,
        keeper: Arc<TokenKeeper>,
        shutdown: impl Future<Output = ()>,
    ) {
        let Door { listener, settings, .. } = self;
        let places = Arc::new(Semaphore::new(settings.concurrency.saturating_mul(CONNECTIONS_PER_REQUEST)));
        let gate = Arc::new(Gate::new(&settings, orchestrator, keeper));
        let (closing, closed) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            // Without a free place nothing is accepted: the connection waits in the kernel's queue.
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => log_ended(ended),
                (place, accepted) = accepted => match accepted {
                    Ok((stream, _)) => {
                        let connection = serve_connection(stream, Arc::clone(&gate), closed.clone());
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
        drop(listener);
        closing.send_replace(true);
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

async fn serve_connection(stream: TcpStream, gate: Arc<Gate>, mut closed: watch::Receiver<bool>) {
    // Replies are small and complete: nothing is gained by waiting for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch delays off");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let gate = Arc::clone(&gate);
        async move { Ok::<_, Infallible>(gate.pass(request.map(Body::new)).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(BUFFER_BYTES)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service)
    );
    let closing = async {
        // The sender lives as long as the door, so an error means the same.
        let _ = closed.wait_for(|closed| *closed).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}
