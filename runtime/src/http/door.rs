//! The HTTP door on its socket.

use std::convert::Infallible;
use std::future::Future;
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
use tokio::net::TcpStream;
use tracing::debug;

use super::gate::Gate;
use super::token::TokenKeeper;
use crate::listener::{Closing, DoorError, Listener, closing};
use crate::orchestrator::Orchestrator;

/// How many connections may be open for each request that may be at work: senders keep idle ones.
const CONNECTIONS_PER_REQUEST: usize = 4;
/// How long a client may take to send the head of a request, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The buffer of one connection; it bounds the head of a request too.
const BUFFER_BYTES: usize = 64 * 1024;

/// A bound door that serves nobody yet.
pub struct Door {
    listener: Listener,
    settings: Http,
}

impl Door {
    /// Binds the socket, so that a port that is taken is told before anything else starts.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn bind(settings: Http) -> Result<Door, DoorError> {
        let listener = Listener::bind(settings.listen, "http.listen").await?;
        Ok(Door { listener, settings })
    }

    /// The address with the port that the system chose, if the setting said 0.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The address as the start of URLs, such as `http://127.0.0.1:4747`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
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
        let Door { listener, settings } = self;
        let places = settings.concurrency.saturating_mul(CONNECTIONS_PER_REQUEST);
        let gate = Arc::new(Gate::new(&settings, orchestrator, keeper));
        let connection = |stream, closing| serve_connection(stream, Arc::clone(&gate), closing);
        listener.serve(places, shutdown, connection).await;
    }
}

async fn serve_connection(stream: TcpStream, gate: Arc<Gate>, mut close: Closing) {
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
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing(&mut close) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}
