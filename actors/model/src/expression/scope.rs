//! What is bound while a program is evaluated: a list of frames, each on the stack of the evaluation that
//! bound it, so that binding a variable or passing a function allocates nothing.

use super::node::Node;
use super::value::{Outcome, Stop, Val};

/// The innermost binding, and through it all others.
pub(super) struct Scope<'e, 'v> {
    outer: Option<&'e Scope<'e, 'v>>,
    bound: Bound<'e, 'v>,
}

/// What one frame binds.
enum Bound<'e, 'v> {
    Nothing,
    Value(Val<'v>),
    Closure(Closure<'e, 'v>),
    Label(u64),
}

/// A function that was passed as an argument, with the scope of its caller.
#[derive(Clone, Copy)]
pub(super) struct Closure<'e, 'v> {
    pub(super) node: &'v Node,
    pub(super) scope: &'e Scope<'e, 'v>,
}

impl<'e, 'v> Scope<'e, 'v> {
    /// The outermost scope.
    pub(super) fn root() -> Self {
        Self { outer: None, bound: Bound::Nothing }
    }

    pub(super) fn with_value(&'e self, value: Val<'v>) -> Self {
        Self { outer: Some(self), bound: Bound::Value(value) }
    }

    pub(super) fn with_closure(&'e self, closure: Closure<'e, 'v>) -> Self {
        Self { outer: Some(self), bound: Bound::Closure(closure) }
    }

    pub(super) fn with_label(&'e self, label: u64) -> Self {
        Self { outer: Some(self), bound: Bound::Label(label) }
    }

    /// The scope without its `back` innermost frames.
    pub(super) fn outer(&'e self, back: usize) -> &'e Scope<'e, 'v> {
        let mut scope = self;
        for _ in 0..back {
            match scope.outer {
                Some(outer) => scope = outer,
                None => break,
            }
        }
        scope
    }

    pub(super) fn value(&'e self, back: usize) -> Outcome<'v> {
        match &self.outer(back).bound {
            Bound::Value(value) => Ok(value.clone()),
            _ => Err(UNRESOLVED),
        }
    }

    pub(super) fn closure(&'e self, back: usize) -> Outcome<'v, Closure<'e, 'v>> {
        match &self.outer(back).bound {
            Bound::Closure(closure) => Ok(*closure),
            _ => Err(UNRESOLVED),
        }
    }

    pub(super) fn label(&'e self, back: usize) -> Outcome<'v, u64> {
        match &self.outer(back).bound {
            Bound::Label(label) => Ok(*label),
            _ => Err(UNRESOLVED),
        }
    }
}

/// The compiler counts frames exactly as the machine pushes them, so this would be a bug of ours; it ends the
/// evaluation instead of the thread.
const UNRESOLVED: Stop<'static> = Stop::Limit("met a name that was not resolved");
