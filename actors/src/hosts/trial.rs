//! A trial of an adapter that is any program: does it start, and say a hello that makes sense?

use impresario_adapter::lines::HostReader;
use impresario_adapter::message::PROTOCOL;
use impresario_adapter::{HostMessage, Manifest};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::ChildStdout;
use tokio::time::timeout;

use super::process::{Pipes, Process, read_stderr};
use super::spec::HostSpec;

/// A process that is killed ends within this.
const END: Duration = Duration::from_millis(100);

/// Starts the program, waits for its hello, and ends it.
///
/// # Errors
/// In words for an operator: what was expected, what was found, and the last thing that it said on standard error.
pub async fn try_out(spec: &HostSpec) -> Result<Manifest, String> {
    let (process, pipes) = Process::start(spec)
        .map_err(|error| format!("expected a program that this node can start, found: {error}"))?;
    let Pipes { stdin, stdout, stderr } = pipes;
    let last = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&last);
    let listening = tokio::spawn(read_stderr(stderr, move |line| {
        line.clone_into(&mut said.lock().unwrap_or_else(PoisonError::into_inner));
    }));
    let limit = spec.hello_timeout;
    let found = match timeout(limit, hello(stdout)).await {
        Ok(found) => found,
        Err(_) => Err(format!("expected a hello within {}s, found none", limit.as_secs_f64())),
    };
    // Its input stays open until here: the end of it would tell it to go.
    drop(stdin);
    let ended = process.end(END).await;
    // What it said last explains a failure; a grandchild may hold the pipe open for ever.
    let mut listening = listening;
    if timeout(END, &mut listening).await.is_err() {
        listening.abort();
    }
    found.map_err(|reason| {
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let said = if last.is_empty() { String::new() } else { format!("; its last words: {last}") };
        format!("{reason} ({ended}){said}")
    })
}

async fn hello(stdout: ChildStdout) -> Result<Manifest, String> {
    match HostReader::new(stdout).next().await {
        Ok(Some(HostMessage::Hello(manifest))) if manifest.protocol == PROTOCOL => Ok(manifest),
        Ok(Some(HostMessage::Hello(manifest))) => Err(format!(
            "expected protocol {PROTOCOL}, found {}: use a version of the adapter that speaks it",
            manifest.protocol
        )),
        Ok(Some(_)) => Err("expected hello as its first message, found another".to_owned()),
        Ok(None) => Err("expected hello, found that it ended without a word".to_owned()),
        Err(error) => Err(format!("expected hello, found: {error}")),
    }
}
