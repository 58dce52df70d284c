//! From the syntax tree to a program: every name is resolved, and whatever could run without end is refused.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jaq_core::load::parse::{Def, Pattern as Pat, Term};
use jaq_core::load::{parse, span};

use super::ExpressionError;
use super::names;
use super::natives::{self, Native};
use super::node::{Argument, Format, Kind, Node, Pattern, Program};

/// How deep the tree of a program may nest.
const TREE_DEPTH_MAX: usize = 150;

/// The library, parsed; it is part of this source, and the tests see to it that it parses.
static LIBRARY: LazyLock<Vec<Def<&'static str>>> =
    LazyLock::new(|| parse(include_str!("library.jq"), |parser| parser.defs()).unwrap_or_default());

type Compiled<T = Node> = Result<T, ExpressionError>;

/// Compiles a program in which the `variables` are bound.
pub(super) fn compile(source: &str, term: Term<&str>, variables: &[&str]) -> Compiled<Program> {
    let mut compiler = Compiler {
        source,
        variables,
        names: Vec::new(),
        functions: Vec::new(),
        by_value: Vec::new(),
        library: HashMap::new(),
        uses: Vec::new(),
        depth: 0,
    };
    let root = compiler.node(&term)?;
    Ok(Program { root, functions: compiler.functions, uses: compiler.uses })
}

/// A name in scope. All but functions take a frame when the program runs.
#[derive(Debug)]
enum Name {
    Variable(String),
    Closure(String),
    Label(String),
    /// A function and the number of frames that its definition sees.
    Function {
        name: String,
        arity: usize,
        index: usize,
        frames: usize,
    },
    /// A function whose body is being compiled.
    Open {
        name: String,
        arity: usize,
    },
}

/// The state of a compilation. The parts of it that deal with operators and with data are in `compile_terms`.
pub(super) struct Compiler<'p> {
    source: &'p str,
    variables: &'p [&'p str],
    names: Vec<Name>,
    functions: Vec<Node>,
    /// For each function, which of its parameters are values (`$x`).
    by_value: Vec<Vec<bool>>,
    /// The functions of the library that were compiled already.
    library: HashMap<(&'static str, usize), usize>,
    uses: Vec<String>,
    depth: usize,
}

