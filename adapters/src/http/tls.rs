//! Whom a request trusts beyond the system's own authorities, and the certificate that it shows.

use std::io::Read;
use std::path::Path;

use impresario_adapter::{Failure, RuntimeUser, Target};
use reqwest::{Certificate, Identity};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::spawn_blocking;

/// More of a file is not read.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// The argument `tls`: each a text in PEM, or the path of a file on the node that has one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tls {
    ca: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// The same, read: texts in PEM.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Trust {
    ca: Option<String>,
    /// The certificate that is shown, with its key.
    shown: Option<String>,
}

impl Trust {
    /// What the arguments say, else the target (`caCertificate`) and the runtime user (`clientCertificate` and
    /// `privateKey`).
    pub(super) async fn read(
        tls: Tls,
        target: Option<&Target>,
        user: Option<&RuntimeUser>,
    ) -> Result<Self, Failure> {
        let of_target =
            target.and_then(|target| target.properties.get("caCertificate")).and_then(Value::as_str);
        let of_user = |name: &str| user.and_then(|user| user.field(name)).map(str::to_owned);
        let ca = tls.ca.or_else(|| of_target.map(str::to_owned));
        let (certificate, key) = match (tls.certificate, tls.key) {
            (None, None) => match of_user("clientCertificate") {
                Some(certificate) => (Some(certificate), of_user("privateKey")),
                None => (None, None),
            },
            (certificate, key) => (certificate, key.or_else(|| of_user("privateKey"))),
        };
        let shown = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (pem("certificate", certificate).await?, pem("key", key).await?);
                Some(format!("{certificate}\n{key}"))
            }
            (None, None) => None,
            _ => {
                return Err(Failure::configuration("a client certificate needs both itself and its key")
                    .with_detail("give `tls.certificate` and `tls.key`, or both in the runtime user"));
            }
        };
        let ca = match ca {
            Some(ca) => Some(pem("ca", ca).await?),
            None => None,
        };
        Ok(Self { ca, shown })
    }

    /// Whether it asks for nothing special.
    pub(super) fn is_plain(&self) -> bool {
        self.ca.is_none() && self.shown.is_none()
    }

    /// The same for another host, to which nothing is shown.
    pub(super) fn for_others(&self) -> Self {
        Self { ca: self.ca.clone(), shown: None }
    }

    pub(super) fn authorities(&self) -> Result<Vec<Certificate>, Failure> {
        let Some(ca) = &self.ca else { return Ok(Vec::new()) };
        let found = Certificate::from_pem_bundle(ca.as_bytes()).ok().filter(|found| !found.is_empty());
        found.ok_or_else(|| not_pem("ca", "-----BEGIN CERTIFICATE-----"))
    }

    pub(super) fn identity(&self) -> Result<Option<Identity>, Failure> {
        let Some(shown) = &self.shown else { return Ok(None) };
        let identity = Identity::from_pem(shown.as_bytes());
        // The reason could repeat a part of the key.
        identity
            .map(Some)
            .map_err(|_| not_pem("certificate` or `tls.key", "a certificate and its private key"))
    }
}

fn not_pem(name: &str, expected: &str) -> Failure {
    Failure::configuration(format!("`tls.{name}` is not PEM"))
        .with_detail(format!("expected {expected} as a text, or the path of a file on the node"))
}

/// A text, or the file of that name.
async fn pem(name: &'static str, text: String) -> Result<String, Failure> {
    if text.contains("-----BEGIN ") {
        return Ok(text);
    }
    let path = text.clone();
    let read = spawn_blocking(move || read(Path::new(&path))).await;
    let read =
        read.map_err(|error| Failure::runtime("a file was not read").with_detail(error.to_string()))?;
    read.map_err(|error| {
        // What should have been a path may be a secret that was put into the wrong place.
        let shown = if text.starts_with('/') && text.len() < 256 { text } else { "it".to_owned() };
        Failure::configuration(format!("`tls.{name}` is neither PEM nor a file that can be read"))
            .with_detail(format!("{shown}: {error}"))
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(PEM_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
