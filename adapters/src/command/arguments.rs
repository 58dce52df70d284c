//! The arguments of `run` and `shell`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::arguments::Text;

/// What is kept of each of the two outputs, unless the definition says otherwise.
pub(super) const OUTPUT_LIMIT: usize = 1024 * 1024;
/// What it may ask for at most: both together must fit into one line of the adapter protocol.
pub(super) const OUTPUT_LIMIT_MAX: usize = 4 * 1024 * 1024;

/// What a run answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Return {
    Stdout,
    Stderr,
    Code,
    #[default]
    All,
    None,
}

/// The arguments of `run`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RunArguments {
    pub(super) program: String,
    #[serde(default)]
    pub(super) arguments: Vec<Text>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, Text>,
    pub(super) directory: Option<String>,
    pub(super) stdin: Option<Value>,
    #[serde(default, rename = "return")]
    pub(super) wanted: Return,
    #[serde(default = "output_limit", deserialize_with = "limited")]
    pub(super) output_limit: usize,
    pub(super) expect_codes: Option<Vec<i32>>,
}

impl RunArguments {
    /// The codes that are no failure; `None` if all are.
    pub(super) fn expected_codes(&self) -> Option<Vec<i32>> {
        match self.wanted {
            Return::Code | Return::All => self.expect_codes.clone(),
            Return::Stdout | Return::Stderr | Return::None => {
                Some(self.expect_codes.clone().unwrap_or_else(|| vec![0]))
            }
        }
    }
}

/// The arguments of `shell`: the language's own `run.shell`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ShellArguments {
    command: String,
    #[serde(default)]
    arguments: Vec<Text>,
    #[serde(default)]
    environment: BTreeMap<String, Text>,
    stdin: Option<Value>,
    #[serde(default = "stdout", rename = "return")]
    wanted: Return,
}

impl From<ShellArguments> for RunArguments {
    fn from(shell: ShellArguments) -> Self {
        // The command's own arguments start at `$1`, so `$0` is named.
        let mut arguments = vec![Text("-c".into()), Text(shell.command), Text("sh".into())];
        arguments.extend(shell.arguments);
        Self {
            program: "/bin/sh".into(),
            arguments,
            environment: shell.environment,
            directory: None,
            stdin: shell.stdin,
            wanted: shell.wanted,
            output_limit: OUTPUT_LIMIT,
            expect_codes: None,
        }
    }
}

fn stdout() -> Return {
    Return::Stdout
}

fn output_limit() -> usize {
    OUTPUT_LIMIT
}

fn limited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let limit = usize::deserialize(deserializer)?;
    if limit > OUTPUT_LIMIT_MAX {
        let reason = format!("`outputLimit` is {limit}, the most is {OUTPUT_LIMIT_MAX}");
        return Err(serde::de::Error::custom(reason));
    }
    Ok(limit)
}
