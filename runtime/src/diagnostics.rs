//! Shows what is wrong with definitions: the line, a caret under the place, and what to do.

use std::fmt::Write;

use impresario_model::language::Diagnostic;

use crate::cli::style::{BAD, FAINT, HINT};
use crate::pack::FileDiagnostics;

/// Longer lines are cut: a definition may be one line of JSON.
const LINE_LIMIT: usize = 160;

/// All diagnostics of all files, with colours.
pub fn render(files: &[FileDiagnostics]) -> String {
    let mut page = String::new();
    for file in files {
        for diagnostic in &file.diagnostics {
            // Writing to a string cannot fail.
            let _ = render_one(&mut page, file, diagnostic);
        }
    }
    page
}

fn render_one(page: &mut String, file: &FileDiagnostics, diagnostic: &Diagnostic) -> std::fmt::Result {
    let Diagnostic { line, column, pointer, message, hint } = diagnostic;
    writeln!(page, "{BAD}error{BAD:#}: {message}")?;
    let source_line = (*line as usize).checked_sub(1).and_then(|index| file.source.lines().nth(index));
    let margin = line.to_string().len();
    match source_line {
        None => writeln!(page, "{FAINT}{:margin$}-->{FAINT:#} {}", "", file.path.display())?,
        Some(text) => {
            let (shown, before, width) = excerpt(text, *column as usize);
            writeln!(page, "{FAINT}{:margin$}-->{FAINT:#} {}:{line}:{column}", "", file.path.display())?;
            writeln!(page, "{FAINT}{:margin$} |{FAINT:#}", "")?;
            writeln!(page, "{FAINT}{line} |{FAINT:#} {shown}")?;
            writeln!(
                page,
                "{FAINT}{:margin$} |{FAINT:#} {:before$}{BAD}{}{BAD:#}",
                "",
                "",
                "^".repeat(width)
            )?;
        }
    }
    if !pointer.is_empty() {
        writeln!(page, "{FAINT}{:margin$} = at{FAINT:#} {pointer}", "")?;
    }
    if let Some(hint) = hint {
        writeln!(page, "{FAINT}{:margin$} ={FAINT:#} {HINT}help{HINT:#}: {hint}", "")?;
    }
    writeln!(page)
}

/// The part of a line to show, how far in the place is, and how long the word there is.
fn excerpt(text: &str, column: usize) -> (String, usize, usize) {
    let at = column.saturating_sub(1);
    let start = if at < LINE_LIMIT { 0 } else { at - LINE_LIMIT / 2 };
    // A tab would be wider than the caret's line knows.
    let shown: Vec<char> =
        text.chars().skip(start).take(LINE_LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let before = (at - start).min(shown.len());
    let word =
        shown[before..].iter().take_while(|c| !c.is_whitespace() && !matches!(c, ':' | ',' | '}' | ']'));
    let width = word.count().max(1);
    (shown.into_iter().collect(), before, width)
}
