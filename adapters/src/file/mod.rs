//! The adapter `file`: files of the node's own machine.
//!
//! * A path is absolute, or begins at `root`. If a call names a root, or its target has the property `root`, nothing
//!   outside of it is touched: the kernel itself resolves the path beneath it, so that neither `..` nor a symbolic link
//!   leads out, not even one that somebody puts there meanwhile. Of two roots both hold.
//! * `file-write` is atomic: a temporary file in the same folder is written, synced and renamed, and the folder synced.
//!   Whoever reads sees the old file or the new one, and after a crash it is one of the two.
//! * Reading, writing, deleting and listing may be done again. A move is atomic, so a probe sees whether it was done. An
//!   append that was cut off is not repeated, since nobody can tell whose line it is that stands there.
//! * `file-watch` and `file-follow` are monitors, which look at every interval: that works on every file system, also
//!   on those of other machines, and their cursors survive everything.
//! * Sizes and times: `size` in bytes, `modifiedMs` in milliseconds since 1970.

mod arguments;
mod folder;
mod follow;
mod place;
mod schema;
mod transfer;
mod watch;

#[cfg(test)]
mod tests;

use std::io;

use impresario_adapter::{
    Adapter, BoxFuture, Call, Failure, Manifest, Probe, ProbeOutcome, RunContext, Target, Watch, WatchContext,
};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::arguments::read;
use arguments::Move;
use place::{Place, Roots};

pub use schema::manifest;

/// The adapter `file`.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct File;

impl File {
    /// A new one.
    pub fn new() -> Self {
        Self
    }
}

impl Adapter for File {
    fn manifest(&self) -> Manifest {
        manifest()
    }

    /// What was begun is done to its end, on a thread of its own: no step of it takes long.
    fn run(&self, _context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(blocking(move || {
            let Call { function, arguments, attempt, target, .. } = call;
            let roots = Roots::of(target.as_ref())?;
            let name = function.as_str();
            match name {
                "file-read" => transfer::read_file(&roots, read(name, arguments)?),
                "file-write" => transfer::write_file(&roots, read(name, arguments)?, attempt > 1),
                "file-append" => transfer::append(&roots, read(name, arguments)?),
                "file-move" => transfer::move_file(&roots, &read(name, arguments)?),
                "file-delete" => transfer::delete(&roots, &read(name, arguments)?, attempt > 1),
                "file-list" => folder::list(&roots, read(name, arguments)?),
                other => Err(Failure::configuration(format!("the adapter `file` has no function `{other}`"))),
            }
        }))
    }

    fn probe(&self, probe: Probe) -> BoxFuture<'_, ProbeOutcome> {
        let moved = blocking(move || {
            if probe.function != "file-move" {
                return Ok(ProbeOutcome::Unknown);
            }
            moved(probe.target.as_ref(), &read("file-move", probe.arguments)?)
        });
        Box::pin(async { moved.await.unwrap_or(ProbeOutcome::Unknown) })
    }

    fn watch(&self, context: WatchContext, order: Watch) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let roots = Roots::of(order.target.as_ref())?;
            match order.function.as_str() {
                "file-watch" => {
                    let arguments = read("file-watch", order.arguments)?;
                    watch::watch(context, roots, arguments, order.cursor).await
                }
                "file-follow" => {
                    let arguments = read("file-follow", order.arguments)?;
                    follow::follow(context, roots, arguments, order.cursor).await
                }
                other => Err(Failure::configuration(format!("the adapter `file` has no monitor `{other}`"))),
            }
        })
    }
}

/// What became of a move: a rename leaves the file at one of the two places, never at both.
fn moved(target: Option<&Target>, arguments: &Move) -> Result<ProbeOutcome, Failure> {
    let roots = Roots::of(target)?;
    let root = arguments.root.as_deref();
    let is_there = |path: &str| Place::find(&roots, root, path).map(|place| place.status().is_ok());
    Ok(match (is_there(&arguments.from)?, is_there(&arguments.to)?) {
        (true, _) => ProbeOutcome::NotDone,
        (false, true) => ProbeOutcome::Done { output: json!({"path": arguments.to}) },
        (false, false) => ProbeOutcome::Unknown,
    })
}

/// Work on files, on a thread that may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::runtime("the work on files was cut off").with_detail(error.to_string()))?
}

/// What the operating system says, in the terms of the process language.
fn failure(what: &str, error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    let (kind, status) = match error.kind() {
        io::ErrorKind::NotFound => (Failure::RUNTIME, 404),
        io::ErrorKind::AlreadyExists => (Failure::RUNTIME, 409),
        io::ErrorKind::PermissionDenied => (Failure::AUTHORIZATION, 403),
        _ => (Failure::RUNTIME, 500),
    };
    let failure = Failure::new(kind, status, format!("{what} failed"));
    match Errno::from_io_error(&error) {
        Some(Errno::XDEV) => {
            failure.with_detail("the two are on different file systems: read, write and delete")
        }
        _ => failure.with_detail(error.to_string()),
    }
}
