//! The messages between a node and an adapter host: JSON-RPC 2.0, one message a line.
//!
//! The host opens with the notification `hello`. Then the node sends the requests `run`, `probe`, `watch` and `ping` and
//! the notifications `cancel`, `unwatch`, `taken` and `shutdown`; the host sends one response for each request and the
//! notifications `progress`, `state`, `event` and `restart`. The host never sends a request. Unknown fields are ignored
//! on both sides, so that a newer side may say more.
//!
//! The end of the host's input means that its node is gone: the host drops everything it does and exits at once.
//!
//! [`NodeMessage`] and [`HostMessage`] are the messages; how they become lines is in [`crate::wire`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::whom::{RuntimeUser, Target};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL: u32 = 1;
/// How many `event` messages a watch may be ahead of the last `taken`.
pub const EVENTS_AHEAD_MAX: u64 = 256;
/// How long a cursor may be, as JSON. It is stored with every event that has one.
pub const CURSOR_BYTES_MAX: usize = 256 * 1024;

/// What an adapter is and can do: the parameters of the host's first message, `hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The adapter's name, such as `http`.
    pub adapter: String,
    /// The adapter's own version.
    pub version: String,
    /// The protocol's version, [`PROTOCOL`].
    pub protocol: u32,
    /// What can be asked of it.
    pub functions: Vec<Function>,
    /// How many runs the host works on at once. It is a hint to the node; the host queues a few more, then refuses.
    pub concurrency: u32,
}

impl Manifest {
    /// The function of that name, in any version.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}

/// One function of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its name, such as `request`.
    pub name: String,
    /// The version of its contract.
    pub version: String,
    /// Whether it is run, or watched.
    #[serde(default, skip_serializing_if = "FunctionKind::is_activity")]
    pub kind: FunctionKind,
    /// Whether a run that was cut off may simply be done again, with the same key.
    pub restartable: bool,
    /// Whether `probe` can find out what became of a run that was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// The JSON Schema of its arguments, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The JSON Schema of its output, if it has one; of a monitor, of the data of its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// What can be done with a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FunctionKind {
    /// `run` does it once, and it ends.
    #[default]
    Activity,
    /// `watch` observes something until it is told to stop.
    Monitor,
}

impl FunctionKind {
    fn is_activity(&self) -> bool {
        matches!(self, Self::Activity)
    }
}

/// One attempt to do one piece of work: the parameters of `run`, whose id is the token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Unique for this attempt. A host answers each token once, however often it receives it.
    pub token: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The same for all attempts of one activity: what to deduplicate by.
    pub key: String,
    /// The name of the function.
    pub function: String,
    /// What to do it with.
    #[serde(default)]
    pub arguments: Value,
    /// What the last attempt saved, if it saved anything: where to resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// On what, if it names a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// As whom, if it names a runtime user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RuntimeUser>,
    /// Its place in a trace (W3C Trace Context), for work that goes on elsewhere to be followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// The question what became of work that was cut off: the parameters of `probe`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The name of the function.
    pub function: String,
    /// The key that all attempts had.
    pub key: String,
    /// The arguments that they had.
    #[serde(default)]
    pub arguments: Value,
    /// The target that they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The runtime user that they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RuntimeUser>,
}

/// The answer to a [`Probe`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum ProbeOutcome {
    /// It was done.
    Done {
        /// With this output.
        #[serde(default)]
        output: Value,
    },
    /// It was not done, or does no harm if it is done twice: it may be done again.
    NotDone,
    /// Nobody can tell.
    Unknown,
}

/// The parameters of `cancel`: stop that attempt. It is still answered, with whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The attempt.
    pub token: String,
}

/// The order to observe something: the parameters of `watch`, whose id is the watch.
///
/// It is answered when it ends: with an empty result once it was told to stop, with a failure if it cannot go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Unique among the watches of this host that have not been answered yet.
    pub watch: String,
    /// The name of the function, a monitor.
    pub function: String,
    /// What to observe.
    #[serde(default)]
    pub arguments: Value,
    /// Where to go on: the last cursor that became durable. Absent at the very beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Value>,
    /// On what, if it names a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// As whom, if it names a runtime user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RuntimeUser>,
}

/// The parameters of `unwatch`: stop that watch. It is still answered, and nothing is sent of it after its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatch {
    /// The watch.
    pub watch: String,
}

/// The parameters of `taken`: so much of what a watch has sent is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The watch.
    pub watch: String,
    /// How many of its `event` messages, counted from its beginning.
    pub count: u64,
    /// The last cursor among them, for a source that wants to know how far it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Value>,
}

/// What a node says to a host.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeMessage {
    /// Request `run`: do this. Its id is the call's token.
    Run(Call),
    /// Request `probe`: what became of this?
    Probe {
        /// What the answer refers to.
        id: String,
        /// The question.
        probe: Probe,
    },
    /// Request `watch`: observe this. Its id is the watch.
    Watch(Watch),
    /// Request `ping`: are you there?
    Ping {
        /// What the answer refers to.
        id: String,
    },
    /// Notification `cancel`.
    Cancel(Cancel),
    /// Notification `unwatch`.
    Unwatch(Unwatch),
    /// Notification `taken`.
    Taken(Taken),
    /// Notification `shutdown`: finish what was started, refuse the rest, exit.
    Shutdown,
}

