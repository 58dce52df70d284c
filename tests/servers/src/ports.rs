//! Ports that nobody listens at.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the range from which the system takes the ports of outgoing connections. In that range, a client that tries
/// again and again to reach a server that is down would reach itself one day, and keep the server from coming back.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// A port of this machine that is free at this moment, and was not given out by this process before.
pub(crate) fn free() -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Another place for each process, so that tests side by side do not meet often.
    let start = now.subsec_micros().wrapping_mul(31).wrapping_add(std::process::id().wrapping_mul(7_919));
    let span = PORTS.end - PORTS.start;
    for _ in 0..span {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(PORTS.start + start.wrapping_add(step) % span).expect("a port");
        if is_free(port) {
            return port;
        }
    }
    panic!("expected a free port between {} and {}, found none", PORTS.start, PORTS.end)
}

/// Whether nobody listens at it now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
