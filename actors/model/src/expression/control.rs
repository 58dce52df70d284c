//! Functions that take functions: they decide how often their arguments run.

use super::compare;
use super::machine::{Emit, Item, Machine, TOO_DEEP};
use super::meter::STEP;
use super::natives::{Control, Keyed, Stream};
use super::node::Node;
use super::number::Num;
use super::path;
use super::scope::Scope;
use super::value::{DEPTH_MAX, Dict, List, Outcome, Stop, Val};

impl<'v> Machine<'v> {
    pub(super) fn run_control(
        &self,
        control: &'v Control,
        arguments: &'v [Node],
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        match (control, arguments) {
            (Control::Stream(Stream::Empty), _) => Ok(()),
            (Control::Stream(Stream::Select), [test]) => self.select(test, scope, item, emit),
            (Control::Stream(Stream::Path), [f]) => self.all_paths(f, scope, item, emit),
            (Control::Stream(Stream::GetPath), [path]) => self.get_path(path, scope, item, emit),
            (Control::Stream(Stream::Range), [from, to, by]) => {
                self.ranges([from, to, by], scope, &item.value, emit)
            }
            (Control::Stream(Stream::Recurse), [f]) => self.recurse(Some(f), scope, item, emit),
            (Control::Stream(Stream::Descend), _) => self.recurse(None, scope, item, emit),
            (Control::Stream(Stream::Until), [test, update]) => self.until(test, update, scope, item, emit),
            (Control::Stream(Stream::First), [f]) => self.first_of(f, scope, item)?.map_or(Ok(()), emit),
            (Control::Stream(Stream::Last), [f]) => self.last_of(f, scope, item)?.map_or(Ok(()), emit),
            (Control::Stream(Stream::Limit), [count, f]) => self.limits(count, f, scope, item, emit),
            (Control::Stream(Stream::Skip), [count, f]) => self.skip(count, f, scope, item, emit),
            (Control::Keyed(_) | Control::Walk, _) if item.trail.is_none() => {
                emit(Item::plain(self.value_of_control(control, arguments, scope, item.value)?))
            }
            _ => Err(Stop::raise("invalid path expression")),
        }
    }

    fn select(
        &self,
        test: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(test, scope, Item::plain(item.value.clone()), &mut |answer| {
            if answer.value.truthy() { emit(item.clone()) } else { Ok(()) }
        })
    }

