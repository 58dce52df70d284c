//! The adapter `mcp`: any server of the Model Context Protocol becomes an adapter, and each of its tools a function.
//!
//! * The server is a program that is started, and spoken to over its standard streams, or an address that is spoken to
//!   over streamable HTTP. Its tools are listed once, at the start. When it says that they have changed, or when it
//!   ends, the host asks to be replaced by a fresh one.
//! * A function has the name, the input schema and the output schema of its tool, and the version of the server. It is
//!   restartable if the server hints that the tool only reads, or does no more when it is called twice.
//! * Arguments are checked against the schema here, so that a definition that is wrong hears about it in the terms of
//!   the process language.
//! * The output is the structured content of the answer; without any, `content`, its blocks, and `text`, all that is
//!   text in them. An answer with `isError` is a failure `runtime` with that text.
//! * The server asks us nothing: there is nobody who could answer in the middle of a process.

mod server;
mod tools;

use std::sync::{Arc, Mutex, PoisonError};

use impresario_adapter::{Adapter, BoxFuture, Call, Failure, HostHandle, Manifest, PROTOCOL, RunContext};
use rmcp::model::{CallToolRequestParams, CallToolResponse, ErrorCode};
use rmcp::service::{Peer, RoleClient, RunningService, ServiceError};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use server::{Client, Process, connect};
use tools::Tool;

pub use server::Server;

/// How many calls are under way at once.
const CONCURRENCY: u32 = 32;

/// The adapter `mcp`, connected to one server.
pub struct Mcp {
    manifest: Manifest,
    tools: Vec<Tool>,
    peer: Peer<RoleClient>,
    changed: Arc<Notify>,
    // Taken by the task that waits for its end.
    service: Mutex<Option<RunningService<RoleClient, Client>>>,
    watching: Mutex<JoinSet<()>>,
    // Not in that task: a task that is aborted is dropped later, and the host does not wait for that.
    _process: Option<Process>,
}

impl Mcp {
    /// Starts the server, or connects to it, and lists its tools.
    pub async fn connect(server: &Server) -> Result<Self, Failure> {
        let changed = Arc::new(Notify::new());
        let (service, process) = connect(server, Arc::clone(&changed)).await?;
        let peer = service.peer().clone();
        let told = peer.peer_info().and_then(|info| info.server_info.clone());
        let (name, version) = told.map_or_else(Default::default, |info| (info.name, info.version));
        let name = tools::word(&name, "mcp");
        let version = tools::word(&version, "0");
        let tools = tools::list(&peer, &version).await?;
        let manifest = Manifest {
            adapter: name,
            version,
            protocol: PROTOCOL,
            functions: tools.iter().map(|tool| tool.function.clone()).collect(),
            concurrency: CONCURRENCY,
        };
        let (service, watching) = (Mutex::new(Some(service)), Mutex::new(JoinSet::new()));
        Ok(Self { manifest, tools, peer, changed, service, watching, _process: process })
    }

    async fn call(&self, call: Call) -> Result<Value, Failure> {
        let name = call.function;
        let tool = self.tools.iter().find(|tool| tool.function.name == name);
        let tool = tool.ok_or_else(|| Failure::configuration(format!("the server has no tool `{name}`")))?;
        let arguments = tool.arguments(call.arguments)?;
        let request = CallToolRequestParams::new(name.clone()).with_arguments(arguments);
        match self.peer.call_tool_once(request).await.map_err(|error| refused(&name, &error))? {
            CallToolResponse::Complete(result) => tools::output(&name, result),
            _ => Err(Failure::new(Failure::CONFIGURATION, 501, format!("the tool `{name}` asks for input"))
                .with_detail("expected a tool that works with its arguments alone")),
        }
    }
}

impl Adapter for Mcp {
    fn manifest(&self) -> Manifest {
        self.manifest.clone()
    }

    fn started(&self, host: HostHandle) {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(service) = service else { return };
        let changed = Arc::clone(&self.changed);
        let watch = async move {
            let mut ended = std::pin::pin!(service.waiting());
            loop {
                let (reason, over) = tokio::select! {
                    _ = &mut ended => ("the server has ended", true),
                    () = changed.notified() => ("the server has changed its tools", false),
                };
                // An error means that the host is about to end anyway.
                if host.restart(reason).await.is_err() || over {
                    return;
                }
            }
        };
        self.watching.lock().unwrap_or_else(PoisonError::into_inner).spawn(watch);
    }

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                outcome = self.call(call) => outcome,
                // Dropping the call tells the server.
                () = context.cancelled() => Err(Failure::runtime("cancelled")),
            }
        })
    }
}

/// Why a call was not even answered by its tool.
fn refused(name: &str, error: &ServiceError) -> Failure {
    let title = format!("the tool `{name}` could not be called");
    match error {
        ServiceError::McpError(told) => {
            let failure = match told.code {
                ErrorCode::INVALID_PARAMS => Failure::validation(title),
                ErrorCode::METHOD_NOT_FOUND => Failure::configuration(title),
                _ => Failure::runtime(title),
            };
            failure.with_detail(tools::shortened(&told.message))
        }
        error => Failure::communication(title).with_detail(tools::shortened(&error.to_string())),
    }
}

#[cfg(test)]
mod tests;
