//! Who is asking: the `authentication` of a request, and the runtime user of its call.
//!
//! A policy has its values in place, or names a secret, which is then the runtime user. Without a policy the runtime
//! user is shown as what it has. Nothing of either is ever repeated in a failure.

use impresario_adapter::{Failure, RuntimeUser, Target};
use serde_json::{Map, Value};

use super::oauth::{Client, Grant};

/// Who is asking, and how it is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    None,
    Basic { username: String, password: String },
    Bearer { token: String },
    Digest { username: String, password: String },
    OAuth(Box<Grant>),
}

/// Where values are looked for: in the policy, then in what the runtime user has.
struct Source<'a> {
    scheme: &'a str,
    body: &'a Map<String, Value>,
    user: Option<&'a RuntimeUser>,
}

/// Reads them.
pub(super) fn read(
    policy: &Value,
    user: Option<&RuntimeUser>,
    target: Option<&Target>,
) -> Result<Credentials, Failure> {
    let policy = match policy {
        Value::Null => return user.map_or(Ok(Credentials::None), |user| shown_as(user, target)),
        Value::Object(policy) => policy,
        _ => return Err(unsupported("an authentication that is not a map")),
    };
    let Some((scheme, body)) = policy.iter().next().filter(|_| policy.len() == 1) else {
        return Err(unsupported("an authentication that does not have exactly one scheme"));
    };
    let Some(body) = body.as_object() else {
        return Err(unsupported(&format!("the authentication `{scheme}` that is not a map")));
    };
    if let Some(secret) = body.get("secret").and_then(Value::as_str) {
        let resolved = user.is_some_and(|user| user.name == secret);
        if !resolved {
            return Err(Failure::configuration(format!("the secret `{secret}` is not there"))
                .with_detail("the node hands over the runtime user of that name with the call: define one"));
        }
    }
    let source = Source { scheme, body, user };
    match scheme.as_str() {
        "basic" => {
            Ok(Credentials::Basic { username: source.text("username")?, password: source.text("password")? })
        }
        "bearer" => Ok(Credentials::Bearer { token: source.text("token")? }),
        "digest" => {
            Ok(Credentials::Digest { username: source.text("username")?, password: source.text("password")? })
        }
        "oauth2" => Ok(Credentials::OAuth(Box::new(source.grant(false)?))),
        "oidc" => Ok(Credentials::OAuth(Box::new(source.grant(true)?))),
        other => Err(unsupported(&format!("the authentication `{other}`"))),
    }
}

/// What a runtime user has, where the definition does not say how to show it.
fn shown_as(user: &RuntimeUser, target: Option<&Target>) -> Result<Credentials, Failure> {
    let field = |name: &str| user.field(name).map(str::to_owned);
    if let Some(token) = field("token") {
        return Ok(Credentials::Bearer { token });
    }
    if let (Some(username), Some(password)) = (field("username"), field("password")) {
        return Ok(Credentials::Basic { username, password });
    }
    if let (Some(id), Some(secret)) = (field("clientId"), field("clientSecret")) {
        let of_target =
            target.and_then(|target| target.properties.get("tokenEndpoint")).and_then(Value::as_str);
        let Some(endpoint) = field("tokenEndpoint").or_else(|| of_target.map(str::to_owned)) else {
            return Err(Failure::configuration(format!(
                "no endpoint for a token for the runtime user `{}`",
                user.name
            ))
            .with_detail("give it, or the target, a `tokenEndpoint`"));
        };
        let scopes = field("scopes").unwrap_or_default();
        let client = Client { id, secret: Some(secret), ..Client::default() };
        let scopes = scopes.split_whitespace().map(str::to_owned).collect();
        return Ok(Credentials::OAuth(Box::new(Grant { endpoint, client, scopes, ..Grant::default() })));
    }
    if user.field("clientCertificate").is_some() {
        return Ok(Credentials::None);
    }
    Err(Failure::configuration(format!("the runtime user `{}` has nothing to show over HTTP", user.name))
        .with_detail(
            "expected a `token`, a `username` and a `password`, a `clientId` and a `clientSecret`, or a \
             `clientCertificate` and its `privateKey`",
        ))
}

impl Source<'_> {
    fn find(&self, name: &str) -> Option<String> {
        let own = self.body.get(name).and_then(Value::as_str);
        own.or_else(|| self.user.and_then(|user| user.field(name))).map(str::to_owned)
    }

    fn text(&self, name: &str) -> Result<String, Failure> {
        let scheme = self.scheme;
        self.find(name)
            .ok_or_else(|| unsupported(&format!("the authentication `{scheme}` without a string `{name}`")))
    }

    fn at(&self, path: [&str; 2]) -> Option<&str> {
        self.body.get(path[0])?.get(path[1])?.as_str()
    }

    fn list(&self, name: &str) -> Vec<String> {
        let items = self.body.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A grant of OAuth 2. `discover`: the authority says itself where its tokens are.
    fn grant(&self, discover: bool) -> Result<Grant, Failure> {
        let kind = self.find("grant").unwrap_or_else(|| "client_credentials".into());
        let password = match kind.as_str() {
            "client_credentials" => None,
            "password" => Some((self.text("username")?, self.text("password")?)),
            other => return Err(unsupported(&format!("the grant `{other}` of OAuth 2"))),
        };
        let path = self.at(["endpoints", "token"]).map(str::to_owned).or_else(|| self.find("tokenEndpoint"));
        let endpoint = match (self.find("authority"), path) {
            (_, Some(whole)) if whole.contains("://") => whole,
            (Some(authority), Some(path)) if !discover => join(&authority, &path),
            (Some(authority), None) if !discover => join(&authority, "/oauth2/token"),
            (Some(authority), _) => authority,
            (None, _) => {
                return Err(unsupported(&format!(
                    "the authentication `{}` without `authority`",
                    self.scheme
                )));
            }
        };
        let id = self.at(["client", "id"]).map(str::to_owned).or_else(|| self.find("clientId"));
        let Some(id) = id else {
            return Err(unsupported(&format!("the authentication `{}` without `client.id`", self.scheme)));
        };
        let secret = self.at(["client", "secret"]).map(str::to_owned).or_else(|| self.find("clientSecret"));
        let way = self.at(["client", "authentication"]).unwrap_or("client_secret_post").to_owned();
        if !["client_secret_post", "client_secret_basic", "none"].contains(&way.as_str()) {
            return Err(unsupported(&format!("the client authentication `{way}` of OAuth 2")));
        }
        Ok(Grant {
            endpoint,
            discover,
            client: Client { id, secret, basic: way == "client_secret_basic", public: way == "none" },
            password,
            json: self.at(["request", "encoding"]) == Some("application/json"),
            scopes: self.list("scopes"),
            audiences: self.list("audiences"),
        })
    }
}

/// A path below an authority, which may have a path of its own.
fn join(authority: &str, path: &str) -> String {
    format!("{}/{}", authority.trim_end_matches('/'), path.trim_start_matches('/'))
}

fn unsupported(what: &str) -> Failure {
    Failure::new(Failure::CONFIGURATION, 501, format!("{what} is not supported")).with_detail(
        "supported are `basic` and `digest` with `username` and `password`, `bearer` with `token`, and `oauth2` and \
         `oidc` with `authority` and `client` for the grants `client_credentials` and `password`, their secrets \
         resolved or in the runtime user",
    )
}
