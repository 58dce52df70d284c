//! One connection of the TCP door: the token, then events, each answered in its turn.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::FuturesOrdered;
use impresario_model::event::CloudEvent;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::codec::FramedRead;

use super::Shared;
use super::lines::{Line, Lines};
use super::reply::{Greeting, Outcome, Reply};
use crate::http::token::Verdict;
use crate::listener::{Closing, closing};

/// How long a client may take to show its token, and how long that line may be: a stranger costs little.
const GREETING_LIMIT: (Duration, usize) = (Duration::from_secs(10), 4096);

/// No client is left unread for longer, however long it was told to wait.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A stream, split.
struct Ends<S> {
    lines: FramedRead<ReadHalf<S>, Lines>,
    replies: WriteHalf<S>,
    /// How long the client may take to read what it is told.
    patience: Duration,
}

/// The replies that are to come, in the order of their lines.
type Awaited = FuturesOrdered<BoxFuture<'static, Reply>>;

/// Serves one client until it ends, idles too long, or the door closes.
///
/// # Errors
/// When the connection breaks, or the client does not read what it is told.
pub(super) async fn run<S: AsyncRead + AsyncWrite>(
    stream: S,
    shared: &Shared,
    mut close: Closing,
) -> io::Result<()> {
    let (read, replies) = split(stream);
    let lines = FramedRead::new(read, Lines::new(GREETING_LIMIT.1));
    let mut ends = Ends { lines, replies, patience: shared.settings.idle_timeout };
    let greeted = tokio::select! {
        greeted = greet(&mut ends, shared) => greeted?,
        () = closing(&mut close) => false,
    };
    if greeted {
        ends.lines.decoder_mut().set_limit(shared.line_limit);
        converse(&mut ends, shared, close).await?;
    }
    ends.replies.shutdown().await
}

/// Reads the token; false when the connection ends with that.
async fn greet<S: AsyncRead + AsyncWrite>(ends: &mut Ends<S>, shared: &Shared) -> io::Result<bool> {
    let example = r#"expected the token of this node in the first line, such as {"token":"…"}"#;
    let found = match timeout(GREETING_LIMIT.0, ends.lines.next()).await {
        Err(_) => "nothing in time",
        Ok(None) => return Ok(false),
        Ok(Some(Err(error))) => return Err(error),
        Ok(Some(Ok(Line::Half))) => "half a line",
        Ok(Some(Ok(Line::TooLong))) => "a line that is too long",
        Ok(Some(Ok(Line::Whole(line)))) => match serde_json::from_slice::<Greeting>(&line) {
            Err(_) => "something else",
            Ok(greeting) => match shared.keeper.verify(&greeting.token).await {
                Verdict::Right => {
                    let ready = Outcome::Ready {
                        durability: shared.orchestrator.health().durability,
                        ahead: shared.settings.ahead,
                        line_limit: shared.line_limit,
                    };
                    ends.say(&[Reply { line: 0, outcome: ready }]).await?;
                    return Ok(true);
                }
                Verdict::Wrong => "another token",
                Verdict::Busy => "too many unknown tokens at once: try again",
            },
        },
    };
    let detail = format!(
        "{example}, found {found}; the token is in the file {} on the node's machine",
        shared.keeper.file().display()
    );
    ends.say(&[Reply { line: 0, outcome: Outcome::Closed { detail } }]).await?;
    Ok(false)
}

