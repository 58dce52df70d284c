//! The syslog listener: messages of devices over TCP, TLS and UDP, each an event.
//!
//! Syslog acknowledges nothing. So over TCP a connection is not read from before what was read is durable, and its sender
//! waits; what was read is held until the log takes it. A datagram cannot wait: beyond the queue it is lost, and counted.
//!
//! Two messages that are equal are two events: an id is that of the connection and a number.

mod framing;
pub mod message;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{FutureExt, StreamExt};
use impresario_config::Syslog;
use impresario_model::event::CloudEvent;
use tokio::io::AsyncRead;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::FramedRead;
use tracing::{debug, warn};
use uuid::Uuid;

use self::framing::{Frame, Framing};
use self::message::Receipt;
use crate::intake::{BATCH, Lost, Queue, Waiting, take_in, work_off};
use crate::listener::{Closing, DoorError, Listener, closing};
use crate::orchestrator::Orchestrator;
use crate::tls::{self, Certificate};

/// The largest datagram.
const DATAGRAM_MAX: usize = 64 * 1024;

/// The time, in milliseconds since the Unix epoch.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The listener, bound and not serving yet.
pub struct SyslogDoor {
    tcp: Option<Listener>,
    tls: Option<TlsAcceptor>,
    udp: Option<(UdpSocket, SocketAddr)>,
    settings: Syslog,
    lost: Arc<Lost>,
}

impl fmt::Display for SyslogDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls.is_some() { " with TLS" } else { "" };
        let tcp = self.address().map(|address| format!("{address}{tls}"));
        let udp = self.udp_address().map(|address| format!("udp {address}"));
        f.write_str(&tcp.into_iter().chain(udp).collect::<Vec<_>>().join(", "))
    }
}

/// What all connections share.
struct Shared {
    orchestrator: Arc<dyn Orchestrator>,
    settings: Syslog,
    limit: usize,
    now: Now,
}

impl SyslogDoor {
    /// Binds the sockets that the settings want, if any.
    ///
    /// # Errors
    /// When an address cannot be listened at, or the certificate cannot be used.
    pub async fn bind(settings: Syslog) -> Result<Option<SyslogDoor>, DoorError> {
        if settings.listen.is_none() && settings.listen_udp.is_none() {
            return Ok(None);
        }
        let certificate = Certificate {
            section: "syslog",
            certificate: settings.tls_certificate.as_deref(),
            key: settings.tls_key.as_deref(),
        };
        let tls = tls::acceptor(certificate).await?;
        let tcp = match settings.listen {
            Some(address) => Some(Listener::bind(address, "syslog.listen").await?),
            None => None,
        };
        let udp = match settings.listen_udp {
            Some(address) => Some(bind_udp(address).await?),
            None => None,
        };
        let wide = |address: SocketAddr| !address.ip().is_loopback() && settings.networks.0.is_none();
        if [settings.listen, settings.listen_udp].into_iter().flatten().any(wide) {
            warn!(
                "everybody who can reach the syslog listener is heard: name the senders in syslog.networks"
            );
        }
        let lost = Lost::new("syslog", "messages of syslog over UDP (setting syslog.queue)");
        Ok(Some(SyslogDoor { tcp, tls, udp, settings, lost }))
    }

