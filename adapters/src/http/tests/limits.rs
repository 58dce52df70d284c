//! Endpoints that do not stop.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A server that begins an answer, and then sends this over and over, waiting so long in between.
async fn endless(piece: &'static [u8], pause: std::time::Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _: std::io::Result<usize> = stream.read(&mut [0; 4096]).await;
                let head =
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
                let mut sent = stream.write_all(head).await;
                while sent.is_ok() {
                    sent = stream.write_all(piece).await;
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    base
}

#[tokio::test]
async fn a_body_that_drips_ends_at_the_timeout() {
    let base = endless(b"1\r\nx\r\n", std::time::Duration::from_millis(20)).await;
    let failure = request(json!({"method": "get", "uri": base, "timeoutSeconds": 0.3})).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::TIMEOUT, 408), "{failure}");
}

#[tokio::test]
async fn a_body_that_never_ends_ends_at_the_limit() {
    let base = endless(b"8\r\nxxxxxxxx\r\n", std::time::Duration::ZERO).await;
    let failure = request(json!({"method": "get", "uri": base, "outputLimit": 100_000})).await.unwrap_err();
    assert!(failure.title.contains("more than 100000 bytes"), "{failure}");
}
