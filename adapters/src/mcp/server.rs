//! The server: a program of ours, or an address.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use impresario_adapter::Failure;
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::{ClientInitializeError, NotificationContext, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server of the Model Context Protocol.
#[derive(Clone, Debug)]
pub enum Server {
    /// A program that speaks over its standard streams.
    Program {
        /// A name in `PATH`, or a path.
        program: OsString,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
    /// A server over streamable HTTP.
    Address(String),
}

/// A program in a process group of its own. Dropped, it is killed with all that it has started there.
pub(super) struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has no number any more once it has been reaped.
        let group = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(group) = group {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Our side: it has nothing to offer, and hears when the tools change.
pub(super) struct Client {
    changed: Arc<Notify>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let own = Implementation::new("impresario", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), own)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// A conversation with a server, and the process that it is.
pub(super) async fn connect(
    server: &Server,
    changed: Arc<Notify>,
) -> Result<(RunningService<RoleClient, Client>, Option<Process>), Failure> {
    let client = Client { changed };
    match server {
        Server::Program { program, arguments } => {
            let name = program.to_string_lossy();
            let (process, streams) = start(program, arguments)?;
            let service = client.serve(streams).await.map_err(|error| silent(&name, &error))?;
            Ok((service, Some(process)))
        }
        Server::Address(address) => {
            let config = StreamableHttpClientTransportConfig::with_uri(address.as_str());
            let transport = StreamableHttpClientTransport::with_client(http_client()?, config);
            let service = client.serve(transport).await.map_err(|error| silent(address, &error))?;
            Ok((service, None))
        }
    }
}

fn http_client() -> Result<reqwest::Client, Failure> {
    // Fails if there is a provider already, which is then the one to use.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .user_agent(concat!("impresario/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    client
        .build()
        .map_err(|error| Failure::configuration("HTTP is not possible here").with_detail(error.to_string()))
}

type Streams = (tokio::process::ChildStdout, tokio::process::ChildStdin);

/// Starts the program. Its standard error is ours, and so goes to the node's log.
fn start(program: &OsString, arguments: &[OsString]) -> Result<(Process, Streams), Failure> {
    let name = program.to_string_lossy();
    let failed = |why: String| {
        Failure::configuration(format!("the server `{name}` could not be started")).with_detail(why)
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let streams = child.stdout.take().zip(child.stdin.take());
    let streams = streams.ok_or_else(|| failed("it has no standard streams".to_owned()))?;
    Ok((Process { child }, streams))
}

fn silent(name: &str, error: &ClientInitializeError) -> Failure {
    Failure::communication(format!("the server `{name}` did not begin the conversation")).with_detail(
        format!(
            "expected a server of the Model Context Protocol, found: {}",
            super::tools::shortened(&error.to_string())
        ),
    )
}
