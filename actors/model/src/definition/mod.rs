//! A definition in its compiled form: what the engine runs.
//!
//! The form is independent of the text it came from ([`crate::language`] reads YAML into it), so that a second
//! front end can produce it too. It is immutable; an instance pins one version of it by [`DefinitionId`].

mod consumption;
mod delay;
mod error_kind;
mod event_options;
mod filter;
mod listen;
mod outline;
mod overlap;
mod schema;
mod secret;
mod start_point;
mod template;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::consumption::{Consumption, Read, Strategy, Until};
pub use self::delay::Delay;
pub use self::error_kind::standard_error_kind;
pub use self::event_options::{
    Active, DAY_MINUTES, EventOptions, Rate, SETS_MAX, SETS_WITHIN_MS, Sets, Threshold, key_text,
};
pub(crate) use self::filter::NoVariables;
pub use self::filter::{AttributeMatch, Correlation, EventFilter, Verdict};
pub use self::listen::{Foreach, LOOKBACK_MAX_MS, LOOKBACK_MS, Listen, Path, Paths};
pub use self::outline::{Outline, TriggerOutline, WantedEvents};
pub use self::overlap::{OnConflict, OverlapRule};
pub use self::schema::Schema;
pub use self::secret::{PLACEHOLDER, RunAs, SecretField};
pub use self::start_point::StartPoint;
pub(crate) use self::start_point::{body_of, way_to};
pub use self::template::{Template, UriPart, UriTemplate};
use crate::expression::Expression;

/// Names one immutable definition: `namespace/name:version`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DefinitionId {
    /// The namespace, which is also the name of the pack by convention.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The semantic version.
    pub version: String,
}

impl fmt::Display for DefinitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.name, self.version)
    }
}

impl From<DefinitionId> for String {
    fn from(id: DefinitionId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for DefinitionId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for DefinitionId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a definition as namespace/name:version, found '{text}'");
        let (namespace, rest) = text.split_once('/').ok_or_else(expected)?;
        let (name, version) = rest.split_once(':').ok_or_else(expected)?;
        if namespace.is_empty() || name.is_empty() || version.is_empty() {
            return Err(expected());
        }
        Ok(DefinitionId {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        })
    }
}

/// The index of a task in [`Definition::tasks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId(pub u32);

/// The tasks of a list, in order.
pub type TaskList = Vec<TaskId>;

/// A compiled definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name and version.
    pub id: DefinitionId,
    /// `document.title`.
    pub title: Option<String>,
    /// `document.summary`.
    pub summary: Option<String>,
    /// The whole document as data, for `$workflow.definition`.
    pub document: Value,
    /// All tasks, however deep.
    pub tasks: Vec<Task>,
    /// The top-level list.
    pub root: TaskList,
    /// `input`.
    pub input: DataIn,
    /// `output`.
    pub output: DataOut,
    /// `timeout` of the whole instance.
    pub timeout: Option<Delay>,
    /// `schedule`: each makes one trigger monitor.
    pub triggers: Vec<TriggerSpec>,
    /// The tasks from which it may run again.
    pub start_points: Vec<StartPoint>,
    /// `document.metadata.ops`.
    pub ops: Ops,
}

impl Definition {
    /// The task of an id that this definition handed out.
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.0 as usize]
    }
}

/// `document.metadata.ops`: the operations profile of a definition.
#[derive(Clone, Debug, Default)]
pub struct Ops {
    /// How many tasks one instance may run before it faults; the node's default if absent.
    pub task_limit: Option<u64>,
    /// What a schedule does about the times that it missed while nothing ran.
    pub misfire: Misfire,
    /// The time zone of cron schedules, an IANA name; UTC if absent.
    pub time_zone: Option<String>,
    /// The calendar on whose days its triggers fire; every day if absent.
    pub calendar: Option<String>,
    /// What its event trigger does beyond what the language says.
    pub events: EventOptions,
    /// What becomes of an instance that begins while others run; nothing holds it up if absent.
    pub overlap: Option<OverlapRule>,
}

