//! A whole host process: the loop over standard input and output, until the node or a signal ends it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::adapter::Adapter;
use crate::host::{ExitReason, serve_until};

/// Serves an adapter over standard input and output until it is told to stop; then the process should exit.
///
/// It builds a runtime of its own: call it from `main`, outside of any other. A termination signal, or an interrupt
/// from a keyboard, ends it like the end of its input does, so that nothing it has started is left behind. A node
/// gives its hosts a process group of their own: an interrupt of the node is a reason to drain, not to drop.
pub fn run_on_stdio(adapter: impl Adapter) -> io::Result<ExitReason> {
    run_on_stdio_once(async { Ok(adapter) })
}

/// Like [`run_on_stdio`], for an adapter that has to do something before it knows what it can do: ask a server, for
/// instance. The node waits for the hello only so long.
pub fn run_on_stdio_once<A: Adapter>(ready: impl Future<Output = io::Result<A>>) -> io::Result<ExitReason> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reason = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let mut stop = std::pin::pin!(stop);
        let adapter = tokio::select! {
            adapter = ready => adapter?,
            () = &mut stop => return Ok(ExitReason::Stopped),
        };
        Ok(serve_until(adapter, tokio::io::stdin(), tokio::io::stdout(), stop).await)
    });
    // A thread may be waiting for input that never comes, and must not keep the process.
    runtime.shutdown_background();
    reason
}
