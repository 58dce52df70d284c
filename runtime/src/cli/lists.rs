//! `definitions`.

use std::process::ExitCode;

use super::args::Global;
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::FAINT;
use super::table::{Cell, table};
use crate::orchestrator::DefinitionSummary;

pub(super) async fn definitions(global: &Global, client: &Client) -> Result<ExitCode, CliError> {
    let list: Vec<DefinitionSummary> = client.get("/api/v1/definitions").await?;
    page::print(global, &list, |list| match list.is_empty() {
        true => "no definitions: `impresario serve PACK` deploys some\n".to_owned(),
        false => table(["DEFINITION", "STARTED BY", "TITLE"], list.iter().map(definition_row)),
    })
}

fn definition_row(definition: &DefinitionSummary) -> [Cell; 3] {
    let title = definition.title.as_ref().or(definition.summary.as_ref()).cloned().unwrap_or_default();
    let title = title.lines().next().unwrap_or_default().to_owned();
    [Cell::new(&definition.id), Cell::new(definition.triggers.join(", ")), Cell::styled(title, FAINT)]
}