/// Takes events and answers them, until nothing more comes and everything is answered.
async fn converse<S: AsyncRead + AsyncWrite>(
    ends: &mut Ends<S>,
    shared: &Shared,
    mut close: Closing,
) -> io::Result<()> {
    let mut awaited = Awaited::new();
    let (mut line, mut open, mut last) = (0, true, None);
    let mut heard = Instant::now();
    // Until then a client that was told to wait is not read from: one that does not wait would have the node parse and
    // refuse for it without a pause, at the cost of all others.
    let mut quiet = heard;
    while open || !awaited.is_empty() {
        let idle = heard.max(quiet) + shared.settings.idle_timeout;
        let waits = Instant::now() < quiet;
        tokio::select! {
            Some(reply) = awaited.next(), if !awaited.is_empty() => {
                let mut replies = vec![reply];
                // Whatever else is answered goes out with it.
                while let Some(Some(reply)) = awaited.next().now_or_never() {
                    replies.push(reply);
                }
                quiet = replies.iter().filter_map(pause).map(|pause| Instant::now() + pause).fold(quiet, Instant::max);
                ends.say(&replies).await?;
            }
            () = sleep_until(quiet), if open && waits => {}
            next = ends.lines.next(), if open && !waits && awaited.len() < shared.settings.ahead => {
                heard = Instant::now();
                match next.transpose()? {
                    None => open = false,
                    Some(Line::Whole(text)) if text.trim_ascii().is_empty() => {}
                    Some(found) => {
                        line += 1;
                        awaited.push_back(answer(line, found, shared));
                    }
                }
            }
            () = closing(&mut close), if open => {
                open = false;
                last = Some("the node stops: connect again, perhaps to another one");
            }
            () = sleep_until(idle), if open && awaited.is_empty() => {
                open = false;
                last = Some("nothing came for as long as tcp.idle_timeout allows");
            }
        }
    }
    match last {
        None => Ok(()),
        Some(detail) => {
            let outcome = Outcome::Closed { detail: detail.to_owned() };
            ends.say(&[Reply { line: line + 1, outcome }]).await
        }
    }
}

/// How long a client is not read from that was answered so.
fn pause(reply: &Reply) -> Option<Duration> {
    match reply.outcome {
        Outcome::Busy { retry_after_ms, .. } | Outcome::Unavailable { retry_after_ms, .. } => {
            Some(Duration::from_millis(retry_after_ms).min(PAUSE_MAX))
        }
        _ => None,
    }
}

/// The reply to a line, in time.
fn answer(line: u64, found: Line, shared: &Shared) -> BoxFuture<'static, Reply> {
    let at_once = |outcome| ready(Reply { line, outcome }).boxed();
    let event = match found {
        Line::Whole(text) => parse(&text),
        Line::TooLong => {
            Err(format!("expected at most {} bytes (setting tcp.line_limit), found more", shared.line_limit))
        }
        Line::Half => Err("expected an end of line, found the end of the connection".to_owned()),
    };
    let event = match event {
        Ok(event) => event,
        Err(detail) => return at_once(Outcome::Invalid { detail }),
    };
    let accepted = shared.orchestrator.accept(vec![event]);
    let (deadline, patience) = (Instant::now() + shared.patience, shared.patience);
    async move {
        let outcome = match timeout_at(deadline, accepted).await {
            Ok(Ok(accepted)) => Outcome::Accepted { durability: accepted.durability },
            Ok(Err(refusal)) => refusal.into(),
            Err(_) => Outcome::Unknown {
                detail: format!("no answer within {}", humantime::format_duration(patience)),
            },
        };
        Reply { line, outcome }
    }
    .boxed()
}

fn parse(text: &BytesMut) -> Result<CloudEvent, String> {
    let value = serde_json::from_slice(text)
        .map_err(|error| format!("expected a CloudEvent in JSON on one line, found: {error}"))?;
    CloudEvent::from_json(value).map_err(|error| error.to_string())
}

impl<S: AsyncRead + AsyncWrite> Ends<S> {
    /// Sends replies. A client that does not read them in time is given up.
    async fn say(&mut self, replies: &[Reply]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(replies.len() * 64);
        for reply in replies {
            serde_json::to_writer(&mut bytes, reply)?;
            bytes.push(b'\n');
        }
        let sent = async {
            self.replies.write_all(&bytes).await?;
            self.replies.flush().await
        };
        timeout(self.patience, sent).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
