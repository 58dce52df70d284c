//! The evaluator.
//!
//! A node with a single result is evaluated by [`Machine::value`], any other by [`Machine::run`], which hands
//! each result to a continuation. So nothing is evaluated before it is needed and `first` can stop early,
//! while the only state is the native stack, whose growth [`Meter::descend`] bounds.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::compare;
use super::format;
use super::meter::{Meter, STEP};
use super::node::{Kind, Node, Piece, Program};
use super::operators;
use super::path::Trail;
use super::scope::{Closure, Scope};
use super::value::{DEPTH_MAX, Dict, List, Outcome, OwnDict, OwnList, Stop, Text, Val};

/// What consumes the results of a node.
pub(super) type Emit<'c, 'v> = &'c mut (dyn FnMut(Item<'v>) -> Outcome<'v, ()> + 'c);

/// A value on its way through the program.
#[derive(Clone, Debug)]
pub(super) struct Item<'v> {
    pub(super) value: Val<'v>,
    /// Where it lies in the value that `path(..)` or an update looks at; `None` outside of these.
    pub(super) trail: Option<Trail<'v>>,
}

impl<'v> Item<'v> {
    /// A value of which nobody wants to know the path.
    pub(super) fn plain(value: Val<'v>) -> Self {
        Self { value, trail: None }
    }
}

/// One evaluation.
pub(super) struct Machine<'v> {
    pub(super) program: &'v Program,
    pub(super) globals: Vec<Val<'v>>,
    pub(super) meter: Meter,
    /// Regular expressions that were compiled, since most are used once for each item of a list.
    pub(super) patterns: RefCell<HashMap<(String, String), Rc<regex::Regex>>>,
    labels: Cell<u64>,
}

impl<'v> Machine<'v> {
    pub(super) fn new(program: &'v Program, globals: Vec<Val<'v>>, meter: Meter) -> Self {
        Self { program, globals, meter, patterns: RefCell::default(), labels: Cell::new(0) }
    }

    /// The first result of the program, if any.
    pub(super) fn first(&self, input: Val<'v>) -> Outcome<'v, Option<Val<'v>>> {
        let scope = Scope::root();
        let found = self.first_of(&self.program.root, &scope, Item::plain(input))?;
        Ok(found.map(|item| item.value))
    }

    /// The first result of a node, if any.
    pub(super) fn first_of(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
    ) -> Outcome<'v, Option<Item<'v>>> {
        let enough = self.fresh_label();
        let mut found = None;
        let end = self.run(node, scope, item, &mut |item| {
            found = Some(item);
            Err(Stop::Break(enough))
        });
        match end {
            Err(Stop::Break(label)) if label == enough => Ok(found),
            end => end.map(|()| found),
        }
    }

