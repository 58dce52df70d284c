//! Nodes with any number of results that are computed, rather than found in the input.

use std::collections::BTreeMap;

use super::compare;
use super::format;
use super::json::excerpt;
use super::machine::{Emit, Item, Machine};
use super::meter::STEP;
use super::node::{Format, Kind, Node, Piece};
use super::operators;
use super::scope::Scope;
use super::value::{Outcome, Stop, Text, Val};

impl<'v> Machine<'v> {
    /// Results that are computed, and so lie at no path.
    pub(super) fn run_computed(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let tracked = item.trail.is_some();
        let emit = &mut |value: Val<'v>| {
            if tracked {
                let shown = excerpt(&value);
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

    fn run_logic(
        &self,
        a: &'v Node,
        b: &'v Node,
        decides: bool,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
        emit: &mut dyn FnMut(Val<'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        self.run(a, scope, Item::plain(input.clone()), &mut |left| {
            if left.value.truthy() == decides {
                return emit(Val::Bool(decides));
            }
            self.run(b, scope, Item::plain(input.clone()), &mut |right| emit(Val::Bool(right.value.truthy())))
        })
    }

    /// Every pair of results; those of `b` in the outer loop, as in jq.
    fn pairs(
        &self,
        a: &'v Node,
        b: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
        emit: &mut dyn FnMut(Val<'v>, Val<'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        self.run(b, scope, Item::plain(input.clone()), &mut |right| {
            self.run(a, scope, Item::plain(input.clone()), &mut |left| {
                self.meter.spend(STEP)?;
                emit(left.value, right.value.clone())
            })
        })
    }

    /// Every combination of the results of `nodes`; those of the last one in the outermost loop.
    fn product(
        &self,
        nodes: &'v [Node],
        values: &mut Vec<Val<'v>>,
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
        emit: &mut dyn FnMut(&[Val<'v>]) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        let Some((last, rest)) = nodes.split_last() else {
            self.meter.spend(STEP)?;
            let ordered: Vec<_> = values.iter().rev().cloned().collect();
            return emit(&ordered);
        };
        self.run(last, scope, Item::plain(input.clone()), &mut |item| {
            values.push(item.value);
            let end = self.product(rest, values, scope, input, &mut *emit);
            values.pop();
            end
        })
    }

    fn run_text(
        &self,
        format: Format,
        pieces: &'v [Piece],
        text: String,
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
        emit: &mut dyn FnMut(Val<'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        let Some((piece, rest)) = pieces.split_first() else { return emit(Val::text(text)) };
        let _level = self.meter.descend()?;
        match piece {
            Piece::Fixed(fixed) => {
                let mut text = text;
                format::push(self, &mut text, fixed)?;
                self.run_text(format, rest, text, scope, input, emit)
            }
            Piece::Computed(node) => self.run(node, scope, Item::plain(input.clone()), &mut |item| {
                self.meter.allocate(text.len())?;
                let mut text = text.clone();
                format::write(self, format, &item.value, &mut text)?;
                self.run_text(format, rest, text, scope, input, &mut *emit)
            }),
        }
    }

    fn run_object(
        &self,
        entries: &'v [(Node, Node)],
        object: BTreeMap<Text<'v>, Val<'v>>,
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
        emit: &mut dyn FnMut(Val<'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        let Some(((key, value), rest)) = entries.split_first() else { return emit(self.object(object)?) };
        let _level = self.meter.descend()?;
        self.run(key, scope, Item::plain(input.clone()), &mut |key| {
            let key = self.key(key.value)?;
            self.run(value, scope, Item::plain(input.clone()), &mut |value| {
                self.meter.allocate((object.len() + 1) * size_of::<(Text<'_>, Val<'_>)>())?;
                let mut object = object.clone();
                object.insert(key.clone(), value.value);
                self.run_object(rest, object, scope, input, &mut *emit)
            })
        })
    }
}
