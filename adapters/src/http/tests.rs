//! The adapter `http` against a server of the tests.

mod authentication;
mod limits;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use impresario_adapter::RunContext;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;

/// An endpoint on a free port. `reached` tells that a request arrived which is never answered.
struct Endpoint {
    base: String,
    reached: Arc<Notify>,
}

impl Endpoint {
    async fn start() -> Self {
        let reached = Arc::new(Notify::new());
        let router = Router::new()
            .route("/status/{code}", any(status))
            .route(
                "/json",
                get(|| async { ([(header::CONTENT_TYPE, "application/problem+json")], "{\"a\":[1]}") }),
            )
            .route("/text", get(|| async { "hello" }))
            .route("/broken", get(|| async { ([(header::CONTENT_TYPE, "application/json")], "{") }))
            .route("/binary", get(|| async { ([(header::CONTENT_TYPE, "image/png")], vec![0xff_u8, 0]) }))
            .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
            .route("/big", get(|| async { vec![b'x'; 10_000] }))
            .route("/hop", any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/text?token=secret")]) }))
            .route("/loop", get(|| async { (StatusCode::FOUND, [(header::LOCATION, "/loop")]) }))
            .route(
                "/astray",
                get(|| async { (StatusCode::FOUND, [(header::LOCATION, "file:///etc/passwd")]) }),
            )
            .route("/to-mirror/{code}", any(to_mirror))
            .route("/away", any(|uri: Uri| async move { away(&uri, "/mirror") }))
            .route(
                "/away-back",
                any(|uri: Uri, headers: HeaderMap| async move {
                    let back = headers[header::HOST].to_str().unwrap().to_owned();
                    away(&uri, &format!("/away?http://{back}"))
                }),
            )
            .route("/unmodified", get(|| async { StatusCode::NOT_MODIFIED }))
            .route("/mirror", any(mirror))
            .route("/hang", any(hang))
            .with_state(Arc::clone(&reached));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, reached }
    }

    async fn get(&self, path: &str, more: Value) -> Result<Value, Failure> {
        self.send("get", path, more).await
    }

    async fn send(&self, method: &str, path: &str, more: Value) -> Result<Value, Failure> {
        let mut arguments = json!({"method": method, "uri": format!("{}{path}", self.base)});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request(arguments).await
    }
}

async fn status(Path(code): Path<u16>) -> Response {
    (StatusCode::from_u16(code).unwrap(), "what went wrong").into_response()
}

async fn hang(State(reached): State<Arc<Notify>>) {
    reached.notify_one();
    std::future::pending().await
}

async fn to_mirror(Path(code): Path<u16>) -> Response {
    (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, "/mirror")]).into_response()
}

/// Leads to the host that its query names.
fn away(uri: &Uri, path: &str) -> Response {
    let place = format!("{}{path}", uri.query().unwrap());
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response()
}

/// Says what it was asked.
async fn mirror(uri: Uri, headers: HeaderMap, request: Request) -> Response {
    let method = request.method().to_string();
    let body: Bytes = axum::body::to_bytes(request.into_body(), 65536).await.unwrap();
    let headers: serde_json::Map<_, _> = headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned().into())
        })
        .collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    axum::Json(json!({"method": method, "uri": uri.to_string(), "headers": headers, "body": body}))
        .into_response()
}

/// A port that is taken, so that nobody else can listen on it, and that refuses connections.
fn refusing() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn call(arguments: Value) -> Call {
    let (token, key) = ("token".into(), "the-key".into());
    Call { token, attempt: 1, key, function: "request".into(), arguments, ..Call::default() }
}

async fn request(arguments: Value) -> Result<Value, Failure> {
    let (_cancel, context) = RunContext::detached("token");
    Http::new().run(context, call(arguments)).await
}

