//! `audit`: whether anything is stuck.

use std::process::ExitCode;
use std::time::Duration;

use super::args::Global;
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{BAD, FAINT, GOOD, PAUSED};
use crate::audit::AuditReport;

pub(super) async fn audit(global: &Global, client: &Client) -> Result<ExitCode, CliError> {
    let report: AuditReport = client.get("/api/v1/audit").await?;
    page::print(global, &report, render_audit)
}

/// The page of `audit`.
pub fn render_audit(report: &AuditReport) -> String {
    let style = if report.stuck == 0 { GOOD } else { BAD };
    let proven = match report.proven_ms_ago {
        Some(ago) => {
            let ago = Duration::from_secs(ago / 1000);
            format!("proven {} ago", humantime::format_duration(ago))
        }
        None => "not proven yet: the first audit is under way".to_owned(),
    };
    let mut lines = vec![format!(
        "{style}stuck: {}{style:#}, {proven} {FAINT}({} things looked at){FAINT:#}",
        report.stuck, report.checked
    )];
    for who in &report.unheard {
        lines.push(format!("  {PAUSED}nothing was heard of {who}{PAUSED:#}"));
    }
    for violation in &report.violations {
        lines.push(format!("  {}  {}", violation.subject, violation.what));
        lines.push(format!("    {FAINT}since{FAINT:#} {}", violation.since));
        if let Some(repaired) = &violation.repaired {
            lines.push(format!("    {FAINT}repaired{FAINT:#} {repaired}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
