//! The ways in which a host ends, and what it leaves behind.

use std::time::Duration;

use impresario_adapter::message::{Cancel, RunAnswer};
use impresario_adapter::{Manifest, NodeMessage};
use tokio::time::{Instant, sleep};

use crate::Trial;
use crate::conversation::call;
use crate::descendants::Process;
use crate::host::{Host, shown};
use crate::report::Report;

/// How long what was killed may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(2);
/// How long a run is given to start what it starts, before it is cut off.
const STARTED: Duration = Duration::from_millis(300);
const GONE_POLL: Duration = Duration::from_millis(20);

/// Told to shut down without any work, it exits although its input stays open.
pub(crate) async fn shutdown(report: &mut Report, host: &mut Host) {
    let found = async {
        host.descendants().await;
        host.say(&NodeMessage::Shutdown).await?;
        exited_well(host).await
    };
    report.judge("shutdown", "shutdown ends it with code 0, though its input stays open", found.await);
}

/// A run that is cancelled is answered long before it would have come to its end.
pub(crate) async fn cancel(report: &mut Report, mut host: Host, trial: &Trial) {
    let limit = host.limit();
    let found = async {
        begin(&mut host, trial).await?;
        host.say(&NodeMessage::Cancel(Cancel { token: "long".to_owned() })).await?;
        Ok(match host.answer(Some("long")).await?.into_run() {
            RunAnswer::Done(output) => format!("the output {}", shown(&output.to_string())),
            RunAnswer::Failed(failure) => shown(&failure.to_string()),
            RunAnswer::Refused(why) => format!("a refusal: {}", shown(&why)),
        })
    };
    report.judge("cancel", format!("a run that is cancelled is answered within {limit:?}"), found.await);
}

/// Shutdown lets a run come to its end, and refuses others.
pub(crate) async fn finish(report: &mut Report, mut host: Host, trial: &Trial) {
    let found = async {
        begin(&mut host, trial).await?;
        host.descendants().await;
        host.say(&NodeMessage::Shutdown).await?;
        let late = call("late", &trial.function, trial.arguments.clone());
        host.say(&NodeMessage::Run(late)).await?;
        match host.answer(Some("late")).await?.into_run() {
            RunAnswer::Refused(_) => {}
            other => return Err(format!("a run after it was not refused: {}", shown(&format!("{other:?}")))),
        }
        host.ping().await?;
        host.say(&NodeMessage::Cancel(Cancel { token: "long".to_owned() })).await?;
        host.answer(Some("long")).await?;
        exited_well(&mut host).await
    };
    let expected = "shutdown lets a run come to its end, refuses others, and then ends it with code 0";
    report.judge("finish", expected, found.await);
}

/// The end of its input ends it at once, with everything that it has started.
pub(crate) async fn cut_off(report: &mut Report, mut host: Host, manifest: &Manifest, long: Option<&Trial>) {
    let again = host.hello().await.and_then(|hello| {
        if hello == *manifest { Ok("the same".to_owned()) } else { Err("another one".to_owned()) }
    });
    let said_hello = again.is_ok();
    report.judge("hello again", "the same `hello` at each start", again);
    let expected = "the end of its input ends it at once";
    if !said_hello {
        return report.skip("end of input", expected, "it did not say hello");
    }
    let begun = match long {
        Some(trial) => start(&mut host, trial).await,
        None => host.ping().await.map(drop),
    };
    if let Err(error) = begun {
        return report.judge("end of input", expected, Err(error));
    }
    sleep(STARTED).await;
    let children = host.descendants().await.to_vec();
    host.close_input();
    report.judge("end of input", expected, host.end().await.map(|status| status.to_string()));
    let left = outlived(&children).await;
    let found = match left.as_slice() {
        [] => Ok(format!("{} gone with it", children.len())),
        left => Err(format!("still there: {}", pids(left))),
    };
    report.judge("children", "what it has started ends with it", found);
}

/// Starts a host and a run in it.
async fn begin(host: &mut Host, trial: &Trial) -> Result<(), String> {
    host.hello().await?;
    start(host, trial).await
}

async fn start(host: &mut Host, trial: &Trial) -> Result<(), String> {
    let run = call("long", &trial.function, trial.arguments.clone());
    host.say(&NodeMessage::Run(run)).await?;
    host.ping().await?;
    if host.answers.iter().any(|answer| answer.id.as_deref() == Some("long")) {
        return Err(format!("`{}` does not take long", trial.function));
    }
    Ok(())
}

async fn exited_well(host: &mut Host) -> Result<String, String> {
    let status = host.end().await?;
    if status.success() { Ok(status.to_string()) } else { Err(status.to_string()) }
}

/// Those that are still there after a while.
async fn outlived(processes: &[Process]) -> Vec<Process> {
    let by = Instant::now() + GONE_LIMIT;
    loop {
        let waiting = processes.to_vec();
        let look = move || waiting.into_iter().filter(|process| process.is_alive()).collect::<Vec<_>>();
        let left = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        if left.is_empty() || Instant::now() > by {
            return left;
        }
        sleep(GONE_POLL).await;
    }
}

fn pids(processes: &[Process]) -> String {
    processes.iter().map(|process| process.pid.to_string()).collect::<Vec<_>>().join(", ")
}
