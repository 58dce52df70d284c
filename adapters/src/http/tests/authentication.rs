//! Digest and OAuth 2, and whose credentials are shown.

use std::sync::Mutex;

use impresario_adapter::RuntimeUser;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::*;

fn user(fields: &[(&str, &str)]) -> RuntimeUser {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    RuntimeUser { name: "ops".into(), fields }
}

async fn as_user(http: &Http, user: RuntimeUser, arguments: Value) -> Result<Value, Failure> {
    let (_cancel, context) = RunContext::detached("token");
    http.run(context, Call { user: Some(user), ..call(arguments) }).await
}

#[tokio::test]
async fn a_runtime_user_shows_what_it_has() {
    let endpoint = Endpoint::start().await;
    let http = Http::new();
    let uri = format!("{}/mirror", endpoint.base);
    let ask = |user: RuntimeUser, authentication: Value| {
        let arguments = json!({"method": "get", "uri": uri, "authentication": authentication});
        as_user(&http, user, arguments)
    };
    let ada = || user(&[("username", "user"), ("password", "pass")]);
    for (user, authentication, sent) in [
        (ada(), json!(null), "Basic dXNlcjpwYXNz"),
        (ada(), json!({"basic": {"secret": "ops"}}), "Basic dXNlcjpwYXNz"),
        (ada(), json!({"basic": {"username": "else"}}), "Basic ZWxzZTpwYXNz"),
        (user(&[("token", "t0ken")]), json!(null), "Bearer t0ken"),
        (user(&[("token", "t0ken")]), json!({"bearer": {"secret": "ops"}}), "Bearer t0ken"),
    ] {
        let seen = ask(user, authentication.clone()).await.unwrap();
        assert_eq!(seen["headers"]["authorization"], json!(sent), "{authentication}");
    }
    for (user, authentication, title) in [
        (ada(), json!({"bearer": {"secret": "others"}}), "the secret `others` is not there"),
        (user(&[("colour", "hush")]), json!(null), "has nothing to show over HTTP"),
        (user(&[("clientId", "i"), ("clientSecret", "hush")]), json!(null), "no endpoint for a token"),
    ] {
        let failure = ask(user, authentication).await.unwrap_err();
        assert_eq!(failure.kind, Failure::CONFIGURATION);
        assert!(failure.title.contains(title) && !failure.to_string().contains("hush"), "{failure}");
    }
}

/// What a server of digests knows, worked out here from the standard's words and not with the adapter's code.
struct Guard {
    algorithm: &'static str,
    nonces: Mutex<u32>,
}

impl Guard {
    fn hash(&self, text: String) -> String {
        match self.algorithm {
            "MD5" | "MD5-sess" => Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    fn answer(&self, headers: &HeaderMap, uri: &Uri, method: &str) -> Response {
        let mut nonces = self.nonces.lock().unwrap();
        let nonce = format!("nonce-{}", *nonces);
        let shown =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let field = |name: &str| {
            let start = shown.find(&format!("{name}="))? + name.len() + 1;
            let rest = &shown[start..];
            let value = match rest.strip_prefix('"') {
                Some(rest) => rest.split('"').next(),
                None => rest.split(',').next(),
            };
            value.map(str::to_owned)
        };
        let expected = || {
            let (cnonce, count) = (field(" cnonce")?, field(" nc")?);
            let mut a1 = self.hash("Mufasa:lions:Circle of Life".to_owned());
            if self.algorithm.ends_with("-sess") {
                a1 = self.hash(format!("{a1}:{nonce}:{cnonce}"));
            }
            let a2 = self.hash(format!("{method}:{uri}"));
            Some(self.hash(format!("{a1}:{nonce}:{count}:{cnonce}:auth:{a2}")))
        };
        if shown.starts_with("Digest ")
            && field(" nonce") == Some(nonce.clone())
            && field(" response") == expected()
        {
            return "in".into_response();
        }
        *nonces += 1;
        let digest = format!(
            "Digest realm=\"lions\", qop=\"auth\", algorithm={}, nonce=\"nonce-{}\", opaque=\"x\"",
            self.algorithm, *nonces
        );
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, format!("Basic realm=\"x\", {digest}"))])
            .into_response()
    }
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

#[tokio::test]
async fn a_digest_is_computed_for_whoever_asks() {
    for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"] {
        let guard = Arc::new(Guard { algorithm, nonces: Mutex::new(0) });
        let guarded = Arc::clone(&guard);
        let base = serve(Router::new().route(
            "/secret",
            any(move |method: axum::http::Method, uri: Uri, headers: HeaderMap| async move {
                guarded.answer(&headers, &uri, method.as_str())
            }),
        ))
        .await;
        let ask = |method: &str, password: &str| {
            request(json!({
                "method": method, "uri": format!("{base}/secret?a=b%20c"), "body": "text",
                "authentication": {"digest": {"username": "Mufasa", "password": password}},
            }))
        };
        assert_eq!(ask("post", "Circle of Life").await.unwrap(), json!("in"), "{algorithm}");
        assert_eq!(*guard.nonces.lock().unwrap(), 1, "one refusal, then the answer");
        let failure = ask("get", "hush").await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.status), (Failure::COMMUNICATION, 401));
        assert!(!failure.to_string().contains("hush"));
        assert_eq!(*guard.nonces.lock().unwrap(), 3, "no third try");
    }
}

/// An authority that gives numbered tokens, and an API that takes the last one.
#[derive(Default)]
struct Authority {
    asked: Mutex<Vec<String>>,
    given: Mutex<u32>,
    lives: f64,
}

