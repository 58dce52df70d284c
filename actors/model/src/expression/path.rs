//! Paths: following them, remembering them, and changing what lies at them.

use std::rc::Rc;

use super::json::excerpt;
use super::machine::{Emit, Item, Machine, TOO_DEEP};
use super::meter::STEP;
use super::node::{Node, Part, Step};
use super::operators;
use super::scope::Scope;
use super::value::{DEPTH_MAX, Dict, List, Outcome, OwnDict, OwnList, Stop, Text, Val};

/// The path of a value, from its end to its start.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail<'v>(Option<Rc<Link<'v>>>);

#[derive(Debug)]
struct Link<'v> {
    before: Trail<'v>,
    part: Val<'v>,
    length: usize,
}

impl<'v> Trail<'v> {
    /// The path that goes on with `part`.
    pub(super) fn then(&self, part: Val<'v>) -> Outcome<'v, Self> {
        let length = 1 + self.0.as_ref().map_or(0, |link| link.length);
        // A longer path cannot lead to a value that is shallow enough.
        if length > DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        Ok(Self(Some(Rc::new(Link { before: self.clone(), part, length }))))
    }

    /// The parts from start to end.
    pub(super) fn parts(&self) -> Vec<Val<'v>> {
        let mut parts = Vec::new();
        let mut rest = self;
        while let Some(link) = &rest.0 {
            parts.push(link.part.clone());
            rest = &link.before;
        }
        parts.reverse();
        parts
    }
}

impl<'v> Machine<'v> {
    /// A path that leads to one value.
    pub(super) fn follow_one(
        &self,
        head: &'v Node,
        steps: &'v [Step],
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let mut value = self.value(head, scope, input.clone())?;
        for step in steps {
            self.meter.spend(1)?;
            value = match &step.part {
                Part::Field(name) => field(&value, name)?,
                Part::Index(key) => index(self, &value, &self.value(key, scope, input.clone())?)?,
                Part::Slice(from, to) => {
                    let from = self.bound(from.as_ref(), scope, &input)?;
                    let to = self.bound(to.as_ref(), scope, &input)?;
                    slice(self, &value, &from, &to)?
                }
                Part::Each => return Err(Stop::Limit("met a node of an unknown kind")),
            };
        }
        Ok(value)
    }

