//! The adapter `http`: requests to HTTP endpoints.
//!
//! * The answer is the `content` (JSON is parsed if the endpoint says that it is JSON; other text is a string; anything
//!   else is base64), the `raw` body in base64, or the whole `response`. Names of headers are in lower case.
//! * A status outside of 200–299 is a failure `communication` with that very status. With `redirect: true` 300–399 is
//!   no failure, and redirections that name a place are followed, up to [`REDIRECTS_MAX`]; without it none is.
//! * Methods that are not idempotent carry the activity's key as `Idempotency-Key`, unless the definition sets one.
//!   A request that was cut off is therefore not simply repeated, but [probing](Adapter::probe) settles the idempotent
//!   ones: they may be sent again.
//! * Bodies are kept up to `outputLimit` bytes; a longer one is a failure, since half of a document is of no use.
//! * No credential is in any text or output: user names and passwords of URIs and headers that carry credentials are
//!   masked, and failures name an endpoint without its query.
//! * Basic and bearer authentication are done here, with credentials that the node has resolved already.

mod answer;
mod arguments;
mod client;
mod request;
mod schema;

#[cfg(test)]
mod tests;

use impresario_adapter::{Adapter, BoxFuture, Call, Failure, Manifest, Probe, ProbeOutcome, RunContext};
use serde_json::Value;

use arguments::RequestArguments;
use client::Clients;

pub use answer::is_secret_header;
pub use client::REDIRECTS_MAX;
pub use schema::manifest;

/// The adapter `http`.
#[derive(Debug)]
pub struct Http {
    // A machine without usable TLS gets its failure with its first request, where somebody sees it.
    clients: Result<Clients, Failure>,
}

impl Http {
    /// A new one, with connections of its own.
    pub fn new() -> Self {
        Self { clients: Clients::new() }
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

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            let arguments: RequestArguments = crate::arguments::read("request", call.arguments)?;
            let clients = self.clients.as_ref().map_err(Failure::clone)?;
            tokio::select! {
                biased;
                outcome = exchange(clients, arguments, &call.key) => outcome,
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

async fn exchange(clients: &Clients, arguments: RequestArguments, key: &str) -> Result<Value, Failure> {
    let client = clients.get(arguments.redirect);
    let request = request::build(client, &arguments, key)?;
    let asked = answer::Asked::of(&request);
    let response = client.execute(request).await.map_err(|error| client::explain(&error, &asked.endpoint))?;
    answer::read(response, asked, &arguments).await
}
