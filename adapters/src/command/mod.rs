//! The adapter `command`: programs and shell commands on the node's own machine.
//!
//! * `run` starts a program without a shell; `shell` gives a command to `/bin/sh`; `script` writes a script to a file
//!   that is gone when its interpreter has ended; `echo` answers its arguments, for
//!   dry runs and benchmarks. Running a command twice may do harm, so only `echo` is restartable.
//! * A program starts with a clean environment: nothing of the node's own settings reaches it. It finds
//!   `IMPRESARIO_ACTIVITY_KEY`, the same for all attempts of its activity, to deduplicate by;
//!   `IMPRESARIO_ACTIVITY_TOKEN`, of this attempt alone; and `IMPRESARIO_ACTIVITY_ATTEMPT`, its number from 1.
//! * Each program has a process group of its own. When the run is cancelled, the group is asked to end, and is killed
//!   [`TERMINATE_GRACE`] later. When the host's node is gone it is killed at once.
//! * It runs as the node does, or as the `user` that the definition or the runtime user names: with all its groups, and
//!   only if the node runs as root.
//! * One that takes longer than `timeoutSeconds` is ended like one that is cancelled.
//! * What still holds the program's output [`LINGER`] after the program has ended is killed with its group. A
//!   daemon that is meant to stay must let go of it, as daemons do.
//! * Output is kept up to `outputLimit` bytes for each of the two streams; the rest is read and thrown away, so that
//!   the program is not disturbed. The process language has no place to tell, so with `return: stdout` or `stderr` a
//!   longer output is a failure; `return: all` says `truncated: true`, and how many bytes
//!   were `cut`.
//! * Output is text, and stays text even if it is JSON; bytes that are not UTF-8 become replacement characters.
//! * An exit code that is not expected is a failure `runtime`/500 with the end of standard error in its detail. The
//!   language says nothing about it; with `return: code` or `all` the definition sees the code and judges it
//!   itself, unless it names `expectCodes`. A program that was ended by signal n has the code 128 + n, as in a shell.

mod account;
mod arguments;
mod environment;
mod process;
mod schema;
mod script;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use impresario_adapter::{Adapter, BoxFuture, Call, Failure, Manifest, RunContext};
use serde_json::Value;

use account::Account;
use arguments::{RunArguments, ScriptArguments, ShellArguments};
use process::Program;
use script::Script;

pub use process::{LINGER, TERMINATE_GRACE};
pub use schema::manifest;

/// The adapter `command`.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Command;

impl Command {
    /// A new one.
    pub fn new() -> Self {
        Self
    }
}

impl Adapter for Command {
    fn manifest(&self) -> Manifest {
        manifest()
    }

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            let attempt = environment::of_attempt(&call);
            let Call { function, arguments, token, user, .. } = call;
            let of_user = user.and_then(|user| user.field("username").map(str::to_owned));
            match function.as_str() {
                "run" => {
                    let mut arguments: RunArguments = crate::arguments::read("run", arguments)?;
                    let account = account(arguments.user.take().or(of_user)).await?;
                    run(&context, arguments, account, attempt).await
                }
                "script" => {
                    let mut arguments: ScriptArguments = crate::arguments::read("script", arguments)?;
                    let account = account(arguments.user.take().or(of_user)).await?;
                    let text = std::mem::take(&mut arguments.script);
                    let script = Script::write(text, &token, account.as_ref()).await?;
                    run(&context, arguments.at(script.path())?, account, attempt).await
                }
                "shell" => {
                    let shell: ShellArguments = crate::arguments::read("shell", arguments)?;
                    run(&context, shell.into(), account(of_user).await?, attempt).await
                }
                "echo" => Ok(arguments),
                other => {
                    Err(Failure::configuration(format!("the adapter `command` has no function `{other}`")))
                }
            }
        })
    }
}

async fn account(name: Option<String>) -> Result<Option<Account>, Failure> {
    match name {
        Some(name) => Account::find(&name).await,
        None => Ok(None),
    }
}

async fn run(
    context: &RunContext,
    arguments: RunArguments,
    account: Option<Account>,
    attempt: Vec<(String, OsString)>,
) -> Result<Value, Failure> {
    let (name, wanted) = (arguments.program.clone(), arguments.wanted());
    let ended = Program::new(arguments, account, attempt).run(context).await?;
    wanted.of(&name, &ended)
}
