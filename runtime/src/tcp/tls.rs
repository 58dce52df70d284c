//! The certificate of the TCP door.

use std::path::Path;
use std::sync::Arc;

use impresario_config::Tcp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::listener::DoorError;

/// What agrees on TLS with clients, if the settings name a certificate.
///
/// # Errors
/// When certificate or key cannot be read, or do not belong together.
pub(super) async fn acceptor(settings: &Tcp) -> Result<Option<TlsAcceptor>, DoorError> {
    let (certificate, key) = match (&settings.tls_certificate, &settings.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) | (None, Some(_)) => {
            return Err(DoorError::Tls {
                expected: "both settings tcp.tls_certificate and tcp.tls_key, or neither".to_owned(),
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

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| error.to_string())
}
