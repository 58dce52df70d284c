//! `config`: the settings in force, and the reference page.

use std::process::ExitCode;

use impresario_config::{Effective, Origin, reference};
use serde_json::{Value, json};

use super::args::Global;
use super::error::CliError;
use super::style::{FAINT, GOOD};
use super::table::{Cell, table};
use super::{client, page};

pub(super) fn config(global: &Global, print_reference: bool) -> Result<ExitCode, CliError> {
    if print_reference {
        page::write_out(&reference())?;
        return Ok(ExitCode::SUCCESS);
    }
    let effective = client::settings(global, vec![])?.effective;
    let list: Value = effective.iter().map(|one| {
        json!({"key": one.setting.key, "value": one.value, "origin": one.origin.to_string(), "doc": one.setting.doc})
    }).collect();
    page::print(global, &list, |_| table(["SETTING", "VALUE", "ORIGIN"], effective.iter().map(row)))
}

/// What somebody set stands out from the defaults.
fn row(effective: &Effective) -> [Cell; 3] {
    let style = if effective.origin == Origin::Default { FAINT } else { GOOD };
    [
        Cell::new(effective.setting.key),
        Cell::new(&effective.value),
        Cell::styled(effective.origin.to_string(), style),
    ]
}
