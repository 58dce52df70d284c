//! The world outside a process: it answers activities as a script says, and remembers what was asked of it.
//!
//! It behaves as a well-made service does: it knows an activity by its idempotency key, so the answer to an attempt
//! depends on which activity it belongs to and how often that was tried, never on how often the node crashed.

use std::collections::{BTreeMap, HashMap};

use impresario_model::doubt::ProbeAnswer;
use impresario_model::entry::ActivityOutcome;
use impresario_model::event::CloudEvent;
use impresario_model::fault::{Fault, standard_type};
use serde_json::{Value, json};

use super::petstore;

/// One attempt that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub key: String,
    pub token: String,
    pub attempt: u32,
    pub subject: String,
    pub arguments: Value,
    /// What an attempt before saved.
    pub state: Option<Value>,
}

/// What comes back of an attempt, and after how many milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub after: u64,
    /// None: it never comes back.
    pub outcome: Option<ActivityOutcome>,
}

/// The world.
#[derive(Default)]
pub struct World {
    answers: BTreeMap<String, Vec<Value>>,
    probes: BTreeMap<String, Vec<Value>>,
    /// How often it was asked what became of an attempt.
    pub probed: usize,
    /// How many activities of a subject there were.
    activities: HashMap<String, usize>,
    /// Which activity of its subject a key is, and how often it was tried.
    known: HashMap<String, (usize, usize)>,
    pub arrivals: Vec<Arrival>,
    /// What was answered to each of them.
    pub replies: Vec<Reply>,
    /// Tokens that nobody waits for any more.
    pub abandoned: Vec<String>,
    /// Events that instances emitted.
    pub events: Vec<CloudEvent>,
}

impl World {
    /// With a script: for each subject what its activities answer, in the order of their beginning. An answer that
    /// is a list holds one answer for each attempt of the activity.
    pub fn new(answers: &BTreeMap<String, Vec<Value>>) -> Self {
        World { answers: answers.clone(), ..World::default() }
    }

    /// With what the adapter finds out about attempts that were cut off, by their number.
    pub fn probing(self, probes: &BTreeMap<String, Vec<Value>>) -> Self {
        World { probes: probes.clone(), ..self }
    }

    /// Says what became of the last attempt of a key; the same, however often it is asked.
    pub fn probe(&mut self, key: &str, subject: &str) -> ProbeAnswer {
        self.probed += 1;
        let Some((_, tries)) = self.known.get(key) else { return ProbeAnswer::NotDone };
        let answers = self.probes.get(subject).map(Vec::as_slice).unwrap_or_default();
        let answer = answers.get(tries.saturating_sub(1)).or(answers.last());
        let member = |name| answer.and_then(|answer| answer.get(name));
        match (member("done"), member("notDone")) {
            (Some(output), _) => ProbeAnswer::Done(output.clone()),
            (None, Some(_)) => ProbeAnswer::NotDone,
            (None, None) => ProbeAnswer::Unknown { reason: "the adapter cannot tell".to_owned() },
        }
    }

    /// Answers an attempt.
    pub fn run(&mut self, arrival: Arrival) -> Reply {
        let subject = arrival.subject.clone();
        let fresh = !self.known.contains_key(&arrival.key);
        if fresh {
            let count = self.activities.entry(subject.clone()).or_default();
            self.known.insert(arrival.key.clone(), (*count, 0));
            *count += 1;
        }
        let (place, tries) = self.known.get_mut(&arrival.key).unwrap();
        let (place, attempt) = (*place, *tries);
        *tries += 1;
        let answer = self.answers.get(&subject).and_then(|answers| answers.get(place).or(answers.last()));
        let answer = match answer {
            Some(Value::Array(attempts)) => attempts.get(attempt).or(attempts.last()).cloned(),
            answer => answer.cloned(),
        };
        let arguments = arrival.arguments.clone();
        self.arrivals.push(arrival);
        let reply = match answer {
            Some(answer) => read(&answer),
            None => {
                Reply { after: 0, outcome: Some(petstore::answer(&arguments).unwrap_or(echo(arguments))) }
            }
        };
        self.replies.push(reply.clone());
        reply
    }

    /// Leaves out the next answer of a subject.
    pub fn skip(&mut self, subject: &str) {
        *self.activities.entry(subject.to_owned()).or_default() += 1;
    }

    /// The tokens of each key, in the order of their arrival.
    pub fn tokens(&self) -> BTreeMap<String, Vec<String>> {
        let mut tokens: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for arrival in &self.arrivals {
            tokens.entry(arrival.key.clone()).or_default().push(arrival.token.clone());
        }
        tokens
    }
}

/// What an activity is about: its job, the place it asks, or the command it runs.
pub fn subject(function: &str, arguments: &Value) -> String {
    let named = ["job", "uri", "command"].iter().find_map(|name| arguments.get(name)?.as_str());
    named.unwrap_or(function).to_owned()
}

fn echo(arguments: Value) -> ActivityOutcome {
    ActivityOutcome::Completed(arguments)
}

/// An answer: `{output: …}`, `{fail: {…}}`, `{lost: reason}`, `{refused: reason}`, `{notStarted: true}` or
/// `{never: true}`, each with `after` in milliseconds.
fn read(answer: &Value) -> Reply {
    let after = answer.get("after").and_then(Value::as_u64).unwrap_or(0);
    let reason = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (word, value) = answer
        .as_object()
        .and_then(|members| members.iter().find(|(key, _)| *key != "after"))
        .unwrap_or_else(|| panic!("not an answer: {answer}"));
    let outcome = match word.as_str() {
        "output" => Some(ActivityOutcome::Completed(value.clone())),
        "fail" => Some(ActivityOutcome::Failed(failure(value))),
        "lost" => Some(ActivityOutcome::Lost { reason: reason(value) }),
        "refused" => Some(ActivityOutcome::Refused { reason: reason(value) }),
        "notStarted" => Some(ActivityOutcome::NotStarted),
        "never" => None,
        _ => panic!("not an answer: {answer}"),
    };
    Reply { after, outcome }
}

/// A failure as an adapter reports it: `type` may be the word of a standard kind.
pub fn failure(value: &Value) -> Fault {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text("type").unwrap_or_else(|| "communication".to_owned());
    Fault {
        kind: if kind.contains(':') { kind } else { standard_type(&kind) },
        status: value.get("status").and_then(Value::as_u64).map_or(500, |status| status as u16),
        title: text("title").or_else(|| Some("Failed as the script says".to_owned())),
        detail: text("detail"),
        instance: None,
        uncatchable: false,
    }
}

/// An answer of the stub services.
pub fn not_found(what: &str) -> ActivityOutcome {
    ActivityOutcome::Failed(failure(&json!({ "status": 404, "title": "Not Found", "detail": what })))
}
