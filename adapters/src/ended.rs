//! What the end of a program becomes, here or on another machine: the output that the definition wants, or a failure.

use impresario_adapter::Failure;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::arguments::at_most;
use crate::capture::Capture;

/// What is kept of each of the two outputs, unless the definition says otherwise.
pub(crate) const OUTPUT_LIMIT: usize = 1024 * 1024;
/// What it may ask for at most: both together must fit into one line of the adapter protocol.
pub(crate) const OUTPUT_LIMIT_MAX: usize = 4 * 1024 * 1024;

/// The signals that have a name everywhere, with their numbers on Linux.
const SIGNALS: [(&str, i32); 16] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("XCPU", 24),
];

/// What a run answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Return {
    Stdout,
    Stderr,
    Code,
    #[default]
    All,
    None,
}

/// What is wanted of the end of a program.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) answer: Return,
    pub(crate) expect_codes: Option<Vec<i32>>,
    pub(crate) output_limit: usize,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; 128 + n if signal n ended it, as in a shell.
    pub(crate) code: i32,
    /// The signal that ended it, such as `TERM`.
    pub(crate) signal: Option<String>,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
}

impl Wanted {
    /// The output, or why there is none. `name` says which program it was.
    pub(crate) fn of(&self, name: &str, ended: &Ended) -> Result<Value, Failure> {
        if !self.expects(ended.code) {
            return Err(unexpected(name, ended));
        }
        match self.answer {
            Return::Stdout => self.whole(name, "standard output", ended, &ended.stdout),
            Return::Stderr => self.whole(name, "standard error", ended, &ended.stderr),
            Return::Code => Ok(ended.code.into()),
            Return::None => Ok(Value::Null),
            Return::All => Ok(all(ended)),
        }
    }

    fn expects(&self, code: i32) -> bool {
        match (&self.expect_codes, self.answer) {
            (Some(codes), _) => codes.contains(&code),
            (None, Return::Code | Return::All) => true,
            (None, Return::Stdout | Return::Stderr | Return::None) => code == 0,
        }
    }

    fn whole(&self, name: &str, stream: &str, ended: &Ended, capture: &Capture) -> Result<Value, Failure> {
        if capture.cut() == 0 {
            return Ok(capture.text().into());
        }
        let limit = self.output_limit;
        let detail = format!(
            "it wrote {} and ended with code {}; raise `outputLimit`, or return `all`, `code` or `none`",
            capture.length(),
            ended.code
        );
        Err(Failure::runtime(format!("`{name}` wrote more than {limit} bytes to {stream}"))
            .with_detail(detail))
    }
}

fn all(ended: &Ended) -> Value {
    let mut all = json!({"code": ended.code, "stdout": ended.stdout.text(), "stderr": ended.stderr.text()});
    if let Some(signal) = &ended.signal {
        all["signal"] = signal.as_str().into();
    }
    let (stdout, stderr) = (ended.stdout.cut(), ended.stderr.cut());
    if stdout + stderr > 0 {
        all["truncated"] = true.into();
        all["cut"] = json!({"stdout": stdout, "stderr": stderr});
    }
    all
}

fn unexpected(program: &str, ended: &Ended) -> Failure {
    let title = match &ended.signal {
        Some(signal) => format!("`{program}` was ended by the signal {signal}"),
        None => format!("`{program}` ended with code {}", ended.code),
    };
    let tail = ended.stderr.tail();
    let detail = if tail.is_empty() { "it wrote nothing to standard error".to_owned() } else { tail };
    Failure::runtime(title).with_detail(detail)
}

/// The name of a signal, `SIG` left out.
pub(crate) fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// The exit code that stands for a signal of that name; 255 if its number is not known.
pub(crate) fn signal_code(name: &str) -> i32 {
    let known = SIGNALS.iter().find(|(known, _)| *known == name);
    known.map_or(255, |(_, number)| 128 + number)
}

/// The default of `outputLimit`.
pub(crate) fn output_limit() -> usize {
    OUTPUT_LIMIT
}

/// Reads an `outputLimit`.
pub(crate) fn limited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    at_most("outputLimit", OUTPUT_LIMIT_MAX, deserializer)
}

/// The JSON Schema of the output of a run.
pub(crate) fn output_schema() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    json!({
        "anyOf": [
            {"type": ["string", "integer", "null"]},
            {
                "type": "object",
                "required": ["code", "stdout", "stderr"],
                "properties": {
                    "code": {"type": "integer"},
                    "signal": {"type": "string", "description": "The signal that ended it, such as TERM."},
                    "stdout": {"type": "string"},
                    "stderr": {"type": "string"},
                    "truncated": {"const": true},
                    "cut": {
                        "type": "object",
                        "properties": {"stdout": count, "stderr": count},
                        "description": "How many bytes of each output were not kept.",
                    },
                },
            },
        ],
    })
}

/// The JSON Schema of `outputLimit`.
pub(crate) fn output_limit_schema() -> Value {
    json!({
        "type": "integer", "minimum": 0, "maximum": OUTPUT_LIMIT_MAX, "default": OUTPUT_LIMIT,
        "description": "How many bytes of each output are kept.",
    })
}

/// The JSON Schema of `expectCodes`.
pub(crate) fn expect_codes_schema() -> Value {
    json!({
        "type": "array", "items": {"type": "integer"},
        "description": "The exit codes that are no failure: by default 0, and any for `code` and `all`.",
    })
}

/// The JSON Schema of `return`.
pub(crate) fn return_schema(default: &str) -> Value {
    json!({"enum": ["stdout", "stderr", "code", "all", "none"], "default": default})
}
