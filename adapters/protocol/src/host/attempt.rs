//! One run from its call to its answer, with everything that can go wrong on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;

use crate::adapter::{Adapter, RunContext};
use crate::failure::Failure;
use crate::message::{Answer, Call, ErrorObject, HostMessage, Probe, ProbeOutcome};
use crate::outbox::Outbox;
use crate::wire::{MAX_LINE_BYTES, WireError};

/// How long a cancelled run may take to come to an end before it is dropped.
pub const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// Runs a call, answers it, and gives its token back.
pub(super) async fn attempt(
    adapter: Arc<dyn Adapter>,
    context: RunContext,
    call: Call,
    outbox: Outbox,
) -> String {
    let token = call.token.clone();
    let overdue = {
        let context = context.clone();
        async move {
            context.cancelled().await;
            tokio::time::sleep(CANCEL_GRACE).await;
        }
    };
    let outcome = tokio::select! {
        outcome = contained(async { adapter.run(context, call).await }) => outcome.unwrap_or_else(Err),
        () = overdue => Err(Failure::runtime("cancelled").with_detail("it did not stop in time, and was dropped")),
    };
    respond(&outbox, token.clone(), outcome).await;
    token
}

/// Asks the adapter what became of a piece of work, and answers.
pub(super) async fn probe(adapter: Arc<dyn Adapter>, id: String, probe: Probe, outbox: Outbox) {
    let outcome = contained(async { adapter.probe(probe).await }).await.unwrap_or(ProbeOutcome::Unknown);
    let answer = match serde_json::to_value(outcome) {
        Ok(result) => Answer { id: Some(id), outcome: Ok(result) },
        Err(error) => Answer::error(Some(id), ErrorObject::failed(Failure::runtime(error.to_string()))),
    };
    // An answer that is too long to be sent tells no more than none.
    if let Err(WireError::TooLong) = outbox.send(&HostMessage::Answer(answer.clone())).await {
        let error = ErrorObject::failed(too_long());
        drop(outbox.send(&HostMessage::Answer(Answer::error(answer.id, error))).await);
    }
}

async fn respond(outbox: &Outbox, token: String, outcome: Result<Value, Failure>) {
    let answer = match outcome {
        Ok(output) => Answer::done(token.clone(), output),
        Err(failure) => Answer::error(Some(token.clone()), ErrorObject::failed(failure)),
    };
    if let Err(WireError::TooLong) = outbox.send(&HostMessage::Answer(answer)).await {
        let answer = Answer::error(Some(token), ErrorObject::failed(too_long()));
        // Nobody listens any more if this fails, which ends the host.
        drop(outbox.send(&HostMessage::Answer(answer)).await);
    }
}

fn too_long() -> Failure {
    Failure::runtime("the output is too large").with_detail(format!(
        "an answer has at most {MAX_LINE_BYTES} bytes; the work itself was done: have it put large data elsewhere and \
         answer a reference"
    ))
}

/// Drives a future; a panic in it becomes a failure.
pub(super) async fn contained<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        // After a panic the future is never polled again, so nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    })
    .await
}

/// The failure that a panic becomes.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Failure::runtime("the adapter panicked").with_detail(text)
}
