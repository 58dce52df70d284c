//! `adapter-test`: whether a program keeps to the adapter protocol.

use std::process::ExitCode;
use std::time::Duration;

use impresario_adapter_check::{Check, Outcome, Report, Subject, Trial, check};
use serde_json::{Map, Value, json};

use super::args::{AdapterTest, Global};
use super::error::CliError;
use super::style::{BAD, FAINT, GOOD};
use super::{input, page};

pub(super) fn adapter_test(global: &Global, test: AdapterTest) -> Result<ExitCode, CliError> {
    let subject = subject(test)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start: {error}")))?;
    let report = runtime.block_on(check(&subject)).map_err(CliError::Failed)?;
    let summary = json!({
        "adapter": report.adapter,
        "version": report.version,
        "passed": count(&report, Outcome::Passed),
        "failed": count(&report, Outcome::Failed),
        "skipped": count(&report, Outcome::Skipped),
        "checks": report.checks,
    });
    page::print(global, &summary, |_| describe(&report))?;
    Ok(if report.failed().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn subject(test: AdapterTest) -> Result<Subject, CliError> {
    let arguments = match &test.arguments {
        Some(text) => input::json("--arguments", text)?,
        None => Value::Object(Map::new()),
    };
    let mut command = test.command.into_iter();
    let Some(program) = command.next() else {
        return Err(CliError::Usage("expected a command after `--`, found none".to_owned()));
    };
    Ok(Subject {
        program,
        arguments: command.collect(),
        limit: Duration::from_secs(test.timeout),
        call: test.call.map(|function| Trial { function, arguments, long: test.long }),
    })
}

fn count(report: &Report, outcome: Outcome) -> usize {
    report.checks.iter().filter(|check| check.outcome == outcome).count()
}

fn describe(report: &Report) -> String {
    let mut page: String = report.checks.iter().map(line).collect();
    let name = report.adapter.as_deref().unwrap_or("the program");
    let version = report.version.as_deref().unwrap_or_default();
    let [passed, failed, skipped] =
        [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(|outcome| count(report, outcome));
    let style = if failed == 0 { GOOD } else { BAD };
    let words = format!("{name} {version}: {passed} passed, {failed} failed, {skipped} skipped");
    page.push_str(&format!("{style}{}{style:#}\n", words.replace(" :", ":")));
    page
}

/// One line for each check: what was expected, what was found.
fn line(check: &Check) -> String {
    let Check { check, outcome, expected, found } = check;
    let style = match outcome {
        Outcome::Passed => GOOD,
        Outcome::Failed => BAD,
        Outcome::Skipped => FAINT,
    };
    // What a program says may hold anything; it gets no lines and no colours of its own.
    let found: String = found.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{style}{outcome:<7}{style:#} {check:<13} expected: {expected}; found: {found}\n")
}
