//! Lines over a pipe: read with a limit, written in batches.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::message::HostMessage;
use crate::wire::{MAX_LINE_BYTES, WireError, decode_host};

/// One system call reads up to this much; a pipe holds 64 KiB.
const READ_BYTES: usize = 64 * 1024;
/// A buffer that grew beyond this for one long line is not kept.
const KEEP_BYTES: usize = 1024 * 1024;
/// One wake of the writer takes up to this many lines …
const BATCH_LINES: usize = 256;
/// … and gathers up to this many bytes for one system call.
const BATCH_BYTES: usize = 256 * 1024;

/// Reads lines of at most [`MAX_LINE_BYTES`].
#[derive(Debug)]
pub struct LineReader<R> {
    source: BufReader<R>,
    line: Vec<u8>,
    // The line so far was too long: the rest of it is skipped.
    overlong: bool,
    // The line was handed out: the next read starts a new one.
    complete: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `source`, which needs no buffer of its own.
    pub fn new(source: R) -> Self {
        let source = BufReader::with_capacity(READ_BYTES, source);
        Self { source, line: Vec::new(), overlong: false, complete: false }
    }

    /// The next line without its line feed; `None` at the end. Blank lines are skipped.
    ///
    /// After [`WireError::TooLong`] the next call reads the line after it. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, WireError> {
        if std::mem::take(&mut self.complete) {
            self.line.clear();
            self.line.shrink_to(KEEP_BYTES);
        }
        // An unfinished line at the end was cut off with its writer: it is handed out, and will not parse.
        if !self.read_line().await? && self.line.is_empty() {
            return Ok(None);
        }
        self.complete = true;
        Ok(Some(&self.line))
    }

    /// Whether a line that is not blank was read; `false` at the end of the input.
    async fn read_line(&mut self) -> Result<bool, WireError> {
        loop {
            let chunk = self.source.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            self.overlong |= self.line.len() + part.len() >= MAX_LINE_BYTES;
            if self.overlong {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            if end.is_none() {
                continue;
            }
            if std::mem::take(&mut self.overlong) {
                self.complete = true;
                return Err(WireError::TooLong);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
            self.line.clear();
        }
    }
}

/// Reads what a host says: the node's side of its standard output.
#[derive(Debug)]
pub struct HostReader<R>(LineReader<R>);

impl<R: AsyncRead + Unpin> HostReader<R> {
    /// Reads from a host's standard output.
    pub fn new(stdout: R) -> Self {
        Self(LineReader::new(stdout))
    }

    /// The host's next message; `None` when it closed its output.
    ///
    /// After any error but [`WireError::Stream`] the next call reads the line after it: what to make of a host that
    /// says something strange is the caller's decision.
    pub async fn next(&mut self) -> Result<Option<HostMessage>, WireError> {
        match self.0.next().await? {
            Some(line) => decode_host(line).map(Some),
            None => Ok(None),
        }
    }
}

/// Writes the lines of a queue until its senders are gone: all that is waiting at once, then one flush.
pub async fn pump<L, W>(lines: &mut mpsc::Receiver<L>, mut sink: W) -> io::Result<()>
where
    L: AsRef<[u8]>,
    W: AsyncWrite + Unpin,
{
    let mut waiting = Vec::with_capacity(BATCH_LINES);
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    while lines.recv_many(&mut waiting, BATCH_LINES).await > 0 {
        for line in waiting.drain(..) {
            batch.extend_from_slice(line.as_ref());
            if batch.len() >= BATCH_BYTES {
                sink.write_all(&batch).await?;
                batch.clear();
                batch.shrink_to(KEEP_BYTES);
            }
        }
        sink.write_all(&batch).await?;
        batch.clear();
        sink.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