/// What a schedule does about the nominal times that it missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Misfire {
    /// Goes on with the next one.
    Skip,
    /// Fires once for the last of them, then goes on.
    #[default]
    FireOnce,
    /// Fires for each of them, oldest first.
    FireAll,
    /// Shows them, and an operator decides.
    Plan,
}

/// `input`: a schema for the raw input, then its transformation.
#[derive(Clone, Debug, Default)]
pub struct DataIn {
    /// `input.schema`.
    pub schema: Option<Schema>,
    /// `input.from`.
    pub from: Option<Template>,
}

/// `output` or `export`: a transformation, then a schema for its result.
#[derive(Clone, Debug, Default)]
pub struct DataOut {
    /// `output.as` or `export.as`.
    pub transform: Option<Template>,
    /// `output.schema` or `export.schema`.
    pub schema: Option<Schema>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name, unique in its list.
    pub name: String,
    /// Its place in the document, with index and name: `/do/0/tryGetPet/try/0/getPet`.
    pub pointer: String,
    /// Its definition as data, for `$task.definition`.
    pub definition: Value,
    /// `if`.
    pub condition: Option<Expression>,
    /// `input`.
    pub input: DataIn,
    /// `output`.
    pub output: DataOut,
    /// `export`.
    pub export: DataOut,
    /// `timeout`.
    pub timeout: Option<Delay>,
    /// `then`.
    pub then: Then,
    /// What it does.
    pub kind: TaskKind,
}

/// Where control goes after a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The next task of the list.
    #[default]
    Continue,
    /// Leave this list.
    Exit,
    /// Complete the whole instance.
    End,
    /// The task at this index of the same list; it may be an earlier one.
    Task(u32),
}

/// What a task does.
#[derive(Clone, Debug)]
pub enum TaskKind {
    /// `do`.
    Do(TaskList),
    /// `set`.
    Set(Template),
    /// `switch`: the first case whose condition holds (none: always).
    Switch(Vec<Case>),
    /// `for`.
    For(For),
    /// `fork`.
    Fork {
        /// The branches, each one task.
        branches: TaskList,
        /// The first branch to complete wins, and the others are cancelled.
        compete: bool,
    },
    /// `try`.
    Try {
        /// The body.
        body: TaskList,
        /// What to do about an error in it; boxed because it is large and rare.
        catch: Box<Catch>,
    },
    /// `wait`.
    Wait(Delay),
    /// `raise`.
    Raise(RaisedError),
    /// `emit`: the attributes of the event, its data among them.
    Emit(Template),
    /// `listen`.
    Listen(Box<Listen>),
    /// `call http`, `run shell`, or a call of an adapter's function.
    Activity(Box<ActivitySpec>),
    /// A call of a function that is itself a task: the arguments are that task's input.
    Function {
        /// `with`.
        arguments: Template,
        /// The schemas of the function, where it declares them.
        input: Option<Schema>,
        /// The function's body, compiled for this call.
        body: TaskId,
    },
    /// A task that the language has and this version does not run: it faults with `configuration`/501.
    Unsupported(String),
}

/// One case of a `switch`.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// `when`; absent for the default case.
    pub when: Option<Expression>,
    /// Where control goes.
    pub then: Then,
}

/// A `for` loop.
#[derive(Clone, Debug)]
pub struct For {
    /// The variable of the item, `item` by default.
    pub each: String,
    /// The variable of the index, `index` by default.
    pub at: String,
    /// The collection; evaluated once.
    pub items: Template,
    /// `while`, evaluated before each iteration.
    pub condition: Option<Expression>,
    /// The body.
    pub body: TaskList,
    /// How many iterations run at the same time; one after the other, each with the output of the one before, if absent.
    pub parallel: Option<Parallel>,
}

/// `metadata.ops.concurrency` of a loop: its iterations run side by side, and its output is the list of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallel {
    /// At most so many at the same time.
    pub concurrency: usize,
    /// Whether an iteration that fails leaves its error in the list, instead of ending the loop.
    pub collect: bool,
}

