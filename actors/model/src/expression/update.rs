//! Assignments: `=`, `|=`, `+=` and the others.
//!
//! All first find the paths in the unchanged value, then change it at one path after the other.

use super::machine::{Item, Machine};
use super::node::{Change, Node};
use super::operators;
use super::path::Trail;
use super::scope::Scope;
use super::value::{Outcome, Val};

impl<'v> Machine<'v> {
    /// The paths that a node gives for a value.
    pub(super) fn paths(
        &self,
        node: &'v Node,
        scope: &Scope<'_, 'v>,
        value: Val<'v>,
    ) -> Outcome<'v, Vec<Vec<Val<'v>>>> {
        let mut paths = Vec::new();
        let item = Item { value, trail: Some(Trail::default()) };
        self.run(node, scope, item, &mut |item| {
            let path = item.trail.unwrap_or_default().parts();
            self.meter.allocate((path.len() + 1) * size_of::<Val<'_>>())?;
            paths.push(path);
            Ok(())
        })?;
        Ok(paths)
    }

    /// `paths |= update`: the first result of `update` counts; where there is none, the path is deleted.
    pub(super) fn update(
        &self,
        paths: &'v Node,
        update: &'v Node,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let mut deleted = Vec::new();
        let mut value = input.clone();
        for path in self.paths(paths, scope, input)? {
            let mut kept = true;
            value = self.modify(value, &path, &mut |old| {
                if update.single {
                    return self.value(update, scope, old);
                }
                let new = self.first_of(update, scope, Item::plain(old))?;
                kept = new.is_some();
                Ok(new.map_or(Val::Null, |item| item.value))
            })?;
            if !kept {
                deleted.push(path);
            }
        }
        self.delete_all(value, deleted)
    }

    /// `paths = new`
    pub(super) fn assign(
        &self,
        paths: &'v Node,
        new: Val<'v>,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let paths = self.paths(paths, scope, input.clone())?;
        paths.iter().try_fold(input, |value, path| self.modify(value, path, &mut |_| Ok(new.clone())))
    }

    /// `paths op= right`
    pub(super) fn update_with(
        &self,
        change: Change,
        paths: &'v Node,
        right: Val<'v>,
        scope: &Scope<'_, 'v>,
        input: Val<'v>,
    ) -> Outcome<'v> {
        let paths = self.paths(paths, scope, input.clone())?;
        paths.iter().try_fold(input, |value, path| {
            self.modify(value, path, &mut |old| match change {
                Change::Math(op) => operators::calculate(self, op, old, right.clone()),
                Change::Alternative => Ok(if old.truthy() { old } else { right.clone() }),
            })
        })
    }

    /// Deletes all paths, the last one first, so that no deletion moves what a later one means.
    pub(super) fn delete_all(&self, value: Val<'v>, paths: Vec<Vec<Val<'v>>>) -> Outcome<'v> {
        let mut paths =
            paths.into_iter().map(|path| self.array(path)).collect::<Outcome<'v, Vec<Val<'v>>>>()?;
        if paths.len() > 1 {
            paths = super::compare::sort(&self.meter, paths)?;
        }
        paths.iter().rev().try_fold(value, |value, path| match path {
            Val::Arr(list) => self.delete(value, &list.iter().collect::<Vec<_>>()),
            _ => Ok(value),
        })
    }
}
