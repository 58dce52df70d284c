//! The adapter `command`: programs and shell commands on the node's own machine.
//!
//! * `run` starts a program without a shell; `shell` gives a command to `/bin/sh`; `echo` answers its arguments, for
//!   dry runs and benchmarks. Running a command twice may do harm, so only `echo` is restartable.
//! * A program starts with a clean environment: nothing of the node's own settings reaches it. It finds
//!   `IMPRESARIO_ACTIVITY_KEY`, the same for all attempts of its activity, to deduplicate by;
//!   `IMPRESARIO_ACTIVITY_TOKEN`, of this attempt alone; and `IMPRESARIO_ACTIVITY_ATTEMPT`, its number from 1.
//! * Each program has a process group of its own. When the run is cancelled, the group is asked to end, and is killed
//!   [`TERMINATE_GRACE`] later. When the host's node is gone it is killed at once.
//! * What still holds the program's output [`LINGER`] after the program has ended is killed with its group. A
//!   daemon that is meant to stay must let go of it, as daemons do.
//! * Output is kept up to `outputLimit` bytes for each of the two streams; the rest is read and thrown away, so that
//!   the program is not disturbed. The process language has no place to tell, so with `return: stdout` or `stderr` a
//!   longer output is a failure; `return: all` says `truncated: true`.
//! * Output is text, and stays text even if it is JSON; bytes that are not UTF-8 become replacement characters.
//! * An exit code that is not expected is a failure `runtime`/500 with the end of standard error in its detail. The
//!   language says nothing about it; with `return: code` or `all` the definition sees the code and judges it
//!   itself, unless it names `expectCodes`. A program that was ended by signal n has the code 128 + n, as in a shell.

mod arguments;
mod environment;
mod process;
mod schema;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use impresario_adapter::{Adapter, BoxFuture, Call, Failure, Manifest, RunContext};
use serde_json::Value;

use arguments::{RunArguments, ShellArguments};
use process::Program;

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
            match call.function.as_str() {
                "run" => {
                    let arguments = crate::arguments::read::<RunArguments>("run", call.arguments)?;
                    run(&context, arguments, attempt).await
                }
                "shell" => {
                    let shell = crate::arguments::read::<ShellArguments>("shell", call.arguments)?;
                    run(&context, shell.into(), attempt).await
                }
                "echo" => Ok(call.arguments),
                other => {
                    Err(Failure::configuration(format!("the adapter `command` has no function `{other}`")))
                }
            }
        })
    }
}

async fn run(
    context: &RunContext,
    arguments: RunArguments,
    attempt: Vec<(String, OsString)>,
) -> Result<Value, Failure> {
    let (name, wanted) = (arguments.program.clone(), arguments.wanted());
    let ended = Program::new(arguments, attempt).run(context).await?;
    wanted.of(&name, &ended)
}
