//! The values of an evaluation.
//!
//! They borrow from the input, the variables and the program as long as possible: nothing is converted on the
//! way in, a path costs its lookups, and only what an expression builds is allocated. Containers that were
//! built know their depth, so that dropping and reading them back needs a bounded stack.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::number::Num;

/// How deep built values and results may nest. The JSON reader stops at 128 levels, so a deeper result could
/// be written but never read again; a few levels are left for what results are wrapped in.
pub(super) const DEPTH_MAX: usize = 100;

/// Why an evaluation, or a part of it, ends early.
#[derive(Clone, Debug)]
pub(super) enum Stop<'v> {
    /// An error that `try` can catch.
    Raised(Box<Val<'v>>),
    /// The label that a `break` goes to.
    Break(u64),
    /// A limit was reached; nothing catches this.
    Limit(&'static str),
}

impl Stop<'_> {
    /// An error with a text.
    pub(super) fn raise(text: impl Into<String>) -> Self {
        Self::Raised(Box::new(Val::text(text.into())))
    }
}

/// A value, or why there is none.
pub(super) type Outcome<'v, T = Val<'v>> = Result<T, Stop<'v>>;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'v> {
    Null,
    Bool(bool),
    Num(Num),
    Str(Text<'v>),
    Arr(List<'v>),
    Obj(Dict<'v>),
}

/// A string.
#[derive(Clone, Debug)]
pub(super) enum Text<'v> {
    Lent(&'v str),
    Own(Rc<String>),
}

/// An array.
#[derive(Clone, Debug)]
pub(super) enum List<'v> {
    Lent(&'v [Value]),
    Own(Rc<OwnList<'v>>),
}

/// An array that was built.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnList<'v> {
    pub(super) items: Vec<Val<'v>>,
    pub(super) depth: usize,
}

/// An object.
#[derive(Clone, Debug)]
pub(super) enum Dict<'v> {
    Lent(&'v Map<String, Value>),
    Own(Rc<OwnDict<'v>>),
}

/// An object that was built.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnDict<'v> {
    pub(super) entries: BTreeMap<Text<'v>, Val<'v>>,
    pub(super) depth: usize,
}

impl<'v> Val<'v> {
    /// Borrows a value.
    pub(super) fn lend(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => Self::Num(Num::from(n)),
            Value::String(s) => Self::Str(Text::Lent(s)),
            Value::Array(items) => Self::Arr(List::Lent(items)),
            Value::Object(entries) => Self::Obj(Dict::Lent(entries)),
        }
    }

    /// A string whose allocation was paid for.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Str(Text::Own(Rc::new(text.into())))
    }

    /// An integer.
    pub(super) fn int(n: usize) -> Self {
        Self::Num(Num::Int(i64::try_from(n).unwrap_or(i64::MAX)))
    }

    /// The result of a calculation: a float without a fraction counts as an integer, as jq prints it.
    pub(super) fn float(x: f64) -> Self {
        Self::Num(Num::calculated(x))
    }

    /// What `if` and `//` look at.
    pub(super) fn truthy(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    /// The name of the value's type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Num(_) => "number",
            Self::Str(_) => "string",
            Self::Arr(_) => "array",
            Self::Obj(_) => "object",
        }
    }

    /// How many built containers nest here.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Arr(List::Own(list)) => list.depth,
            Self::Obj(Dict::Own(dict)) => dict.depth,
            _ => 0,
        }
    }

    /// The string that the value is.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Lent(s) => s,
            Self::Own(s) => s,
        }
    }
}

/// Text is ordered and looked up as the `str` that it is.
impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Text<'_> {}
impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<'v> List<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lent(items) => items.len(),
            Self::Own(list) => list.items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'v>> {
        match self {
            Self::Lent(items) => items.get(index).map(Val::lend),
            Self::Own(list) => list.items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Val<'v>> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// The list as one that can be changed; the caller pays for [`Self::len`] items.
    pub(super) fn into_own(self) -> Rc<OwnList<'v>> {
        match self {
            Self::Own(list) => list,
            Self::Lent(items) => Rc::new(OwnList { items: items.iter().map(Val::lend).collect(), depth: 1 }),
        }
    }
}

impl<'v> Dict<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lent(entries) => entries.len(),
            Self::Own(dict) => dict.entries.len(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Val<'v>> {
        match self {
            Self::Lent(entries) => entries.get(key).map(Val::lend),
            Self::Own(dict) => dict.entries.get(key).cloned(),
        }
    }

    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = (Text<'v>, Val<'v>)> + '_> {
        match self {
            Self::Lent(entries) => Box::new(entries.iter().map(|(k, v)| (Text::Lent(k), Val::lend(v)))),
            Self::Own(dict) => Box::new(dict.entries.iter().map(|(k, v)| (k.clone(), v.clone()))),
        }
    }

    /// The object as one that can be changed; the caller pays for [`Self::len`] entries.
    pub(super) fn into_own(self) -> Rc<OwnDict<'v>> {
        match self {
            Self::Own(dict) => dict,
            Self::Lent(entries) => {
                let entries = entries.iter().map(|(k, v)| (Text::Lent(k), Val::lend(v))).collect();
                Rc::new(OwnDict { entries, depth: 1 })
            }
        }
    }
}
