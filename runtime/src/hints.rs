//! What to type next: lines that work when they are pasted.

use impresario_config::Config;

use crate::orchestrator::TriggerSummary;

/// A line that sends an event somebody waits for, and one that shows what came of it.
pub fn next_steps(config: &Config, triggers: &[TriggerSummary]) -> Vec<String> {
    let program = std::env::args_os()
        .next()
        .map_or_else(|| "impresario".to_owned(), |program| program.to_string_lossy().into_owned());
    // The data folder tells the command line where the node is; the default one needs no telling.
    let folder = match config.data.to_string_lossy() {
        data if data == "impresario-data" => String::new(),
        data => format!(" --data {data}"),
    };
    let kind = triggers.iter().find_map(|trigger| trigger.watches.strip_prefix("event "));
    let kind = kind.and_then(|kinds| kinds.split(" or ").next()).filter(|kind| *kind != "any type");
    let mut lines = Vec::new();
    if let Some(kind) = kind {
        lines.push(format!("  try      {program}{folder} send {kind} --data '{}'", example(kind)));
    }
    lines.push(format!("  then     {program}{folder} ps"));
    lines
}

/// Data that the quickstart's handler understands; an empty object for all other types.
fn example(kind: &str) -> &'static str {
    if kind == "quickstart.threshold.passed" {
        r#"{"what":"disk","name":"/tmp","value":99,"limit":90}"#
    } else {
        "{}"
    }
}
