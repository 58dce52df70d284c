//! The connections, and what to say when one fails.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use impresario_adapter::Failure;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

/// How many redirections are followed.
pub const REDIRECTS_MAX: usize = 10;
/// How long a connection may take to be made. A request's own timeout includes it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many connections to one host are kept for the next request, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One client that follows redirections and one that does not: that is a property of a client, not of a request.
#[derive(Debug)]
pub(super) struct Clients {
    following: Client,
    literal: Client,
}

impl Clients {
    pub(super) fn new() -> Result<Self, Failure> {
        // Fails if there is a provider already, which is then the one to use.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = |policy: fn() -> Policy| {
            let built = builder(policy()).build();
            // A machine without any root certificate can still talk to endpoints without TLS.
            let built = built.or_else(|_| builder(policy()).tls_backend_preconfigured(no_roots()).build());
            built.map_err(|error| {
                Failure::configuration("HTTP is not possible here").with_detail(chain(&error))
            })
        };
        Ok(Self { following: client(|| Policy::limited(REDIRECTS_MAX))?, literal: client(Policy::none)? })
    }

    pub(super) fn get(&self, redirect: bool) -> &Client {
        if redirect { &self.following } else { &self.literal }
    }
}

fn builder(policy: Policy) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("impresario/", env!("CARGO_PKG_VERSION")))
        .redirect(policy)
        // It would tell the query of one endpoint to another.
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

fn no_roots() -> ClientConfig {
    let roots = Arc::new(RootCertStore::empty());
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// The failure of a request that got no answer. `endpoint` is safe to be shown.
pub(super) fn explain(error: &reqwest::Error, endpoint: &str) -> Failure {
    if error.is_timeout() {
        return Failure::timeout(format!("no answer from {endpoint} in time"));
    }
    let title = if error.is_redirect() {
        format!(
            "{endpoint} redirected more than {REDIRECTS_MAX} times, or to a place that cannot be requested"
        )
    } else if error.is_connect() {
        format!("no connection to {endpoint}")
    } else {
        format!("the request to {endpoint} failed")
    };
    // The outermost text repeats the URI, with its query.
    Failure::communication(title)
        .with_detail(error.source().map(chain).unwrap_or_else(|| "no reason given".into()))
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.dedup();
    texts.join(": ")
}
