//! `console`: the debug console, or a picture of it.

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ratatui::layout::Size;
use serde_json::json;

use super::args::{Folder, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use crate::console::{self, Options, View};

/// Nobody reads faster, and the node has other things to do.
const REFRESH_LEAST: Duration = Duration::from_millis(100);
const REFRESH_MOST: Duration = Duration::from_secs(3600);

/// Look into a running cluster: actors, instances, nodes, adapters, triggers, entries, what was set aside, system events.
#[derive(Debug, Args)]
pub(super) struct Console {
    /// The pause between two looks at the cluster.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = refresh)]
    refresh: Duration,
    /// What to show first.
    #[arg(long, value_name = "NAME", value_enum, default_value = "actors")]
    view: View,
    /// Open this actor (kind/id), or this instance: its id, or the first 8 characters of it or more.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Write one screen to this file as a picture (SVG), and end.
    #[arg(long, value_name = "FILE.svg")]
    screenshot: Option<PathBuf>,
    /// How many columns and lines the picture has.
    #[arg(long, value_name = "COLUMNSxLINES", default_value = "120x36", value_parser = size, requires = "screenshot")]
    size: Size,
    #[command(flatten)]
    pub(super) folder: Folder,
}

fn refresh(text: &str) -> Result<Duration, String> {
    let expected = format!("expected a time from 100ms to 1h such as 1s, found '{text}'");
    let found = humantime::parse_duration(text).map_err(|_| expected.clone())?;
    (REFRESH_LEAST..=REFRESH_MOST).contains(&found).then_some(found).ok_or(expected)
}

fn size(text: &str) -> Result<Size, String> {
    let parts = text
        .split_once('x')
        .and_then(|(width, height)| Some(Size { width: width.parse().ok()?, height: height.parse().ok()? }));
    parts
        .filter(|size| (20..=500).contains(&size.width) && (5..=300).contains(&size.height))
        .ok_or_else(|| format!("expected 20 to 500 columns x 5 to 300 lines such as 120x36, found '{text}'"))
}

pub(super) fn console(global: &Global, asked: Console) -> Result<ExitCode, CliError> {
    let client = Client::find(global)?;
    let variables = impresario_config::process_variables();
    let variable = |name: &str| {
        let found = variables.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let options = Options {
        refresh: asked.refresh,
        view: asked.view,
        actor: asked.actor,
        // See https://no-color.org.
        colours: variable("NO_COLOR").is_none(),
        editor: variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_owned()),
    };
    if let Some(file) = asked.screenshot {
        let picture = console::screenshot(&client, &options, asked.size)?;
        std::fs::write(&file, picture)
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", file.display())))?;
        let name = file.display().to_string();
        return page::print(global, &json!({"screenshot": name}), |_| format!("wrote {name}\n"));
    }
    if global.json {
        return Err(CliError::Usage(
            "expected no --json for a terminal interface: `tree`, `ps`, `nodes` and `adapters` print JSON"
                .to_owned(),
        ));
    }
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(CliError::Usage(
            "expected a terminal for the console, found none: run it in one (`ssh -t` makes one), write a picture with \
             --screenshot FILE.svg, or ask with `tree`, `ps`, `nodes` and `adapters`"
                .to_owned(),
        ));
    }
    console::run(client, options)?;
    Ok(ExitCode::SUCCESS)
}
