//! Delivers the reports of one adapter, batch after batch, for as long as the node lives.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::lane::{Lane, Outgoing};
use crate::activity::ReportSink;

/// A sink that panicked is given this long before it gets the same reports again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(lane: Arc<Lane>, sink: Arc<dyn ReportSink>) {
    loop {
        let Outgoing { saves, reports } = lane.outgoing().await;
        let tokens: Vec<_> = reports.iter().map(|report| report.token.clone()).collect();
        // A panic here would end all reports of this adapter, silently. The receivers know a report by its token, so
        // one that comes twice does no harm.
        let delivery = || async {
            if !saves.is_empty() {
                sink.save(saves.clone()).await;
            }
            if !reports.is_empty() {
                sink.deliver(reports.clone()).await;
            }
        };
        while AssertUnwindSafe(delivery()).catch_unwind().await.is_err() {
            tracing::error!(adapter = %lane.name, reports = reports.len(), "delivery of reports panicked");
            tokio::time::sleep(PAUSE).await;
        }
        if !tokens.is_empty() {
            lane.delivered(&tokens);
        }
    }
}
