//! Tells whether a program keeps to the adapter protocol: starts it, says right and wrong things to it, and judges what
//! it says and does.
//!
//! [`check`] does it all. Each rule is a [`Check`] with what was expected and what was found; a program is started
//! anew for each way in which it has to end.

#![warn(missing_docs, unreachable_pub)]

mod conversation;
mod descendants;
mod ends;
mod host;
mod manifest;
mod report;
mod schema;
mod trial;

use std::ffi::OsString;
use std::time::Duration;

use impresario_adapter::FunctionKind;
use serde_json::Value;

use host::Host;
pub use report::{Check, Outcome, Report};
use schema::Protocol;

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The program: a name in `PATH`, or a path.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How long to wait for each answer, and for each end.
    pub limit: Duration,
    /// A function to call for real.
    pub call: Option<Trial>,
}

/// A function to call for real: to run once, or to watch for a moment.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub function: String,
    /// What with.
    pub arguments: Value,
    /// It takes longer than the checks do and may be begun several times: it is also cancelled, and cut off.
    pub long: bool,
}

/// Checks a program. Everything that it starts is gone afterwards, as far as it can be found.
///
/// # Errors
/// The program could not be started at all, or the checks themselves could not be made.
pub async fn check(subject: &Subject) -> Result<Report, String> {
    let protocol = Protocol::new()?;
    let mut report = Report::default();
    let mut host = Host::start(subject, &protocol)?;
    let hello = host.hello().await;
    let Some(manifest) = manifest::check(&mut report, hello) else {
        return Ok(report);
    };
    conversation::check(&mut report, &mut host, &manifest, subject.call.as_ref()).await;
    if let Some(trial) = &subject.call {
        match manifest.function(&trial.function) {
            None => {
                let known: Vec<_> =
                    manifest.functions.iter().map(|function| function.name.as_str()).collect();
                let expected = format!("to find the function to call among {}", known.join(", "));
                report.judge("call", expected, Err(format!("no `{}`", trial.function)));
            }
            Some(function) if function.kind == FunctionKind::Monitor => {
                trial::watch(&mut report, &mut host, function, trial).await;
            }
            Some(function) if !trial.long => trial::run(&mut report, &mut host, function, trial).await,
            Some(_) => {}
        }
    }
    ends::shutdown(&mut report, &mut host).await;
    conversation::review(&mut report, &host);
    drop(host);
    let long = subject.call.as_ref().filter(|trial| {
        let function = manifest.function(&trial.function);
        trial.long && function.is_some_and(|function| function.kind == FunctionKind::Activity)
    });
    match long {
        Some(trial) => {
            ends::cancel(&mut report, Host::start(subject, &protocol)?, trial).await;
            ends::finish(&mut report, Host::start(subject, &protocol)?, trial).await;
        }
        None => {
            report.skip("cancel", "a run that is cancelled is answered soon", "needs --call and --long");
            report.skip("finish", "shutdown lets a run come to its end", "needs --call and --long");
        }
    }
    ends::cut_off(&mut report, Host::start(subject, &protocol)?, &manifest, long).await;
    Ok(report)
}
