//! The functions that are not written in jq, and how they are found.

mod collections;
mod dates;
mod maths;
mod patterns;
mod strings;

use super::machine::Machine;
use super::value::{Outcome, Val};

/// A function of the input and of argument values, with one result.
pub(super) type Function = for<'v> fn(&Machine<'v>, Val<'v>, &[Val<'v>]) -> Outcome<'v>;

/// A function that runs its arguments itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Control {
    Stream(Stream),
    Keyed(Keyed),
    Walk,
}

/// A function with any number of results.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Empty,
    Select,
    Path,
    GetPath,
    Range,
    Recurse,
    Descend,
    Until,
    First,
    Last,
    Limit,
    Skip,
}

/// A function that looks at the items of an array through a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keyed {
    Sort,
    Group,
    Unique,
    Least,
    Most,
}

/// What a name and a number of arguments stand for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Native {
    Function(Function),
    Control(Control),
}

/// A name, its number of arguments, and what it does.
type Entry = (&'static str, usize, Function);

const CONTROLS: &[(&str, usize, Control)] = &[
    ("empty", 0, Control::Stream(Stream::Empty)),
    ("select", 1, Control::Stream(Stream::Select)),
    ("path", 1, Control::Stream(Stream::Path)),
    ("getpath", 1, Control::Stream(Stream::GetPath)),
    ("range", 3, Control::Stream(Stream::Range)),
    ("recurse", 1, Control::Stream(Stream::Recurse)),
    ("recurse", 0, Control::Stream(Stream::Descend)),
    ("until", 2, Control::Stream(Stream::Until)),
    ("first", 1, Control::Stream(Stream::First)),
    ("last", 1, Control::Stream(Stream::Last)),
    ("limit", 2, Control::Stream(Stream::Limit)),
    ("skip", 2, Control::Stream(Stream::Skip)),
    ("sort_by", 1, Control::Keyed(Keyed::Sort)),
    ("group_by", 1, Control::Keyed(Keyed::Group)),
    ("unique_by", 1, Control::Keyed(Keyed::Unique)),
    ("min_by", 1, Control::Keyed(Keyed::Least)),
    ("max_by", 1, Control::Keyed(Keyed::Most)),
    ("walk", 1, Control::Walk),
];

const TABLES: [&[Entry]; 5] =
    [collections::TABLE, strings::TABLE, patterns::TABLE, dates::TABLE, maths::TABLE];

/// The function of this name and number of arguments.
pub(super) fn find(name: &str, arity: usize) -> Option<Native> {
    let control = CONTROLS.iter().find(|entry| (entry.0, entry.1) == (name, arity));
    let function = || TABLES.iter().copied().flatten().find(|entry| (entry.0, entry.1) == (name, arity));
    control
        .map(|entry| Native::Control(entry.2))
        .or_else(|| function().map(|entry| Native::Function(entry.2)))
}

/// All names with their numbers of arguments, without those that only the library uses.
pub(super) fn names<'a>() -> impl Iterator<Item = (&'a str, usize)> {
    let controls = CONTROLS.iter().map(|entry| (entry.0, entry.1));
    let functions = TABLES.iter().copied().flatten().map(|entry| (entry.0, entry.1));
    controls.chain(functions).filter(|(name, _)| !name.starts_with('_'))
}