    /// All results of a node.
    pub(super) fn all(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v, Vec<Val<'v>>> {
        let mut values = Vec::new();
        self.run(node, scope, Item::plain(input), &mut |item| {
            self.meter.allocate(size_of::<Val<'v>>())?;
            values.push(item.value);
            Ok(())
        })?;
        Ok(values)
    }

    pub(super) fn fresh_label(&self) -> u64 {
        self.labels.set(self.labels.get() + 1);
        self.labels.get()
    }

    /// Hands each result of `node` to `emit`.
    pub(super) fn run(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        if node.single && item.trail.is_none() {
            return emit(Item::plain(self.value(node, scope, item.value)?));
        }
        let _level = self.meter.descend()?;
        self.meter.spend(1)?;
        match &node.kind {
            Kind::Identity => emit(item),
            Kind::Path(head, steps) => self.follow(head, steps, scope, item, emit),
            Kind::Pipe(a, b) => self.run_pipe(a, b, scope, item, emit),
            Kind::Comma(nodes) => nodes.iter().try_for_each(|node| {
                self.meter.spend(STEP)?;
                self.run(node, scope, item.clone(), &mut *emit)
            }),
            Kind::If(test, then, otherwise) => {
                self.run(test, scope, Item::plain(item.value.clone()), &mut |answer| {
                    let branch = if answer.value.truthy() { then } else { otherwise };
                    self.run(branch, scope, item.clone(), &mut *emit)
                })
            }
            Kind::Alternative(a, b) => self.run_alternative(a, b, scope, item, emit),
            Kind::Try(body, catch) => self.run_try(body, catch.as_deref(), scope, item, emit),
            Kind::Label(body) => {
                let label = self.fresh_label();
                match self.run(body, &scope.with_label(label), item, emit) {
                    Err(Stop::Break(to)) if to == label => Ok(()),
                    end => end,
                }
            }
            Kind::Break(back) => Err(Stop::Break(scope.label(*back)?)),
            Kind::Bind(source, pattern, body) => self.run_bind(source, pattern, body, scope, item, emit),
            Kind::Reduce(fold) => self.run_reduce(fold, scope, item, emit),
            Kind::Foreach(fold, extract) => self.run_foreach(fold, extract.as_deref(), scope, item, emit),
            Kind::Call { function, back, arguments } => {
                let Some(body) = self.program.functions.get(*function) else { return Ok(()) };
                self.meter.spend(STEP)?;
                self.run_call(body, arguments, scope, scope.outer(*back), item, emit)
            }
            Kind::Parameter(back) => {
                let Closure { node, scope } = scope.closure(*back)?;
                self.run(node, scope, item, emit)
            }
            Kind::Control(control, arguments) => self.run_control(control, arguments, scope, item, emit),
            _ => self.run_computed(node, scope, item, emit),
        }
    }

    /// Results that are computed, and so lie at no path.
    fn run_computed(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let tracked = item.trail.is_some();
        let emit = &mut |value: Val<'v>| {
            if tracked {
                let shown = super::json::excerpt(&value);
                return Err(Stop::raise(format!("invalid path expression with result {shown}")));
            }
            emit(Item::plain(value))
        };
        let input = item.value;
        if node.single {
            return emit(self.value(node, scope, input)?);
        }
        match &node.kind {
            Kind::Negate(a) => {
                self.run(a, scope, Item::plain(input), &mut |a| emit(operators::negate(a.value)?))
            }
            Kind::Compare(op, a, b) => self.pairs(a, b, scope, input, &mut |a, b| {
                emit(Val::Bool(compare::test(&self.meter, *op, &a, &b)?))
            }),
            Kind::Math(op, a, b) => {
                self.pairs(a, b, scope, input, &mut |a, b| emit(operators::calculate(self, *op, a, b)?))
            }
            Kind::And(a, b) => self.run_logic(a, b, false, scope, input, emit),
            Kind::Or(a, b) => self.run_logic(a, b, true, scope, input, emit),
            Kind::Text(format, pieces) => self.run_text(*format, pieces, String::new(), scope, &input, emit),
            Kind::Object(entries) => self.run_object(entries, BTreeMap::new(), scope, &input, emit),
            Kind::Native(function, arguments) => {
                self.product(arguments, &mut Vec::new(), scope, &input, &mut |values| {
                    emit(function(self, input.clone(), values)?)
                })
            }
            Kind::Assign(paths, value) => self.run(value, scope, Item::plain(input.clone()), &mut |value| {
                emit(self.assign(paths, value.value, scope, input.clone())?)
            }),
            Kind::UpdateWith(change, paths, value) => {
                self.run(value, scope, Item::plain(input.clone()), &mut |value| {
                    emit(self.update_with(*change, paths, value.value, scope, input.clone())?)
                })
            }
            _ => Err(Stop::Limit("met a node of an unknown kind")),
        }
    }

