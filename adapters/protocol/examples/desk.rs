//! An adapter in Rust: a ticket desk in a folder, where each ticket is a file with a number.
//!
//! `open-ticket` must not be done twice, so it can be probed; `count-lines` takes long, so it saves how far it is; and
//! `tickets` watches for new ones. It is the same as `adapters/examples/python/desk.py`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use impresario_adapter::{
    Adapter, BoxFuture, Call, Failure, Function, FunctionKind, Manifest, PROTOCOL, Probe, ProbeOutcome,
    RunContext, Watch, WatchContext,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The desk: it keeps nothing in memory.
pub(crate) struct Desk;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    folder: PathBuf,
    title: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counting {
    folder: PathBuf,
    #[serde(default)]
    pause: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watching {
    folder: PathBuf,
    #[serde(default = "one_second")]
    interval: f64,
}

#[derive(Deserialize, Serialize)]
struct Ticket {
    key: String,
    title: String,
}

/// What `count-lines` saves.
#[derive(Default, Deserialize, Serialize)]
struct Counted {
    done: usize,
    lines: usize,
}

impl Adapter for Desk {
    fn manifest(&self) -> Manifest {
        let text = json!({"type": "string", "minLength": 1});
        let seconds = json!({"type": "number", "minimum": 0, "maximum": 3600});
        let input = |required: &[&str], properties: Value| {
            Some(json!({
                "type": "object",
                "required": required,
                "additionalProperties": false,
                "properties": properties,
            }))
        };
        let function = |name: &str, input| Function {
            name: name.into(),
            version: "1.0.0".into(),
            restartable: true,
            input,
            ..Function::default()
        };
        let open = input(&["folder", "title"], json!({"folder": text, "title": text}));
        let count = input(&["folder"], json!({"folder": text, "pause": seconds}));
        let watch = input(&["folder"], json!({"folder": text, "interval": seconds}));
        Manifest {
            adapter: "desk".into(),
            version: "1.0.0".into(),
            protocol: PROTOCOL,
            functions: vec![
                Function { restartable: false, probe: true, ..function("open-ticket", open) },
                function("count-lines", count),
                Function { kind: FunctionKind::Monitor, ..function("tickets", watch) },
            ],
            concurrency: 8,
        }
    }

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            match call.function.as_str() {
                "open-ticket" => {
                    let opening = read::<Opening>(call.arguments)?;
                    let (token, ticket) = (call.token, Ticket { key: call.key, title: opening.title });
                    let number = blocking(move || open_ticket(&opening.folder, &token, &ticket)).await?;
                    Ok(json!({"number": number}))
                }
                _ => count_lines(&context, read(call.arguments)?, call.state, call.attempt).await,
            }
        })
    }

    fn probe(&self, probe: Probe) -> BoxFuture<'_, ProbeOutcome> {
        Box::pin(async move {
            let Ok(opening) = read::<Opening>(probe.arguments) else { return ProbeOutcome::Unknown };
            let found = blocking(move || {
                for number in numbers(&opening.folder)? {
                    if ticket(&opening.folder, number)?.key == probe.key {
                        return Ok(Some(number));
                    }
                }
                Ok(None)
            });
            match found.await {
                Ok(Some(number)) => ProbeOutcome::Done { output: json!({"number": number}) },
                Ok(None) => ProbeOutcome::NotDone,
                Err(_) => ProbeOutcome::Unknown,
            }
        })
    }

    fn watch(&self, mut context: WatchContext, watch: Watch) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let Watching { folder, interval } = read(watch.arguments)?;
            let interval = seconds(interval)?;
            let mut last = match watch.cursor {
                Some(cursor) => read(cursor)?,
                None => {
                    // What is there already is not new; where it ends is where the watch begins, whatever happens next.
                    let folder = folder.clone();
                    let last = blocking(move || Ok(numbers(&folder)?.pop().unwrap_or(0))).await?;
                    context.cursor(last.into()).await?;
                    last
                }
            };
            loop {
                tokio::time::sleep(interval).await;
                let folder = folder.clone();
                let new = blocking(move || {
                    let new = numbers(&folder)?.into_iter().filter(|number| *number > last);
                    new.map(|number| Ok((number, ticket(&folder, number)?.title)))
                        .collect::<io::Result<Vec<_>>>()
                });
                for (number, title) in new.await? {
                    let event = json!({
                        "specversion": "1.0",
                        "id": number.to_string(),
                        "source": "/desk",
                        "type": "com.example.ticket.opened",
                        "data": {"number": number, "title": title},
                    });
                    context.event(event, Some(number.into())).await?;
                    last = number;
                }
            }
        })
    }
}

async fn count_lines(
    context: &RunContext,
    counting: Counting,
    state: Option<Value>,
    attempt: u32,
) -> Result<Value, Failure> {
    let Counting { folder, pause } = counting;
    let pause = seconds(pause)?;
    let all = {
        let folder = folder.clone();
        blocking(move || numbers(&folder)).await?
    };
    let mut found: Counted = state.map(read).transpose()?.unwrap_or_default();
    while let Some(number) = all.get(found.done) {
        tokio::select! {
            () = context.cancelled() => {
                let how_far = format!("after {} of {} files", found.done, all.len());
                return Err(Failure::runtime("cancelled").with_detail(how_far));
            }
            () = tokio::time::sleep(pause) => {}
        }
        let path = path(&folder, *number);
        found.lines += blocking(move || Ok(std::fs::read_to_string(path)?.lines().count())).await?;
        found.done += 1;
        context.save_state(json!(found)).await?;
        let percent = 100.0 * found.done as f64 / all.len() as f64;
        context.progress(format!("{} of {} files", found.done, all.len()), Some(percent));
    }
    Ok(json!({"files": all.len(), "lines": found.lines, "attempt": attempt}))
}

fn open_ticket(folder: &Path, token: &str, ticket: &Ticket) -> io::Result<u64> {
    let draft = folder.join(format!(".{}-{}", std::process::id(), token.replace('/', "-")));
    let mut file = std::fs::File::create_new(&draft)?;
    let opened = (|| {
        serde_json::to_writer(&mut file, ticket)?;
        file.sync_all()?;
        let mut number = numbers(folder)?.pop().unwrap_or(0);
        loop {
            number += 1;
            // It appears whole, or not at all, and never in the place of another.
            match std::fs::hard_link(&draft, path(folder, number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => return linked.map(|()| number),
            }
        }
    })();
    std::fs::remove_file(&draft)?;
    opened
}

/// The numbers of the tickets that are there.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".ticket")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn ticket(folder: &Path, number: u64) -> io::Result<Ticket> {
    Ok(serde_json::from_slice(&std::fs::read(path(folder, number))?)?)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.ticket"))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::validation("the arguments are not valid").with_detail(error.to_string()))
}

fn seconds(seconds: f64) -> Result<Duration, Failure> {
    let within = (0.0..=3600.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    within
        .ok_or_else(|| Failure::validation("the time is not valid").with_detail("expected 0 to 3600 seconds"))
}

fn one_second() -> f64 {
    1.0
}

/// Files are read and written on a thread of their own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done =
        done.map_err(|error| Failure::runtime("the work was cut off").with_detail(error.to_string()))?;
    done.map_err(|error| Failure::configuration("the folder cannot be used").with_detail(error.to_string()))
}

fn main() -> io::Result<()> {
    impresario_adapter::host::run_on_stdio(Desk)?;
    Ok(())
}
