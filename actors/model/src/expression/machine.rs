//! The evaluator.
//!
//! A node with a single result is evaluated by [`Machine::value`], any other by [`Machine::run`], which hands
//! each result to a continuation. So nothing is evaluated before it is needed and `first` can stop early,
//! while the only state is the native stack, whose growth [`Meter::descend`] bounds.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::meter::Meter;
use super::node::{Kind, Node, Program};
use super::path::Trail;
use super::scope::Scope;
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
    ///
    /// Here and in [`Self::value`] every kind has a function of its own: without optimisation a function's frame
    /// holds what all of its branches need, and these two lie on the stack once for each level of nesting.
    pub(super) fn run(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        if node.single && item.trail.is_none() {
            return self.run_single(node, scope, item.value, emit);
        }
        let _level = self.meter.descend()?;
        self.meter.spend(1)?;
        match &node.kind {
            Kind::Identity => emit(item),
            Kind::Path(head, steps) => self.follow(head, steps, scope, item, emit),
            Kind::Pipe(a, b) => self.run_pipe(a, b, scope, item, emit),
            Kind::Comma(nodes) => self.run_comma(nodes, scope, item, emit),
            Kind::If(test, then, otherwise) => self.run_if(test, then, otherwise, scope, item, emit),
            Kind::Alternative(a, b) => self.run_alternative(a, b, scope, item, emit),
            Kind::Try(body, catch) => self.run_try(body, catch.as_deref(), scope, item, emit),
            Kind::Label(body) => self.run_label(body, scope, item, emit),
            Kind::Break(back) => Err(Stop::Break(scope.label(*back)?)),
            Kind::Bind(source, pattern, body) => self.run_bind(source, pattern, body, scope, item, emit),
            Kind::Reduce(fold) => self.run_reduce(fold, scope, item, emit),
            Kind::Foreach(fold, extract) => self.run_foreach(fold, extract.as_deref(), scope, item, emit),
            Kind::Call { function, back, arguments } => {
                self.run_function(*function, *back, arguments, scope, item, emit)
            }
            Kind::Parameter(back) => self.run_parameter(*back, scope, item, emit),
            Kind::Control(control, arguments) => self.run_control(control, arguments, scope, item, emit),
            _ => self.run_computed(node, scope, item, emit),
        }
    }

    fn run_single(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        emit(Item::plain(self.value(node, scope, input)?))
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
