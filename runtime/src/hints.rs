//! What to type next: lines that work when they are pasted.

use impresario_config::Config;

use crate::orchestrator::TriggerSummary;

/// What the handler of the quickstart waits for.
const QUICKSTART: &str = "quickstart.threshold.passed";

/// A line that sends an event somebody waits for, and one that shows what came of it.
pub fn next_steps(config: &Config, triggers: &[TriggerSummary]) -> Vec<String> {
    let program = std::env::args_os()
        .next()
        .map_or_else(|| "impresario".to_owned(), |program| word(&program.to_string_lossy()));
    // The data folder tells the command line where the node is; the default one needs no telling.
    let folder = match config.data.to_string_lossy() {
        data if data == "impresario-data" => String::new(),
        data => format!(" --data {}", word(&data)),
    };
    let watched = triggers.iter().filter_map(|trigger| trigger.watches.strip_prefix("event "));
    // What stands behind a comma is how many of them, and until when.
    let watched = watched.filter_map(|watched| watched.split(',').next());
    let kinds = watched.flat_map(|kinds| kinds.split(" or ")).filter(|kind| !kind.contains(' '));
    // One that there is an example for does something when it is pasted.
    let kind = kinds.min_by_key(|kind| *kind != QUICKSTART);
    let mut lines = Vec::new();
    if let Some(kind) = kind {
        lines.push(format!("  try      {program}{folder} send {kind} --data '{}'", example(kind)));
    }
    lines.push(format!("  then     {program}{folder} ps"));
    lines
}

/// Data that the quickstart's handler understands; an empty object for all other types.
fn example(kind: &str) -> &'static str {
    if kind == QUICKSTART { r#"{"what":"disk","name":"/tmp","value":99,"limit":90}"# } else { "{}" }
}

/// Text as one word of a shell.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        for (text, quoted) in [
            ("target/release/impresario", "target/release/impresario"),
            ("my data", "'my data'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }
}
