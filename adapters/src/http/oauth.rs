//! Tokens of OAuth 2: asked for once, and kept until shortly before they expire.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impresario_adapter::Failure;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client as Http, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{client, request};

/// A token is not used in its last moments: it has to get there, too.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token is kept whose life is not known.
const UNKNOWN_LIFE: Duration = Duration::from_secs(60);
/// How many tokens are kept.
const TOKENS_MAX: usize = 256;
/// How long the answer of an authority may be.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How much of what it says about a refusal is shown.
const REASON_CHARACTERS_MAX: usize = 300;
/// Where an authority says where its tokens are.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The one who asks for a token.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<String>,
    /// Whether it is shown in a header instead of the body.
    pub(super) basic: bool,
    /// Whether its secret is not shown at all.
    pub(super) public: bool,
}

/// What a token is asked for with.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Grant {
    /// Where; or who knows where, if it is to be discovered.
    pub(super) endpoint: String,
    pub(super) discover: bool,
    pub(super) client: Client,
    /// The name and password of a person; without them the client asks for itself.
    pub(super) password: Option<(String, String)>,
    pub(super) json: bool,
    pub(super) scopes: Vec<String>,
    pub(super) audiences: Vec<String>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The tokens that are kept, by all that they were asked for with.
#[derive(Default)]
pub(super) struct Tokens {
    kept: Mutex<HashMap<[u8; 32], Arc<Place>>>,
}

/// Where one token is kept. Whoever needs it while it is asked for waits for it.
type Place = tokio::sync::Mutex<Option<Token>>;

#[derive(Clone)]
struct Token {
    value: String,
    until: Instant,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<f64>,
}

impl Tokens {
    /// A token for this grant; says whether it was there already. One that is `refused` is not given again.
    pub(super) async fn get(
        &self,
        http: &Http,
        grant: &Grant,
        refused: Option<&str>,
    ) -> Result<(String, bool), Failure> {
        let place = self.place(grant)?;
        let mut token = place.lock().await;
        if let Some(kept) = token.as_ref()
            && kept.until > Instant::now()
            && refused != Some(kept.value.as_str())
        {
            return Ok((kept.value.clone(), true));
        }
        *token = None;
        let asked = Instant::now();
        let answer = ask(http, grant).await?;
        let life = match answer.expires_in.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) {
            Some(seconds) => Duration::from_secs_f64(seconds.min(86_400.0)),
            None => UNKNOWN_LIFE,
        };
        // Of a short life most is used.
        let until = asked + life.saturating_sub(MARGIN.min(life / 4));
        *token = Some(Token { value: answer.access_token.clone(), until });
        Ok((answer.access_token, false))
    }

    fn place(&self, grant: &Grant) -> Result<Arc<Place>, Failure> {
        let text = serde_json::to_vec(grant)
            .map_err(|error| Failure::runtime("not a grant").with_detail(error.to_string()))?;
        let key: [u8; 32] = Sha256::digest(&text).into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= TOKENS_MAX && !kept.contains_key(&key) {
            // Whoever needs one of them asks for it again.
            kept.clear();
        }
        Ok(Arc::clone(kept.entry(key).or_default()))
    }
}

async fn ask(http: &Http, grant: &Grant) -> Result<Answer, Failure> {
    let endpoint =
        if grant.discover { discover(http, &grant.endpoint).await? } else { grant.endpoint.clone() };
    let url = place(&endpoint)?;
    let shown = request::endpoint(&url);
    let mut asked = http.post(url.clone()).header(ACCEPT, "application/json");
    if let (true, Some(secret)) = (grant.client.basic, &grant.client.secret) {
        let encode = |text: &str| {
            let mut form = Url::parse("http://localhost").ok()?;
            form.query_pairs_mut().append_key_only(text);
            form.query().map(str::to_owned)
        };
        let pair = format!(
            "{}:{}",
            encode(&grant.client.id).unwrap_or_default(),
            encode(secret).unwrap_or_default()
        );
        asked = asked.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
    }
    let fields = fields(grant);
    let asked = if grant.json {
        asked.header(CONTENT_TYPE, "application/json").body(in_json(fields).to_string())
    } else {
        let mut form = url;
        form.set_query(None);
        form.query_pairs_mut().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        asked.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    };
    let (status, body) = answer(asked, &shown).await?;
    if !status.is_success() {
        return Err(refused(status.as_u16(), &body, &shown));
    }
    serde_json::from_slice(&body).map_err(|_| {
        Failure::communication(format!("{shown} gave no token"))
            .with_detail("expected JSON with an `access_token` (RFC 6749, 5.1)")
    })
}

