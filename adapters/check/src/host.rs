//! The program under test: its pipes, what it has said so far, and its end.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use impresario_adapter::lines::LineReader;
use impresario_adapter::wire::{WireError, decode_host, encode_node};
use impresario_adapter::{Answer, HostMessage, Manifest, NodeMessage, Observed};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Subject;
use crate::descendants;
use crate::schema::Protocol;

/// How long a node waits for the hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// So much of a wrong line is shown.
const SHOWN_CHARS: usize = 120;
/// So many wrong lines are kept, answers nobody asked for, events: a host that floods is wrong soon enough.
const KEPT_MAX: usize = 1024;

/// A program that runs. Dropped, it is killed with its process group.
pub(crate) struct Host {
    child: Child,
    pid: u32,
    stdin: Option<ChildStdin>,
    said: mpsc::Receiver<Result<HostMessage, String>>,
    limit: Duration,
    pings: u64,
    /// Lines that are no messages, and why.
    pub(crate) wrong: Vec<String>,
    /// Answers that nobody has waited for yet.
    pub(crate) answers: VecDeque<Answer>,
    /// The ids of all answers.
    pub(crate) answered: Vec<String>,
    /// What watches have told and nobody has waited for.
    pub(crate) events: VecDeque<Observed>,
    late_hellos: usize,
    /// What it has started, as far as it was seen.
    children: Vec<descendants::Process>,
}

