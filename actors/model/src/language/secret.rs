//! Secrets by name: as a whole argument of a call, as what authenticates it, and as the runtime user of a call.

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, map, strip};
use super::node::At;
use crate::definition::{RunAs, SecretField, Template};

/// The member of `with` that says as whom a call is done, and is no argument of the function.
pub(super) const USER_KEY: &str = "runtimeUser";

impl Compiler<'_> {
    /// An argument that is a secret, which the document has to declare.
    pub(super) fn secret_field(&mut self, at: &At<'_>, secret: SecretField) -> Template {
        self.declared_secret(at, &secret.name);
        Template::Secret(secret)
    }

    /// A scheme of authentication whose values are fields of a secret.
    pub(super) fn secret_scheme(&mut self, scheme: &str, at: &At<'_>) -> Option<Template> {
        let name = self.report.name(at)?;
        self.declared_secret(at, name);
        let field = |member: &str, field: &str| {
            let secret = SecretField { name: name.to_owned(), field: Some(field.to_owned()) };
            (member.to_owned(), Template::Secret(secret))
        };
        let same = |member: &str| field(member, member);
        Some(map(match scheme {
            "basic" | "digest" => vec![same("username"), same("password")],
            "bearer" => vec![same("token")],
            _ => vec![
                same("authority"),
                ("client".to_owned(), map(vec![field("id", "clientId"), field("secret", "clientSecret")])),
            ],
        }))
    }

    /// As whom a call of an adapter's function is done, if it says so.
    pub(super) fn run_as(&mut self, with: &At<'_>, scope: &Scope) -> Option<RunAs> {
        let at = with.get(USER_KEY)?;
        let text = self.report.name(&at)?;
        if strip(text).is_none() {
            self.declared_secret(&at, text);
        }
        let declared = self.uses.names("secrets").into_iter().map(str::to_owned).collect();
        Some(RunAs { name: self.template(&at, scope, Secrets::Hidden), declared })
    }

    fn declared_secret(&mut self, at: &At<'_>, name: &str) {
        if !self.uses.names("secrets").contains(&name) {
            self.unknown_use(at, "secret", "secrets", name);
        }
    }
}

/// What `${ $secrets.NAME }` or `${ $secrets.NAME.FIELD }` names; a name may be quoted, as in jq. Nothing for any other
/// expression.
pub(crate) fn secret_field(text: &str) -> Option<SecretField> {
    let (_, source) = strip(text)?;
    let (name, rest) = step(source.trim().strip_prefix("$secrets")?)?;
    if rest.is_empty() {
        return Some(SecretField { name, field: None });
    }
    let (field, rest) = step(rest)?;
    rest.is_empty().then_some(SecretField { name, field: Some(field) })
}

/// One step of a path, and what comes after it.
fn step(path: &str) -> Option<(String, &str)> {
    let quoted = |text: &str, end: &str| {
        let (name, rest) = text.split_once(end).map(|(name, rest)| (name.to_owned(), rest.len()))?;
        (!name.is_empty() && !name.contains(['"', '\\'])).then_some((name, rest))
    };
    for (start, end) in [("[\"", "\"]"), (".[\"", "\"]"), (".\"", "\"")] {
        if let Some(text) = path.strip_prefix(start) {
            let (name, rest) = quoted(text, end)?;
            return Some((name, path.get(path.len() - rest..)?));
        }
    }
    let text = path.strip_prefix('.')?;
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    (name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).then(|| (name.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_path_is_a_secret() {
        let named = |text: &str| secret_field(text).map(|secret| (secret.name, secret.field));
        let some = |name: &str, field: Option<&str>| Some((name.to_owned(), field.map(str::to_owned)));
        assert_eq!(named("${ $secrets.db.password }"), some("db", Some("password")));
        assert_eq!(named("${$secrets.key}"), some("key", None));
        assert_eq!(named("${ $secrets[\"ops-web\"].password }"), some("ops-web", Some("password")));
        assert_eq!(named("${ $secrets.\"ops-web\" }"), some("ops-web", None));
        for other in [
            "$secrets.a",
            "${ $secrets }",
            "${ $secrets.a.b.c }",
            "${ $secrets.a + 1 }",
            "${ $secrets.a | length }",
            "${ $secretsa.b }",
            "${ $secrets[.name] }",
            "${ $secrets.\"a\\(.x)\" }",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
