//! The table of all trials in docs/reliability.md.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Outcome;

/// What stands between the words of the page, which people write, and the table, which this writes.
const MARK: &str = "<!-- the table below is written by the command -->\n";

/// Writes the table into the page, in the place of the last one.
///
/// # Errors
/// When the page cannot be read or written, or has no place for a table.
pub fn write(page: &Path, machine: &str, date: &str, outcomes: &[Outcome]) -> Result<(), String> {
    let text = std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let (words, _) = text
        .split_once(MARK)
        .ok_or_else(|| format!("expected the line '{}' in {}", MARK.trim(), page.display()))?;
    let text = format!("{words}{MARK}\n{}", table(machine, date, outcomes));
    std::fs::write(page, text).map_err(|error| format!("{}: {error}", page.display()))
}

fn table(machine: &str, date: &str, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "## {date}: {machine}\n\n\
         | what goes wrong | faults | instances | lost | duplicated | interrupted | activities repeated | other findings | \
         taken over, median / max | whole again, median / max | seed |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for outcome in outcomes {
        let account = &outcome.account;
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} of {} | {} | {} | {} | {} |",
            outcome.trial.nemesis,
            outcome.trial.faults,
            account.completed + account.interrupted,
            account.lost,
            account.duplicated,
            account.interrupted,
            account.repeated,
            account.activities,
            account.wrong.len().saturating_sub(account.lost + account.duplicated),
            spread(&outcome.take_overs),
            spread(&outcome.heals),
            outcome.trial.seed,
        );
    }
    text
}

fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let Some(max) = times.last() else { return "–".to_owned() };
    format!("{:.1} / {:.1} s", times[times.len() / 2].as_secs_f64(), max.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_times_is_their_median_and_their_maximum() {
        let times = [3, 1, 2].map(Duration::from_secs);
        assert_eq!((spread(&times).as_str(), spread(&[]).as_str()), ("2.0 / 3.0 s", "–"));
    }

    #[test]
    fn a_page_without_a_place_for_the_table_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let page = folder.path().join("page.md");
        std::fs::write(&page, "words\n").expect("a file");
        assert!(write(&page, "a machine", "a day", &[]).is_err());
        std::fs::write(&page, format!("words\n{MARK}\nold\n")).expect("a file");
        write(&page, "a machine", "a day", &[]).expect("a page");
        let text = std::fs::read_to_string(&page).expect("a file");
        assert!(text.starts_with("words\n") && text.contains("a day: a machine") && !text.contains("old"));
    }
}