fn fields(grant: &Grant) -> Vec<(&'static str, String)> {
    let Grant { client, password, scopes, audiences, .. } = grant;
    let mut fields = Vec::new();
    match password {
        None => fields.push(("grant_type", "client_credentials".to_owned())),
        Some((username, password)) => fields.extend([
            ("grant_type", "password".to_owned()),
            ("username", username.clone()),
            ("password", password.clone()),
        ]),
    }
    if !client.basic {
        fields.push(("client_id", client.id.clone()));
        fields.extend(
            client.secret.iter().filter(|_| !client.public).map(|secret| ("client_secret", secret.clone())),
        );
    }
    if !scopes.is_empty() {
        fields.push(("scope", scopes.join(" ")));
    }
    fields.extend(audiences.iter().map(|audience| ("audience", audience.clone())));
    fields
}

/// As JSON; what is there more than once is a list.
fn in_json(fields: Vec<(&'static str, String)>) -> Value {
    let mut map: Map<String, Value> = Map::new();
    for (name, value) in fields {
        match map.get_mut(name) {
            None => {
                map.insert(name.to_owned(), value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(single) => *single = json!([single.take(), value]),
        }
    }
    Value::Object(map)
}

async fn discover(http: &Http, authority: &str) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Configuration {
        token_endpoint: String,
    }
    let authority = authority.trim_end_matches('/');
    let whole = authority.ends_with(DISCOVERY);
    let url = place(&if whole { authority.to_owned() } else { format!("{authority}{DISCOVERY}") })?;
    let shown = request::endpoint(&url);
    let (status, body) = answer(http.get(url).header(ACCEPT, "application/json"), &shown).await?;
    let configuration = serde_json::from_slice::<Configuration>(&body).ok().filter(|_| status.is_success());
    configuration.map(|configuration| configuration.token_endpoint).ok_or_else(|| {
        Failure::communication(format!("{shown} does not say where its tokens are"))
            .with_detail(format!("expected JSON with a `token_endpoint`, found status {}", status.as_u16()))
    })
}

async fn answer(
    asked: reqwest::RequestBuilder,
    shown: &str,
) -> Result<(reqwest::StatusCode, Vec<u8>), Failure> {
    let explain = |error: reqwest::Error| client::explain(&error, shown);
    let mut response = asked.send().await.map_err(explain)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(explain)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::communication(format!(
                "the answer of {shown} has more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

fn place(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| Failure::configuration("the endpoint for tokens is not a URI of http or https"))
}

/// What an authority says about a refusal (RFC 6749, 5.2). What was asked is not repeated.
fn refused(status: u16, body: &[u8], shown: &str) -> Failure {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let reason = serde_json::from_slice::<Refusal>(body).map_or_else(
        |_| format!("status {status}"),
        |refusal| format!("{} {}", refusal.error, refusal.error_description),
    );
    let reason: String = reason.trim().chars().take(REASON_CHARACTERS_MAX).collect();
    let title = format!("{shown} gives no token");
    match status {
        400..500 => Failure::new(Failure::AUTHENTICATION, 401, title).with_detail(reason),
        _ => Failure::new(Failure::COMMUNICATION, status, title).with_detail(reason),
    }
}
