//! The TCP door: one JSON CloudEvent a line in, one reply a line out, in order.
//!
//! For senders that have a socket and little else, and for those that send so much that a request for each event costs
//! too much. A connection begins with the node's token; what follows is pipelined: up to `tcp.ahead` events may be on
//! their way to the log before the first of them is answered. A reply of `accepted` says that the event is durable.
//!
//! Nothing is buffered beyond that. A client that sends faster than the log takes, or that does not read its replies, is
//! not read from, until the sockets' buffers are full and it waits too. Nor is one that was told to wait, for as long as it was
//! told: a storm of refusals would cost as much as a storm of events.

mod connection;
mod lines;
pub mod reply;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use impresario_config::Tcp;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::http::TokenKeeper;
use crate::listener::{Closing, DoorError, Listener};
use crate::orchestrator::Orchestrator;
use crate::tls::{self, Certificate};

/// A bound door that serves nobody yet.
pub struct TcpDoor {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    settings: Tcp,
}

impl fmt::Display for TcpDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls.is_some() { " with TLS" } else { "" };
        write!(f, "{}{tls}", self.address())
    }
}

/// What all connections share.
struct Shared {
    orchestrator: Arc<dyn Orchestrator>,
    keeper: Arc<TokenKeeper>,
    settings: Tcp,
    /// How many bytes a line may have.
    line_limit: usize,
    /// How long an event may take to become durable before its sender is told that nobody knows.
    patience: Duration,
}

impl TcpDoor {
    /// Binds the socket, if the settings want one.
    ///
    /// # Errors
    /// When the address cannot be listened at, or the certificate cannot be used.
    pub async fn bind(settings: Tcp) -> Result<Option<TcpDoor>, DoorError> {
        let Some(address) = settings.listen else { return Ok(None) };
        let certificate = Certificate {
            section: "tcp",
            certificate: settings.tls_certificate.as_deref(),
            key: settings.tls_key.as_deref(),
        };
        let tls = tls::acceptor(certificate).await?;
        let listener = Listener::bind(address, "tcp.listen").await?;
        Ok(Some(TcpDoor { listener, tls, settings }))
    }

    /// The address with the port that the system chose, if the setting said 0.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Serves until `shutdown` resolves; then reads no more, and resolves once everything that was read is answered.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(
        self,
        orchestrator: Arc<dyn Orchestrator>,
        keeper: Arc<TokenKeeper>,
        patience: Duration,
        shutdown: impl Future<Output = ()>,
    ) {
        let TcpDoor { listener, tls, settings } = self;
        let places = settings.connections;
        let line_limit = usize::try_from(settings.line_limit.0).unwrap_or(usize::MAX);
        let shared = Arc::new(Shared { orchestrator, keeper, settings, line_limit, patience });
        let connection = |stream, closing| serve(stream, tls.clone(), Arc::clone(&shared), closing);
        listener.serve(places, shutdown, connection).await;
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>, closing: Closing) {
    let ended = match tls {
        None => connection::run(stream, &shared, closing).await,
        Some(acceptor) => match tls::handshake(acceptor, stream).await {
            Ok(stream) => connection::run(stream, &shared, closing).await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = ended {
        debug!(%error, "a connection of the TCP door broke");
    }
}