    fn bound(&self, node: Option<&'v Node>, scope: &Scope<'_, 'v>, input: &Val<'v>) -> Outcome<'v> {
        node.map_or(Ok(Val::Null), |node| self.value(node, scope, input.clone()))
    }

    /// A path with any number of values.
    pub(super) fn follow(
        &self,
        head: &'v Node,
        steps: &'v [Step],
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let input = item.value.clone();
        self.run(head, scope, item, &mut |item| self.follow_steps(steps, scope, &input, item, &mut *emit))
    }

    fn follow_steps(
        &self,
        steps: &'v [Step],
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let Some((step, rest)) = steps.split_first() else { return emit(item) };
        let _level = self.meter.descend()?;
        let mut passed_on = false;
        let mut next = |item: Item<'v>| {
            self.meter.spend(STEP)?;
            self.follow_steps(rest, scope, input, item, &mut *emit).inspect_err(|_| passed_on = true)
        };
        let end = match &step.part {
            Part::Field(name) => field(&item.value, name)
                .and_then(|value| next(item.then(value, || Val::Str(Text::Lent(name)))?)),
            Part::Index(key) => self.run(key, scope, Item::plain(input.clone()), &mut |key| {
                let value = index(self, &item.value, &key.value)?;
                next(item.then(value, || key.value)?)
            }),
            Part::Slice(from, to) => self.run_bound(from.as_ref(), scope, input, &mut |from| {
                self.run_bound(to.as_ref(), scope, input, &mut |to| {
                    let value = slice(self, &item.value, &from, &to)?;
                    let part = self.slice_part(from.clone(), to)?;
                    next(item.then(value, || part)?)
                })
            }),
            Part::Each => self.each(&item, &mut next),
        };
        match end {
            Err(Stop::Raised(_)) if step.optional && !passed_on => Ok(()),
            end => end,
        }
    }

    fn run_bound(
        &self,
        node: Option<&'v Node>,
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
        emit: &mut dyn FnMut(Val<'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        match node {
            None => emit(Val::Null),
            Some(node) => self.run(node, scope, Item::plain(input.clone()), &mut |item| emit(item.value)),
        }
    }

    /// The children of a value.
    pub(super) fn each(
        &self,
        item: &Item<'v>,
        emit: &mut dyn FnMut(Item<'v>) -> Outcome<'v, ()>,
    ) -> Outcome<'v, ()> {
        match &item.value {
            Val::Arr(list) => {
                for (i, value) in list.iter().enumerate() {
                    emit(item.then(value, || Val::int(i))?)?;
                }
            }
            Val::Obj(dict) => {
                for (key, value) in dict.iter() {
                    emit(item.then(value, || Val::Str(key))?)?;
                }
            }
            other => {
                return Err(Stop::raise(format!(
                    "cannot iterate over {} ({})",
                    other.kind(),
                    excerpt(other)
                )));
            }
        }
        Ok(())
    }

    /// What jq takes for the part of a path that is a slice.
    fn slice_part(&self, from: Val<'v>, to: Val<'v>) -> Outcome<'v> {
        self.object([(Text::Lent("start"), from), (Text::Lent("end"), to)].into())
    }

    /// The value at a path; null where the path leads nowhere.
    pub(super) fn get(&self, value: &Val<'v>, path: &[Val<'v>]) -> Outcome<'v> {
        let mut value = value.clone();
        for part in path {
            self.meter.spend(1)?;
            value = index(self, &value, part)?;
        }
        Ok(value)
    }

    /// Replaces the value at a path by what `change` makes of it, and builds the path where it is missing.
    pub(super) fn modify(
        &self,
        value: Val<'v>,
        path: &[Val<'v>],
        change: &mut dyn FnMut(Val<'v>) -> Outcome<'v>,
    ) -> Outcome<'v> {
        let Some((part, rest)) = path.split_first() else { return change(value) };
        let _level = self.meter.descend()?;
        self.meter.spend(STEP)?;
        match (value, part) {
            (Val::Null, Val::Str(key)) => self.modify_entry(Rc::default(), key, rest, change),
            (Val::Obj(dict), Val::Str(key)) => {
                self.pay_for_copy(matches!(&dict, Dict::Own(own) if Rc::strong_count(own) == 1), dict.len())?;
                self.modify_entry(dict.into_own(), key, rest, change)
            }
            (Val::Null, Val::Num(at)) => self.modify_item(Rc::default(), at.as_f64(), rest, change),
            (Val::Arr(list), Val::Num(at)) => {
                self.pay_for_copy(matches!(&list, List::Own(own) if Rc::strong_count(own) == 1), list.len())?;
                self.modify_item(list.into_own(), at.as_f64(), rest, change)
            }
            (value @ (Val::Null | Val::Arr(_)), Val::Obj(range)) => {
                let (from, to) = range_of(range);
                let old = slice(self, &value, &from, &to)?;
                let new = self.modify(old, rest, change)?;
                self.splice(value, &from, &to, new)
            }
            (value, part) => Err(misfit(&value, part)),
        }
    }

    fn pay_for_copy(&self, owned: bool, len: usize) -> Outcome<'v, ()> {
        self.meter.allocate(if owned { 0 } else { len * size_of::<(Text<'_>, Val<'_>)>() })
    }

    fn modify_entry(
        &self,
        mut dict: Rc<OwnDict<'v>>,
        key: &Text<'v>,
        rest: &[Val<'v>],
        change: &mut dyn FnMut(Val<'v>) -> Outcome<'v>,
    ) -> Outcome<'v> {
        let own = Rc::make_mut(&mut dict);
        // The old value is taken out, so that it can be changed in place.
        let slot = match own.entries.get_mut(key) {
            Some(slot) => slot,
            None => {
                self.meter.allocate(size_of::<(Text<'_>, Val<'_>)>())?;
                own.entries.entry(key.clone()).or_insert(Val::Null)
            }
        };
        let new = self.modify(std::mem::replace(slot, Val::Null), rest, change)?;
        own.depth = own.depth.max(self.nest(std::iter::once(&new))?);
        *slot = new;
        Ok(Val::Obj(Dict::Own(dict)))
    }

    fn modify_item(
        &self,
        mut list: Rc<OwnList<'v>>,
        at: f64,
        rest: &[Val<'v>],
        change: &mut dyn FnMut(Val<'v>) -> Outcome<'v>,
    ) -> Outcome<'v> {
        let own = Rc::make_mut(&mut list);
        let len = own.items.len();
        let at = if at < 0.0 { at.floor() + len as f64 } else { at };
        if at < 0.0 || at.is_nan() {
            return Err(Stop::raise("out of bounds negative array index"));
        }
        // The cast saturates, and paying for the gap refuses what is far too large.
        let at = at as usize;
        if at >= len {
            self.meter.allocate((at - len).saturating_add(1).saturating_mul(size_of::<Val<'_>>()))?;
            own.items.resize(at + 1, Val::Null);
        }
        let Some(slot) = own.items.get_mut(at) else { return Ok(Val::Null) };
        let new = self.modify(std::mem::replace(slot, Val::Null), rest, change)?;
        own.depth = own.depth.max(self.nest(std::iter::once(&new))?);
        *slot = new;
        Ok(Val::Arr(List::Own(list)))
    }

    fn splice(&self, value: Val<'v>, from: &Val<'v>, to: &Val<'v>, new: Val<'v>) -> Outcome<'v> {
        let Val::Arr(new) = new else {
            return Err(Stop::raise("a slice of an array can only be replaced by an array"));
        };
        let list = match value {
            Val::Arr(list) => list,
            _ => List::Lent(&[]),
        };
        self.meter.allocate((list.len() + new.len()) * size_of::<Val<'_>>())?;
        let (start, end) = operators::bounds(from, to, list.len())?;
        let before = list.iter().take(start);
        self.array(before.chain(new.iter()).chain(list.iter().skip(end)).collect())
    }

    /// The value without what lies at a path.
    pub(super) fn delete(&self, value: Val<'v>, path: &[Val<'v>]) -> Outcome<'v> {
        let Some((last, before)) = path.split_last() else { return Ok(Val::Null) };
        // Where the way there is missing, nothing must be built.
        if matches!(self.get(&value, before)?, Val::Null) {
            return Ok(value);
        }
        self.modify(value, before, &mut |parent| self.delete_child(parent, last))
    }

    fn delete_child(&self, parent: Val<'v>, part: &Val<'v>) -> Outcome<'v> {
        match (parent, part) {
            (Val::Null, _) => Ok(Val::Null),
            (Val::Obj(dict), Val::Str(key)) => {
                self.pay_for_copy(matches!(&dict, Dict::Own(own) if Rc::strong_count(own) == 1), dict.len())?;
                let mut dict = dict.into_own();
                Rc::make_mut(&mut dict).entries.remove(key);
                Ok(Val::Obj(Dict::Own(dict)))
            }
            (Val::Arr(list), Val::Num(at)) => {
                let at = at.as_f64().floor();
                let at = if at < 0.0 { at + list.len() as f64 } else { at };
                let keep = |i: usize| (i as f64) != at;
                self.keep(&list, keep)
            }
            (Val::Arr(list), Val::Obj(range)) => {
                let (from, to) = range_of(range);
                let (start, end) = operators::bounds(&from, &to, list.len())?;
                self.keep(&list, |i| !(start..end).contains(&i))
            }
            (parent, part) => Err(misfit(&parent, part)),
        }
    }

    fn keep(&self, list: &List<'v>, keep: impl Fn(usize) -> bool) -> Outcome<'v> {
        self.meter.allocate(list.len() * size_of::<Val<'_>>())?;
        self.array(list.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, value)| value).collect())
    }
}

