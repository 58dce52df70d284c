//! Authorities and certificates of one's own.

use impresario_adapter::{RuntimeUser, Target};
use impresario_test_servers::Certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server that says whether somebody showed a certificate; if they `must`, others get nothing.
async fn start(certificates: &Certificates, must: bool) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let read = |path: &std::path::Path| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    for authority in read(&certificates.authority) {
        roots.add(authority).unwrap();
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
    let verifier = if must { verifier } else { verifier.allow_unauthenticated() };
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            read(&certificates.server),
            PrivateKeyDer::from_pem_file(&certificates.server_key).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let known = stream.get_ref().1.peer_certificates().is_some();
            if stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                let body = if known { "known " } else { "nobody" };
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n{body}");
                let _: std::io::Result<()> = stream.write_all(answer.as_bytes()).await;
                let _: std::io::Result<()> = stream.shutdown().await;
            }
        }
    });
    base
}

fn text(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(directory.path());
    let base = start(&certificates, false).await;
    let failure = request(json!({"method": "get", "uri": base})).await.unwrap_err();
    assert_eq!(failure.kind, Failure::COMMUNICATION, "{failure}");
    for ca in [json!(certificates.authority), json!(text(&certificates.authority))] {
        let answer = request(json!({"method": "get", "uri": base, "tls": {"ca": ca}})).await.unwrap();
        assert_eq!(answer, json!("nobody"));
    }
    let properties = json!({"uri": base, "caCertificate": text(&certificates.authority)});
    let properties = properties.as_object().unwrap().clone();
    let target = Some(Target { name: "api".into(), kind: "http-endpoint".into(), properties });
    let (_cancel, context) = RunContext::detached("token");
    let answer =
        Http::new().run(context, Call { target, ..call(json!({"method": "get", "uri": "/"})) }).await;
    assert_eq!(answer.unwrap(), json!("nobody"));
    let failure = request(json!({"method": "get", "uri": base})).await.unwrap_err();
    assert_eq!(failure.kind, Failure::COMMUNICATION, "nobody else trusts it: {failure}");
}

#[tokio::test]
async fn a_certificate_is_shown_to_who_asks_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(directory.path());
    let base = start(&certificates, true).await;
    let ca = text(&certificates.authority);
    let without = request(json!({"method": "get", "uri": base, "tls": {"ca": ca}})).await.unwrap_err();
    assert_eq!(without.kind, Failure::COMMUNICATION, "{without}");
    let tls = json!({"ca": ca, "certificate": certificates.client, "key": certificates.client_key});
    assert_eq!(request(json!({"method": "get", "uri": base, "tls": tls})).await.unwrap(), json!("known "));
    let fields = [
        ("clientCertificate".to_owned(), text(&certificates.client)),
        ("privateKey".to_owned(), text(&certificates.client_key)),
    ];
    let user = Some(RuntimeUser { name: "ops".into(), fields: fields.into_iter().collect() });
    let (_cancel, context) = RunContext::detached("token");
    let arguments = json!({"method": "get", "uri": base, "tls": {"ca": ca}});
    let answer = Http::new().run(context, Call { user, ..call(arguments) }).await;
    assert_eq!(answer.unwrap(), json!("known "));
}

#[tokio::test]
async fn what_is_no_certificate_is_not_repeated() {
    for (tls, named) in [
        (json!({"ca": "/no/such.pem"}), "/no/such.pem"),
        (json!({"ca": "-----BEGIN hush-----"}), "`tls.ca` is not PEM"),
        (json!({"certificate": "-----BEGIN hush-----"}), "needs both itself and its key"),
        (json!({"certificate": "-----BEGIN hush-----", "key": "-----BEGIN hush-----"}), "is not PEM"),
        (json!({"certificate": "-----BEGIN hush-----", "key": "hush"}), "neither PEM nor a file"),
    ] {
        let failure =
            request(json!({"method": "get", "uri": "https://localhost", "tls": tls})).await.unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.kind, Failure::CONFIGURATION);
        assert!(text.contains(named) && !text.contains("hush"), "{text}");
    }
}
