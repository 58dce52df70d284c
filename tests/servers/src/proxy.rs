//! A TCP proxy between a client and a server that breaks what it carries, to order and at any time.
//!
//! What it holds back is not lost: like a network that is whole again, it delivers late what was not reset.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ports;

const CHUNK: usize = 64 * 1024;
/// How many chunks of one direction may be on their way: a delay must not become a bandwidth.
const ON_THE_WAY: usize = 256;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the client asks.
    ToServer,
    /// What the server answers.
    ToClient,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Cut,
    Blackhole,
    Delay(Duration),
    HalfClosed(Direction),
    /// The reply to the next request with these bytes in it is lost.
    LoseReply(Vec<u8>),
}

/// The proxy. Its connections are closed when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    lost: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy to this address, such as `127.0.0.1:PORT`; it passes everything.
    pub async fn start(target: &str) -> Self {
        let target: SocketAddr = target.parse().expect("an IP address with a port");
        let listener = loop {
            // Somebody else may have taken the port since it was found free.
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", ports::free())).await {
                break listener;
            }
        };
        let address = listener.local_addr().expect("a listener has an address");
        let (mode, modes) = watch::channel(Mode::Pass);
        let lost = Arc::new(AtomicU64::new(0));
        let carrier = Carrier { mode: mode.clone(), lost: Arc::clone(&lost) };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, address, target, modes, carrier));
        Proxy { address, mode, lost, _tasks: tasks }
    }

    /// Where clients connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Carries everything.
    pub fn pass(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    /// Resets all connections, and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Takes connections and carries nothing.
    pub fn blackhole(&self) {
        self.mode.send_replace(Mode::Blackhole);
    }

    /// Carries everything so much later, in each direction.
    pub fn delay(&self, by: Duration) {
        self.mode.send_replace(Mode::Delay(by));
    }

    /// Carries nothing in one direction.
    pub fn half_close(&self, direction: Direction) {
        self.mode.send_replace(Mode::HalfClosed(direction));
    }

    /// Carries the next request that has these bytes in it, and resets its connection before the reply, once; then it
    /// carries everything again. Nobody can tell whether the request was carried out.
    pub fn cut_after_request(&self, with: &str) {
        self.mode.send_replace(Mode::LoseReply(with.as_bytes().to_vec()));
    }

    /// How many replies were lost in this way.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Carrier {
    mode: watch::Sender<Mode>,
    lost: Arc<AtomicU64>,
}

/// Takes connections for as long as the proxy lives.
async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mut modes: watch::Receiver<Mode>,
    carrier: Carrier,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *modes.borrow_and_update() == Mode::Cut {
            listener = None;
            if modes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(address).await.ok();
            // Somebody else's for a moment: the system has no event for the end of it.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(carry(client, target, carrier.clone()));
            },
            changed = modes.changed() => if changed.is_err() {
                return;
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides closed it.
    Closed,
    /// It broke on one side, or was cut.
    Broken,
    /// The reply to a request was to be lost.
    Lost,
}

/// Carries one connection until both sides end it or it is cut.
async fn carry(mut client: TcpStream, target: SocketAddr, carrier: Carrier) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        // Nothing listens there, so nothing listens here.
        let _ = client.set_zero_linger();
        return;
    };
    for stream in [&client, &server] {
        // Only a matter of speed.
        let _ = stream.set_nodelay(true);
    }
    let end = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let asked = AtomicBool::new(false);
        let mut modes = carrier.mode.subscribe();
        let request = Pump { direction: Direction::ToServer, carrier: &carrier, asked: &asked };
        let reply = Pump { direction: Direction::ToClient, carrier: &carrier, asked: &asked };
        let both = async {
            tokio::try_join!(request.run(from_client, to_server), reply.run(from_server, to_client))
        };
        tokio::select! {
            ended = both => ended.map_or_else(|end| end, |_| End::Closed),
            _ = modes.wait_for(|mode| *mode == Mode::Cut) => End::Broken,
        }
    };
    match end {
        End::Closed => {}
        End::Broken => {
            // They may be gone already.
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        End::Lost => {
            let _ = client.set_zero_linger();
            drop(client);
            // A reset could overtake the request in the server's own buffers; an end in good order does not.
            let _ = server.shutdown().await;
            let _ = tokio::io::copy(&mut server, &mut tokio::io::sink()).await;
        }
    }
}

/// Carries one direction of one connection.
struct Pump<'a> {
    direction: Direction,
    carrier: &'a Carrier,
    /// Whether the request whose reply is to be lost went by.
    asked: &'a AtomicBool,
}

impl Pump<'_> {
    async fn run(self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), End> {
        // What arrived, and when; an empty chunk is the end of the stream.
        let (arrive, mut arrived) = mpsc::channel::<(Instant, io::Result<Vec<u8>>)>(ON_THE_WAY);
        let take = async move {
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = from.read(&mut chunk).await;
                let is_last = !matches!(read, Ok(1..));
                let chunk = read.map(|length| {
                    chunk.truncate(length);
                    chunk
                });
                if arrive.send((Instant::now(), chunk)).await.is_err() || is_last {
                    return Ok(());
                }
            }
        };
        let give = async {
            while let Some((at, chunk)) = arrived.recv().await {
                self.wait(at).await;
                let chunk = chunk.map_err(|_| End::Broken)?;
                if chunk.is_empty() {
                    return to.shutdown().await.map_err(|_| End::Broken);
                }
                self.lose(&chunk)?;
                to.write_all(&chunk).await.map_err(|_| End::Broken)?;
            }
            Ok(())
        };
        tokio::try_join!(take, give).map(|_| ())
    }

    /// Waits until what arrived at this moment may go on.
    async fn wait(&self, arrived: Instant) {
        let mut modes = self.carrier.mode.subscribe();
        loop {
            let mode = modes.borrow_and_update().clone();
            let until = match mode {
                Mode::Pass | Mode::LoseReply(_) => return,
                Mode::HalfClosed(direction) if direction != self.direction => return,
                Mode::Delay(by) => Some(arrived + by),
                // The connection itself is cut elsewhere.
                Mode::HalfClosed(_) | Mode::Blackhole | Mode::Cut => None,
            };
            let passed = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                // The sender lives as long as this: the carrier has one.
                _ = modes.changed() => {}
            }
        }
    }

    /// Notes the request whose reply is to be lost, and loses the reply.
    fn lose(&self, chunk: &[u8]) -> Result<(), End> {
        match self.direction {
            Direction::ToServer => {
                let mode = self.carrier.mode.borrow();
                if let Mode::LoseReply(with) = &*mode
                    && (with.is_empty() || chunk.windows(with.len()).any(|bytes| bytes == with))
                {
                    self.asked.store(true, Ordering::SeqCst);
                }
            }
            Direction::ToClient if self.asked.load(Ordering::SeqCst) => {
                let once = |mode: &mut Mode| {
                    let armed = matches!(mode, Mode::LoseReply(_));
                    if armed {
                        *mode = Mode::Pass;
                    }
                    armed
                };
                if self.carrier.mode.send_if_modified(once) {
                    self.carrier.lost.fetch_add(1, Ordering::SeqCst);
                    return Err(End::Lost);
                }
                self.asked.store(false, Ordering::SeqCst);
            }
            Direction::ToClient => {}
        }
        Ok(())
    }
}
