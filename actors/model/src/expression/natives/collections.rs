//! Functions on values of any kind, arrays and objects.

use std::collections::BTreeMap;

use super::Entry;
use crate::expression::compare;
use crate::expression::format;
use crate::expression::json::excerpt;
use crate::expression::machine::Machine;
use crate::expression::meter::STEP;
use crate::expression::operators;
use crate::expression::value::{Dict, List, Outcome, Stop, Text, Val};

pub(super) const TABLE: &[Entry] = &[
    ("error", 0, |_, input, _| Err(Stop::Raised(Box::new(input)))),
    ("error", 1, |_, _, args| Err(Stop::Raised(Box::new(arg(args, 0))))),
    ("not", 0, |_, input, _| Ok(Val::Bool(!input.truthy()))),
    ("true", 0, |_, _, _| Ok(Val::Bool(true))),
    ("false", 0, |_, _, _| Ok(Val::Bool(false))),
    ("null", 0, |_, _, _| Ok(Val::Null)),
    ("type", 0, |machine, input, _| machine.string(input.kind())),
    ("length", 0, |machine, input, _| length(machine, &input)),
    ("keys", 0, |machine, input, _| keys(machine, &input)),
    ("keys_unsorted", 0, |machine, input, _| keys(machine, &input)),
    ("has", 1, |_, input, args| has(&input, &arg(args, 0))),
    ("contains", 1, |machine, input, args| contains(machine, &input, &arg(args, 0)).map(Val::Bool)),
    ("reverse", 0, |machine, input, _| reverse(machine, &input)),
    ("sort", 0, |machine, input, _| {
        let items = items(machine, &input, "sorted")?;
        machine.array(compare::sort(&machine.meter, items)?)
    }),
    ("flatten", 0, |machine, input, _| flatten(machine, &input, f64::INFINITY)),
    ("flatten", 1, |machine, input, args| match arg(args, 0) {
        Val::Num(n) if n.as_f64() >= 0.0 => flatten(machine, &input, n.as_f64()),
        _ => Err(Stop::raise("flatten takes a depth that is not negative")),
    }),
    ("setpath", 2, |machine, input, args| {
        let path = path(&arg(args, 0))?;
        machine.modify(input, &path, &mut |_| Ok(arg(args, 1)))
    }),
    ("delpaths", 1, |machine, input, args| {
        let Val::Arr(paths) = arg(args, 0) else {
            return Err(Stop::raise("delpaths takes an array of paths"));
        };
        let paths = paths.iter().map(|p| path(&p)).collect::<Outcome<'_, Vec<_>>>()?;
        machine.delete_all(input, paths)
    }),
    ("to_entries", 0, |machine, input, _| to_entries(machine, &input)),
    ("from_entries", 0, |machine, input, _| from_entries(machine, &input)),
    ("transpose", 0, |machine, input, _| transpose(machine, &input)),
    ("bsearch", 1, |machine, input, args| bsearch(machine, &input, &arg(args, 0))),
];

/// An argument; there are as many as the table says.
pub(super) fn arg<'v>(args: &[Val<'v>], at: usize) -> Val<'v> {
    args.get(at).cloned().unwrap_or(Val::Null)
}

/// The items of an array, which are paid for.
fn items<'v>(machine: &Machine<'v>, value: &Val<'v>, what: &str) -> Outcome<'v, Vec<Val<'v>>> {
    match value {
        Val::Arr(list) => {
            machine.meter.allocate(list.len() * size_of::<Val<'_>>())?;
            Ok(list.iter().collect())
        }
        other => {
            Err(Stop::raise(format!("{} ({}) cannot be {what}, only an array", other.kind(), excerpt(other))))
        }
    }
}

fn path<'v>(value: &Val<'v>) -> Outcome<'v, Vec<Val<'v>>> {
    match value {
        Val::Arr(list) => Ok(list.iter().collect()),
        _ => Err(Stop::raise("a path is an array")),
    }
}

fn length<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    Ok(match value {
        Val::Null => Val::int(0),
        Val::Bool(_) => return Err(Stop::raise(format!("boolean ({}) has no length", excerpt(value)))),
        Val::Num(n) if n.as_f64() < 0.0 => Val::Num(n.negate()),
        Val::Num(n) => Val::Num(*n),
        Val::Str(s) => {
            machine.meter.scan(s.as_str().len())?;
            Val::int(s.as_str().chars().count())
        }
        Val::Arr(list) => Val::int(list.len()),
        Val::Obj(dict) => Val::int(dict.len()),
    })
}

fn keys<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    let pay = |len: usize| machine.meter.allocate(len * size_of::<Val<'_>>());
    match value {
        Val::Arr(list) => {
            pay(list.len())?;
            machine.array((0..list.len()).map(Val::int).collect())
        }
        Val::Obj(dict) => {
            pay(dict.len())?;
            machine.array(dict.iter().map(|(key, _)| Val::Str(key)).collect())
        }
        other => Err(Stop::raise(format!("{} ({}) has no keys", other.kind(), excerpt(other)))),
    }
}

fn has<'v>(value: &Val<'v>, key: &Val<'v>) -> Outcome<'v> {
    match (value, key) {
        (Val::Obj(dict), Val::Str(key)) => Ok(Val::Bool(dict.get(key.as_str()).is_some())),
        (Val::Arr(list), Val::Num(at)) => {
            Ok(Val::Bool(at.as_f64() >= 0.0 && at.as_f64() < list.len() as f64))
        }
        (value, key) => {
            Err(Stop::raise(format!("{} cannot have a key of type {}", value.kind(), key.kind())))
        }
    }
}