impl Compiler<'_> {
    pub(super) fn node(&mut self, term: &Term<&str>) -> Compiled {
        self.depth += 1;
        if self.depth > TREE_DEPTH_MAX {
            return Err(self.error(format!("expected terms to nest at most {TREE_DEPTH_MAX} deep"), ""));
        }
        let kind = match term {
            Term::Var(name) => self.variable(name)?,
            Term::Call(name, arguments) => self.call(name, arguments)?,
            Term::Def(definitions, body) => return self.definitions(definitions, body),
            Term::Label(name, body) => {
                Kind::Label(Box::new(self.within(vec![Name::Label((*name).to_owned())], |c| c.node(body))?))
            }
            Term::Break(name) => self.break_to(name)?,
            term => self.plain(term)?,
        };
        self.depth -= 1;
        Ok(self.made(kind))
    }

    pub(super) fn made(&self, kind: Kind) -> Node {
        Node::new(kind, &self.functions)
    }

    /// An error about `part` of the source.
    pub(super) fn error(&self, message: impl Into<String>, part: &str) -> ExpressionError {
        let places = self.source.as_bytes().as_ptr_range();
        // Names inside of the library are no part of the source.
        let inside = !part.is_empty() && places.contains(&part.as_ptr());
        ExpressionError { message: message.into(), span: inside.then(|| span(self.source, part)) }
    }

    /// Compiles with more names in scope.
    pub(super) fn with_variables<T>(
        &mut self,
        variables: Vec<String>,
        compile: impl FnOnce(&mut Self) -> Compiled<T>,
    ) -> Compiled<T> {
        self.within(variables.into_iter().map(Name::Variable).collect(), compile)
    }

    fn within<T>(&mut self, names: Vec<Name>, compile: impl FnOnce(&mut Self) -> Compiled<T>) -> Compiled<T> {
        let before = self.names.len();
        self.names.extend(names);
        let compiled = compile(self);
        self.names.truncate(before);
        compiled
    }

    fn frames(&self) -> usize {
        self.names.iter().filter(|name| name.has_frame()).count()
    }

    /// How many frames lie between here and the name that fits.
    fn back_to(&self, fits: impl Fn(&Name) -> bool) -> Option<usize> {
        let position = self.names.iter().rposition(fits)?;
        Some(self.names.iter().skip(position + 1).filter(|name| name.has_frame()).count())
    }

    fn variable(&mut self, name: &str) -> Compiled<Kind> {
        if let Some(back) = self.back_to(|n| matches!(n, Name::Variable(bound) if bound == name)) {
            return Ok(Kind::Variable(back));
        }
        let global = name.strip_prefix('$').unwrap_or(name);
        if !self.variables.contains(&global) {
            let message = names::left_out(name).unwrap_or_else(|| {
                let local = self.names.iter().filter_map(|n| match n {
                    Name::Variable(bound) => Some(bound.clone()),
                    _ => None,
                });
                let bound: Vec<_> = local.chain(self.variables.iter().map(|v| format!("${v}"))).collect();
                names::unknown_variable(name, bound.iter().map(String::as_str))
            });
            return Err(self.error(message, name));
        }
        let index = self.uses.iter().position(|used| used == global).unwrap_or_else(|| {
            self.uses.push(global.to_owned());
            self.uses.len() - 1
        });
        Ok(Kind::Global(index))
    }

    fn break_to(&mut self, name: &str) -> Compiled<Kind> {
        let back = self.back_to(|n| matches!(n, Name::Label(label) if label == name));
        back.map(Kind::Break).ok_or_else(|| self.error(format!("unknown label `{name}`"), name))
    }

    fn call(&mut self, name: &str, arguments: &[Term<&str>]) -> Compiled<Kind> {
        let arity = arguments.len();
        let fits = |n: &Name| match n {
            Name::Closure(closure) => arity == 0 && closure == name,
            Name::Function { name: other, arity: a, .. } | Name::Open { name: other, arity: a } => {
                *a == arity && other == name
            }
            Name::Variable(_) | Name::Label(_) => false,
        };
        match self.names.iter().rev().find(|n| fits(n)) {
            Some(Name::Open { .. }) => {
                let message = format!(
                    "`{name}` calls itself: expressions have no recursion; use `reduce`, `recurse`, `until` or `walk`"
                );
                Err(self.error(message, name))
            }
            Some(Name::Function { index, frames, .. }) => {
                let (function, frames) = (*index, *frames);
                self.call_of(function, frames, arguments)
            }
            Some(_) => Ok(Kind::Parameter(self.back_to(fits).unwrap_or_default())),
            None => self.call_global(name, arguments),
        }
    }

    fn call_of(&mut self, function: usize, frames: usize, arguments: &[Term<&str>]) -> Compiled<Kind> {
        let back = self.frames() - frames;
        let by_value = self.by_value.get(function).cloned().unwrap_or_default();
        let argument = |(term, by_value)| {
            let node = self.node(term)?;
            Ok(if by_value { Argument::Value(node) } else { Argument::Closure(node) })
        };
        let arguments = arguments.iter().zip(by_value).map(argument).collect::<Compiled<_>>()?;
        Ok(Kind::Call { function, back, arguments })
    }

    fn call_global(&mut self, name: &str, arguments: &[Term<&str>]) -> Compiled<Kind> {
        let arity = arguments.len();
        if let Some(message) = names::left_out(name) {
            return Err(self.error(message, name));
        }
        if let Some((_, format)) = Format::ALL.iter().find(|entry| entry.0 == name && arity == 0) {
            let piece = super::node::Piece::Computed(self.made(Kind::Identity));
            return Ok(Kind::Text(*format, vec![piece]));
        }
        if name.starts_with('@') {
            return Err(self.error(names::unknown_format(name), name));
        }
        // The library may use what it hides from programs.
        let hidden = name.starts_with('_') && self.error("", name).span.is_some();
        if let Some(definition) =
            LIBRARY.iter().find(|d| d.name == name && d.args.len() == arity).filter(|_| !hidden)
        {
            return self.call_library(definition, arguments);
        }
        match natives::find(name, arity).filter(|_| !hidden) {
            Some(Native::Function(function)) => Ok(Kind::Native(
                function,
                arguments.iter().map(|term| self.node(term)).collect::<Compiled<_>>()?,
            )),
            Some(Native::Control(control)) => Ok(Kind::Control(
                control,
                arguments.iter().map(|term| self.node(term)).collect::<Compiled<_>>()?,
            )),
            None => {
                let local = self.names.iter().filter_map(|n| match n {
                    Name::Function { name, arity, .. } => Some((name.as_str(), *arity)),
                    Name::Closure(name) => Some((name.as_str(), 0)),
                    _ => None,
                });
                let library = LIBRARY.iter().map(|d| (d.name, d.args.len()));
                Err(self.error(names::unknown_function(name, arity, local.chain(library)), name))
            }
        }
    }

    /// A function of the library sees nothing but the library.
    fn call_library(&mut self, definition: &Def<&'static str>, arguments: &[Term<&str>]) -> Compiled<Kind> {
        let key = (definition.name, definition.args.len());
        let function = match self.library.get(&key) {
            Some(function) => *function,
            None => {
                let names = std::mem::take(&mut self.names);
                let depth = std::mem::take(&mut self.depth);
                let compiled = self.function(definition.name, &definition.args, &definition.body);
                self.names = names;
                self.depth = depth;
                let function = compiled?;
                self.library.insert(key, function);
                function
            }
        };
        self.call_of(function, 0, arguments)
    }

    fn definitions(&mut self, definitions: &[Def<&str>], body: &Term<&str>) -> Compiled {
        let before = self.names.len();
        for definition in definitions {
            let frames = self.frames();
            let index = self.function(definition.name, &definition.args, &definition.body)?;
            let (name, arity) = (definition.name.to_owned(), definition.args.len());
            self.names.push(Name::Function { name, arity, index, frames });
        }
        let body = self.node(body);
        self.names.truncate(before);
        self.depth -= 1;
        body
    }

    /// Compiles the body of a function. Its parameters are bound in order.
    fn function(&mut self, name: &str, parameters: &[&str], body: &Term<&str>) -> Compiled<usize> {
        let mut names = vec![Name::Open { name: name.to_owned(), arity: parameters.len() }];
        names.extend(parameters.iter().map(|parameter| match parameter.starts_with('$') {
            true => Name::Variable((*parameter).to_owned()),
            false => Name::Closure((*parameter).to_owned()),
        }));
        let body = self.within(names, |c| c.node(body))?;
        self.functions.push(body);
        self.by_value.push(parameters.iter().map(|parameter| parameter.starts_with('$')).collect());
        Ok(self.functions.len() - 1)
    }

    /// A pattern, flattened to one path of keys for each of its variables.
    pub(super) fn pattern(&mut self, pattern: &Pat<&str>) -> Compiled<(Pattern, Vec<String>)> {
        let (mut paths, mut variables) = (Vec::new(), Vec::new());
        self.leaves(pattern, &[], &mut paths, &mut variables)?;
        Ok((paths, variables))
    }

    fn leaves(
        &mut self,
        pattern: &Pat<&str>,
        keys: &[Arc<Node>],
        paths: &mut Pattern,
        variables: &mut Vec<String>,
    ) -> Compiled<()> {
        let then = |key: Node| keys.iter().cloned().chain([Arc::new(key)]).collect::<Vec<_>>();
        match pattern {
            Pat::Var(name) => {
                paths.push(keys.to_vec());
                variables.push((*name).to_owned());
            }
            Pat::Arr(items) => {
                for (i, item) in items.iter().enumerate() {
                    let keys = then(self.made(Kind::Literal(i.into())));
                    self.leaves(item, &keys, paths, variables)?;
                }
            }
            Pat::Obj(entries) => {
                for (key, value) in entries {
                    let key = self.node(key)?;
                    if !key.single {
                        return Err(
                            self.error("expected each key of a pattern to give exactly one value", "")
                        );
                    }
                    self.leaves(value, &then(key), paths, variables)?;
                }
            }
        }
        Ok(())
    }
}

impl Name {
    fn has_frame(&self) -> bool {
        matches!(self, Self::Variable(_) | Self::Closure(_) | Self::Label(_))
    }
}