#[tokio::test]
async fn the_content_has_the_type_that_the_endpoint_says() {
    let endpoint = Endpoint::start().await;
    for (path, expected) in [
        ("/json", json!({"a": [1]})),
        ("/text", json!("hello")),
        ("/broken", json!("{")),
        ("/binary", json!("/wA=")),
        ("/empty", json!(null)),
    ] {
        assert_eq!(endpoint.get(path, json!({})).await.unwrap(), expected, "{path}");
    }
    assert_eq!(endpoint.get("/text", json!({"output": "raw"})).await.unwrap(), json!("aGVsbG8="));
}

#[tokio::test]
async fn the_whole_response_has_the_documented_shape() {
    let endpoint = Endpoint::start().await;
    let more = json!({"output": "response", "headers": {"X-Mine": "1", "X-Api-Key": "secret"}});
    let response = endpoint.get("/json", more).await.unwrap();
    assert_eq!(response["statusCode"], json!(200));
    assert_eq!(response["content"], json!({"a": [1]}));
    assert_eq!(response["headers"]["content-type"], json!("application/problem+json"));
    assert_eq!(
        response["request"],
        json!({
            "method": "get",
            "uri": format!("{}/json", endpoint.base),
            "headers": {"x-mine": "1", "x-api-key": "***"},
        })
    );
}

#[tokio::test]
async fn a_bad_status_is_a_failure_with_that_status() {
    let endpoint = Endpoint::start().await;
    for (code, reason) in [(404, "Not Found"), (418, "I'm a teapot"), (503, "Service Unavailable")] {
        let failure = endpoint.get(&format!("/status/{code}?token=secret"), json!({})).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.status), (Failure::COMMUNICATION, code));
        assert_eq!(failure.title, reason);
        let detail = failure.detail.unwrap();
        assert!(detail.ends_with(": what went wrong") && !detail.contains("secret"), "{detail}");
    }
}

#[tokio::test]
async fn redirections_are_failures_unless_they_are_wanted() {
    let endpoint = Endpoint::start().await;
    let failure = endpoint.get("/hop", json!({})).await.unwrap_err();
    assert_eq!((failure.status, failure.title.as_str()), (302, "Found"));
    let detail = failure.detail.unwrap();
    assert!(detail.contains(&format!("redirects to {}/text;", endpoint.base)), "{detail}");
    assert!(!detail.contains("secret"), "{detail}");

    let wanted = json!({"redirect": true});
    assert_eq!(endpoint.get("/hop", wanted.clone()).await.unwrap(), json!("hello"));
    assert_eq!(endpoint.get("/unmodified", wanted.clone()).await.unwrap(), json!(null));
    let failure = endpoint.get("/loop", wanted).await.unwrap_err();
    assert_eq!(failure.kind, Failure::COMMUNICATION);
    assert!(failure.title.contains("more than 10 times"), "{failure}");
    let failure = endpoint.get("/loop", json!({"redirect": true, "redirectLimit": 2})).await.unwrap_err();
    assert!(failure.title.contains("more than 2 times"), "{failure}");
    let failure = endpoint.get("/astray", json!({"redirect": true})).await.unwrap_err();
    assert!(failure.title.contains("cannot be requested"), "{failure}");
    assert!(failure.detail.unwrap().contains("neither http nor https but file"));
}

#[tokio::test]
async fn a_redirection_changes_the_method_as_the_standard_says() {
    let endpoint = Endpoint::start().await;
    for (status, method, seen, body) in [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (303, "HEAD", "HEAD", ""),
        (302, "PUT", "PUT", "text"),
        (307, "POST", "POST", "text"),
        (308, "POST", "POST", "text"),
    ] {
        let more = json!({"redirect": true, "body": "text", "output": "response"});
        let response = endpoint.send(method, &format!("/to-mirror/{status}"), more).await.unwrap();
        if method == "HEAD" {
            assert_eq!(response["statusCode"], json!(200));
            continue;
        }
        let mirror = &response["content"];
        assert_eq!((&mirror["method"], &mirror["body"]), (&json!(seen), &json!(body)), "{status} {method}");
        assert_eq!(mirror["headers"].get("content-type").is_some(), !body.is_empty());
    }
}

