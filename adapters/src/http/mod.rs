//! The adapter `http`: requests to HTTP endpoints.
//!
//! * The answer is the `content` (JSON is parsed if the endpoint says that it is JSON; other text is a string; anything
//!   else is base64), the `raw` body in base64, or the whole `response`. Names of headers are in lower case.
//! * A status outside of 200–299 is a failure `communication` with that very status. With `redirect: true` 300–399 is
//!   no failure, and redirections that name a place are followed, up to `redirectLimit`; without it none is. Credentials
//!   are never shown to a host that the definition does not name.
//! * Methods that are not idempotent carry the activity's key as `Idempotency-Key`, unless the definition sets one.
//!   A request that was cut off is therefore not simply repeated, but [probing](Adapter::probe) settles the idempotent
//!   ones: they may be sent again.
//! * Bodies are kept up to `outputLimit` bytes; a longer one is a failure, since half of a document is of no use.
//! * No credential is in any text or output: user names and passwords of URIs and headers that carry credentials are
//!   masked, and failures name an endpoint without its query.
//! * Basic, bearer, digest and OAuth 2 (client credentials, password) are done here, with what the node has resolved: values
//!   in `authentication`, or the runtime user of the call. Tokens are kept until shortly before they expire.
//! * `send-event` sends a CloudEvent, and answers whatever status comes ([`send`]).
//! * `timeoutSeconds` is for all of it: tokens, challenges, redirections, and the last byte of the answer.

mod answer;
mod arguments;
mod body;
mod client;
mod credentials;
mod digest;
mod follow;
mod oauth;
mod request;
mod schema;
mod send;
mod tls;

#[cfg(test)]
mod tests;

use impresario_adapter::{Adapter, BoxFuture, Call, Failure, Manifest, Probe, ProbeOutcome, RunContext};
use serde_json::Value;
use tokio::time::timeout;

use arguments::RequestArguments;
use client::Clients;
use follow::{Asker, Shared};
use oauth::Tokens;
use send::SendArguments;
use tls::Trust;

pub use answer::is_secret_header;
pub use schema::manifest;

/// The adapter `http`.
#[derive(Debug)]
pub struct Http {
    // A machine without usable TLS gets its failure with its first request, where somebody sees it.
    shared: Result<Shared, Failure>,
}

impl Http {
    /// A new one, with connections of its own.
    pub fn new() -> Self {
        let shared = Clients::new().map(|clients| Shared { clients, tokens: Tokens::default() });
        Self { shared }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Adapter for Http {
    fn manifest(&self) -> Manifest {
        manifest()
    }

    fn run(&self, context: RunContext, mut call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            let arguments = std::mem::take(&mut call.arguments);
            let shared = self.shared.as_ref().map_err(Failure::clone);
            let work: BoxFuture<'_, Result<Value, Failure>> = match call.function.as_str() {
                "request" => {
                    let arguments: RequestArguments = crate::arguments::read("request", arguments)?;
                    Box::pin(exchange(shared?, arguments, &call))
                }
                "send-event" => {
                    let arguments: SendArguments = crate::arguments::read("send-event", arguments)?;
                    Box::pin(send::send(shared?, arguments, &call))
                }
                other => {
                    let title = format!("the adapter `http` has no function `{other}`");
                    return Err(Failure::configuration(title));
                }
            };
            tokio::select! {
                biased;
                outcome = work => outcome,
                () = context.cancelled() => Err(Failure::runtime("cancelled")),
            }
        })
    }

    fn probe(&self, probe: Probe) -> BoxFuture<'_, ProbeOutcome> {
        let method = probe.arguments["method"].as_str().and_then(|method| request::method(method).ok());
        let again = method.is_some_and(|method| request::is_idempotent(&method));
        Box::pin(async move { if again { ProbeOutcome::NotDone } else { ProbeOutcome::Unknown } })
    }
}

async fn exchange(shared: &Shared, mut arguments: RequestArguments, call: &Call) -> Result<Value, Failure> {
    let (target, user) = (call.target.as_ref(), call.user.as_ref());
    let credentials = credentials::read(&arguments.authentication, user, target)?;
    let trust = Trust::read(std::mem::take(&mut arguments.tls), target, user).await?;
    let base = target.and_then(|target| target.properties.get("uri")).and_then(Value::as_str);
    let mut request = request::build(&shared.clients.get(&trust)?, &arguments, base, &call.key)?;
    request::trace(&mut request, call);
    let endpoint = request::endpoint(request.url());
    let asker = Asker::new(shared, trust, credentials);
    let exchange = async {
        let (response, asked) = asker.send(request, arguments.redirections()).await?;
        answer::read(response, asked, &arguments).await
    };
    let in_time = timeout(arguments.timeout, Box::pin(exchange)).await;
    in_time.unwrap_or_else(|_| Err(Failure::timeout(format!("no answer from {endpoint} in time"))))
}
