//! What is kept of a stream: its beginning up to a limit, and a short tail.

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of the end is kept for a failure's detail.
const TAIL_BYTES: usize = 2 * 1024;
/// One read takes up to this much.
const READ_BYTES: usize = 16 * 1024;

/// What was kept of a stream.
#[derive(Debug)]
pub(crate) struct Capture {
    limit: usize,
    head: Vec<u8>,
    tail: Vec<u8>,
    cut: u64,
}

impl Capture {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: Vec::new(), cut: 0 }
    }

    /// Reads to the end, whatever its length. A stream that fails has ended.
    pub(crate) async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            self.take(&buffer[..count]);
        }
    }

    /// Takes what came next.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.limit - self.head.len());
        self.head.extend_from_slice(&bytes[..fits]);
        self.cut += (bytes.len() - fits) as u64;
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
    }

    /// How many bytes there were beyond what was kept.
    pub(crate) fn cut(&self) -> u64 {
        self.cut
    }

    /// How many bytes there were.
    pub(crate) fn length(&self) -> u64 {
        self.head.len() as u64 + self.cut
    }

    /// The beginning, up to the limit.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// The end, a few lines.
    pub(crate) fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).trim().to_owned()
    }
}
