//! The arguments of the four functions.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impresario_adapter::Failure;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::execute::Program;
use super::quote;
use crate::arguments::{Text, at_most, octal, seconds};
use crate::ended::{Return, Wanted, limited, output_limit};

/// How many bytes `ssh-get` reads, unless the definition says otherwise.
pub(super) const FILE_LIMIT: usize = 1024 * 1024;
/// How many bytes a file may have at most. In base64, and with its wrapping, it still fits into a line of the protocol.
pub(super) const FILE_LIMIT_MAX: usize = 8 * 1024 * 1024;
/// How long a function may be given at most.
pub(super) const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;
/// What does a script, unless the definition says otherwise.
pub(super) const INTERPRETER: &str = "/bin/sh";

/// The arguments of `ssh-run`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RunArguments {
    command: String,
    #[serde(default)]
    arguments: Vec<Text>,
    #[serde(default)]
    environment: BTreeMap<String, Text>,
    stdin: Option<Value>,
    #[serde(default, rename = "return")]
    answer: Return,
    #[serde(default = "output_limit", deserialize_with = "limited")]
    output_limit: usize,
    expect_codes: Option<Vec<i32>>,
    #[serde(default, rename = "timeoutSeconds", deserialize_with = "timeout")]
    timeout: Option<Duration>,
}

/// The arguments of `ssh-script`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScriptArguments {
    script: String,
    #[serde(default = "interpreter")]
    interpreter: String,
    #[serde(default)]
    arguments: Vec<Text>,
    #[serde(default)]
    environment: BTreeMap<String, Text>,
    #[serde(default, rename = "return")]
    answer: Return,
    #[serde(default = "output_limit", deserialize_with = "limited")]
    output_limit: usize,
    expect_codes: Option<Vec<i32>>,
    #[serde(default, rename = "timeoutSeconds", deserialize_with = "timeout")]
    timeout: Option<Duration>,
}

impl TryFrom<RunArguments> for Program {
    type Error = Failure;

    fn try_from(run: RunArguments) -> Result<Self, Failure> {
        if run.command.trim().is_empty() {
            return Err(Failure::validation("the `command` of `ssh-run` is empty"));
        }
        let mut command = run.command;
        let name = name_of(&command);
        quote::append(&mut command, &run.arguments)?;
        let stdin = run.stdin.map(|stdin| match stdin {
            Value::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        });
        let wanted =
            Wanted { answer: run.answer, expect_codes: run.expect_codes, output_limit: run.output_limit };
        Ok(Self { name, command, environment: run.environment, stdin, wanted, timeout: run.timeout })
    }
}

impl TryFrom<ScriptArguments> for Program {
    type Error = Failure;

    fn try_from(script: ScriptArguments) -> Result<Self, Failure> {
        let interpreter = script.interpreter.trim();
        if interpreter.is_empty() || script.script.trim().is_empty() {
            return Err(Failure::validation("the `script` or the `interpreter` of `ssh-script` is empty"));
        }
        let mut command = interpreter.to_owned();
        let body = if is_shell(interpreter) {
            command.push_str(" -s --");
            // The shell reads all of a group before it begins with it. So a script that did not arrive whole is not
            // done in part, and its commands do not find the rest of the script in their standard input.
            format!("{{ :; {}\n}} </dev/null\n", script.script)
        } else {
            command.push_str(" -");
            script.script
        };
        quote::append(&mut command, &script.arguments)?;
        let wanted = Wanted {
            answer: script.answer,
            expect_codes: script.expect_codes,
            output_limit: script.output_limit,
        };
        Ok(Self {
            name: name_of(interpreter),
            command,
            environment: script.environment,
            stdin: Some(body.into_bytes()),
            wanted,
            timeout: script.timeout,
        })
    }
}

/// How a file's bytes are written as a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Text,
    Base64,
}

/// The arguments of `ssh-put`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutArguments {
    pub(super) path: String,
    content: Value,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default, deserialize_with = "mode")]
    pub(super) mode: Option<u32>,
    #[serde(default, rename = "timeoutSeconds", deserialize_with = "timeout")]
    pub(super) timeout: Option<Duration>,
}

impl PutArguments {
    /// The bytes of the file: a text as it is, anything else as JSON.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let bytes = match (&self.content, self.encoding) {
            (Value::String(text), Encoding::Text) => text.clone().into_bytes(),
            (Value::String(text), Encoding::Base64) => STANDARD.decode(text.trim()).map_err(|error| {
                Failure::validation("the `content` is not base64").with_detail(error.to_string())
            })?,
            (other, Encoding::Text) => other.to_string().into_bytes(),
            (_, Encoding::Base64) => return Err(Failure::validation("a `content` in base64 is a string")),
        };
        if bytes.len() > FILE_LIMIT_MAX {
            let title = format!("the `content` has {} bytes, the most is {FILE_LIMIT_MAX}", bytes.len());
            return Err(Failure::validation(title).with_detail("let the target fetch a larger file itself"));
        }
        Ok(bytes)
    }
}

/// The arguments of `ssh-get`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetArguments {
    pub(super) path: String,
    #[serde(default)]
    pub(super) encoding: Encoding,
    #[serde(default = "file_limit", deserialize_with = "file_limited")]
    pub(super) limit: usize,
    #[serde(default, rename = "timeoutSeconds", deserialize_with = "timeout")]
    pub(super) timeout: Option<Duration>,
}

/// What a command is called in texts: its first word. What follows may be a secret, and so may an assignment.
fn name_of(command: &str) -> String {
    let first = command.split_whitespace().next().unwrap_or_default();
    let plain = !first.is_empty() && first.len() <= 64 && !first.contains(['=', '\'', '"', '$', '`']);
    if plain { first.to_owned() } else { "the command".to_owned() }
}

/// Whether a program is a POSIX shell, which reads a script with `-s`. The others are given `-`.
fn is_shell(interpreter: &str) -> bool {
    let program = interpreter.split_whitespace().next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"].contains(&program)
}

fn interpreter() -> String {
    INTERPRETER.to_owned()
}

fn file_limit() -> usize {
    FILE_LIMIT
}

fn file_limited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    at_most("limit", FILE_LIMIT_MAX, deserializer)
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    seconds("timeoutSeconds", TIMEOUT_SECONDS_MAX, deserializer)
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    octal("mode", 0o7777, "0640", deserializer)
}
