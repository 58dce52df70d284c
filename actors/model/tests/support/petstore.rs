//! Stand-ins for the two public services that the conformance kit calls: a pet store and an echo of requests.

use impresario_model::entry::ActivityOutcome;
use serde_json::{Value, json};

use super::world::not_found;

/// The answer to an HTTP request to one of the two hosts; none for anything else.
pub fn answer(arguments: &Value) -> Option<ActivityOutcome> {
    let uri = arguments.get("uri")?.as_str()?;
    let content = if let Some(path) = uri.strip_prefix("https://petstore.swagger.io/v2/pet/") {
        pets(path)
    } else if let Some(path) = uri.strip_prefix("https://httpbin.org/basic-auth/") {
        login(path, arguments)
    } else {
        return None;
    };
    let Some(content) = content else { return Some(not_found(uri)) };
    Some(ActivityOutcome::Completed(match arguments["output"].as_str() {
        Some("response") => json!({
            "request": { "method": arguments["method"], "uri": uri, "headers": {} },
            "headers": { "content-type": "application/json" },
            "statusCode": 200,
            "content": content,
        }),
        _ => content,
    }))
}

fn pets(path: &str) -> Option<Value> {
    let pet = |id: u64, name: &str| json!({ "id": id, "name": name, "status": "available" });
    match path {
        "1" => Some(pet(1, "Rex")),
        "2" => Some(pet(2, "Mia")),
        "findByStatus?status=available" => Some(json!([pet(1, "Rex"), pet(2, "Mia")])),
        _ => None,
    }
}

fn login(path: &str, arguments: &Value) -> Option<Value> {
    let (username, password) = path.split_once('/')?;
    let given = &arguments["authentication"]["basic"];
    (given["username"] == username && given["password"] == password)
        .then(|| json!({ "authenticated": true, "user": username }))
}