/// The parameters of `progress`: how far an attempt is, for people. It may be lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The attempt.
    pub token: String,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// In numbers, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

/// The parameters of `state`: what the next attempt resumes from if this one is cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    /// The attempt.
    pub token: String,
    /// Replaces what was saved before.
    pub state: Value,
}

/// The parameters of `event`: something was observed, or the place to go on from has moved, or both.
///
/// After a crash a watch goes on from the last durable cursor, so what came after it is observed again: an event that is
/// the same gets the same `source` and `id` every time, and the node drops what it has already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// The watch that observed it.
    pub watch: String,
    /// A CloudEvent in its JSON form; absent if only the cursor moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// Where to go on once this is durable; absent if that is where it was. At most [`CURSOR_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Value>,
}

/// The parameters of `restart`: please replace this host by a fresh one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartWish {
    /// Why, in words for an operator.
    pub reason: String,
}

/// What a host says to its node.
#[derive(Clone, Debug, PartialEq)]
pub enum HostMessage {
    /// Notification `hello`: who I am and what I can do. Always the first, and only the first.
    Hello(Manifest),
    /// A response to a request.
    Answer(Answer),
    /// Notification `progress`.
    Progress(Progress),
    /// Notification `state`.
    State(SavedState),
    /// Notification `event`.
    Event(Observed),
    /// Notification `restart`.
    Restart(RestartWish),
}

/// A host's response to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The request's id; absent if the host could not read the request.
    pub id: Option<String>,
    /// Its result, or why there is none.
    pub outcome: Result<Value, ErrorObject>,
}

/// The error of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// One of the constants here, or any other number.
    pub code: i64,
    /// In words.
    pub message: String,
    /// The same for definitions to catch; present whenever a run or a probe failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Failure>,
}

impl ErrorObject {
    /// The line was not JSON, or too long.
    pub const PARSE_ERROR: i64 = -32700;
    /// It was JSON, but not a JSON-RPC 2.0 message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// There is such a method, but it has other parameters.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The run failed, with a [`Failure`].
    pub const FAILED: i64 = -32000;
    /// The run was never started: the host has enough to do.
    pub const BUSY: i64 = -32001;
    /// The run was never started: the host is shutting down.
    pub const SHUTTING_DOWN: i64 = -32002;
    /// The run was never started: it was cancelled while it waited.
    pub const CANCELLED: i64 = -32003;

    /// An error without a [`Failure`].
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The error of a run that failed.
    pub fn failed(failure: Failure) -> Self {
        Self { code: Self::FAILED, message: failure.title.clone(), data: Some(failure) }
    }

    /// The error of a run that was never started; `code` is [`Self::BUSY`], [`Self::SHUTTING_DOWN`]
    /// or [`Self::CANCELLED`].
    pub fn refused(code: i64, title: &str) -> Self {
        let failure = Failure::new(Failure::RUNTIME, 503, title);
        Self { code, message: title.to_owned(), data: Some(failure) }
    }

    /// Whether the request was certainly never started, so that it may be sent elsewhere without any doubt.
    pub fn is_refusal(&self) -> bool {
        let misread =
            [Self::PARSE_ERROR, Self::INVALID_REQUEST, Self::METHOD_NOT_FOUND, Self::INVALID_PARAMS];
        let declined = [Self::BUSY, Self::SHUTTING_DOWN, Self::CANCELLED];
        misread.contains(&self.code) || declined.contains(&self.code)
    }

    /// The failure it stands for; made from code and message if the host gave none.
    pub fn into_failure(self) -> Failure {
        let Self { code, message, data } = self;
        data.unwrap_or_else(|| {
            Failure::runtime(message).with_detail(format!("the adapter host answered error {code}"))
        })
    }
}

/// How a run ended, as its answer tells.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAnswer {
    /// It was done, with this output.
    Done(Value),
    /// It was tried, and failed.
    Failed(Failure),
    /// It was never started.
    Refused(String),
}

impl Answer {
    /// The answer to a `run` that was done.
    pub fn done(token: impl Into<String>, output: Value) -> Self {
        let result = Value::Object(serde_json::Map::from_iter([("output".to_owned(), output)]));
        Self { id: Some(token.into()), outcome: Ok(result) }
    }

    /// An answer that is an error.
    pub fn error(id: Option<String>, error: ErrorObject) -> Self {
        Self { id, outcome: Err(error) }
    }

    /// Reads it as the answer to a `run`.
    pub fn into_run(self) -> RunAnswer {
        match self.outcome {
            Ok(Value::Object(mut result)) => RunAnswer::Done(result.remove("output").unwrap_or(Value::Null)),
            Ok(_) => RunAnswer::Failed(
                Failure::runtime("the adapter host broke the protocol")
                    .with_detail("the result of `run` must be an object with the member `output`"),
            ),
            Err(error) if error.is_refusal() => RunAnswer::Refused(error.message),
            Err(error) => RunAnswer::Failed(error.into_failure()),
        }
    }

    /// Reads it as the answer to a `probe`. An answer that says nothing clear is [`ProbeOutcome::Unknown`].
    pub fn into_probe(self) -> ProbeOutcome {
        match self.outcome {
            Ok(result) => serde_json::from_value(result).unwrap_or(ProbeOutcome::Unknown),
            Err(_) => ProbeOutcome::Unknown,
        }
    }
}