    /// The one result of a node that has exactly one.
    pub(super) fn value(&self, node: &'v Node, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        self.meter.spend(1)?;
        match &node.kind {
            Kind::Identity => return Ok(input),
            Kind::Literal(value) => return Ok(Val::lend(value)),
            Kind::Global(index) => return Ok(self.globals.get(*index).cloned().unwrap_or(Val::Null)),
            Kind::Variable(back) => return scope.value(*back),
            _ => {}
        }
        let _level = self.meter.descend()?;
        match &node.kind {
            Kind::Path(head, steps) => self.follow_one(head, steps, scope, input),
            Kind::Pipe(a, b) => {
                let middle = self.value(a, scope, input)?;
                self.value(b, scope, middle)
            }
            Kind::If(test, then, otherwise) => {
                let answer = self.value(test, scope, input.clone())?;
                self.value(if answer.truthy() { then } else { otherwise }, scope, input)
            }
            Kind::And(a, b) => {
                let both =
                    self.value(a, scope, input.clone())?.truthy() && self.value(b, scope, input)?.truthy();
                Ok(Val::Bool(both))
            }
            Kind::Or(a, b) => {
                let any =
                    self.value(a, scope, input.clone())?.truthy() || self.value(b, scope, input)?.truthy();
                Ok(Val::Bool(any))
            }
            Kind::Alternative(a, b) => match self.value(a, scope, input.clone()) {
                Ok(value) if value.truthy() => Ok(value),
                Ok(_) | Err(Stop::Raised(_)) => self.value(b, scope, input),
                Err(stop) => Err(stop),
            },
            Kind::Negate(a) => operators::negate(self.value(a, scope, input)?),
            Kind::Compare(op, a, b) => {
                let right = self.value(b, scope, input.clone())?;
                let left = self.value(a, scope, input)?;
                Ok(Val::Bool(compare::test(&self.meter, *op, &left, &right)?))
            }
            Kind::Math(op, a, b) => {
                let right = self.value(b, scope, input.clone())?;
                // The left side gets the input itself, so that `. + [1]` can append in place.
                let left = self.value(a, scope, input)?;
                operators::calculate(self, *op, left, right)
            }
            Kind::Array(None) => self.array(Vec::new()),
            Kind::Array(Some(items)) => self.array(self.all(items, scope, input)?),
            Kind::Native(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.value(argument, scope, input.clone())?);
                }
                function(self, input, &values)
            }
            _ => self.value_of_rare(node, scope, input),
        }
    }

    /// The rest of [`Self::value`], apart so that the frames of the common kinds stay small.
    #[inline(never)]
    fn value_of_rare(&self, node: &'v Node, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        match &node.kind {
            Kind::Text(format, pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Fixed(fixed) => format::push(self, &mut text, fixed)?,
                        Piece::Computed(node) => {
                            let value = self.value(node, scope, input.clone())?;
                            format::write(self, *format, &value, &mut text)?;
                        }
                    }
                }
                Ok(Val::text(text))
            }
            Kind::Object(entries) => {
                let mut object = BTreeMap::new();
                for (key, value) in entries {
                    let key = self.key(self.value(key, scope, input.clone())?)?;
                    object.insert(key, self.value(value, scope, input.clone())?);
                }
                self.object(object)
            }
            Kind::Update(paths, update) => self.update(paths, update, scope, input),
            Kind::Try(body, Some(catch)) => match self.value(body, scope, input) {
                Err(Stop::Raised(error)) => self.value(catch, scope, *error),
                end => end,
            },
            Kind::Control(control, arguments) => self.value_of_control(control, arguments, scope, input),
            // What binds needs a frame for its scope, and that is what `run` knows how to do.
            _ => {
                let mut result = None;
                let emit: Emit<'_, 'v> = &mut |item| {
                    result = Some(item.value);
                    Ok(())
                };
                match &node.kind {
                    Kind::Bind(source, pattern, body) => {
                        self.run_bind(source, pattern, body, scope, Item::plain(input), emit)?;
                    }
                    Kind::Reduce(fold) => self.run_reduce(fold, scope, Item::plain(input), emit)?,
                    Kind::Call { function, back, arguments } => {
                        self.meter.spend(STEP)?;
                        if let Some(body) = self.program.functions.get(*function) {
                            let outer = scope.outer(*back);
                            self.run_call(body, arguments, scope, outer, Item::plain(input), emit)?;
                        }
                    }
                    Kind::Assign(paths, value) => {
                        let value = self.value(value, scope, input.clone())?;
                        return self.assign(paths, value, scope, input);
                    }
                    Kind::UpdateWith(change, paths, value) => {
                        let value = self.value(value, scope, input.clone())?;
                        return self.update_with(*change, paths, value, scope, input);
                    }
                    _ => return Err(Stop::Limit("met a node of an unknown kind")),
                }
                Ok(result.unwrap_or(Val::Null))
            }
        }
    }

    /// An array of `items`, whose places were paid for.
    pub(super) fn array(&self, items: Vec<Val<'v>>) -> Outcome<'v> {
        self.meter.allocate(size_of::<OwnList<'_>>())?;
        let depth = self.nest(items.iter())?;
        Ok(Val::Arr(List::Own(Rc::new(OwnList { items, depth }))))
    }

    /// An object, which is paid for here.
    pub(super) fn object(&self, entries: BTreeMap<Text<'v>, Val<'v>>) -> Outcome<'v> {
        self.meter.allocate(entries.len() * size_of::<(Text<'_>, Val<'_>)>() + size_of::<OwnDict<'_>>())?;
        let depth = self.nest(entries.values())?;
        Ok(Val::Obj(Dict::Own(Rc::new(OwnDict { entries, depth }))))
    }

    /// A string, which is paid for here.
    pub(super) fn string(&self, text: impl Into<String>) -> Outcome<'v> {
        let text = text.into();
        self.meter.allocate(text.len())?;
        Ok(Val::text(text))
    }

    /// The depth of a container with these `children`.
    pub(super) fn nest<'a>(&self, children: impl Iterator<Item = &'a Val<'v>>) -> Outcome<'v, usize>
    where
        'v: 'a,
    {
        let depth = 1 + children.map(Val::depth).max().unwrap_or(0);
        if depth > DEPTH_MAX { Err(TOO_DEEP) } else { Ok(depth) }
    }

    /// A value as the key of an object.
    pub(super) fn key(&self, value: Val<'v>) -> Outcome<'v, Text<'v>> {
        match value {
            Val::Str(text) => Ok(text),
            other => {
                let shown = super::json::excerpt(&other);
                Err(Stop::raise(format!("object keys must be strings, not {} ({shown})", other.kind())))
            }
        }
    }
}

/// A built value, or a value that is read recursively, nests too deep.
pub(super) const TOO_DEEP: Stop<'static> = Stop::Limit("handles a value that nests deeper than 100 levels");