impl Authority {
    async fn start(lives: f64) -> (Arc<Self>, String) {
        let authority = Arc::new(Self { lives, ..Self::default() });
        let (tokens, api) = (Arc::clone(&authority), Arc::clone(&authority));
        let token = move |headers: HeaderMap, body: String| async move {
            let form = reqwest::Url::parse(&format!("http://x?{body}")).unwrap();
            let fields: std::collections::BTreeMap<String, String> =
                form.query_pairs().into_owned().collect();
            let secret = fields.get("client_secret").cloned().unwrap_or_default();
            let shown = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            tokens.asked.lock().unwrap().push(format!("{fields:?} {shown:?}"));
            // `the id:s%3Bcret`, encoded as the standard wants it before base64.
            if secret != "s;cret" && shown.as_deref() != Some("Basic dGhlK2lkOnMlM0JjcmV0") {
                let refusal = json!({"error": "invalid_client", "error_description": "who are you?"});
                return (StatusCode::UNAUTHORIZED, axum::Json(refusal));
            }
            let mut given = tokens.given.lock().unwrap();
            *given += 1;
            let token = format!("token-{given}");
            (
                StatusCode::OK,
                axum::Json(
                    json!({"access_token": token, "token_type": "bearer", "expires_in": tokens.lives}),
                ),
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let discovery = json!({"token_endpoint": format!("{base}/realm/oauth2/token")});
        let router = Router::new()
            .route("/realm/oauth2/token", axum::routing::post(token))
            .route("/realm/.well-known/openid-configuration", get(|| async move { axum::Json(discovery) }))
            .route(
                "/api",
                any(move |headers: HeaderMap| async move {
                    let last = format!("Bearer token-{}", *api.given.lock().unwrap());
                    match headers.get(header::AUTHORIZATION).is_some_and(|shown| *shown == last.as_str()) {
                        true => (StatusCode::OK, last),
                        false => (StatusCode::UNAUTHORIZED, "no".to_owned()),
                    }
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        (authority, base)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn oauth(base: &str, scheme: &str, secret: &str, way: &str) -> Value {
    json!({
        "method": "get", "uri": format!("{base}/api"),
        "authentication": {scheme: {
            "authority": format!("{base}/realm"), "grant": "client_credentials", "scopes": ["read", "write"],
            "client": {"id": "the id", "secret": secret, "authentication": way},
        }},
    })
}

async fn ask(http: &Http, arguments: Value) -> Result<Value, Failure> {
    let (_cancel, context) = RunContext::detached("token");
    http.run(context, call(arguments)).await
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_withdrawn() {
    let (authority, base) = Authority::start(3600.0).await;
    let http = Arc::new(Http::new());
    let post = oauth(&base, "oauth2", "s;cret", "client_secret_post");
    let started: Vec<_> = (0..10)
        .map(|_| {
            let (http, arguments) = (Arc::clone(&http), post.clone());
            tokio::spawn(async move { ask(&http, arguments).await })
        })
        .collect();
    for run in started {
        assert_eq!(run.await.unwrap().unwrap(), json!("Bearer token-1"));
    }
    assert_eq!(authority.asked(), 1, "ten requests, one token");
    let asked = authority.asked.lock().unwrap()[0].clone();
    assert!(asked.contains("client_credentials") && asked.contains("read write"), "{asked}");
    *authority.given.lock().unwrap() += 1;
    assert_eq!(
        ask(&http, post).await.unwrap(),
        json!("Bearer token-3"),
        "the one that was withdrawn is replaced"
    );
    assert_eq!(authority.asked(), 2);
    // In a header instead, and where the authority says itself where.
    for scheme in ["oauth2", "oidc"] {
        let basic = oauth(&base, scheme, "s;cret", "client_secret_basic");
        assert!(ask(&http, basic).await.is_ok(), "{scheme}");
    }
    assert_eq!(authority.asked(), 4, "others have tokens of their own");
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_not_shown() {
    let (authority, base) = Authority::start(0.0).await;
    let http = Http::new();
    for number in 1..=2 {
        let post = oauth(&base, "oauth2", "s;cret", "client_secret_post");
        assert_eq!(ask(&http, post).await.unwrap(), json!(format!("Bearer token-{number}")));
    }
    assert_eq!(authority.asked(), 2);
}

#[tokio::test]
async fn an_authority_that_refuses_is_told_from_one_that_is_not_there() {
    let (_authority, base) = Authority::start(3600.0).await;
    let failure = ask(&Http::new(), oauth(&base, "oauth2", "hush", "client_secret_post")).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHENTICATION, 401));
    let text = failure.to_string();
    assert!(text.contains("invalid_client who are you?") && !text.contains("hush"), "{text}");
    let (_held, address) = refusing();
    let mut arguments = oauth(&base, "oauth2", "hush", "client_secret_post");
    arguments["authentication"]["oauth2"]["authority"] = json!(format!("http://{address}"));
    let failure = ask(&Http::new(), arguments).await.unwrap_err();
    assert_eq!(failure.title, format!("no connection to http://{address}/oauth2/token"));
}

#[tokio::test]
async fn a_runtime_user_may_be_a_client() {
    let (_authority, base) = Authority::start(3600.0).await;
    let endpoint = format!("{base}/realm/oauth2/token");
    let user = user(&[("clientId", "the id"), ("clientSecret", "s;cret"), ("tokenEndpoint", &endpoint)]);
    let arguments = json!({"method": "get", "uri": format!("{base}/api")});
    assert_eq!(as_user(&Http::new(), user, arguments).await.unwrap(), json!("Bearer token-1"));
}