impl<'v> Item<'v> {
    /// The child `value`, which lies at `part`.
    pub(super) fn then(&self, value: Val<'v>, part: impl FnOnce() -> Val<'v>) -> Outcome<'v, Self> {
        let trail = match &self.trail {
            None => None,
            Some(trail) => Some(trail.then(part())?),
        };
        Ok(Self { value, trail })
    }
}

/// `.name`
fn field<'v>(value: &Val<'v>, name: &str) -> Outcome<'v> {
    match value {
        Val::Obj(dict) => Ok(dict.get(name).unwrap_or(Val::Null)),
        Val::Null => Ok(Val::Null),
        other => Err(misfit(other, &Val::text(name))),
    }
}

/// `.[key]`
pub(super) fn index<'v>(machine: &Machine<'v>, value: &Val<'v>, key: &Val<'v>) -> Outcome<'v> {
    match (value, key) {
        (Val::Obj(_) | Val::Null, Val::Str(name)) => field(value, name.as_str()),
        (Val::Arr(list), Val::Num(at)) => {
            let at = at.as_f64().floor();
            let at = if at < 0.0 { at + list.len() as f64 } else { at };
            // The cast would turn what is below into zero.
            Ok(if at >= 0.0 { list.get(at as usize) } else { None }.unwrap_or(Val::Null))
        }
        (Val::Null, Val::Num(_) | Val::Null) => Ok(Val::Null),
        (Val::Arr(_) | Val::Str(_) | Val::Null, Val::Obj(range)) => {
            let (from, to) = range_of(range);
            slice(machine, value, &from, &to)
        }
        (Val::Arr(list), Val::Arr(part)) => operators::positions_of(machine, list, part),
        _ => Err(misfit(value, key)),
    }
}

/// `.[from:to]`
fn slice<'v>(machine: &Machine<'v>, value: &Val<'v>, from: &Val<'v>, to: &Val<'v>) -> Outcome<'v> {
    match value {
        Val::Null => Ok(Val::Null),
        Val::Arr(list) => {
            let (start, end) = operators::bounds(from, to, list.len())?;
            if let List::Lent(items) = list {
                return Ok(Val::Arr(List::Lent(items.get(start..end).unwrap_or(&[]))));
            }
            machine.meter.allocate((end - start) * size_of::<Val<'_>>())?;
            machine.array((start..end).filter_map(|i| list.get(i)).collect())
        }
        Val::Str(text) => {
            machine.meter.scan(text.as_str().len())?;
            let (start, end) = operators::bounds(from, to, text.as_str().chars().count())?;
            machine.string(text.as_str().chars().skip(start).take(end - start).collect::<String>())
        }
        other => Err(Stop::raise(format!("cannot slice {}", other.kind()))),
    }
}

fn range_of<'v>(range: &Dict<'v>) -> (Val<'v>, Val<'v>) {
    let part = |name| range.get(name).unwrap_or(Val::Null);
    (part("start"), part("end"))
}

fn misfit<'v>(value: &Val<'_>, key: &Val<'_>) -> Stop<'v> {
    Stop::raise(match key {
        Val::Str(name) => format!("cannot index {} with \"{}\"", value.kind(), name.as_str()),
        _ => format!("cannot index {} with {}", value.kind(), key.kind()),
    })
}
