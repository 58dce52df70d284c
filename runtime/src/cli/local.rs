//! The commands that work on this machine: `serve`, `repair`, `adapter-host`, `completions`, `openapi`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use impresario_adapter::host::{run_on_stdio, run_on_stdio_once};
use impresario_adapters::Mcp;
use impresario_adapters::mcp::Server;
use impresario_config::{Override, StoreKind};
use impresario_persistence::RepairReport;
use serde_json::json;

use super::args::{AdapterHost, Cli, Global, Serve};
use super::error::CliError;
use super::style::{BAD, GOOD};
use super::{client, page};

pub(super) fn serve(global: &Global, serve: Serve) -> Result<ExitCode, CliError> {
    let listen = serve.listen.map(|value| Override {
        key: "http.listen".to_owned(),
        value,
        flag: "--listen".to_owned(),
    });
    let config = client::settings(global, listen.into_iter().collect())?.config;
    crate::node::serve(config, &serve.packs).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn repair(global: &Global) -> Result<ExitCode, CliError> {
    let config = client::settings(global, vec![])?.config;
    if config.store.kind == StoreKind::Memory {
        return Err(CliError::Usage("store.kind is memory: there is nothing on disk to repair".to_owned()));
    }
    let folder = crate::node::store_folder(&config);
    let report = impresario_persistence::repair(&folder)
        .map_err(|error| CliError::Failed(format!("cannot repair {}: {error}", folder.display())))?;
    let lost = !report.lost.is_empty() || !report.lost_rows.is_empty();
    let summary = json!({
        "kept": report.kept,
        "unreadable": report.unreadable.iter().map(|part| json!({
            "file": part.file, "position": part.position, "bytes": part.bytes, "why": part.why,
        })).collect::<Vec<_>>(),
        "lost": report.lost.iter().map(|lost| json!({
            "shard": lost.shard.0, "first": lost.first, "last": lost.last,
        })).collect::<Vec<_>>(),
        "lost_rows": report.lost_rows.iter().map(|(shard, actor)| json!({"shard": shard.0, "actor": actor}))
            .collect::<Vec<_>>(),
        "kept_aside": report.kept_aside,
    });
    page::print(global, &summary, |_| describe(&report))?;
    Ok(if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn describe(report: &RepairReport) -> String {
    let mut lines = vec![format!("{GOOD}kept{GOOD:#} {} entries", report.kept)];
    for part in &report.unreadable {
        let (file, position, bytes) = (part.file.display(), part.position, part.bytes);
        lines.push(format!("{BAD}unreadable{BAD:#} {bytes} bytes of {file} at {position}: {}", part.why));
    }
    for lost in &report.lost {
        let (shard, first, last) = (lost.shard.0, lost.first, lost.last);
        lines.push(format!("{BAD}lost{BAD:#} entries {first} to {last} of shard {shard}"));
    }
    for (shard, actor) in &report.lost_rows {
        lines.push(format!("{BAD}lost{BAD:#} the snapshot of {actor} in shard {}", shard.0));
    }
    if let Some(aside) = &report.kept_aside {
        lines.push(format!("the files as they were are kept in {}", aside.display()));
    }
    lines.push(String::new());
    lines.join("\n")
}

pub(super) fn adapter_host(host: &AdapterHost) -> Result<ExitCode, CliError> {
    let name = &host.name;
    let failed = |error| CliError::Failed(format!("the adapter host {name} cannot serve: {error}"));
    if let Some(server) = server(host)? {
        let ready = async { Mcp::connect(&server).await.map_err(std::io::Error::other) };
        run_on_stdio_once(ready).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(adapter) = impresario_adapters::builtin(name) else {
        let known = impresario_adapters::names().join(", ");
        return Err(CliError::Usage(format!(
            "expected one of the built-in adapters {known}, or mcp, found '{name}'"
        )));
    };
    run_on_stdio(adapter).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// The server of the adapter `mcp`; the others have none.
fn server(host: &AdapterHost) -> Result<Option<Server>, CliError> {
    let server = match (host.server.clone(), host.command.split_first()) {
        (Some(address), _) => Some(Server::Address(address)),
        (None, Some((program, arguments))) => {
            Some(Server::Program { program: program.clone(), arguments: arguments.to_vec() })
        }
        (None, None) => None,
    };
    match (host.name.as_str(), &server) {
        ("mcp", None) => {
            Err(CliError::Usage("mcp: expected --server URL, or -- and a command, found neither".to_owned()))
        }
        ("mcp", Some(_)) | (_, None) => Ok(server),
        (other, Some(_)) => {
            Err(CliError::Usage(format!("expected no server for '{other}': that is for mcp")))
        }
    }
}

pub(super) fn completions(shell: Shell) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "impresario", &mut script);
    page::write_out(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the description of the API.
pub(super) fn openapi() -> Result<ExitCode, CliError> {
    page::print_json(&crate::http::openapi())?;
    Ok(ExitCode::SUCCESS)
}