    /// Where it listens over TCP, with the port that the system chose if the setting said 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(Listener::address)
    }

    /// Where it listens over UDP.
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp.as_ref().map(|(_, address)| *address)
    }

    /// Counts what is lost.
    pub fn lost(&self) -> Arc<Lost> {
        Arc::clone(&self.lost)
    }

    /// Serves until `shutdown` resolves; then reads no more, and resolves once everything that was read is durable.
    ///
    /// Dropping the future closes everything at once, and loses what is not durable yet.
    pub async fn serve(
        self,
        orchestrator: Arc<dyn Orchestrator>,
        now: Now,
        shutdown: impl Future<Output = ()>,
    ) {
        let SyslogDoor { tcp, tls, udp, settings, lost } = self;
        let limit = usize::try_from(settings.message_limit.0).unwrap_or(usize::MAX);
        let shared = Arc::new(Shared { orchestrator, settings, limit, now });
        let shutdown = shutdown.shared();
        let over_tcp = async {
            let Some(listener) = tcp else { return };
            let connection = |stream, closing| connection(stream, tls.clone(), Arc::clone(&shared), closing);
            listener.serve(shared.settings.connections, shutdown.clone(), connection).await;
        };
        let over_udp = async {
            let Some((socket, _)) = udp else { return };
            let (queue, receiver) = Queue::new(shared.settings.queue, lost);
            let reading = datagrams(&socket, queue, &shared, shutdown.clone());
            tokio::join!(reading, work_off(receiver, Arc::clone(&shared.orchestrator)));
        };
        tokio::join!(over_tcp, over_udp);
    }
}

async fn bind_udp(address: SocketAddr) -> Result<(UdpSocket, SocketAddr), DoorError> {
    let failed = |source| DoorError::Bind { setting: "syslog.listen_udp", address, source };
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}

/// The ids of one connection, or of one socket for datagrams.
struct Ids {
    prefix: Uuid,
    next: u64,
}

impl Ids {
    fn new() -> Ids {
        Ids { prefix: Uuid::now_v7(), next: 0 }
    }

    fn event(&mut self, frame: &Frame, peer: IpAddr, now: u64) -> CloudEvent {
        self.next += 1;
        message::event(frame, Receipt { id: format!("{}-{}", self.prefix, self.next), peer, now })
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>, closing: Closing) {
    let ended = async {
        let peer = stream.peer_addr()?.ip();
        if !shared.settings.networks.contain(peer) {
            debug!(%peer, "a sender outside of syslog.networks was not heard");
            return Ok(());
        }
        match tls {
            None => converse(stream, peer, &shared, closing).await,
            Some(acceptor) => converse(tls::handshake(acceptor, stream).await?, peer, &shared, closing).await,
        }
    };
    if let Err(error) = ended.await {
        debug!(%error, "a connection of the syslog listener broke");
    }
}

async fn converse(
    stream: impl AsyncRead + Unpin,
    peer: IpAddr,
    shared: &Shared,
    mut close: Closing,
) -> io::Result<()> {
    let mut frames = FramedRead::new(stream, Framing::new(shared.limit));
    let mut ids = Ids::new();
    loop {
        let first = tokio::select! {
            next = timeout(shared.settings.idle_timeout, frames.next()) => next,
            () = closing(&mut close) => return Ok(()),
        };
        // Whatever ends the connection, what came before it counts.
        let Ok(Some(first)) = first else { return Ok(()) };
        let (mut events, mut broken) = (Vec::new(), None);
        let mut next = Some(first);
        while let Some(frame) = next {
            match frame {
                Ok(frame) => events.push(ids.event(&frame, peer, (shared.now)())),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
            next = if events.len() < BATCH { frames.next().now_or_never().flatten() } else { None };
        }
        if !events.is_empty() {
            take_in(&shared.orchestrator, events).await;
        }
        if let Some(error) = broken {
            return Err(error);
        }
    }
}

/// Reads datagrams into the queue until `shutdown` resolves.
async fn datagrams(socket: &UdpSocket, queue: Queue, shared: &Shared, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut ids = Ids::new();
    loop {
        let (length, peer) = tokio::select! {
            () = &mut shutdown => return,
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(error) => {
                    // An answer to nothing that was sent; the socket itself goes on.
                    debug!(%error, "a datagram could not be read");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        if length == 0 || !shared.settings.networks.contain(peer.ip()) {
            continue;
        }
        let kept = length.min(shared.limit);
        let bytes = BytesMut::from(buffer.get(..kept).unwrap_or_default());
        let Some(frame) = framing::trimmed(Frame { bytes, cut: kept < length }) else { continue };
        queue.offer(Waiting { event: ids.event(&frame, peer.ip(), (shared.now)()), durable: None });
    }
}
