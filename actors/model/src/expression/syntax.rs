//! From text to a syntax tree.
//!
//! The grammar is that of jaq, whose parser recurses as deep as the text nests. So the text is measured first,
//! and parsed on a thread whose stack suffices for the deepest text that passes.

use jaq_core::load::lex::{Expect as LexExpect, Lexer};
use jaq_core::load::parse::{Parser, Term};
use jaq_core::load::span;

use super::ExpressionError;

/// The longest source, in bytes.
const LENGTH_MAX: usize = 64 << 10;
/// How deep brackets may nest.
const NESTING_MAX: usize = 64;
/// The stack of the parsing thread: what checking the tree takes, whose depth is limited, and for parsing some
/// for each byte, several times what the densest nesting (a row of minus signs) was measured to take.
const STACK: usize = 8 << 20;
const STACK_PER_BYTE: usize = 5 << 10;

/// Parses `source` and hands the tree to `check`, all on a thread of its own.
pub(super) fn with_parsed<T: Send>(
    source: &str,
    check: impl FnOnce(Term<&str>) -> Result<T, ExpressionError> + Send,
) -> Result<T, ExpressionError> {
    measure(source)?;
    let failed = || ExpressionError { message: "the expression could not be parsed".into(), span: None };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("expression-parser".into())
            .stack_size(STACK + STACK_PER_BYTE * source.len())
            .spawn_scoped(scope, || check(parse(source)?))
            .map_err(|error| ExpressionError {
                message: format!("no thread to parse the expression on: {error}"),
                span: None,
            })?
            .join()
            .unwrap_or_else(|_| Err(failed()))
    })
}

fn measure(source: &str) -> Result<(), ExpressionError> {
    if source.len() > LENGTH_MAX {
        let message = format!("expected at most {LENGTH_MAX} bytes of expression, found {}", source.len());
        return Err(ExpressionError { message, span: None });
    }
    match too_deep(source) {
        None => Ok(()),
        Some(at) => {
            let message = format!("expected brackets to nest at most {NESTING_MAX} deep");
            Err(ExpressionError { message, span: Some(at..at + 1) })
        }
    }
}

/// Where brackets first nest deeper than [`NESTING_MAX`]. Strings nest programs, and programs strings, so what
/// is open is a list of the quotes and brackets that wait for their ends.
fn too_deep(source: &str) -> Option<usize> {
    let mut open: Vec<u8> = Vec::new();
    let (mut escaped, mut comment) = (false, false);
    for (at, byte) in source.bytes().enumerate() {
        if comment {
            comment = byte != b'\n';
        } else if open.last() == Some(&b'"') {
            match (escaped, byte) {
                (true, b'(') => open.push(b'('),
                (false, b'"') => drop(open.pop()),
                _ => {}
            }
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b'"' | b'(' | b'[' | b'{' => open.push(byte),
                b')' | b']' | b'}' => drop(open.pop()),
                b'#' => comment = true,
                _ => {}
            }
            escaped = false;
        }
        if open.len() > NESTING_MAX {
            return Some(at);
        }
    }
    None
}

fn parse(source: &str) -> Result<Term<&str>, ExpressionError> {
    let tokens = Lexer::new(source).lex().map_err(|errors| {
        let first = errors.into_iter().next();
        first.map_or_else(
            || unexpected(source, "an expression", None),
            |(expect, rest)| lex_error(source, &expect, rest),
        )
    })?;
    if let Some(word) = tokens.first().filter(|t| ["import", "include", "module"].contains(&t.as_str())) {
        let message = format!("`{}` is not available in expressions: there are no modules", word.as_str());
        return Err(ExpressionError { message, span: Some(span(source, word.as_str())) });
    }
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        // Errors of brackets are found before those around them; the first one in the text helps most.
        let place = |found: &str| if found.is_empty() { source.len() } else { span(source, found).start };
        let first = errors
            .into_iter()
            .map(|(expect, found)| (expect, found.map_or("", |token| token.as_str())))
            .min_by_key(|(_, found)| place(found));
        match first {
            Some((expect, found)) => unexpected(source, expect.as_str(), Some(found)),
            None => unexpected(source, "an expression", None),
        }
    })
}

fn lex_error(source: &str, expect: &LexExpect<&str>, rest: &str) -> ExpressionError {
    if let LexExpect::Delim(open) = expect {
        let what = expect.as_str();
        let message = format!("expected {what} for `{open}`");
        return ExpressionError { message, span: Some(span(source, open)) };
    }
    let end = rest.char_indices().nth(1).map_or(rest.len(), |(end, _)| end);
    unexpected(source, expect.as_str(), rest.get(..end))
}

fn unexpected(source: &str, expected: &str, found: Option<&str>) -> ExpressionError {
    let found = found.unwrap_or_default();
    // A bracket's token is all that it holds.
    let short: String = found.chars().take(20).collect();
    let (shown, span) = match found.is_empty() {
        true => ("the end".to_owned(), source.len()..source.len()),
        false => (format!("`{short}`"), span(source, found)),
    };
    ExpressionError { message: format!("expected {expected}, found {shown}"), span: Some(span) }
}
