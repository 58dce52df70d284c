//! A cheap HTTP client: requests that are made once and patched, answers of which only the status is read.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// The connections of a load, as the aims name it.
pub const CONNECTIONS: usize = 64;
/// The place of a number in a request.
const DIGITS: &str = "000000000000";

/// A request with a number in it that is different each time.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    number_at: usize,
}

impl Template {
    /// A POST of `body`, whose first `DIGITS` become the number.
    pub fn post(host: &str, path: &str, token: &str, media_type: &str, body: &str) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: {media_type}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let number_at = head.len() + body.find(DIGITS).unwrap();
        Template { bytes: [head.as_bytes(), body.as_bytes()].concat(), number_at }
    }

    pub fn number(&mut self, number: u64) -> &[u8] {
        let digits = format!("{number:012}");
        self.bytes[self.number_at..self.number_at + digits.len()].copy_from_slice(digits.as_bytes());
        &self.bytes
    }
}

/// The structured event of 256 bytes that all parts send.
pub fn event_body(kind: &str) -> String {
    let start = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{DIGITS}\",\"source\":\"/bench\",\"type\":\"{kind}\",\"data\":{{\"padding\":\""
    );
    let end = "\"}}";
    format!("{start}{}{end}", "x".repeat(256 - start.len() - end.len()))
}

/// The digits of a number in a body.
pub fn digits() -> &'static str {
    DIGITS
}

/// How much a load sends.
#[derive(Clone, Copy)]
pub enum Amount {
    /// As much as fits into this time.
    Time(Duration),
    /// So many requests.
    Count(u64),
}

/// What a load came to.
pub struct Done {
    pub requests: u64,
    pub took: Duration,
}

impl Done {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// Sends numbers from `first` on over [`CONNECTIONS`] connections, each waiting for its answer.
pub async fn load(host: &str, template: &Template, first: u64, amount: Amount) -> Done {
    let next = Rc::new(Cell::new(first));
    let set = LocalSet::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        let (host, mut template, next) = (host.to_owned(), template.clone(), Rc::clone(&next));
        set.spawn_local(async move {
            let mut connection = TcpStream::connect(&host).await.unwrap();
            connection.set_nodelay(true).unwrap();
            let mut buffer = vec![0; 4096];
            loop {
                let number = next.get();
                let over = match amount {
                    Amount::Time(time) => began.elapsed() >= time,
                    Amount::Count(count) => number >= first + count,
                };
                if over {
                    return;
                }
                next.set(number + 1);
                loop {
                    connection.write_all(template.number(number)).await.unwrap();
                    match answer(&mut connection, &mut buffer).await {
                        200..=299 => break,
                        // Refused under load: offered again, and counted once.
                        429 | 503 => tokio::time::sleep(Duration::from_millis(20)).await,
                        other => panic!(
                            "expected to be accepted, found {other}: {}",
                            String::from_utf8_lossy(&buffer)
                        ),
                    }
                }
            }
        });
    }
    set.await;
    Done { requests: next.get() - first, took: began.elapsed() }
}

/// Reads one answer; its status.
pub async fn answer(connection: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut filled = 0;
    loop {
        let read = connection.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the connection was closed");
        filled += read;
        if let Some((status, length)) = whole(&buffer[..filled]) {
            assert!(filled <= length, "more than one answer");
            if filled == length {
                return status;
            }
        }
    }
}

/// The status and the whole length of an answer whose head is there.
fn whole(bytes: &[u8]) -> Option<(u16, usize)> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).unwrap();
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    Some((status, head_end + length.unwrap_or_default()))
}
