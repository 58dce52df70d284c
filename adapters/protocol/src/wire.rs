//! How messages become lines and lines become messages: the JSON-RPC 2.0 envelope.
//!
//! A line ends with a line feed and is at most [`MAX_LINE_BYTES`] long, on both sides and in both directions: a larger
//! message is refused by its sender, which knows whom to tell, rather than by its receiver, which does not.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{Answer, Call, ErrorObject, HostMessage, NodeMessage, Watch};

/// The longest line, its line feed included. Large data belongs behind a reference, not into a message.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The stream itself failed.
    #[error("the stream failed")]
    Stream(#[from] io::Error),
    /// The message has more bytes than a line may have. A reader has skipped it and may go on.
    #[error("a message of more than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The line is no message of this protocol: somebody prints to standard output, perhaps. It may be skipped.
    #[error("not a message of the adapter protocol: {0}")]
    Malformed(String),
    /// A message of a newer protocol. It may be skipped.
    #[error("unknown method `{0}`")]
    UnknownMethod(String),
}

/// A request that a host cannot understand, and what to answer.
#[derive(Debug, PartialEq)]
pub struct Unreadable {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The code of the error to answer.
    pub code: i64,
    /// What is wrong with it.
    pub reason: String,
    /// Whether an answer is due. A notification is never answered.
    pub answer: bool,
}

/// A node's message as a line.
pub fn encode_node(message: &NodeMessage) -> Result<Vec<u8>, WireError> {
    match message {
        NodeMessage::Run(call) => line(&Request::new("run", Some(&call.token), call)),
        NodeMessage::Probe { id, probe } => line(&Request::new("probe", Some(id), probe)),
        NodeMessage::Watch(watch) => line(&Request::new("watch", Some(&watch.watch), watch)),
        NodeMessage::Ping { id } => line(&Request::new("ping", Some(id), Nothing {})),
        NodeMessage::Cancel(cancel) => line(&Request::new("cancel", None, cancel)),
        NodeMessage::Unwatch(unwatch) => line(&Request::new("unwatch", None, unwatch)),
        NodeMessage::Taken(taken) => line(&Request::new("taken", None, taken)),
        NodeMessage::Shutdown => line(&Request::new("shutdown", None, Nothing {})),
    }
}

/// A host's message as a line.
pub fn encode_host(message: &HostMessage) -> Result<Vec<u8>, WireError> {
    match message {
        HostMessage::Hello(manifest) => line(&Request::new("hello", None, manifest)),
        HostMessage::Answer(answer) => line(&Response {
            jsonrpc: "2.0",
            id: answer.id.as_deref(),
            result: answer.outcome.as_ref().ok(),
            error: answer.outcome.as_ref().err(),
        }),
        HostMessage::Progress(progress) => line(&Request::new("progress", None, progress)),
        HostMessage::State(state) => line(&Request::new("state", None, state)),
        HostMessage::Event(event) => line(&Request::new("event", None, event)),
        HostMessage::Restart(wish) => line(&Request::new("restart", None, wish)),
    }
}

