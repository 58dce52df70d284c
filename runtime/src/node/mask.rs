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

/// A copy of `value`, which may have arguments anywhere in it, without their credentials.
pub fn masked_deep(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), masked_deep(member)));
            masked(&Value::Object(members.collect()))
        }
        Value::Array(items) => Value::Array(items.iter().map(masked_deep).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// `edited`, which was made from what is shown of `original`, with what is masked in both as it is in `original`.
pub fn restored(edited: Value, original: &Value) -> Value {
    restore(edited, original, &masked_deep(original))
}

fn restore(edited: Value, original: &Value, shown: &Value) -> Value {
    match (edited, original, shown) {
        (edited, original, shown) if edited == *shown => original.clone(),
        (Value::Object(edited), Value::Object(original), Value::Object(shown)) => {
            let members =
                edited.into_iter().map(|(name, member)| match (original.get(&name), shown.get(&name)) {
                    (Some(original), Some(shown)) => {
                        let member = restore(member, original, shown);
                        (name, member)
                    }
                    _ => (name, member),
                });
            Value::Object(members.collect())
        }
        (Value::Array(edited), Value::Array(original), Value::Array(shown)) => {
            let mut pairs = original.iter().zip(shown);
            let restored = edited.into_iter().map(|item| match pairs.next() {
                Some((original, shown)) => restore(item, original, shown),
                None => item,
            });
            Value::Array(restored.collect())
        }
        (edited, _, _) => edited,
    }
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
    #[test]
    fn what_is_masked_anywhere_comes_back_when_it_was_not_edited() {
        let original =
            json!({ "list": [{ "arguments": { "headers": { "Authorization": "Bearer abc" }, "n": 1 } }] });
        let mut shown = masked_deep(&original);
        assert_eq!(shown["list"][0]["arguments"]["headers"]["Authorization"], "***");
        assert_eq!(restored(shown.clone(), &original), original);
        shown["list"][0]["arguments"]["n"] = json!(2);
        let edited = restored(shown.clone(), &original);
        assert_eq!(
            edited["list"][0]["arguments"],
            json!({ "headers": { "Authorization": "Bearer abc" }, "n": 2 })
        );
        shown["list"][0]["arguments"]["headers"]["Authorization"] = json!("Bearer new");
        assert_eq!(
            restored(shown, &original)["list"][0]["arguments"]["headers"]["Authorization"],
            "Bearer new"
        );
    }
}
