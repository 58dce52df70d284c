//! Regular expressions. They are those of the `regex` crate, which match in linear time, rather than
//! Oniguruma's: there is no look-around and no back-reference.

use std::rc::Rc;

use regex::{Captures, Regex, RegexBuilder};

use super::Entry;
use super::collections::arg;
use super::strings::text;
use crate::expression::machine::Machine;
use crate::expression::meter::STEP;
use crate::expression::value::{Outcome, Stop, Text, Val};

/// How large a compiled regular expression may get, in bytes; compiling one takes a few milliseconds.
const COMPILED_MAX: usize = 256 << 10;
/// What a search costs for each byte that lies ahead: 1 of gas for this many steps of the pattern's automaton.
const STEPS_PER_GAS: usize = 128;
/// What compiling costs for each byte of the pattern.
const COMPILE_GAS: u64 = 200;

pub(super) const TABLE: &[Entry] = &[
    ("test", 1, |machine, input, args| test(machine, &input, &arg(args, 0), &Val::Null)),
    ("test", 2, |machine, input, args| test(machine, &input, &arg(args, 0), &arg(args, 1))),
    ("_match", 2, |machine, input, args| {
        let parts = parts(machine, &input, &arg(args, 0), &arg(args, 1))?;
        let matches = parts.into_iter().filter(|part| matches!(part, Val::Obj(_))).collect();
        machine.array(matches)
    }),
    // What lies between the matches as strings, the matches as objects.
    ("_parts", 2, |machine, input, args| {
        let parts = parts(machine, &input, &arg(args, 0), &arg(args, 1))?;
        machine.array(parts)
    }),
];

/// What `flags` ask of a search, beside what they ask of the pattern.
struct Search {
    regex: Rc<Regex>,
    /// How many states of the pattern a byte of the text may meet.
    weight: usize,
    global: bool,
    skip_empty: bool,
}

impl Search {
    /// Pays for looking for one match in the next `bytes`.
    fn pay<'v>(&self, machine: &Machine<'v>, bytes: usize) -> Outcome<'v, ()> {
        // Even the simplest pattern takes a few steps for each byte.
        let steps = bytes.saturating_mul(self.weight.saturating_add(4));
        machine.meter.spend((steps / STEPS_PER_GAS) as u64 + STEP * self.regex.captures_len() as u64)
    }
}

/// A pattern with flags; it may be given as `[pattern, flags]`.
fn search<'v>(machine: &Machine<'v>, pattern: &Val<'v>, flags: &Val<'v>) -> Outcome<'v, Search> {
    if let Val::Arr(both) = pattern {
        let at = |i| both.get(i).unwrap_or(Val::Null);
        return search_with(machine, text(&at(0))?, at(1).as_str().unwrap_or_default());
    }
    let flags = match flags {
        Val::Null => "",
        other => text(other)?,
    };
    search_with(machine, text(pattern)?, flags)
}

fn search_with<'v>(machine: &Machine<'v>, pattern: &str, flags: &str) -> Outcome<'v, Search> {
    if let Some(flag) = flags.chars().find(|c| !"gnimpslx".contains(*c)) {
        return Err(Stop::raise(format!("{flag} is not a flag of regular expressions")));
    }
    let on = |flag| flags.contains(flag);
    let (global, skip_empty) = (on('g'), on('n'));
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(regex) = machine.patterns.borrow().get(&key) {
        return Ok(Search { regex: Rc::clone(regex), weight: weight(pattern), global, skip_empty });
    }
    machine.meter.spend(1000 + COMPILE_GAS * pattern.len() as u64)?;
    machine.meter.allocate(COMPILED_MAX)?;
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(on('i'))
        .dot_matches_new_line(on('s') || on('p'))
        .ignore_whitespace(on('x'))
        .swap_greed(false)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .build()
        .map_err(|error| Stop::raise(format!("{pattern} is not a regular expression: {error}")))?;
    let regex = Rc::new(regex);
    machine.patterns.borrow_mut().insert(key, Rc::clone(&regex));
    Ok(Search { regex, weight: weight(pattern), global, skip_empty })
}

