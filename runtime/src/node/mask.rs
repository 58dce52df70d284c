//! Hides the credentials that the arguments of an activity may hold: people see that there is one, and not which.

use serde_json::Value;

/// What stands in its place.
const MASK: &str = "***";
/// Members of `authentication` that are no secret.
const OPEN: [&str; 2] = ["username", "secret"];

/// A copy of `arguments` without its credentials.
pub fn masked(arguments: &Value) -> Value {
    let mut copy = arguments.clone();
    if let Some(Value::Object(schemes)) = copy.get_mut("authentication") {
        for scheme in schemes.values_mut() {
            hide(scheme, |name| !OPEN.contains(&name));
        }
    }
    if let Some(headers) = copy.get_mut("headers") {
        hide(headers, impresario_adapters::http::is_secret_header);
    }
    copy
}

/// Masks the members of a map that `secret` names; anything that should be a map and is none is masked whole.
fn hide(value: &mut Value, secret: impl Fn(&str) -> bool) {
    match value {
        Value::Object(members) => {
            for (_, member) in members.iter_mut().filter(|(name, _)| secret(name)) {
                *member = Value::String(MASK.to_owned());
            }
        }
        Value::Null => {}
        other => *other = Value::String(MASK.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_hidden_and_the_rest_is_shown() {
        let arguments = json!({
            "uri": "http://here/",
            "headers": { "Authorization": "Bearer abc", "Accept": "text/plain", "X-Api-Key": "k" },
            "authentication": { "basic": { "username": "ada", "password": "pw" }, "bearer": { "token": "t" } },
            "body": { "authentication": "of the body's own" },
        });
        let expected = json!({
            "uri": "http://here/",
            "headers": { "Authorization": "***", "Accept": "text/plain", "X-Api-Key": "***" },
            "authentication": { "basic": { "username": "ada", "password": "***" }, "bearer": { "token": "***" } },
            "body": { "authentication": "of the body's own" },
        });
        assert_eq!(masked(&arguments), expected);
        assert_eq!(
            masked(&json!({ "authentication": { "bearer": "t" } })),
            json!({ "authentication": { "bearer": "***" } })
        );
        assert_eq!(masked(&json!(null)), json!(null));
    }
}
