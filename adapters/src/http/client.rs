//! The connections, and what to say when one fails.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use impresario_adapter::Failure;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

use super::tls::Trust;

/// How long a connection may take to be made. A request's own timeout includes it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many connections to one host are kept for the next request, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many clients of their own kinds of trust are kept. Beyond that all are made anew.
const CLIENTS_MAX: usize = 32;

/// The clients: one for those who trust the system's authorities and show nothing, and one for each other trust, since
/// a connection belongs to whoever made it.
pub(super) struct Clients {
    plain: Client,
    special: Mutex<HashMap<Trust, Client>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    pub(super) fn new() -> Result<Self, Failure> {
        // Fails if there is a provider already, which is then the one to use.
        drop(rustls::crypto::ring::default_provider().install_default());
        Ok(Self { plain: make(&Trust::default())?, special: Mutex::default() })
    }

    pub(super) fn get(&self, trust: &Trust) -> Result<Client, Failure> {
        if trust.is_plain() {
            return Ok(self.plain.clone());
        }
        let mut special = self.special.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = special.get(trust) {
            return Ok(client.clone());
        }
        let client = make(trust)?;
        if special.len() >= CLIENTS_MAX {
            special.clear();
        }
        special.insert(trust.clone(), client.clone());
        Ok(client)
    }
}

fn make(trust: &Trust) -> Result<Client, Failure> {
    let authorities = trust.authorities()?;
    let identity = trust.identity()?;
    let ready = || {
        let builder = builder();
        match identity.clone() {
            Some(identity) => builder.identity(identity),
            None => builder,
        }
    };
    let built = match authorities.is_empty() {
        true => ready().build(),
        false => ready().tls_certs_merge(authorities.clone()).build(),
    };
    // A machine without any root certificate can still talk to endpoints without TLS, and to those it was told to trust.
    let built = built.or_else(|error| match (authorities.is_empty(), trust.is_plain()) {
        (false, _) => ready().tls_certs_only(authorities).build(),
        (true, true) => builder().tls_backend_preconfigured(no_roots()).build(),
        (true, false) => Err(error),
    });
    built.map_err(|error| {
        Failure::configuration("HTTP is not possible with these certificates").with_detail(chain(&error))
    })
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("impresario/", env!("CARGO_PKG_VERSION")))
        // They are followed where it is known to whom the credentials belong.
        .redirect(Policy::none())
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
    let title = if error.is_connect() {
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