/// How many characters the longest match has if nothing is repeated without bound; counted repetitions are
/// what makes the automaton of a short pattern large. An estimate that errs upwards.
fn weight(pattern: &str) -> usize {
    let mut groups = vec![0_usize];
    let mut last = 0_usize;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => groups.push(0),
            ')' => last = if groups.len() > 1 { groups.pop().unwrap_or(0) } else { 0 },
            '{' => {
                let counts: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let most = counts.split(',').filter_map(|n| n.trim().parse::<usize>().ok()).max();
                // The atom itself was counted already.
                last = last.saturating_mul(most.unwrap_or(1).max(1) - 1);
            }
            '\\' => {
                chars.next();
                last = 1;
            }
            _ => last = 1,
        }
        if let Some(group) = groups.last_mut().filter(|_| c != '(') {
            *group = group.saturating_add(last);
        }
    }
    groups.into_iter().fold(0, usize::saturating_add)
}

fn test<'v>(machine: &Machine<'v>, input: &Val<'v>, pattern: &Val<'v>, flags: &Val<'v>) -> Outcome<'v> {
    let search = search(machine, pattern, flags)?;
    let s = text(input)?;
    if !search.skip_empty {
        search.pay(machine, s.len())?;
        return Ok(Val::Bool(search.regex.is_match(s)));
    }
    let mut end = 0;
    let mut found = search.regex.find_iter(s);
    loop {
        search.pay(machine, s.len() - end)?;
        match found.next() {
            None => return Ok(Val::Bool(false)),
            Some(found) if !found.is_empty() => return Ok(Val::Bool(true)),
            Some(found) => end = found.end(),
        }
    }
}

/// The text, cut at the matches.
fn parts<'v>(
    machine: &Machine<'v>,
    input: &Val<'v>,
    pattern: &Val<'v>,
    flags: &Val<'v>,
) -> Outcome<'v, Vec<Val<'v>>> {
    let search = search(machine, pattern, flags)?;
    let s = text(input)?;
    let mut places = Places { text: s, byte: 0, chars: 0 };
    let mut parts = Vec::new();
    let mut end = 0;
    let mut found = search.regex.captures_iter(s);
    loop {
        search.pay(machine, s.len() - end)?;
        let Some(captures) = found.next() else { break };
        let Some(whole) = captures.get(0) else { break };
        if search.skip_empty && whole.is_empty() {
            continue;
        }
        parts.push(machine.string(s.get(end..whole.start()).unwrap_or_default())?);
        parts.push(describe(machine, &search.regex, &captures, &mut places)?);
        end = whole.end();
        if !search.global {
            break;
        }
    }
    parts.push(machine.string(s.get(end..).unwrap_or_default())?);
    Ok(parts)
}

/// Counts characters up to byte positions.
struct Places<'t> {
    text: &'t str,
    byte: usize,
    chars: usize,
}

impl Places<'_> {
    /// The number of characters before a byte, counted from the last such question where possible.
    fn chars_before(&mut self, byte: usize) -> usize {
        if byte < self.byte {
            (self.byte, self.chars) = (0, 0);
        }
        self.chars += self.text.get(self.byte..byte).map_or(0, |between| between.chars().count());
        self.byte = byte;
        self.chars
    }
}

/// A match as `match` gives it.
fn describe<'v>(
    machine: &Machine<'v>,
    regex: &Regex,
    captures: &Captures<'_>,
    places: &mut Places<'_>,
) -> Outcome<'v> {
    let whole = captures.get(0);
    let start = whole.map_or(0, |m| places.chars_before(m.start()));
    let mut groups = Vec::new();
    for (name, group) in regex.capture_names().zip(captures.iter()).skip(1) {
        let (offset, found) = match group {
            // Groups lie inside of their match, so counting from its start is enough.
            Some(group) => {
                let from = whole.map_or(0, |m| m.start());
                let before = places.text.get(from..group.start()).map_or(0, |s| s.chars().count());
                machine.meter.scan(group.end() - from)?;
                (Val::int(start + before), machine.string(group.as_str())?)
            }
            None => (Val::Num(crate::expression::number::Num::Int(-1)), Val::Null),
        };
        let name = name.map_or(Ok(Val::Null), |name| machine.string(name))?;
        groups.push(
            machine.object(
                [
                    (Text::Lent("length"), chars(&found)),
                    (Text::Lent("name"), name),
                    (Text::Lent("offset"), offset),
                    (Text::Lent("string"), found),
                ]
                .into(),
            )?,
        );
    }
    let found = machine.string(whole.map_or("", |m| m.as_str()))?;
    machine.object(
        [
            (Text::Lent("captures"), machine.array(groups)?),
            (Text::Lent("length"), chars(&found)),
            (Text::Lent("offset"), Val::int(start)),
            (Text::Lent("string"), found),
        ]
        .into(),
    )
}

fn chars<'v>(value: &Val<'v>) -> Val<'v> {
    Val::int(value.as_str().map_or(0, |s| s.chars().count()))
}
