//! Authentication policies, inline and of `use.authentications`.

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, map};
use super::node::At;
use super::shape::{Shape, optional};
use crate::definition::Template;

/// The schemes, and what each of them needs besides the name of a secret.
const SCHEMES: [(&str, &[&str]); 5] = [
    ("basic", &["username", "password"]),
    ("bearer", &["token"]),
    ("digest", &["username", "password"]),
    ("oauth2", &[]),
    ("oidc", &[]),
];

const TOKEN: Shape = Shape::Map(&[("token", true, Shape::Text), ("type", true, Shape::Text)]);

/// OAuth 2, and OpenID Connect, which is the same without endpoints.
const OAUTH: Shape = Shape::Map(&[
    optional("authority", Shape::Text),
    optional(
        "endpoints",
        Shape::Map(&[
            optional("token", Shape::Text),
            optional("revocation", Shape::Text),
            optional("introspection", Shape::Text),
        ]),
    ),
    optional(
        "grant",
        Shape::Word(&[
            "authorization_code",
            "client_credentials",
            "password",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ]),
    ),
    optional(
        "client",
        Shape::Map(&[
            optional("id", Shape::Text),
            optional("secret", Shape::Text),
            optional("assertion", Shape::Text),
            optional(
                "authentication",
                Shape::Word(&[
                    "client_secret_basic",
                    "client_secret_post",
                    "client_secret_jwt",
                    "private_key_jwt",
                    "none",
                ]),
            ),
        ]),
    ),
    optional(
        "request",
        Shape::Map(&[optional(
            "encoding",
            Shape::Word(&["application/x-www-form-urlencoded", "application/json"]),
        )]),
    ),
    optional("issuers", Shape::List(&Shape::Text)),
    optional("scopes", Shape::List(&Shape::Text)),
    optional("audiences", Shape::List(&Shape::Text)),
    optional("username", Shape::Text),
    optional("password", Shape::Text),
    optional("subject", TOKEN),
    optional("actor", TOKEN),
]);

impl Compiler<'_> {
    /// A policy, or `{ use: name }` of a declared one; as `{ scheme: { … } }`.
    pub(super) fn authentication(&mut self, at: &At<'_>, scope: &Scope) -> Option<Template> {
        let Some(reference) = at.get("use") else {
            return self.authentication_policy(at, scope);
        };
        self.report.map(at, "an authentication", &["use"])?;
        let name = self.report.name(&reference)?;
        match self.uses.get("authentications", name) {
            Some(declared) => self.authentication_policy(&declared, scope),
            None => {
                self.unknown_use(&reference, "authentication", "authentications", name);
                None
            }
        }
    }

    /// A policy: one scheme, with its values or the name of a secret that holds them.
    pub(super) fn authentication_policy(&mut self, at: &At<'_>, scope: &Scope) -> Option<Template> {
        let policy = self.report.open_map(at, "an authentication")?;
        let mut found =
            SCHEMES.iter().filter_map(|(scheme, needs)| Some((*scheme, *needs, policy.get(scheme)?)));
        let Some((scheme, needs, body)) = found.next() else {
            self.no_scheme(&policy);
            return None;
        };
        if let Some((other, ..)) = found.next() {
            let message = format!("expected one scheme, found both '{scheme}' and '{other}'");
            self.report.error_named(&policy, message, None);
            return None;
        }
        let body = match body.get("use") {
            Some(secret) => {
                self.report.map(&body, "a map", &["use"])?;
                self.secret_scheme(scheme, &secret)?
            }
            None => self.scheme(&body, needs, scope)?,
        };
        Some(map(vec![(scheme.to_owned(), body)]))
    }

    fn no_scheme(&mut self, policy: &At<'_>) {
        let words: Vec<&str> = SCHEMES.iter().map(|(scheme, _)| *scheme).collect();
        match policy.members().next() {
            Some((name, member)) => {
                self.report.unknown(policy, member.named, "authentication scheme", name, &words);
            }
            None => self.report.error(policy, format!("expected one of {}, found none", words.join(", "))),
        }
    }

    fn scheme(&mut self, body: &At<'_>, needs: &[&str], scope: &Scope) -> Option<Template> {
        if needs.is_empty() {
            self.check_shape(body, &OAUTH, scope);
            return Some(self.template(body, scope, Secrets::Visible));
        }
        let body = self.report.map(body, "a map", needs)?;
        for name in needs {
            if let Some(at) = self.report.required(&body, name) {
                self.report.text(&at);
            }
        }
        Some(self.template(&body, scope, Secrets::Visible))
    }
}
