//! The adapter `ssh`: commands, scripts and files on other machines.
//!
//! * `ssh-run` gives a command to the user's login shell there; `ssh-script` sends a script to an interpreter's
//!   standard input; `ssh-put` and `ssh-get` write and read a file. Commands and scripts are not restartable; files are.
//! * Where is a target's `host`, `port`, `hostKey` or `knownHosts`, `connectTimeoutSeconds`, or the same among the
//!   arguments. Who is the runtime user: `username`, and `privateKey` (with `passphrase`) or `password`; without
//!   both, the keys of the SSH agent of the node's environment.
//! * The host's key is checked before anything of ours is sent, always. There is no way to turn that off.
//! * Connections are shared and kept for [`IDLE_TIMEOUT`]. One that is dead is replaced when a channel is to be opened
//!   on it, which is before anything was started; nothing is ever sent twice.
//! * Outputs, exit codes and their limits are those of the adapter [`command`](crate::command). A command that is
//!   cancelled or takes too long gets the signal TERM, and KILL [`TERMINATE_GRACE`](crate::command::TERMINATE_GRACE)
//!   later; whether the host heeds them is its own affair, so the failure says what is known.
//! * A host that accepts the variables `IMPRESARIO_ACTIVITY_KEY`, `_TOKEN` and `_ATTEMPT` gets them.
//! * Secrets stay in the memory of this process: they are in no argument, no variable and no text.

mod arguments;
mod execute;
mod files;
mod identity;
mod place;
mod pool;
mod quote;
mod schema;
mod session;
mod trust;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use impresario_adapter::{Adapter, BoxFuture, Call, Failure, Manifest, RunContext};
use serde_json::Value;
use tokio::time::timeout;

use arguments::{GetArguments, PutArguments, RunArguments, ScriptArguments};
use execute::Program;
use files::Files;
use identity::Identity;
use place::Place;
use pool::{Lease, Pool};

pub use pool::IDLE_TIMEOUT;
pub use schema::manifest;

/// How long is spent on taking away what a file left that was not put there.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(2);

/// The adapter `ssh`.
#[derive(Debug)]
pub struct Ssh {
    pool: Arc<Pool>,
}

impl Ssh {
    /// A new one, with connections of its own.
    pub fn new() -> Self {
        Self { pool: Arc::new(Pool::new(IDLE_TIMEOUT)) }
    }

    async fn act(&self, context: &RunContext, mut call: Call) -> Result<Value, Failure> {
        let known = ["ssh-run", "ssh-script", "ssh-put", "ssh-get"];
        let Some(function) = known.into_iter().find(|name| *name == call.function) else {
            let title = format!("the adapter `ssh` has no function `{}`", call.function);
            return Err(Failure::configuration(title));
        };
        let place = Place::take(function, &mut call.arguments, call.target.as_ref())?;
        let identity = Identity::of(call.user.as_ref(), &place)?;
        let to = To { pool: &self.pool, place, identity, context };
        let arguments = std::mem::take(&mut call.arguments);
        match function {
            "ssh-run" => {
                let program: Program =
                    crate::arguments::read::<RunArguments>(function, arguments)?.try_into()?;
                to.run(program, &call).await
            }
            "ssh-script" => {
                let program: Program =
                    crate::arguments::read::<ScriptArguments>(function, arguments)?.try_into()?;
                to.run(program, &call).await
            }
            "ssh-put" => to.put(&crate::arguments::read(function, arguments)?, &call.key).await,
            _ => to.get(&crate::arguments::read(function, arguments)?).await,
        }
    }
}

impl Default for Ssh {
    fn default() -> Self {
        Self::new()
    }
}

impl Adapter for Ssh {
    fn manifest(&self) -> Manifest {
        manifest()
    }

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move { self.act(&context, call).await })
    }
}

/// One call: where it goes, and for whom.
struct To<'a> {
    pool: &'a Arc<Pool>,
    place: Place,
    identity: Identity,
    context: &'a RunContext,
}

impl To<'_> {
    /// A channel, unless the run is cancelled before there is one.
    async fn channel(&self) -> Result<Lease, Failure> {
        tokio::select! {
            biased;
            () = self.context.cancelled() => {
                Err(Failure::runtime("cancelled").with_detail("nothing was started"))
            }
            lease = self.pool.channel(&self.place, &self.identity) => lease,
        }
    }

    async fn run(&self, program: Program, call: &Call) -> Result<Value, Failure> {
        let attempt = [
            ("IMPRESARIO_ACTIVITY_KEY", call.key.clone()),
            ("IMPRESARIO_ACTIVITY_TOKEN", call.token.clone()),
            ("IMPRESARIO_ACTIVITY_ATTEMPT", call.attempt.to_string()),
        ];
        let lease = self.channel().await?;
        program.run(lease, &self.place.shown(), &attempt, self.context).await
    }

    async fn put(&self, arguments: &PutArguments, key: &str) -> Result<Value, Failure> {
        let files = Files::open(self.channel().await?, &self.place.shown()).await?;
        let done = self.within(arguments.timeout, files.put(arguments, key)).await;
        if done.is_err() {
            drop(timeout(CLEAR_TIMEOUT, files.clear(arguments, key)).await);
        }
        done
    }

    async fn get(&self, arguments: &GetArguments) -> Result<Value, Failure> {
        let files = Files::open(self.channel().await?, &self.place.shown()).await?;
        self.within(arguments.timeout, files.get(arguments)).await
    }

    /// What comes of the work, unless it is cancelled or takes too long.
    async fn within(
        &self,
        limit: Option<Duration>,
        work: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Value, Failure> {
        let place = self.place.shown();
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = self.context.cancelled() => Err(Failure::runtime("cancelled")),
            () = late => Err(Failure::timeout(format!("the work on {place} took too long"))),
        }
    }
}