/// `catch` of a `try`.
#[derive(Clone, Debug)]
pub struct Catch {
    /// `errors.with`: all given members must be equal.
    pub filter: ErrorFilter,
    /// `as`, `error` by default.
    pub variable: String,
    /// `when`.
    pub when: Option<Expression>,
    /// `exceptWhen`.
    pub except_when: Option<Expression>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `do`.
    pub body: Option<TaskList>,
    /// `then` of the catch.
    pub then: Option<Then>,
}

/// The static filter of a `catch`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorFilter {
    /// The error's type; compared by kind for the standard ones, whichever host they are spelt with.
    pub kind: Option<String>,
    /// The status.
    pub status: Option<u16>,
    /// The instance pointer.
    pub instance: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The detail.
    pub detail: Option<String>,
}

/// A retry policy.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// Retry only when this holds.
    pub when: Option<Expression>,
    /// Do not retry when this holds.
    pub except_when: Option<Expression>,
    /// The base delay; none retries at once.
    pub delay: Option<Delay>,
    /// How the delay grows.
    pub backoff: Backoff,
    /// A uniform random addition from this range.
    pub jitter: Option<(Delay, Delay)>,
    /// How many retries after the first try.
    pub max_retries: Option<u64>,
    /// How long one attempt may take.
    pub attempt_duration: Option<Delay>,
    /// How long all attempts together may take.
    pub total_duration: Option<Delay>,
}

/// How the delay of a retry policy grows with the number of the retry, n from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Backoff {
    /// The delay itself.
    #[default]
    Constant,
    /// The delay times n.
    Linear,
    /// The delay times `factor` to the power of n - 1, at most `max_ms`.
    Exponential {
        /// 2 by default.
        factor: f64,
        /// No cap if absent.
        max_ms: Option<u64>,
    },
}

/// The error of a `raise`; each part may hold expressions.
#[derive(Clone, Debug)]
pub struct RaisedError {
    /// `type`.
    pub kind: Template,
    /// `status`.
    pub status: Template,
    /// `title`.
    pub title: Option<Template>,
    /// `detail`.
    pub detail: Option<Template>,
    /// `instance`; the task's own pointer if absent.
    pub instance: Option<Template>,
}

/// A unit of work for an adapter.
#[derive(Clone, Debug)]
pub struct ActivitySpec {
    /// The adapter, such as `http`.
    pub adapter: String,
    /// The adapter's function, such as `request`.
    pub function: String,
    /// Evaluates to the arguments that the adapter gets.
    pub arguments: Template,
    /// Whether it runs again after an interruption whose outcome nobody knows.
    pub restartable: bool,
    /// Whether the adapter can find out what became of an attempt that was cut off.
    pub probe: bool,
    /// Complete at once with the transformed input, and leave the activity to itself (`await: false`).
    pub detached: bool,
    /// On what it is done, if that is said.
    pub on: Option<On>,
    /// As whom it is done, if that is said.
    pub user: Option<RunAs>,
}

/// On what an activity is done.
#[derive(Clone, Debug)]
pub enum On {
    /// The target that this names.
    Target(Template),
    /// One that is selected first: the arguments of a [`crate::inventory::Selection`].
    Selected(Template),
}

/// What starts instances of a definition.
#[derive(Clone, Debug)]
pub struct TriggerSpec {
    /// Unique in the environment: `namespace/name/every`, `…/cron`, `…/on`. Without the version, so that a new
    /// version of a definition takes its triggers over.
    pub name: String,
    /// What it watches.
    pub watch: Watch,
}

/// What a trigger monitor watches.
#[derive(Clone, Debug)]
pub enum Watch {
    /// At a fixed interval, however long an instance takes.
    Every(Delay),
    /// So long after the last instance completed.
    After(Delay),
    /// At the times of a cron expression.
    Cron(String),
    /// When the events of `on` have come.
    Event(Box<Consumption>),
}
