//! The checked program: names are resolved, so that evaluation only follows indices.

use std::sync::Arc;

use jaq_core::ops::{Cmp, Math};
use serde_json::Value;

use super::natives::{Control, Function};

/// A whole program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) root: Node,
    /// The bodies of the functions that it calls.
    pub(super) functions: Vec<Node>,
    /// The variables that it uses, by the index in [`Kind::Global`].
    pub(super) uses: Vec<String>,
}

/// A part of a program.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Whether it gives exactly one result (or fails): then no continuation is needed to evaluate it.
    pub(super) single: bool,
}

/// What a node does.
#[derive(Debug)]
pub(super) enum Kind {
    Identity,
    Literal(Value),
    Global(usize),
    /// A variable, by how many bindings lie between.
    Variable(usize),
    Path(Box<Node>, Vec<Step>),
    Text(Format, Vec<Piece>),
    Array(Option<Box<Node>>),
    Object(Vec<(Node, Node)>),
    Negate(Box<Node>),
    Pipe(Box<Node>, Box<Node>),
    Comma(Vec<Node>),
    Alternative(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Cmp, Box<Node>, Box<Node>),
    Math(Math, Box<Node>, Box<Node>),
    Bind(Box<Node>, Pattern, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Try(Box<Node>, Option<Box<Node>>),
    Label(Box<Node>),
    Break(usize),
    Reduce(Box<Fold>),
    Foreach(Box<Fold>, Option<Box<Node>>),
    /// `paths = value`
    Assign(Box<Node>, Box<Node>),
    /// `paths |= update`
    Update(Box<Node>, Box<Node>),
    /// `paths op= value`
    UpdateWith(Change, Box<Node>, Box<Node>),
    /// A defined function; `back` bindings lie between the call and the definition.
    Call {
        function: usize,
        back: usize,
        arguments: Vec<Argument>,
    },
    /// A function that was passed as an argument.
    Parameter(usize),
    Native(Function, Vec<Node>),
    Control(Control, Vec<Node>),
}

/// How an update combines the old value with the new.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Math(Math),
    Alternative,
}

/// An argument of a call.
#[derive(Debug)]
pub(super) enum Argument {
    /// `f` in `def g(f): ..`
    Closure(Node),
    /// `$x` in `def g($x): ..`
    Value(Node),
}

/// The parts of `reduce` and `foreach`.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) source: Node,
    pub(super) pattern: Pattern,
    pub(super) start: Node,
    pub(super) update: Node,
}

/// For each variable of a pattern, in order, the keys that lead to its value.
pub(super) type Pattern = Vec<Vec<Arc<Node>>>;

/// One part of a path, such as `.a` or `[1:]?`.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) part: Part,
    pub(super) optional: bool,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Part {
    Field(String),
    Index(Node),
    Slice(Option<Node>, Option<Node>),
    Each,
}

/// One part of a string with interpolation.
#[derive(Debug)]
pub(super) enum Piece {
    Fixed(String),
    Computed(Node),
}

/// How a value is written into a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Csv,
    Tsv,
    Html,
    Uri,
    UriDecode,
    Shell,
    Base64,
    Base64Decode,
}

impl Format {
    /// All formats by their names.
    pub(super) const ALL: [(&'static str, Self); 10] = [
        ("@text", Self::Text),
        ("@json", Self::Json),
        ("@csv", Self::Csv),
        ("@tsv", Self::Tsv),
        ("@html", Self::Html),
        ("@uri", Self::Uri),
        ("@urid", Self::UriDecode),
        ("@sh", Self::Shell),
        ("@base64", Self::Base64),
        ("@base64d", Self::Base64Decode),
    ];
}

impl Node {
    /// A node, with what it is made of deciding whether it gives a single result.
    pub(super) fn new(kind: Kind, functions: &[Node]) -> Self {
        let single = kind.single(functions);
        Self { kind, single }
    }
}

impl Kind {
    fn single(&self, functions: &[Node]) -> bool {
        match self {
            Self::Identity | Self::Literal(_) | Self::Global(_) | Self::Variable(_) => true,
            Self::Array(_) | Self::Update(..) => true,
            Self::Comma(_) | Self::Label(_) | Self::Break(_) | Self::Foreach(..) => false,
            Self::Parameter(_) | Self::Control(Control::Stream(_), _) | Self::Try(_, None) => false,
            Self::Path(head, steps) => head.single && steps.iter().all(Step::single),
            Self::Text(_, pieces) => pieces.iter().all(|p| match p {
                Piece::Fixed(_) => true,
                Piece::Computed(node) => node.single,
            }),
            Self::Object(entries) => entries.iter().all(|(k, v)| k.single && v.single),
            Self::Negate(a) => a.single,
            Self::Pipe(a, b) | Self::Alternative(a, b) | Self::And(a, b) | Self::Or(a, b) => {
                a.single && b.single
            }
            Self::Compare(_, a, b) | Self::Math(_, a, b) | Self::Bind(a, _, b) => a.single && b.single,
            Self::If(a, b, c) => a.single && b.single && c.single,
            Self::Try(a, Some(b)) => a.single && b.single,
            Self::Reduce(fold) => fold.start.single,
            Self::Assign(_, value) | Self::UpdateWith(_, _, value) => value.single,
            Self::Call { function, arguments, .. } => {
                functions.get(*function).is_some_and(|f| f.single)
                    && arguments.iter().all(|a| match a {
                        Argument::Closure(_) => true,
                        Argument::Value(node) => node.single,
                    })
            }
            Self::Native(_, arguments) => arguments.iter().all(|a| a.single),
            Self::Control(Control::Keyed(_) | Control::Walk, _) => true,
        }
    }
}

impl Step {
    fn single(&self) -> bool {
        let bound = |node: &Option<Node>| node.as_ref().is_none_or(|n| n.single);
        !self.optional
            && match &self.part {
                Part::Field(_) => true,
                Part::Index(node) => node.single,
                Part::Slice(from, to) => bound(from) && bound(to),
                Part::Each => false,
            }
    }
}
