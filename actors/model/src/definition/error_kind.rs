//! The standard errors, whichever of their names a definition uses, and the filter of a `catch`.

use serde_json::Value;

use super::ErrorFilter;

/// The hosts and paths under which the language's own texts have named the standard errors so far.
const HOSTS: [&str; 2] = ["https://serverlessworkflow.io", "https://open-workflow-specification.org"];
const PATHS: [&str; 2] = ["/spec/1.0.0/errors/", "/dsl/errors/types/"];

const KINDS: [&str; 8] = [
    "configuration",
    "validation",
    "expression",
    "authentication",
    "authorization",
    "timeout",
    "communication",
    "runtime",
];

/// The kind of a standard error, such as `timeout`, from any of the URIs that stand for it.
pub fn standard_error_kind(uri: &str) -> Option<&str> {
    let path = HOSTS.iter().find_map(|host| uri.strip_prefix(host))?;
    let kind = PATHS.iter().find_map(|prefix| path.strip_prefix(prefix))?;
    KINDS.contains(&kind).then_some(kind)
}

impl ErrorFilter {
    /// Whether an error, as data (`type`, `status`, `instance`, `title`, `detail`), has all that the filter asks for.
    pub fn matches(&self, error: &Value) -> bool {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let equal = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| text(name) == Some(wanted))
        };
        let kind = self.kind.as_deref().is_none_or(|wanted| {
            text("type").is_some_and(|found| match standard_error_kind(wanted) {
                Some(kind) => standard_error_kind(found) == Some(kind),
                None => found == wanted,
            })
        });
        let status = self
            .status
            .is_none_or(|wanted| error.get("status").and_then(Value::as_u64) == Some(u64::from(wanted)));
        kind && status
            && equal(&self.instance, "instance")
            && equal(&self.title, "title")
            && equal(&self.detail, "detail")
    }
}
