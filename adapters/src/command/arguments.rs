//! The arguments of `run` and `shell`.

use std::collections::BTreeMap;
use std::time::Duration;

use impresario_adapter::Failure;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::arguments::{Text, octal, seconds};
use crate::ended::{OUTPUT_LIMIT, Return, Wanted, limited, output_limit};

/// How long a program may be given at most.
pub(super) const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;
/// What does a script, unless the definition says otherwise.
pub(super) const INTERPRETER: &str = "/bin/sh";

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
    #[serde(default, rename = "timeoutSeconds", deserialize_with = "timeout")]
    pub(super) timeout: Option<Duration>,
    pub(super) user: Option<String>,
    #[serde(default, deserialize_with = "umask")]
    pub(super) umask: Option<u32>,
}

impl RunArguments {
    /// What is wanted of its end.
    pub(super) fn wanted(&self) -> Wanted {
        let (answer, expect_codes) = (self.wanted, self.expect_codes.clone());
        Wanted { answer, expect_codes, output_limit: self.output_limit }
    }
}

/// The arguments of `script`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScriptArguments {
    pub(super) script: String,
    #[serde(default = "interpreter")]
    interpreter: String,
    #[serde(default)]
    arguments: Vec<Text>,
    #[serde(default)]
    environment: BTreeMap<String, Text>,
    directory: Option<String>,
    stdin: Option<Value>,
    #[serde(default, rename = "return")]
    wanted: Return,
    #[serde(default = "output_limit", deserialize_with = "limited")]
    output_limit: usize,
    expect_codes: Option<Vec<i32>>,
    #[serde(default, rename = "timeoutSeconds", deserialize_with = "timeout")]
    timeout: Option<Duration>,
    pub(super) user: Option<String>,
    #[serde(default, deserialize_with = "umask")]
    umask: Option<u32>,
}

impl ScriptArguments {
    /// Its interpreter, which is given the file at `path` and then the arguments.
    pub(super) fn at(self, path: String) -> Result<RunArguments, Failure> {
        let mut words = self.interpreter.split_whitespace().map(str::to_owned);
        let Some(program) = words.next() else {
            return Err(Failure::validation("the `interpreter` of `script` is empty"));
        };
        let arguments = words.chain([path]).map(Text).chain(self.arguments).collect();
        Ok(RunArguments {
            program,
            arguments,
            environment: self.environment,
            directory: self.directory,
            stdin: self.stdin,
            wanted: self.wanted,
            output_limit: self.output_limit,
            expect_codes: self.expect_codes,
            timeout: self.timeout,
            user: self.user,
            umask: self.umask,
        })
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
            timeout: None,
            user: None,
            umask: None,
        }
    }
}

fn stdout() -> Return {
    Return::Stdout
}

fn interpreter() -> String {
    INTERPRETER.to_owned()
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    seconds("timeoutSeconds", TIMEOUT_SECONDS_MAX, deserializer)
}

fn umask<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    octal("umask", 0o777, "027", deserializer)
}