/// A line from a node, with or without its line feed.
pub fn decode_node(line: &[u8]) -> Result<NodeMessage, Unreadable> {
    let frame: Frame = serde_json::from_slice(line).map_err(|error| Unreadable {
        id: None,
        code: ErrorObject::PARSE_ERROR,
        reason: format!("not a JSON-RPC message: {error}"),
        answer: true,
    })?;
    let id = match frame.id {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id),
        Some(other) => {
            return Err(Unreadable::request(None, format!("the id must be a string, not {other}")));
        }
    };
    let Some(method) = frame.method.filter(|_| frame.jsonrpc.as_deref() == Some("2.0")) else {
        return Err(Unreadable::request(id, "not a JSON-RPC 2.0 request"));
    };
    let read = match (method.as_str(), &id) {
        ("run", Some(token)) => params::<Call>(frame.params).and_then(|call| match &call.token == token {
            true => Ok(NodeMessage::Run(call)),
            false => Err("the id of `run` must be its token".to_owned()),
        }),
        ("watch", Some(id)) => params::<Watch>(frame.params).and_then(|watch| match &watch.watch == id {
            true => Ok(NodeMessage::Watch(watch)),
            false => Err("the id of `watch` must be its watch".to_owned()),
        }),
        ("probe", Some(id)) => params(frame.params).map(|probe| NodeMessage::Probe { id: id.clone(), probe }),
        ("ping", Some(id)) => Ok(NodeMessage::Ping { id: id.clone() }),
        ("cancel", _) => params(frame.params).map(NodeMessage::Cancel),
        ("unwatch", _) => params(frame.params).map(NodeMessage::Unwatch),
        ("taken", _) => params(frame.params).map(NodeMessage::Taken),
        ("shutdown", _) => Ok(NodeMessage::Shutdown),
        ("run" | "probe" | "watch" | "ping", None) => {
            return Err(Unreadable::request(None, format!("`{method}` needs an id")));
        }
        _ => {
            let (code, reason) = (ErrorObject::METHOD_NOT_FOUND, format!("unknown method `{method}`"));
            return Err(Unreadable { answer: id.is_some(), id, code, reason });
        }
    };
    read.map_err(|reason| Unreadable {
        answer: id.is_some(),
        id,
        code: ErrorObject::INVALID_PARAMS,
        reason: format!("parameters of `{method}`: {reason}"),
    })
}

/// A line from a host, with or without its line feed.
pub fn decode_host(line: &[u8]) -> Result<HostMessage, WireError> {
    let frame: Frame = serde_json::from_slice(line).map_err(|error| malformed(&error))?;
    if frame.jsonrpc.as_deref() != Some("2.0") {
        return Err(malformed(&"not a JSON-RPC 2.0 message"));
    }
    let Some(method) = frame.method else {
        return answer(frame).map(HostMessage::Answer);
    };
    let read = match method.as_str() {
        "hello" => params(frame.params).map(HostMessage::Hello),
        "progress" => params(frame.params).map(HostMessage::Progress),
        "state" => params(frame.params).map(HostMessage::State),
        "event" => params(frame.params).map(HostMessage::Event),
        "restart" => params(frame.params).map(HostMessage::Restart),
        _ => return Err(WireError::UnknownMethod(method)),
    };
    read.map_err(|reason| malformed(&format_args!("parameters of `{method}`: {reason}")))
}

fn answer(frame: Frame) -> Result<Answer, WireError> {
    let id = match frame.id {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id),
        Some(other) => {
            return Err(malformed(&format_args!("an answer to the id {other}, which was never used")));
        }
    };
    let outcome = match (frame.result, frame.error) {
        (_, Some(error)) => Err(error),
        (Some(result), None) => Ok(result),
        (None, None) => return Err(malformed(&"neither a method, nor a result, nor an error")),
    };
    Ok(Answer { id, outcome })
}

fn params<P: DeserializeOwned>(params: Option<Value>) -> Result<P, String> {
    serde_json::from_value(params.unwrap_or(Value::Null)).map_err(|error| error.to_string())
}

fn malformed(reason: &dyn std::fmt::Display) -> WireError {
    WireError::Malformed(reason.to_string())
}

fn line(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let mut line = serde_json::to_vec(message).map_err(|error| malformed(&error))?;
    line.push(b'\n');
    if line.len() > MAX_LINE_BYTES { Err(WireError::TooLong) } else { Ok(line) }
}

impl Unreadable {
    fn request(id: Option<String>, reason: impl Into<String>) -> Self {
        Self { id, code: ErrorObject::INVALID_REQUEST, reason: reason.into(), answer: true }
    }
}

/// Any message, as it is read.
#[derive(Deserialize)]
struct Frame {
    jsonrpc: Option<String>,
    id: Option<Value>,
    method: Option<String>,
    params: Option<Value>,
    // A result may be `null`, which is not the same as no result.
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<ErrorObject>,
}

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// A request or a notification, as it is written.
#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    method: &'static str,
    params: P,
}

impl<'a, P> Request<'a, P> {
    fn new(method: &'static str, id: Option<&'a String>, params: P) -> Self {
        Self { jsonrpc: "2.0", id: id.map(String::as_str), method, params }
    }
}

/// A response, as it is written: the id is there even if it is `null`.
#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorObject>,
}

#[derive(Serialize)]
struct Nothing {}

#[cfg(test)]
mod tests;