    fn all_paths(
        &self,
        f: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        if item.trail.is_some() {
            return Err(Stop::raise("invalid path expression with a path"));
        }
        let input = Item { value: item.value, trail: Some(path::Trail::default()) };
        self.run(f, scope, input, &mut |found| {
            let parts = found.trail.unwrap_or_default().parts();
            self.meter.allocate(parts.len() * size_of::<Val<'_>>())?;
            emit(Item::plain(self.array(parts)?))
        })
    }

    fn get_path(
        &self,
        path: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(path, scope, Item::plain(item.value.clone()), &mut |path| {
            let Val::Arr(parts) = &path.value else { return Err(Stop::raise("a path is an array")) };
            let mut at = item.clone();
            for part in parts.iter() {
                self.meter.spend(STEP)?;
                let value = path::index(self, &at.value, &part)?;
                at = at.then(value, || part)?;
            }
            emit(at)
        })
    }

    fn last_of(&self, f: &'v Node, scope: &Scope<'_, 'v>, item: Item<'v>) -> Outcome<'v, Option<Item<'v>>> {
        let mut last = None;
        self.run(f, scope, item, &mut |item| {
            last = Some(item);
            Ok(())
        })?;
        Ok(last)
    }

    fn limits(
        &self,
        count: &'v Node,
        f: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(count, scope, Item::plain(item.value.clone()), &mut |count| {
            self.limit(amount(&count.value)?, f, scope, item.clone(), &mut *emit)
        })
    }

    fn skip(
        &self,
        count: &'v Node,
        f: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(count, scope, Item::plain(item.value.clone()), &mut |count| {
            let mut left = amount(&count.value)?;
            self.run(f, scope, item.clone(), &mut |item| {
                if left > 0 {
                    left -= 1;
                    return self.meter.spend(STEP);
                }
                emit(item)
            })
        })
    }

    pub(super) fn value_of_control(
        &self,
        control: &'v Control,
        arguments: &'v [Node],
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        match (control, arguments) {
            (Control::Keyed(keyed), [f]) => self.keyed(*keyed, f, scope, &input),
            (Control::Walk, [f]) => self.walk(f, scope, input, 0),
            _ => Err(Stop::Limit("met a function of an unknown kind")),
        }
    }

    fn ranges(
        &self,
        [from, to, by]: [&'v Node; 3],
        scope: &Scope<'_, 'v>,
        input: &Val<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        self.run(from, scope, Item::plain(input.clone()), &mut |from| {
            self.run(to, scope, Item::plain(input.clone()), &mut |to| {
                self.run(by, scope, Item::plain(input.clone()), &mut |by| {
                    self.range(&from.value, &to.value, &by.value, &mut *emit)
                })
            })
        })
    }

    fn range(&self, from: &Val<'v>, to: &Val<'v>, by: &Val<'v>, emit: Emit<'_, 'v>) -> Outcome<'v, ()> {
        let (Val::Num(from), Val::Num(to), Val::Num(by)) = (from, to, by) else {
            return Err(Stop::raise("range bounds must be numbers"));
        };
        let (mut at, step) = (*from, by.as_f64());
        let goes_on = |at: Num| match step {
            step if step > 0.0 => at.compare(*to).is_lt(),
            step if step < 0.0 => at.compare(*to).is_gt(),
            _ => false,
        };
        while goes_on(at) {
            self.meter.spend(STEP)?;
            emit(Item::plain(Val::Num(at)))?;
            at = at.add(*by);
        }
        Ok(())
    }

    /// The value, then recursively what `f` makes of it (its children, without an `f`). What is still to be
    /// visited waits in a list, so that the depth of the recursion costs no stack.
    fn recurse(
        &self,
        f: Option<&'v Node>,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let mut waiting = vec![Ok(item)];
        while let Some(next) = waiting.pop() {
            let item = next?;
            self.meter.spend(STEP)?;
            let mut found = Vec::new();
            let mut keep = |child: Item<'v>| {
                self.meter.allocate(size_of::<Item<'_>>())?;
                found.push(Ok(child));
                Ok(())
            };
            let last = item.clone();
            let end = match f {
                Some(f) => {
                    emit(item)?;
                    self.run(f, scope, last, &mut keep)
                }
                None => {
                    emit(item)?;
                    match &last.value {
                        Val::Arr(_) | Val::Obj(_) => self.each(&last, &mut keep),
                        _ => Ok(()),
                    }
                }
            };
            match end {
                // An error comes after the results before it.
                Err(stop @ Stop::Raised(_)) => found.push(Err(stop)),
                end => end?,
            }
            waiting.extend(found.into_iter().rev());
        }
        Ok(())
    }

    fn until(
        &self,
        test: &'v Node,
        update: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let mut waiting = vec![item];
        while let Some(item) = waiting.pop() {
            self.meter.spend(STEP)?;
            let done = self.first_of(test, scope, Item::plain(item.value.clone()))?;
            if done.is_some_and(|answer| answer.value.truthy()) {
                emit(item)?;
                continue;
            }
            let mut found = Vec::new();
            self.run(update, scope, item, &mut |item| {
                self.meter.allocate(size_of::<Item<'_>>())?;
                found.push(item);
                Ok(())
            })?;
            waiting.extend(found.into_iter().rev());
        }
        Ok(())
    }

    fn limit(
        &self,
        count: u64,
        f: &'v Node,
        scope: &Scope<'_, 'v>,
        item: Item<'v>,
        emit: Emit<'_, 'v>,
    ) -> Outcome<'v, ()> {
        let mut left = count;
        if left == 0 {
            return Ok(());
        }
        let enough = self.fresh_label();
        let end = self.run(f, scope, item, &mut |item| {
            left -= 1;
            emit(item)?;
            if left == 0 { Err(Stop::Break(enough)) } else { Ok(()) }
        });
        match end {
            Err(Stop::Break(label)) if label == enough => Ok(()),
            end => end,
        }
    }

    /// Sorting and grouping by the results of `f`.
    fn keyed(&self, keyed: Keyed, f: &'v Node, scope: &Scope<'_, 'v>, input: &Val<'v>) -> Outcome<'v> {
        let Val::Arr(list) = input else {
            return Err(Stop::raise(format!("{} cannot be sorted or grouped, only an array", input.kind())));
        };
        let mut pairs = Vec::new();
        for item in list.iter() {
            self.meter.spend(STEP)?;
            let key = self.all(f, scope, item.clone())?;
            pairs.push((self.array(key)?, item));
        }
        match keyed {
            Keyed::Least | Keyed::Most => self.extreme(matches!(keyed, Keyed::Most), pairs),
            Keyed::Sort => {
                let sorted = compare::sort_by_key(&self.meter, pairs)?;
                self.array(sorted.into_iter().map(|(_, item)| item).collect())
            }
            Keyed::Group | Keyed::Unique => {
                let mut groups: Vec<(Val<'v>, Vec<Val<'v>>)> = Vec::new();
                for (key, item) in compare::sort_by_key(&self.meter, pairs)? {
                    match groups.last_mut() {
                        Some((last, group)) if compare::compare(&self.meter, last, &key)?.is_eq() => {
                            group.push(item);
                        }
                        _ => groups.push((key, vec![item])),
                    }
                }
                let groups = groups.into_iter().map(|(_, group)| group);
                if matches!(keyed, Keyed::Unique) {
                    return self.array(groups.filter_map(|group| group.into_iter().next()).collect());
                }
                self.array(groups.map(|group| self.array(group)).collect::<Outcome<'v, Vec<_>>>()?)
            }
        }
    }

    /// The first of the least, or the last of the greatest, as in jq.
    fn extreme(&self, most: bool, pairs: Vec<(Val<'v>, Val<'v>)>) -> Outcome<'v> {
        let mut pairs = pairs.into_iter();
        let Some(mut best) = pairs.next() else { return Ok(Val::Null) };
        for pair in pairs {
            let order = compare::compare(&self.meter, &pair.0, &best.0)?;
            if if most { order.is_ge() } else { order.is_lt() } {
                best = pair;
            }
        }
        Ok(best.1)
    }

    /// Rebuilds a value from its leaves, passing each part through `f` after its children.
    fn walk(&self, f: &'v Node, scope: &Scope<'_, 'v>, value: Val<'v>, level: usize) -> Outcome<'v> {
        if level > DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        let _level = self.meter.descend()?;
        self.meter.spend(STEP)?;
        let rebuilt = match value {
            Val::Arr(list) => self.walk_list(f, scope, &list, level)?,
            Val::Obj(dict) => self.walk_dict(f, scope, &dict, level)?,
            scalar => scalar,
        };
        if f.single {
            return self.value(f, scope, rebuilt);
        }
        let result = self.first_of(f, scope, Item::plain(rebuilt))?;
        Ok(result.map_or(Val::Null, |item| item.value))
    }

    fn walk_list(&self, f: &'v Node, scope: &Scope<'_, 'v>, list: &List<'v>, level: usize) -> Outcome<'v> {
        let mut items = Vec::new();
        for item in list.iter() {
            self.meter.allocate(size_of::<Val<'_>>())?;
            items.push(self.walk(f, scope, item, level + 1)?);
        }
        self.array(items)
    }

    fn walk_dict(&self, f: &'v Node, scope: &Scope<'_, 'v>, dict: &Dict<'v>, level: usize) -> Outcome<'v> {
        let mut entries = std::collections::BTreeMap::new();
        for (key, value) in dict.iter() {
            entries.insert(key, self.walk(f, scope, value, level + 1)?);
        }
        self.object(entries)
    }
}

/// How many results `limit` and `skip` count.
fn amount<'v>(value: &Val<'v>) -> Outcome<'v, u64> {
    match value {
        // The cast saturates; a fraction counts as one more.
        Val::Num(n) if n.as_f64() >= 0.0 => Ok(n.as_f64().ceil() as u64),
        Val::Num(_) => Err(Stop::raise("limit and skip take no negative count")),
        other => Err(Stop::raise(format!("limit and skip take a number, not {}", other.kind()))),
    }
}
