//! The place in a document of an offset inside a scalar.

use super::node::Place;

/// The place of the byte `offset` of `text`, which is the value of the scalar that stands at `start` in `source`.
///
/// The value is walked along the source: quotes, escapes, folded lines and indentation make the source longer.
/// Where the two cannot be matched, the start of the scalar is answered.
pub(super) fn inside(source: &str, start: Place, text: &str, offset: usize) -> Place {
    let Some(raw) = source.get(start.offset..) else { return start };
    let Some((before, rest)) = text.split_at_checked(offset.min(text.len())) else { return start };
    let walked = before.chars().try_fold(content_start(raw), |at, wanted| after(raw, at, wanted));
    // What stands before the next character belongs to the source only: its indentation, or its backslash.
    let next = rest.chars().next().filter(|next| !next.is_whitespace());
    let passed = walked.and_then(|at| {
        let skipped = next.and_then(|next| raw.get(at..)?.find(next)).unwrap_or(0);
        raw.get(..at + skipped)
    });
    passed.map_or(start, |passed| advance(start, passed))
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
    if !wanted.is_whitespace() {
        // What may stand in between is indentation, a backslash or a doubled quote.
        return rest.find(wanted).map(|skipped| at + skipped + wanted.len_utf8());
    }
    let skipped = match rest.chars().next()? {
        '\\' if raw.starts_with('"') => 2,
        found if !found.is_whitespace() => 0,
        _ if wanted == '\n' => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
        found => found.len_utf8(),
    };
    Some(at + skipped)
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

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Report;
    use super::super::node::Content;
    use super::super::read::read;
    use super::*;

    /// Where the `!` of the only value stands.
    #[track_caller]
    fn check(source: &str, line: u32, column: u32) {
        let root = read(source, &mut Report::default()).unwrap();
        let Content::Map(members) = &root.content else { panic!("not a map") };
        let value = &members[0].value;
        let Content::Text(text) = &value.content else { panic!("not text: {:?}", value.content) };
        let place = inside(source, value.place, text, text.find('!').unwrap());
        assert_eq!((place.line, place.column), (line, column), "{source}");
    }

    #[test]
    fn an_offset_is_found_in_every_style() {
        check("a: xyz!", 1, 7);
        check("a: x yz !", 1, 9);
        check("a: 'xyz!'", 1, 8);
        check("a: 'it''s !'", 1, 11);
        check("a: \"x \\\"y\\\" !\"", 1, 13);
        check("a: \"x\\ty!\"", 1, 9);
        check("a: \"ä ö !\"", 1, 9);
        check("a: |\n  x\n  yy !\n", 3, 6);
        check("a: |\n  x\n\n    yy !\n", 4, 8);
        check("a: >-\n  x\n  yy !\n", 3, 6);
        check("a:\n  x\n  yy !\n", 3, 6);
        check("a: \"x\n  yy !\"", 2, 6);
    }

    #[test]
    fn what_cannot_be_matched_is_the_start() {
        let start = Place { line: 4, column: 2, offset: 3 };
        assert_eq!(inside("a: b", start, "zzz", 2), start);
        assert_eq!(inside("", start, "zzz", 2), start);
        assert_eq!(inside("a: b", start, "b", 99), Place { column: 3, offset: 4, ..start });
    }
}
