//! The arguments of `request`.

use std::collections::BTreeMap;
use std::time::Duration;

use impresario_adapter::Failure;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::arguments::Text;

/// How long a request may take, unless the definition says otherwise.
pub(super) const TIMEOUT_SECONDS: f64 = 60.0;
/// How long it may ask for at most.
pub(super) const TIMEOUT_SECONDS_MAX: f64 = 3600.0;
/// How long an answer's body may be. In base64, and with its wrapping, it still fits into a line of the protocol.
pub(super) const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;

/// What a request answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Output {
    #[default]
    Content,
    Raw,
    Response,
}

/// The arguments of `request`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestArguments {
    pub(super) method: String,
    pub(super) uri: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Text>,
    #[serde(default)]
    pub(super) query: Map<String, Value>,
    #[serde(default)]
    pub(super) body: Value,
    #[serde(default)]
    pub(super) output: Output,
    #[serde(default)]
    pub(super) redirect: bool,
    #[serde(default)]
    pub(super) authentication: Value,
    #[serde(default = "timeout", deserialize_with = "within_bounds", rename = "timeoutSeconds")]
    pub(super) timeout: Duration,
    #[serde(default = "output_limit", deserialize_with = "limited")]
    pub(super) output_limit: usize,
}

/// Who is asking.
#[derive(Debug)]
pub(super) enum Authentication {
    None,
    Basic { username: String, password: String },
    Bearer { token: String },
}

impl RequestArguments {
    /// Reads the authentication. Its text is never repeated in a failure, since it holds credentials.
    pub(super) fn authentication(&self) -> Result<Authentication, Failure> {
        let policy = match &self.authentication {
            Value::Null => return Ok(Authentication::None),
            Value::Object(policy) => policy,
            _ => return Err(unsupported("an authentication that is not a map")),
        };
        let Some((scheme, properties)) = policy.iter().next().filter(|_| policy.len() == 1) else {
            return Err(unsupported("an authentication that does not have exactly one scheme"));
        };
        let property = |name: &str| {
            let text = properties[name].as_str().map(str::to_owned);
            text.ok_or_else(|| {
                unsupported(&format!("the authentication `{scheme}` without a string `{name}`"))
            })
        };
        match scheme.as_str() {
            "basic" => {
                Ok(Authentication::Basic { username: property("username")?, password: property("password")? })
            }
            "bearer" => Ok(Authentication::Bearer { token: property("token")? }),
            other => Err(unsupported(&format!("the authentication `{other}`"))),
        }
    }
}

fn unsupported(what: &str) -> Failure {
    Failure::new(Failure::CONFIGURATION, 501, format!("{what} is not supported")).with_detail(
        "supported are `basic` with `username` and `password`, and `bearer` with `token`, their secrets resolved",
    )
}

fn timeout() -> Duration {
    Duration::from_secs_f64(TIMEOUT_SECONDS)
}

fn within_bounds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if seconds > 0.0 && seconds <= TIMEOUT_SECONDS_MAX {
        return Ok(Duration::from_secs_f64(seconds));
    }
    let reason =
        format!("`timeoutSeconds` is {seconds}, it must be above 0 and at most {TIMEOUT_SECONDS_MAX}");
    Err(serde::de::Error::custom(reason))
}

fn output_limit() -> usize {
    OUTPUT_LIMIT
}

fn limited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let limit = usize::deserialize(deserializer)?;
    if limit > OUTPUT_LIMIT {
        let reason = format!("`outputLimit` is {limit}, the most is {OUTPUT_LIMIT}");
        return Err(serde::de::Error::custom(reason));
    }
    Ok(limit)
}
