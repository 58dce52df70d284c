//! The arguments of `run` and `shell`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::arguments::Text;
use crate::ended::{OUTPUT_LIMIT, Return, Wanted, limited, output_limit};

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
    /// What is wanted of its end.
    pub(super) fn wanted(&self) -> Wanted {
        let (answer, expect_codes) = (self.wanted, self.expect_codes.clone());
        Wanted { answer, expect_codes, output_limit: self.output_limit }
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