fn contains<'v>(machine: &Machine<'v>, value: &Val<'v>, part: &Val<'v>) -> Outcome<'v, bool> {
    let _level = machine.meter.descend()?;
    machine.meter.spend(1)?;
    match (value, part) {
        (Val::Obj(whole), Val::Obj(part)) => contains_entries(machine, whole, part),
        (Val::Arr(whole), Val::Arr(part)) => contains_items(machine, whole, part),
        (Val::Str(whole), Val::Str(part)) => {
            machine.meter.scan(whole.as_str().len())?;
            Ok(whole.as_str().contains(part.as_str()))
        }
        (whole, part) if whole.kind() == part.kind() => {
            Ok(compare::compare(&machine.meter, whole, part)?.is_eq())
        }
        (whole, part) => Err(Stop::raise(format!(
            "{} ({}) and {} ({}) cannot have their containment checked",
            whole.kind(),
            excerpt(whole),
            part.kind(),
            excerpt(part)
        ))),
    }
}

fn contains_entries<'v>(machine: &Machine<'v>, whole: &Dict<'v>, part: &Dict<'v>) -> Outcome<'v, bool> {
    for (key, wanted) in part.iter() {
        match whole.get(key.as_str()) {
            Some(value) if value.kind() == wanted.kind() && contains(machine, &value, &wanted)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn contains_items<'v>(machine: &Machine<'v>, whole: &List<'v>, part: &List<'v>) -> Outcome<'v, bool> {
    'wanted: for wanted in part.iter() {
        for value in whole.iter() {
            if value.kind() == wanted.kind() && contains(machine, &value, &wanted)? {
                continue 'wanted;
            }
        }
        return Ok(false);
    }
    Ok(true)
}

fn reverse<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    match value {
        Val::Null => machine.array(Vec::new()),
        Val::Str(s) => {
            machine.meter.scan(s.as_str().len())?;
            machine.string(s.as_str().chars().rev().collect::<String>())
        }
        other => {
            let mut items = items(machine, other, "reversed")?;
            items.reverse();
            machine.array(items)
        }
    }
}

fn flatten<'v>(machine: &Machine<'v>, value: &Val<'v>, depth: f64) -> Outcome<'v> {
    let mut flat = Vec::new();
    let all = match value {
        Val::Obj(dict) => dict.iter().map(|(_, value)| value).collect(),
        other => items(machine, other, "flattened")?,
    };
    for item in all {
        flatten_into(machine, item, depth, &mut flat)?;
    }
    machine.array(flat)
}

fn flatten_into<'v>(
    machine: &Machine<'v>,
    item: Val<'v>,
    depth: f64,
    flat: &mut Vec<Val<'v>>,
) -> Outcome<'v, ()> {
    let _level = machine.meter.descend()?;
    machine.meter.spend(STEP)?;
    match item {
        Val::Arr(list) if depth >= 1.0 => {
            list.iter().try_for_each(|item| flatten_into(machine, item, depth - 1.0, flat))
        }
        item => {
            machine.meter.allocate(size_of::<Val<'_>>())?;
            flat.push(item);
            Ok(())
        }
    }
}

fn to_entries<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    let Val::Obj(dict) = value else {
        return Err(Stop::raise(format!("{} ({}) has no entries", value.kind(), excerpt(value))));
    };
    let entry = |(key, value)| {
        machine.meter.spend(STEP)?;
        machine.object([(Text::Lent("key"), Val::Str(key)), (Text::Lent("value"), value)].into())
    };
    machine.array(dict.iter().map(entry).collect::<Outcome<'v, Vec<_>>>()?)
}

fn from_entries<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    let mut object = BTreeMap::new();
    for entry in items(machine, value, "made an object")? {
        machine.meter.spend(STEP)?;
        let Val::Obj(entry) = &entry else {
            return Err(Stop::raise(format!("{} ({}) is not an entry", entry.kind(), excerpt(&entry))));
        };
        let one_of = |names: &[&str]| {
            names.iter().find_map(|name| entry.get(name).filter(|v| !matches!(v, Val::Null)))
        };
        let key = match one_of(&["key", "k", "name", "Name", "Key", "K"]).unwrap_or(Val::Null) {
            Val::Str(key) => key,
            key @ (Val::Null | Val::Bool(_) | Val::Num(_)) => {
                Text::Own(std::rc::Rc::new(format::plain(machine, &key)?))
            }
            other => return Err(Stop::raise(format!("{} cannot be the key of an object", other.kind()))),
        };
        object.insert(key, one_of(&["value", "v", "Value", "V"]).unwrap_or(Val::Null));
    }
    machine.object(object)
}

fn transpose<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    let mut rows = Vec::new();
    for row in items(machine, value, "transposed")? {
        rows.push(items(machine, &row, "transposed")?);
    }
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    machine.meter.allocate(width.saturating_mul(rows.len() + 1).saturating_mul(size_of::<Val<'_>>()))?;
    let column =
        |i: usize| machine.array(rows.iter().map(|row| row.get(i).cloned().unwrap_or(Val::Null)).collect());
    machine.array((0..width).map(column).collect::<Outcome<'v, Vec<_>>>()?)
}

fn bsearch<'v>(machine: &Machine<'v>, value: &Val<'v>, wanted: &Val<'v>) -> Outcome<'v> {
    let Val::Arr(list) = value else {
        return Err(Stop::raise(format!("{} cannot be searched, only an array", value.kind())));
    };
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let order = compare::compare(&machine.meter, &list.get(middle).unwrap_or(Val::Null), wanted)?;
        match order {
            std::cmp::Ordering::Equal => return Ok(Val::int(middle)),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    operators::calculate(machine, jaq_core::ops::Math::Sub, operators::negate(Val::int(low))?, Val::int(1))
}