#[tokio::test]
async fn another_host_learns_no_secret() {
    let (endpoint, other) = (Endpoint::start().await, Endpoint::start().await);
    let away = format!("/away?{}", other.base);
    let headers = json!({"X-Token": "hush", "Cookie": "hush", "X-Api-Key": "hush", "Accept": "text/x"});
    let more = json!({
        "redirect": true, "headers": headers, "authentication": {"bearer": {"token": "hush"}}, "output": "response",
    });
    let seen = endpoint.get(&away, more.clone()).await.unwrap();
    assert!(!seen["content"].to_string().contains("hush"), "{seen}");
    assert_eq!(seen["content"]["headers"]["accept"], json!("text/x"));
    // The same host again is told, and one to which another host leads back is not.
    let back = endpoint.get("/to-mirror/302", more.clone()).await.unwrap();
    assert_eq!(back["content"]["headers"]["authorization"], json!("Bearer hush"));
    let round = format!("/away-back?{}", other.base);
    let seen = endpoint.get(&round, more).await.unwrap();
    assert!(!seen["content"].to_string().contains("hush"), "{seen}");
}

#[tokio::test]
async fn bodies_are_sent_as_what_they_are() {
    let endpoint = Endpoint::start().await;
    let form = "application/x-www-form-urlencoded";
    for (body, headers, kind, sent) in [
        (json!({"a": 1}), json!({}), "application/json", "{\"a\":1}"),
        (json!([1]), json!({"content-type": "application/x-list+json"}), "application/x-list+json", "[1]"),
        (json!("text"), json!({}), "text/plain; charset=utf-8", "text"),
        (json!("<a/>"), json!({"Content-Type": "application/xml"}), "application/xml", "<a/>"),
        (json!({"a": "b c", "d": 1}), json!({"Content-Type": form}), form, "a=b+c&d=1"),
        (json!("text"), json!({"Content-Type": form}), form, "text"),
    ] {
        let seen = endpoint.send("POST", "/mirror", json!({"body": body, "headers": headers})).await.unwrap();
        assert_eq!((&seen["headers"]["content-type"], &seen["body"]), (&json!(kind), &json!(sent)));
    }
}

#[tokio::test]
async fn bodies_may_have_parts_and_bytes() {
    let endpoint = Endpoint::start().await;
    let body = json!({"name": "Ada", "log": {"content": "aGk=", "encoding": "base64", "filename": "a \"b\".log", "contentType": "text/x-log"}});
    let parts = json!({"body": body, "headers": {"Content-Type": "multipart/form-data"}});
    let seen = endpoint.send("POST", "/mirror", parts).await.unwrap();
    let kind = seen["headers"]["content-type"].as_str().unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert_eq!(
        seen["body"].as_str().unwrap(),
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"log\"; filename=\"a %22b%22.log\"\r\n\
             Content-Type: text/x-log\r\n\r\nhi\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAda\r\n--{boundary}--\r\n"
        )
    );
    let bytes = json!({"body": "aGk=", "bodyEncoding": "base64"});
    let seen = endpoint.send("POST", "/mirror", bytes).await.unwrap();
    assert_eq!(
        (&seen["body"], &seen["headers"]["content-type"]),
        (&json!("hi"), &json!("application/octet-stream"))
    );
    for wrong in [
        json!({"body": "%", "bodyEncoding": "base64"}),
        json!({"body": {"a": {"text": 1}}, "headers": {"content-type": "multipart/form-data"}}),
    ] {
        assert_eq!(endpoint.send("POST", "/mirror", wrong).await.unwrap_err().kind, Failure::VALIDATION);
    }
}

