//! The parts of the evaluator that decide what runs when: pipes, alternatives, bindings, folds and calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::format;
use super::machine::{Emit, Item, Machine};
use super::meter::STEP;
use super::node::{Argument, Fold, Format, Node, Pattern, Piece};
use super::scope::{Closure, Scope};
use super::value::{Outcome, Stop, Text, Val};

impl<'v> Machine<'v> {
    pub(super) fn run_pipe(
        &self,
        a: &'v Node,
        b: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        if a.single && item.trail.is_none() {
            let middle = self.value(a, scope, item.value)?;
            return self.run(b, scope, Item::plain(middle), emit);
        }
        self.run(a, scope, item, &mut |middle| self.run(b, scope, middle, &mut *emit))
    }

    /// `a // b`: all results of `a` that are neither null nor false; if there is none, those of `b`.
    pub(super) fn run_alternative(
        &self,
        a: &'v Node,
        b: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let (mut any, mut passed_on) = (false, false);
        let end = self.run(a, scope, item.clone(), &mut |found| {
            if !found.value.truthy() {
                return Ok(());
            }
            any = true;
            emit(found).inspect_err(|_| passed_on = true)
        });
        match end {
            // An error of `a` counts as its end, but one of what consumes its results does not belong to it.
            Ok(()) | Err(Stop::Raised(_)) if !passed_on => {
                if any {
                    Ok(())
                } else {
                    self.run(b, scope, item, emit)
                }
            }
            end => end,
        }
    }

    pub(super) fn run_try(
        &self,
        body: &'v Node,
        catch: Option<&'v Node>,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let mut passed_on = false;
        let end = self.run(body, scope, item, &mut |found| emit(found).inspect_err(|_| passed_on = true));
        match (end, catch) {
            (Err(Stop::Raised(error)), Some(catch)) if !passed_on => {
                self.run(catch, scope, Item::plain(*error), emit)
            }
            (Err(Stop::Raised(_)), None) if !passed_on => Ok(()),
            (end, _) => end,
        }
    }

    pub(super) fn run_logic(
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
    pub(super) fn pairs(
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
    pub(super) fn product(
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

    pub(super) fn run_text(
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

    pub(super) fn run_object(
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

    pub(super) fn run_bind(
        &self,
        source: &'v Node,
        pattern: &'v Pattern,
        body: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let plain = Item::plain(item.value.clone());
        self.run(source, scope, plain, &mut |found| {
            self.bind(pattern, &found.value, scope, scope, &mut |inner| {
                self.run(body, inner, item.clone(), &mut *emit)
            })
        })
    }

    /// Runs `body` in `inner` and the variables of the pattern.
    fn bind(
        &self,
        pattern: &'v [Vec<Arc<Node>>],
        value: &Val<'v>,
        scope: &Scope<'_, 'v>,
        inner: &Scope<'_, 'v>,
        body: &mut dyn FnMut(&Scope<'_, 'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        let Some((keys, rest)) = pattern.split_first() else { return body(inner) };
        let _level = self.meter.descend()?;
        let mut bound = value.clone();
        for key in keys {
            let key = self.value(key, scope, bound.clone())?;
            bound = super::path::index(self, &bound, &key)?;
        }
        self.bind(rest, value, scope, &inner.with_value(bound), body)
    }

    pub(super) fn run_reduce(
        &self,
        fold: &'v Fold,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(&fold.start, scope, item.clone(), &mut |start| {
            let trail = start.trail.clone();
            let mut state = Some(start);
            self.run(&fold.source, scope, Item::plain(item.value.clone()), &mut |found| {
                self.meter.spend(STEP)?;
                self.bind(&fold.pattern, &found.value, scope, scope, &mut |inner| {
                    // An update without a result leaves null, as in jq. The old state is moved out, so that
                    // the update can change it in place.
                    let old = state.take().unwrap_or_else(|| Item { value: Val::Null, trail: trail.clone() });
                    self.run(&fold.update, inner, old, &mut |new| {
                        state = Some(new);
                        Ok(())
                    })
                })
            })?;
            emit(state.take().unwrap_or_else(|| Item { value: Val::Null, trail: trail.clone() }))
        })
    }

    pub(super) fn run_foreach(
        &self,
        fold: &'v Fold,
        extract: Option<&'v Node>,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(&fold.start, scope, item.clone(), &mut |start| {
            let mut state = start;
            self.run(&fold.source, scope, Item::plain(item.value.clone()), &mut |found| {
                self.meter.spend(STEP)?;
                self.bind(&fold.pattern, &found.value, scope, scope, &mut |inner| {
                    let old = state.clone();
                    self.run(&fold.update, inner, old, &mut |new| {
                        state = new.clone();
                        match extract {
                            Some(extract) => self.run(extract, inner, new, &mut *emit),
                            None => emit(new),
                        }
                    })
                })
            })
        })
    }

    /// Binds the arguments, which belong to the scope of the `caller`, and runs the body.
    pub(super) fn run_call(
        &self,
        body: &'v Node,
        arguments: &'v [Argument],
        caller: &Scope<'_, 'v>,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let Some((argument, rest)) = arguments.split_first() else {
            return self.run(body, scope, item, emit);
        };
        let _level = self.meter.descend()?;
        match argument {
            Argument::Closure(node) => {
                let closure = Closure { node, scope: caller };
                self.run_call(body, rest, caller, &scope.with_closure(closure), item, emit)
            }
            Argument::Value(node) => {
                let plain = Item::plain(item.value.clone());
                self.run(node, caller, plain, &mut |value| {
                    let scope = scope.with_value(value.value);
                    self.run_call(body, rest, caller, &scope, item.clone(), &mut *emit)
                })
            }
        }
    }
}
