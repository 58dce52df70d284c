//! Traces: which chain of causes a piece of work belongs to, in the terms of W3C Trace Context and of OpenTelemetry.
//!
//! The ids of our own spans are derived from what they stand for. So nobody has to remember them: whoever needs the span
//! of an instance or an activity knows it from the id, on any node, and a replay names the same one again. All that is
//! stored is where the chain of an instance comes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::event::CloudEvent;

/// The extension attribute of events, the header, and the variable of the environment that carry a context.
pub const TRACEPARENT: &str = "traceparent";

/// A place in a trace: what follows from it names it as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// Whether somebody records it.
    pub sampled: bool,
}

impl TraceContext {
    /// The place of a span of ours in a trace that comes from `parent`, or begins with what `names` say.
    pub fn of(parent: Option<TraceContext>, kind: &str, names: &[&str]) -> TraceContext {
        let hash = hash(kind, names);
        let (trace, sampled) = match parent {
            Some(parent) => (parent.trace, parent.sampled),
            None => (u128::from_be_bytes(part(&hash[..16])).max(1), true),
        };
        TraceContext { trace, span: u64::from_be_bytes(part(&hash[16..24])).max(1), sampled }
    }

    /// The context that an event carries, if it carries one that can be read.
    pub fn carried_by(event: &CloudEvent) -> Option<TraceContext> {
        event.extensions.get(TRACEPARENT).and_then(Value::as_str).and_then(|text| text.parse().ok())
    }

    /// The span in which an event came in at a door, or was raised.
    pub fn of_event(parent: Option<TraceContext>, event: &CloudEvent) -> TraceContext {
        TraceContext::of(parent, "event", &[&event.source, &event.id])
    }

    /// The span of an instance.
    pub fn of_instance(parent: Option<TraceContext>, instance: &str) -> TraceContext {
        TraceContext::of(parent, "instance", &[instance])
    }

    /// The span of an activity of an instance, whose key it is: all its attempts are one span.
    pub fn of_activity(instance: TraceContext, key: &str) -> TraceContext {
        TraceContext::of(Some(instance), "activity", &[key])
    }
}

/// SHA-256 over what tells spans apart; each name with its length, so that no two lists run together.
fn hash(kind: &str, names: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(kind);
    for name in names {
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
    }
    hash.finalize().into()
}

fn part<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(bytes);
    part
}

/// The form `00-TRACE-SPAN-FLAGS` of W3C Trace Context, level 1.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> String {
        context.to_string()
    }
}

impl TryFrom<String> for TraceContext {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for TraceContext {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a context such as 00-<32 hex digits>-<16>-01, found '{text}'");
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            parts.next().filter(|part| {
                part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        let (version, trace, span, flags) = (next(2), next(32), next(16), next(2));
        let (Some(version), Some(trace), Some(span), Some(flags)) = (version, trace, span, flags) else {
            return Err(wrong());
        };
        // A later version may have more behind the flags, and means the same by what is in front.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(wrong());
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0).ok_or_else(wrong)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0).ok_or_else(wrong)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| wrong())?;
        Ok(TraceContext { trace, span, sampled: flags & 1 == 1 })
    }
}

/// What a span stands for, as OpenTelemetry tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside.
    Internal,
    /// Something that was asked for from outside.
    Server,
    /// Something that is asked of the outside.
    Client,
    /// An event that others take up.
    Producer,
}

/// A piece of work that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Itself.
    pub context: TraceContext,
    /// The span that it follows from, if that is not the beginning.
    pub parent: Option<u64>,
    /// What it is called; few different ones.
    pub name: String,
    /// What it stands for.
    pub kind: SpanKind,
    /// When it began, in milliseconds since the Unix epoch.
    pub start: u64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub end: u64,
    /// What else is to be known of it; nothing secret.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Span {
    /// What happened to an event at a moment, such as `accept` or `emit`, in milliseconds since the Unix epoch.
    pub fn of_event(
        event: &CloudEvent,
        (what, kind): (&str, SpanKind),
        context: TraceContext,
        parent: Option<u64>,
        at: u64,
    ) -> Span {
        Span {
            context,
            parent,
            name: format!("{what} {}", event.kind),
            kind,
            start: at,
            end: at,
            attributes: vec![
                ("cloudevents.event_id", event.id.clone()),
                ("cloudevents.event_source", event.source.clone()),
                ("cloudevents.event_type", event.kind.clone()),
            ],
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_the_standard_says() {
        let context: TraceContext = GIVEN.parse().unwrap();
        assert_eq!(context.to_string(), GIVEN);
        assert!(context.sampled);
        let unsampled = GIVEN.replace("-01", "-00").parse::<TraceContext>().unwrap();
        assert!(!unsampled.sampled);
        let later = format!("cc{}-what-comes-later", &GIVEN[2..]);
        assert_eq!(later.parse(), Ok(context));
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let found = wrong.parse::<TraceContext>();
            assert!(found.as_ref().is_err_and(|error| error.contains("00-<32 hex")), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn what_follows_stays_in_the_trace_and_its_span_is_its_own() {
        let given: TraceContext = GIVEN.parse().unwrap();
        let instance = TraceContext::of_instance(Some(given), "i");
        let activity = TraceContext::of_activity(instance, "i.1");
        assert_eq!((instance.trace, activity.trace), (given.trace, given.trace));
        assert_ne!(instance.span, activity.span);
        assert_eq!(TraceContext::of_instance(Some(given), "i"), instance, "whoever asks, and whenever");
        assert_ne!(TraceContext::of_instance(None, "i").trace, TraceContext::of_instance(None, "j").trace);
        assert_ne!(TraceContext::of(None, "k", &["ab", "c"]), TraceContext::of(None, "k", &["a", "bc"]));
    }
}
