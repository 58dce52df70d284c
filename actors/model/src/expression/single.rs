//! Nodes with exactly one result, which need no continuation.

use std::collections::BTreeMap;

use jaq_core::ops::{Cmp, Math};

use super::compare;
use super::format;
use super::machine::{Emit, Item, Machine};
use super::natives::Function;
use super::node::{Format, Kind, Node, Piece};
use super::operators;
use super::scope::Scope;
use super::value::{Outcome, Stop, Val};

impl<'v> Machine<'v> {
    /// The one result of a node that has exactly one.
    pub(super) fn value(&self, node: &'v Node, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        self.meter.spend(1)?;
        match &node.kind {
            Kind::Identity => Ok(input),
            Kind::Literal(value) => Ok(Val::lend(value)),
            Kind::Global(index) => Ok(self.globals.get(*index).cloned().unwrap_or(Val::Null)),
            Kind::Variable(back) => scope.value(*back),
            _ => self.value_of_compound(node, scope, input),
        }
    }

    fn value_of_compound(&self, node: &'v Node, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        let _level = self.meter.descend()?;
        match &node.kind {
            Kind::Path(head, steps) => self.follow_one(head, steps, scope, input),
            Kind::Pipe(a, b) => self.value_of_pipe(a, b, scope, input),
            Kind::If(test, then, otherwise) => self.value_of_if(test, then, otherwise, scope, input),
            Kind::And(a, b) => self.value_of_logic(a, b, false, scope, input),
            Kind::Or(a, b) => self.value_of_logic(a, b, true, scope, input),
            Kind::Alternative(a, b) => self.value_of_alternative(a, b, scope, input),
            Kind::Negate(a) => operators::negate(self.value(a, scope, input)?),
            Kind::Compare(op, a, b) => self.value_of_comparison(*op, a, b, scope, input),
            Kind::Math(op, a, b) => self.value_of_math(*op, a, b, scope, input),
            Kind::Array(items) => self.value_of_array(items.as_deref(), scope, input),
            Kind::Native(function, arguments) => self.value_of_native(*function, arguments, scope, input),
            Kind::Text(format, pieces) => self.value_of_text(*format, pieces, scope, &input),
            Kind::Object(entries) => self.value_of_object(entries, scope, &input),
            Kind::Try(body, Some(catch)) => self.value_of_try(body, catch, scope, input),
            Kind::Control(control, arguments) => self.value_of_control(control, arguments, scope, input),
            Kind::Update(paths, update) => self.update(paths, update, scope, input),
            Kind::Assign(paths, value) => {
                self.assign(paths, self.value(value, scope, input.clone())?, scope, input)
            }
            Kind::UpdateWith(change, paths, value) => {
                self.update_with(*change, paths, self.value(value, scope, input.clone())?, scope, input)
            }
            _ => self.value_of_binding(node, scope, input),
        }
    }

    fn value_of_pipe(&self, a: &'v Node, b: &'v Node, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        let middle = self.value(a, scope, input)?;
        self.value(b, scope, middle)
    }

    fn value_of_if(
        &self,
        test: &'v Node,
        then: &'v Node,
        otherwise: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let answer = self.value(test, scope, input.clone())?;
        self.value(if answer.truthy() { then } else { otherwise }, scope, input)
    }

    fn value_of_logic(
        &self,
        a: &'v Node,
        b: &'v Node,
        decides: bool,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let left = self.value(a, scope, input.clone())?.truthy();
        Ok(Val::Bool(if left == decides { left } else { self.value(b, scope, input)?.truthy() }))
    }

    fn value_of_alternative(
        &self,
        a: &'v Node,
        b: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        match self.value(a, scope, input.clone()) {
            Ok(value) if value.truthy() => Ok(value),
            Ok(_) | Err(Stop::Raised(_)) => self.value(b, scope, input),
            Err(stop) => Err(stop),
        }
    }

    fn value_of_comparison(
        &self,
        op: Cmp,
        a: &'v Node,
        b: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let right = self.value(b, scope, input.clone())?;
        let left = self.value(a, scope, input)?;
        Ok(Val::Bool(compare::test(&self.meter, op, &left, &right)?))
    }

    fn value_of_math(
        &self,
        op: Math,
        a: &'v Node,
        b: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let right = self.value(b, scope, input.clone())?;
        // The left side gets the input itself, so that `. + [1]` can append in place.
        let left = self.value(a, scope, input)?;
        operators::calculate(self, op, left, right)
    }

    fn value_of_array(&self, items: Option<&'v Node>, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        match items {
            None => self.array(Vec::new()),
            Some(items) => self.array(self.all(items, scope, input)?),
        }
    }

    fn value_of_native(
        &self,
        function: Function,
        arguments: &'v [Node],
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument, scope, input.clone())?);
        }
        function(self, input, &values)
    }

    fn value_of_text(
        &self,
        format: Format,
        pieces: &'v [Piece],
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
    ) -> Outcome<'v> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Fixed(fixed) => format::push(self, &mut text, fixed)?,
                Piece::Computed(node) => {
                    let value = self.value(node, scope, input.clone())?;
                    format::write(self, format, &value, &mut text)?;
                }
            }
        }
        Ok(Val::text(text))
    }

    fn value_of_object(
        &self,
        entries: &'v [(Node, Node)],
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
    ) -> Outcome<'v> {
        let mut object = BTreeMap::new();
        for (key, value) in entries {
            let key = self.key(self.value(key, scope, input.clone())?)?;
            object.insert(key, self.value(value, scope, input.clone())?);
        }
        self.object(object)
    }

    fn value_of_try(
        &self,
        body: &'v Node,
        catch: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        match self.value(body, scope, input) {
            Err(Stop::Raised(error)) => self.value(catch, scope, *error),
            end => end,
        }
    }

    /// What binds names needs a frame for its scope, and that is what the functions of `flow` know how to do.
    fn value_of_binding(&self, node: &'v Node, scope: &Scope<'_, 'v>, input: Val<'v>) -> Outcome<'v> {
        let mut result = Val::Null;
        let emit: Emit<'_, 'v> = &mut |item| {
            result = item.value;
            Ok(())
        };
        let item = Item::plain(input);
        match &node.kind {
            Kind::Bind(source, pattern, body) => self.run_bind(source, pattern, body, scope, item, emit)?,
            Kind::Reduce(fold) => self.run_reduce(fold, scope, item, emit)?,
            Kind::Call { function, back, arguments } => {
                self.run_function(*function, *back, arguments, scope, item, emit)?;
            }
            _ => return Err(Stop::Limit("met a node of an unknown kind")),
        }
        Ok(result)
    }
}
