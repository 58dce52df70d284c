//! The names that a program can use, and what to say about those that it cannot.

use super::natives;
use super::node::Format;

const REPLAYED: &str = "expressions must give the same value when they are replayed";
const ISOLATED: &str = "expressions see only their input and their variables";

/// Functions of jq that are left out, and why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("now", REPLAYED, "use `$task.startedAt`"),
    ("localtime", REPLAYED, "use `gmtime`"),
    ("strflocaltime", REPLAYED, "use `strftime`, which is in UTC"),
    ("env", ISOLATED, "use `$context` or `$runtime`"),
    ("$ENV", ISOLATED, "use `$context` or `$runtime`"),
    ("input", ISOLATED, "use `.` or `$input`"),
    ("inputs", ISOLATED, "use `.` or `$input`"),
    ("input_line_number", ISOLATED, ""),
    ("input_filename", ISOLATED, ""),
    ("$__prog_args", ISOLATED, ""),
    ("$__loc__", ISOLATED, ""),
    ("get_search_list", ISOLATED, ""),
    ("debug", "expressions have no side effects", ""),
    ("stderr", "expressions have no side effects", ""),
    ("halt", "expressions have no side effects", "use `error(..)`"),
    ("halt_error", "expressions have no side effects", "use `error(..)`"),
    ("import", "there are no modules", ""),
    ("include", "there are no modules", ""),
    ("modulemeta", "there are no modules", ""),
];

/// Why a function or variable of jq does not exist here.
pub(super) fn left_out(name: &str) -> Option<String> {
    let (name, why, instead) = LEFT_OUT.iter().find(|entry| entry.0 == name)?;
    let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
    Some(format!("`{name}` is not available in expressions: {why}{instead}"))
}

/// What to say about a function that does not exist.
pub(super) fn unknown_function<'a>(
    name: &str,
    arity: usize,
    defined: impl Iterator<Item = (&'a str, usize)>,
) -> String {
    let known: Vec<(&str, usize)> =
        natives::names().chain(defined).filter(|(name, _)| !name.starts_with('_')).collect();
    let mut arities: Vec<usize> = known.iter().filter(|entry| entry.0 == name).map(|entry| entry.1).collect();
    if !arities.is_empty() {
        arities.sort_unstable();
        arities.dedup();
        let takes = arities.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
        return format!("`{name}` takes {takes} arguments, found {arity}");
    }
    format!("unknown function `{name}`{}", suggestion(name, known.iter().map(|entry| entry.0)))
}

/// What to say about a variable that is not bound.
pub(super) fn unknown_variable<'a>(name: &str, bound: impl Iterator<Item = &'a str>) -> String {
    format!("unknown variable `{name}`{}", suggestion(name, bound))
}

/// What to say about a format that does not exist.
pub(super) fn unknown_format(name: &str) -> String {
    format!("unknown format `{name}`{}", suggestion(name, Format::ALL.iter().map(|entry| entry.0)))
}

/// The known name that is most like the unknown one, if it is like it at all.
fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| format!("; did you mean `{known}`?"))
        .unwrap_or_default()
}
