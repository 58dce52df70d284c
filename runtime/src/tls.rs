//! The certificates of the doors that speak TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::listener::DoorError;

/// How long a client may take to agree on the terms of TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The settings of a certificate: the names of both, and the files.
pub(crate) struct Certificate<'a> {
    /// What the settings begin with, such as `tcp`.
    pub section: &'static str,
    /// The certificates, in PEM.
    pub certificate: Option<&'a Path>,
    /// Their key, in PEM.
    pub key: Option<&'a Path>,
}

/// What agrees on TLS with clients, if the settings name a certificate.
///
/// # Errors
/// When certificate or key cannot be read, or do not belong together.
pub(crate) async fn acceptor(settings: Certificate<'_>) -> Result<Option<TlsAcceptor>, DoorError> {
    let Certificate { section, certificate, key } = settings;
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) | (None, Some(_)) => {
            return Err(DoorError::Tls {
                expected: format!(
                    "both settings {section}.tls_certificate and {section}.tls_key, or neither"
                ),
                found: "one of them".to_owned(),
            });
        }
    };
    let wrong = |path: &Path, what: &str, found: String| DoorError::Tls {
        expected: format!("{what} in PEM in {}", path.display()),
        found,
    };
    let text = read(certificate).await.map_err(|found| wrong(certificate, "certificates", found))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| wrong(certificate, "certificates", error.to_string()))?;
    let text = read(key).await.map_err(|found| wrong(key, "a private key", found))?;
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| wrong(key, "a private key", error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let config = config
        .map_err(|error| wrong(certificate, "certificates that belong to the key", error.to_string()))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Agrees on TLS with a client, within a time.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(agreed) => agreed,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| error.to_string())
}
