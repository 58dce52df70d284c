//! The parts of the evaluator that decide what runs when: pipes, alternatives, bindings, folds and calls.

use std::sync::Arc;

use super::machine::{Emit, Item, Machine};
use super::meter::STEP;
use super::node::{Argument, Fold, Node, Pattern};
use super::scope::{Closure, Scope};
use super::value::{Outcome, Stop, Val};

impl<'v> Machine<'v> {
    pub(super) fn run_comma(
        &self,
        nodes: &'v [Node],
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        nodes.iter().try_for_each(|node| {
            self.meter.spend(STEP)?;
            self.run(node, scope, item.clone(), &mut *emit)
        })
    }

    pub(super) fn run_if(
        &self,
        test: &'v Node,
        then: &'v Node,
        otherwise: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(test, scope, Item::plain(item.value.clone()), &mut |answer| {
            let branch = if answer.value.truthy() { then } else { otherwise };
            self.run(branch, scope, item.clone(), &mut *emit)
        })
    }

    pub(super) fn run_label(
        &self,
        body: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let label = self.fresh_label();
        match self.run(body, &scope.with_label(label), item, emit) {
            Err(Stop::Break(to)) if to == label => Ok(()),
            end => end,
        }
    }

    pub(super) fn run_parameter(
        &self,
        back: usize,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let Closure { node, scope } = scope.closure(back)?;
        self.run(node, scope, item, emit)
    }

    pub(super) fn run_function(
        &self,
        function: usize,
        back: usize,
        arguments: &'v [Argument],
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.meter.spend(STEP)?;
        match self.program.functions.get(function) {
            Some(body) => self.run_call(body, arguments, scope, scope.outer(back), item, emit),
            None => Ok(()),
        }
    }

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
    fn run_call(
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