impl Host {
    pub(crate) fn start(subject: &Subject, protocol: &Protocol) -> Result<Self, String> {
        let program = subject.program.display();
        let mut child = Command::new(&subject.program)
            .args(&subject.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("expected to start the program `{program}`, found: {error}"))?;
        let pipes = child.id().zip(child.stdin.take()).zip(child.stdout.take());
        let Some(((pid, stdin), stdout)) = pipes else {
            return Err(format!("`{program}` ended before it was started"));
        };
        let (tell, said) = mpsc::channel(KEPT_MAX);
        // It ends with the program's output, or with the receiver.
        drop(tokio::spawn(listen(stdout, protocol.clone(), tell)));
        Ok(Self {
            child,
            pid,
            stdin: Some(stdin),
            said,
            limit: subject.limit,
            pings: 0,
            wrong: Vec::new(),
            answers: VecDeque::new(),
            answered: Vec::new(),
            events: VecDeque::new(),
            late_hellos: 0,
            children: Vec::new(),
        })
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Its first message, which has to be the hello.
    pub(crate) async fn hello(&mut self) -> Result<Manifest, String> {
        match timeout(HELLO_LIMIT, self.said.recv()).await {
            Ok(Some(Ok(HostMessage::Hello(manifest)))) => Ok(manifest),
            Ok(Some(Ok(other))) => Err(format!("another message first: {}", shown(&format!("{other:?}")))),
            Ok(Some(Err(wrong))) => Err(wrong),
            Ok(None) => Err(self.how_it_ended().await),
            Err(_) => Err(format!("nothing within {HELLO_LIMIT:?}")),
        }
    }

    pub(crate) async fn say(&mut self, message: &NodeMessage) -> Result<(), String> {
        let line = encode_node(message).map_err(|error| error.to_string())?;
        self.write(&line).await
    }

    /// Says something that need not be a message.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let limit = self.limit;
        let Some(stdin) = &mut self.stdin else { return Err("its input is closed".to_owned()) };
        let written = async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        };
        match timeout(limit, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.how_it_ended().await),
            Err(_) => Err(format!("it did not read its input for {limit:?}")),
        }
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The answer to this id; `None` is an answer to something that could not be read.
    pub(crate) async fn answer(&mut self, id: Option<&str>) -> Result<Answer, String> {
        self.answer_within(id, self.limit).await
    }

    pub(crate) async fn answer_within(
        &mut self,
        id: Option<&str>,
        limit: Duration,
    ) -> Result<Answer, String> {
        let waited = timeout(limit, async {
            loop {
                let at = self.answers.iter().position(|answer| answer.id.as_deref() == id);
                if let Some(answer) = at.and_then(|at| self.answers.remove(at)) {
                    return Some(answer);
                }
                if !self.hear().await {
                    return None;
                }
            }
        });
        match waited.await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.how_it_ended().await),
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }

    /// The next thing that a watch tells.
    pub(crate) async fn event(&mut self) -> Result<Observed, String> {
        let waited = timeout(self.limit, async {
            loop {
                if let Some(event) = self.events.pop_front() {
                    return Some(event);
                }
                if !self.hear().await {
                    return None;
                }
            }
        });
        match waited.await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(self.how_it_ended().await),
            Err(_) => Err(format!("nothing within {:?}", self.limit)),
        }
    }

    /// Asks whether it is there. Everything that was said before has been read by then.
    pub(crate) async fn ping(&mut self) -> Result<Answer, String> {
        self.pings += 1;
        let id = format!("ping {}", self.pings);
        self.say(&NodeMessage::Ping { id: id.clone() }).await?;
        self.answer(Some(&id)).await
    }

    /// Takes in what it says next; false at the end of its output.
    pub(crate) async fn hear(&mut self) -> bool {
        match self.said.recv().await {
            Some(Ok(HostMessage::Answer(answer))) => {
                self.answered.extend(answer.id.clone());
                if self.answers.len() < KEPT_MAX {
                    self.answers.push_back(answer);
                }
            }
            Some(Ok(HostMessage::Event(event))) => {
                if self.events.len() < KEPT_MAX {
                    self.events.push_back(event);
                }
            }
            Some(Ok(HostMessage::Hello(_))) => self.late_hellos += 1,
            Some(Ok(HostMessage::Progress(_) | HostMessage::State(_) | HostMessage::Restart(_))) => {}
            Some(Err(wrong)) => {
                if self.wrong.len() < KEPT_MAX {
                    self.wrong.push(wrong);
                }
            }
            None => return false,
        }
        true
    }

    pub(crate) fn late_hellos(&self) -> usize {
        self.late_hellos
    }

    /// Waits for its end, and takes in its last words.
    pub(crate) async fn end(&mut self) -> Result<ExitStatus, String> {
        let limit = self.limit;
        let ended = timeout(limit, async {
            while self.hear().await {}
            self.child.wait().await
        });
        match ended.await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(format!("its end could not be seen: {error}")),
            Err(_) => Err(format!("it still runs, or holds its output open, after {limit:?}")),
        }
    }

    /// The processes that it has started. Those that outlive it are killed when it is dropped.
    pub(crate) async fn descendants(&mut self) -> &[descendants::Process] {
        let pid = self.pid;
        // Without an answer there is nobody to be named.
        self.children = tokio::task::spawn_blocking(move || descendants::of(pid)).await.unwrap_or_default();
        &self.children
    }

    async fn how_it_ended(&mut self) -> String {
        match timeout(self.limit, self.child.wait()).await {
            Ok(Ok(status)) => format!("it ended ({status})"),
            Ok(Err(error)) => format!("it ended ({error})"),
            Err(_) => "it closed its output, and still runs".to_owned(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Once it has been reaped its number may belong to others.
        let running = matches!(self.child.try_wait(), Ok(None));
        if running {
            // Some may have left its group.
            self.children.extend(descendants::of(self.pid));
        }
        let group = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| running);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        for child in &self.children {
            child.kill();
        }
    }
}

/// Reads what it says, line by line.
async fn listen(stdout: ChildStdout, protocol: Protocol, tell: mpsc::Sender<Result<HostMessage, String>>) {
    let mut reader = LineReader::new(stdout);
    loop {
        let said = match reader.next().await {
            Ok(Some(line)) => read(line, &protocol),
            Ok(None) | Err(WireError::Stream(_)) => return,
            Err(error) => Err(error.to_string()),
        };
        if tell.send(said).await.is_err() {
            return;
        }
    }
}

fn read(line: &[u8], protocol: &Protocol) -> Result<HostMessage, String> {
    let text = || shown(&String::from_utf8_lossy(line));
    let wrong = |why: &dyn std::fmt::Display| format!("{why}: {}", text());
    let message = decode_host(line).map_err(|error| wrong(&error))?;
    let value = serde_json::from_slice(line).map_err(|error| wrong(&error))?;
    protocol.check(&value).map_err(|error| wrong(&error))?;
    Ok(message)
}

/// As much of a text as can be shown.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
