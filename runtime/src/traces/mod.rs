//! Traces: the spans of this node, sent to a collector in batches (OTLP over HTTP).
//!
//! Nobody waits for the collector: what finds no room in the queue, or is not taken after some tries, is lost and
//! counted. The engine's work does not depend on it in any way.

mod otlp;

use std::time::Duration;

use impresario_actors::spans::Spans;
use impresario_config::Traces;
use impresario_model::trace::Span;
use prometheus_client::metrics::counter::Counter;
use reqwest::{Client, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use self::otlp::{Resource, document};
use crate::node::NodeError;

/// How many spans are sent together, at most.
const BATCH: usize = 512;
/// How long spans are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a batch is tried, and the pause after the first try; it doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// How long the end of the node waits for what is left.
const LAST: Duration = Duration::from_secs(2);

/// What became of spans.
#[derive(Clone, Debug, Default)]
pub struct SpanCounters {
    /// The collector has them.
    pub exported: Counter,
    /// It has not, and will not.
    pub lost: Counter,
}

/// Sends the spans of a node until it is stopped.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Where the spans of a node go as its settings say, and what sends them on, if anything does.
///
/// # Errors
/// [`NodeError::System`] when no HTTP client can be made.
pub fn start(
    settings: &Traces,
    resource: Resource,
    counters: &SpanCounters,
) -> Result<(Spans, Option<Exporter>), NodeError> {
    let Some(endpoint) = &settings.endpoint else { return Ok((Spans::default(), None)) };
    let client = Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()
        .map_err(|error| NodeError::System(format!("cannot make an HTTP client: {error}")))?;
    let (sender, receiver) = mpsc::channel(settings.queue);
    let spans = Spans::recorded(sender, f64::from(settings.percent) / 100.0, counters.lost.clone());
    let collector = Collector {
        client,
        url: format!("{}/v1/traces", endpoint.as_str()),
        resource,
        counters: counters.clone(),
        failing: false,
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(collector.export(receiver, stopped));
    Ok((spans, Some(Exporter { stop, task })))
}

impl Exporter {
    /// Sends what is left, for as long as the end of a node may wait for that.
    pub async fn stop(self) {
        let Exporter { stop, mut task } = self;
        // One that has ended already has nothing left.
        let _ = stop.send(());
        if timeout(LAST, &mut task).await.is_err() {
            task.abort();
        }
    }
}

struct Collector {
    client: Client,
    url: String,
    resource: Resource,
    counters: SpanCounters,
    /// Whether the last batch was not taken: it is told once, not for each.
    failing: bool,
}

impl Collector {
    async fn export(mut self, mut spans: mpsc::Receiver<Span>, mut stopped: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let going = tokio::select! {
                // Nobody is left who could stop it: the node has ended.
                _ = &mut stopped => false,
                () = gather(&mut spans, &mut batch) => true,
            };
            if !going {
                spans.close();
                while spans.recv_many(&mut batch, BATCH).await > 0 {
                    self.send(&mut batch).await;
                }
                self.send(&mut batch).await;
                return;
            }
            self.send(&mut batch).await;
        }
    }

    /// Sends a batch, and empties it, whatever becomes of it.
    async fn send(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let body = document(&self.resource, batch).to_string();
        batch.clear();
        let mut pause = PAUSE;
        for last in (1..=TRIES).map(|number| number == TRIES) {
            match self.post(body.clone()).await {
                Ok(rejected) => {
                    self.counters.exported.inc_by(count.saturating_sub(rejected));
                    self.counters.lost.inc_by(rejected.min(count));
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(url = self.url, "the collector of traces takes spans again");
                    }
                    return;
                }
                Err(NotTaken { reason, again }) if last || !again => {
                    self.counters.lost.inc_by(count);
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(
                            url = self.url,
                            reason,
                            "the collector of traces takes no spans: they are lost until it does"
                        );
                    }
                    return;
                }
                Err(_) => {}
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// How many spans the collector did not want.
    async fn post(&self, body: String) -> Result<u64, NotTaken> {
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        let response = request
            .send()
            .await
            .map_err(|error| NotTaken { reason: error.without_url().to_string(), again: true })?;
        let status = response.status();
        if status.is_success() {
            // What it says beyond that decides nothing but a figure.
            let said: serde_json::Value = response.json().await.unwrap_or_default();
            return Ok(otlp::rejected(&said));
        }
        let again = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(NotTaken { reason: format!("it answered {status}"), again })
    }
}

struct NotTaken {
    reason: String,
    again: bool,
}

/// Waits for a span, and then a little for more. Spans are in the batch, or in the queue, whenever it is dropped.
async fn gather(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    if spans.recv_many(batch, BATCH).await == 0 {
        // The senders live as long as the node.
        std::future::pending::<()>().await;
    }
    let more =
        async { while batch.len() < BATCH && spans.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    // The time is over, or the batch is full: either way it goes out.
    let _ = timeout(GATHER, more).await;
}

#[cfg(test)]
mod tests;