#[tokio::test]
async fn a_target_says_where_paths_begin() {
    let endpoint = Endpoint::start().await;
    let properties = json!({"uri": format!("{}/mirror/", endpoint.base)}).as_object().unwrap().clone();
    let target = impresario_adapter::Target { name: "api".into(), kind: "http-endpoint".into(), properties };
    let (_cancel, context) = RunContext::detached("token");
    let call = Call { target: Some(target), ..call(json!({"method": "get", "uri": "/x?a=1"})) };
    let failure = Http::new().run(context, call).await.unwrap_err();
    assert!(failure.detail.unwrap().ends_with("/mirror/x"), "the path is below the target's");
    let failure = request(json!({"method": "get", "uri": "/x"})).await.unwrap_err();
    assert_eq!(failure.kind, Failure::CONFIGURATION, "{failure}");
}

#[tokio::test]
async fn the_query_is_added_to_the_uris_own() {
    let endpoint = Endpoint::start().await;
    let query = json!({"name": "a b&c", "n": 1, "list": ["x", true], "none": null});
    let seen = endpoint.get("/mirror?first=1", json!({"query": query})).await.unwrap();
    assert_eq!(seen["uri"], json!("/mirror?first=1&list=x&list=true&n=1&name=a+b%26c"));
    let failure = endpoint.get("/mirror", json!({"query": {"map": {}}})).await.unwrap_err();
    assert_eq!(failure.kind, Failure::VALIDATION);
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let endpoint = Endpoint::start().await;
    let basic = json!({"authentication": {"basic": {"username": "user", "password": "pass"}}});
    let bearer = json!({"authentication": {"bearer": {"token": "t0ken"}}});
    for (more, sent) in [(basic, "Basic dXNlcjpwYXNz"), (bearer, "Bearer t0ken")] {
        let seen = endpoint.get("/mirror", more.clone()).await.unwrap();
        assert_eq!(seen["headers"]["authorization"], json!(sent));
        let mut response = more;
        response["output"] = "response".into();
        let seen = endpoint.get("/text", response).await.unwrap();
        assert_eq!(seen["request"]["headers"]["authorization"], json!("***"));
    }

    let with_user = endpoint.base.replace("//", "//user:p%40ss@");
    let seen = request(json!({"method": "get", "uri": format!("{with_user}/mirror")})).await.unwrap();
    assert_eq!(seen["headers"]["authorization"], json!("Basic dXNlcjpwQHNz"));
    let (_held, address) = refusing();
    for uri in [format!("{with_user}/status/401"), format!("http://user:p%40ss@{address}/x?q=p%40ss")] {
        let failure = request(json!({"method": "get", "uri": uri})).await.unwrap_err().to_string();
        assert!(
            !failure.contains("user") && !failure.contains("ss@") && !failure.contains("q="),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn what_is_not_supported_is_named_without_its_secrets() {
    for (authentication, named) in [
        (json!({"gssapi": {"username": "u", "password": "hush"}}), "`gssapi`"),
        (json!({"oauth2": {"client": {"secret": "hush"}}}), "without `authority`"),
        (json!({"oauth2": {"authority": "http://x", "grant": "authorization_code"}}), "`authorization_code`"),
        (json!({"oauth2": {"authority": "http://x", "client": {"secret": "hush"}}}), "without `client.id`"),
        (
            json!({"oidc": {"authority": "http://x", "client": {"id": "i", "authentication": "private_key_jwt"}}}),
            "`private_key_jwt`",
        ),
        (json!({"basic": {"use": "hush"}}), "without a string `username`"),
        (json!("hush"), "not a map"),
        (json!({"bearer": "hush"}), "that is not a map"),
        (json!({"basic": {}, "bearer": {"token": "hush"}}), "exactly one scheme"),
    ] {
        let arguments = json!({"method": "get", "uri": "http://localhost", "authentication": authentication});
        let failure = request(arguments).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.status), (Failure::CONFIGURATION, 501));
        assert!(failure.title.contains(named), "{failure}");
        assert!(!failure.to_string().contains("hush") && failure.detail.unwrap().contains("`bearer`"));
    }
}

#[tokio::test]
async fn requests_that_may_not_be_repeated_carry_the_key() {
    let endpoint = Endpoint::start().await;
    for (method, expected) in [
        ("POST", json!("the-key")),
        ("patch", json!("the-key")),
        ("put", Value::Null),
        ("delete", Value::Null),
        ("get", Value::Null),
    ] {
        let seen = endpoint.send(method, "/mirror", json!({})).await.unwrap();
        assert_eq!(seen["headers"]["idempotency-key"], expected, "{method}");
    }
    let own = json!({"headers": {"Idempotency-Key": "mine"}});
    let seen = endpoint.send("post", "/mirror", own).await.unwrap();
    assert_eq!(seen["headers"]["idempotency-key"], json!("mine"));
}

#[tokio::test]
async fn a_probe_tells_what_may_be_sent_again() {
    for (method, expected) in
        [("get", ProbeOutcome::NotDone), ("PUT", ProbeOutcome::NotDone), ("post", ProbeOutcome::Unknown)]
    {
        let arguments = json!({"method": method, "uri": "http://localhost"});
        let probe =
            Probe { function: "request".into(), key: "the-key".into(), arguments, ..Probe::default() };
        assert_eq!(Http::new().probe(probe).await, expected, "{method}");
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_ends_at_the_timeout() {
    let endpoint = Endpoint::start().await;
    let failure = endpoint.get("/hang", json!({"timeoutSeconds": 0.05})).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::TIMEOUT, 408));
}

#[tokio::test]
async fn an_endpoint_that_hangs_ends_when_it_is_cancelled() {
    let endpoint = Endpoint::start().await;
    let (cancel, context) = RunContext::detached("token");
    let arguments = json!({"method": "get", "uri": format!("{}/hang", endpoint.base)});
    let run = tokio::spawn(async move { Http::new().run(context, call(arguments)).await });
    endpoint.reached.notified().await;
    cancel.send(true).unwrap();
    assert_eq!(run.await.unwrap().unwrap_err().title, "cancelled");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_a_failure() {
    let endpoint = Endpoint::start().await;
    let failure = endpoint.get("/big", json!({"outputLimit": 9_999})).await.unwrap_err();
    assert!(failure.title.contains("more than 9999 bytes"), "{failure}");
    assert!(endpoint.get("/big", json!({"outputLimit": 10_000})).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_reached_says_so() {
    let (_held, address) = refusing();
    let failure =
        request(json!({"method": "get", "uri": format!("http://{address}/x?q=1")})).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::COMMUNICATION, 500));
    assert_eq!(failure.title, format!("no connection to http://{address}/x"));
    assert!(failure.detail.as_deref().unwrap().to_lowercase().contains("refused"), "{failure}");
}

#[tokio::test]
async fn tls_with_somebody_who_does_not_speak_it_fails() {
    let endpoint = Endpoint::start().await;
    let uri = endpoint.base.replace("http:", "https:");
    let failure = request(json!({"method": "get", "uri": uri})).await.unwrap_err();
    assert_eq!(failure.kind, Failure::COMMUNICATION);
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused() {
    for (arguments, kind) in [
        (json!({"uri": "http://localhost"}), Failure::VALIDATION),
        (json!({"method": "get", "uri": "http://localhost", "timeoutSeconds": 0}), Failure::VALIDATION),
        (json!({"method": "get", "uri": "http://localhost", "headers": {"a b": "c"}}), Failure::VALIDATION),
        (json!({"method": "get", "uri": "http://localhost", "headers": {"a": "b\nc"}}), Failure::VALIDATION),
        (json!({"method": "get", "uri": "not a uri"}), Failure::CONFIGURATION),
        (json!({"method": "get", "uri": "file:///etc/passwd"}), Failure::CONFIGURATION),
        (json!({"method": "ge t", "uri": "http://localhost"}), Failure::CONFIGURATION),
    ] {
        assert_eq!(request(arguments.clone()).await.unwrap_err().kind, kind, "{arguments}");
    }
}
