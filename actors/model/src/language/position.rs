//! The place in a document of an offset inside a scalar.

use super::node::Place;

/// The place of the byte `offset` of `text`, which is the value of the scalar that stands at `start` in `source`.
///
/// The value is walked along the source: quotes, escapes, folded lines and indentation make the source longer.
/// Where the two cannot be matched, the start of the scalar is answered.
pub(super) fn inside(source: &str, start: Place, text: &str, offset: usize) -> Place {
    let Some(raw) = source.get(start.offset..) else { return start };
    let Some(before) = text.get(..offset.min(text.len())) else { return start };
    let mut at = content_start(raw);
    for wanted in before.chars() {
        match after(raw, at, wanted) {
            Some(next) => at = next,
            None => return start,
        }
    }
    at = before_next(raw, at, text[before.len()..].chars().next());
    advance(start, &raw[..at])
}

/// Where the content begins: after a quote, or on the line after the header of a block.
fn content_start(raw: &str) -> usize {
    match raw.as_bytes().first() {
        Some(b'"' | b'\'') => 1,
        Some(b'|' | b'>') => raw.find('\n').map_or(raw.len(), |end| end + 1),
        _ => 0,
    }
}

/// The position after the next occurrence of `wanted`.
fn after(raw: &str, at: usize, wanted: char) -> Option<usize> {
    let rest = raw.get(at..)?;
    if wanted.is_whitespace() {
        let skipped = match rest.as_bytes() {
            [b'\\', _, ..] => 2,
            _ => rest
                .find(|c: char| !c.is_whitespace())
                .filter(|_| wanted == '\n')
                .or_else(|| rest.chars().next().filter(|c| c.is_whitespace()).map(char::len_utf8))?,
        };
        return Some(at + skipped);
    }
    // What may stand in between is indentation, a backslash or a doubled quote.
    let (skipped, _) = rest.char_indices().find(|(_, c)| *c == wanted)?;
    Some(at + skipped + wanted.len_utf8())
}

/// Skips what stands before the next wanted character, so that the place is its own.
fn before_next(raw: &str, at: usize, next: Option<char>) -> usize {
    match next {
        Some(next) if !next.is_whitespace() => raw[at..].find(next).map_or(at, |skipped| at + skipped),
        _ => at,
    }
}

fn advance(start: Place, passed: &str) -> Place {
    let lines = passed.matches('\n').count();
    let tail = passed.rsplit('\n').next().unwrap_or(passed);
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let columns = narrow(tail.chars().count());
    Place {
        line: start.line + narrow(lines),
        column: if lines == 0 { start.column + columns } else { columns + 1 },
        offset: start.offset + passed.len(),
    }
}
