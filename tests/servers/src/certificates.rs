//! Certificates for TLS: an authority of a test's own, and what it signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The files of one authority, in PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The certificate of `localhost` and 127.0.0.1.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// The certificate of a client.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Certificates {
    /// Makes an authority and writes what it signed into this folder, which is made if it is missing.
    pub fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a temporary folder can be written");
        let write = |name: &str, content: String| {
            let path = folder.join(name);
            fs::write(&path, content).expect("a temporary folder can be written");
            path
        };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let sign = |name: &str, names: Vec<String>| {
            let key = key();
            let mut params = CertificateParams::new(names).expect("plain names");
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &authority).expect("a certificate");
            let files = (format!("{name}.pem"), format!("{name}.key"));
            (write(&files.0, certificate.pem()), write(&files.1, key.serialize_pem()))
        };
        let (server, server_key) = sign("server", vec!["localhost".into(), "127.0.0.1".into()]);
        let (client, client_key) = sign("client", Vec::new());
        let authority = write("authority.pem", authority.pem());
        Certificates { authority, server, server_key, client, client_key }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
