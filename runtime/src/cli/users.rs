//! `users`: runtime users, whose secrets go in and never come out.

use std::io::{IsTerminal, Read, stdin};
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::args::{Global, UsersCommand};
use super::client::Client;
use super::error::CliError;
use super::style::{FAINT, GOOD, PAUSED};
use super::table::{Cell, table};
use super::{hidden, page};
use crate::secrets::UserSummary;

/// The longest value.
const VALUE_LIMIT: u64 = 64 * 1024;
/// Fields whose values may be seen by everybody on this machine.
const OPEN: [&str; 3] = ["username", "clientId", "authority"];

pub(super) async fn run(
    global: &Global,
    client: &Client,
    command: Option<UsersCommand>,
) -> Result<ExitCode, CliError> {
    match command {
        None => {
            let users: Vec<UserSummary> = client.get("/api/v1/users").await?;
            page::print(global, &users, |users| render_users(users))
        }
        Some(UsersCommand::Set { name, fields, description }) => {
            let body = json!({ "description": description, "fields": values(&fields)? });
            let user: UserSummary = client.put(&["api", "v1", "users", &name], &body).await?;
            page::print(global, &user, |user| {
                format!("{GOOD}set{GOOD:#} runtime user {}: {}\n", user.name, user.fields.join(", "))
            })
        }
        Some(UsersCommand::Remove { name }) => {
            client.order(Method::DELETE, &["api", "v1", "users", &name]).await?;
            page::print(global, &json!({ "name": name, "removed": true }), |_| {
                format!("{GOOD}removed{GOOD:#} runtime user {name}\n")
            })
        }
    }
}

/// The values of `FIELD=VALUE`, `FIELD=@FILE`, `FIELD=-` (asked for, or standard input) and `FIELD=` (removed).
fn values(fields: &[String]) -> Result<Map<String, Value>, CliError> {
    let mut values = Map::new();
    for given in fields {
        // Not the whole: what stands there may be a value.
        let Some((field, value)) = given.split_once('=') else {
            return Err(CliError::Usage(
                "expected FIELD=VALUE, FIELD=@FILE or FIELD=-, found no '='".to_owned(),
            ));
        };
        let value = match (value, value.strip_prefix('@')) {
            ("", _) => Value::Null,
            ("-", _) if stdin().is_terminal() => json!(&*hidden::ask(&format!("{field}: "))?),
            ("-", _) => json!(read(field, stdin())?.trim_end_matches(['\r', '\n'])),
            (_, Some(path)) => {
                let file = std::fs::File::open(path)
                    .map_err(|error| CliError::Failed(format!("{field}: cannot read {path}: {error}")))?;
                json!(&*read(field, file)?)
            }
            _ => {
                if !OPEN.contains(&field) {
                    anstream::eprintln!(
                        "{PAUSED}warning{PAUSED:#}: others on this machine can see a value on the command line, and the shell may keep it; {field}=- asks for it"
                    );
                }
                json!(value)
            }
        };
        values.insert(field.to_owned(), value);
    }
    Ok(values)
}

fn read(field: &str, source: impl Read) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    source
        .take(VALUE_LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| CliError::Failed(format!("{field}: cannot read a text: {error}")))?;
    match text.len() as u64 > VALUE_LIMIT {
        true => Err(CliError::Failed(format!("{field}: expected at most {VALUE_LIMIT} bytes, found more"))),
        false => Ok(text),
    }
}

/// The page of the list.
fn render_users(users: &[UserSummary]) -> String {
    if users.is_empty() {
        return "no runtime users: `impresario users set NAME username=… password=-` adds one\n".to_owned();
    }
    let row = |user: &UserSummary| {
        [
            Cell::new(&user.name),
            Cell::new(user.fields.join(", ")),
            Cell::styled(&user.changed, FAINT),
            Cell::styled(user.keys.join(", "), FAINT),
            Cell::new(&user.description),
        ]
    };
    table(["USER", "FIELDS", "CHANGED", "KEY", "DESCRIPTION"], users.iter().map(row))
}
