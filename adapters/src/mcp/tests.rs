//! Against a server built with the official SDK, over standard streams and over HTTP.
//!
//! The test program is the server, too: it starts itself again, for the test [`serve`] alone, with a variable that
//! tells. The harness prints to standard output, so a shell keeps that apart.

use std::collections::BTreeSet;
use std::ffi::OsString;

use impresario_adapter::host;
use impresario_adapter::lines::HostReader;
use impresario_adapter::wire::encode_node;
use impresario_adapter::{HostMessage, NodeMessage};
use rmcp::model::{
    CallToolResult, ContentBlock, ErrorData, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, Tool as McpTool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt, model::Implementation};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::*;

const IS_SERVER: &str = "IMPRESARIO_TEST_MCP_SERVER";

/// Its tools do what their names say.
#[derive(Clone)]
struct Tools;

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("calculator", "3.1.4"))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let input = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "number"}}});
        let output = json!({"type": "object", "required": ["double"]});
        let tool = |name: &'static str| McpTool::new(name, "", input.as_object().unwrap().clone());
        let reads = ToolAnnotations::from_raw(None, Some(true), None, None, None);
        let double = tool("double").with_raw_output_schema(output.as_object().unwrap().clone().into());
        let names = ["greet", "fail", "refuse", "hang", "change", "leave", "with space"];
        let mut tools: Vec<_> = names.into_iter().map(tool).collect();
        tools.push(double.with_annotations(reads));
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = |text: &str| vec![ContentBlock::text(text)];
        let a = request.arguments.and_then(|arguments| arguments["a"].as_f64()).unwrap();
        let result = match &*request.name {
            "double" => CallToolResult::structured(json!({"double": 2.0 * a})),
            "greet" => CallToolResult::success([text("hello"), text("world")].concat()),
            "fail" => CallToolResult::error(text("the calculator is broken")),
            "refuse" => return Err(ErrorData::invalid_params("a is too large", None)),
            "change" => {
                context.peer.notify_tool_list_changed().await.unwrap();
                CallToolResult::success(text("changed"))
            }
            "leave" => std::process::exit(0),
            _ => {
                context.ct.cancelled().await;
                CallToolResult::success(text("cancelled"))
            }
        };
        Ok(result.into())
    }
}

#[test]
fn serve() {
    if std::env::var_os(IS_SERVER).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let output = tokio::fs::OpenOptions::new().write(true).open("/dev/fd/3").await.unwrap();
        Tools.serve((tokio::io::stdin(), output)).await.unwrap().waiting().await.unwrap();
    });
    std::process::exit(0);
}

fn program() -> Server {
    let script = r#"exec env "$1=1" "$2" --exact mcp::tests::serve --nocapture 3>&1 >/dev/null"#;
    let words = ["-c", script, "sh", IS_SERVER].map(OsString::from);
    let own = std::env::current_exe().unwrap().into_os_string();
    Server::Program { program: "sh".into(), arguments: words.into_iter().chain([own]).collect() }
}

async fn call(mcp: &Mcp, function: &str, arguments: Value) -> Result<Value, Failure> {
    let (_cancel, context) = RunContext::detached("t");
    mcp.run(context, Call { function: function.into(), arguments, ..Call::default() }).await
}

async fn tools_are_functions(mcp: &Mcp) {
    let manifest = mcp.manifest();
    assert_eq!((manifest.adapter.as_str(), manifest.version.as_str()), ("calculator", "3.1.4"));
    let names: BTreeSet<_> = manifest.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["change", "double", "fail", "greet", "hang", "leave", "refuse"].into());
    let double = manifest.function("double").unwrap();
    assert!(double.restartable && !manifest.function("greet").unwrap().restartable);
    assert_eq!(double.input.as_ref().unwrap()["required"], json!(["a"]));
    assert_eq!(double.output.as_ref().unwrap()["required"], json!(["double"]));
    assert_eq!(double.version, "3.1.4");

    assert_eq!(call(mcp, "double", json!({"a": 21})).await, Ok(json!({"double": 42.0})));
    let greeted = call(mcp, "greet", json!({"a": 1})).await.unwrap();
    assert_eq!(greeted["text"], "hello\nworld");
    assert_eq!(greeted["content"][1], json!({"type": "text", "text": "world"}));
    for (name, arguments, kind, words) in [
        ("fail", json!({"a": 1}), Failure::RUNTIME, "the calculator is broken"),
        ("refuse", json!({"a": 1}), Failure::VALIDATION, "a is too large"),
        ("double", json!({"a": "x"}), Failure::VALIDATION, "not of type \"number\""),
        ("double", json!(null), Failure::VALIDATION, "\"a\" is a required property"),
    ] {
        let failure = call(mcp, name, arguments).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.detail.as_ref().unwrap().contains(words), "{failure}");
    }
}

#[tokio::test]
async fn the_tools_of_a_program_are_functions() {
    let mcp = Mcp::connect(&program()).await.unwrap();
    tools_are_functions(&mcp).await;
    let (cancel, context) = RunContext::detached("t");
    let hanging =
        mcp.run(context, Call { function: "hang".into(), arguments: json!({"a": 1}), ..Call::default() });
    cancel.send(true).unwrap();
    assert_eq!(hanging.await.unwrap_err().title, "cancelled");
    assert!(call(&mcp, "double", json!({"a": 1})).await.is_ok());
}

#[tokio::test]
async fn the_tools_of_an_address_are_functions() {
    let service: StreamableHttpService<Tools, LocalSessionManager> =
        StreamableHttpService::new(|| Ok(Tools), Default::default(), StreamableHttpServerConfig::default());
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/mcp", listener.local_addr().unwrap());
    let serving = tokio::spawn(async { axum::serve(listener, router).await });
    let mcp = Mcp::connect(&Server::Address(address)).await.unwrap();
    tools_are_functions(&mcp).await;
    serving.abort();
}

/// A host of the server, asked to call this; what it wishes then.
async fn wish_after(function: &str) -> String {
    let mcp = Mcp::connect(&program()).await.unwrap();
    let (mut to, input) = tokio::io::duplex(64 * 1024);
    let (output, from) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(host::serve(mcp, input, output));
    let mut from = HostReader::new(from);
    assert!(matches!(from.next().await.unwrap(), Some(HostMessage::Hello(_))));
    let (token, key, function) = ("t".into(), "k".into(), function.into());
    let call = Call { token, key, attempt: 1, function, arguments: json!({"a": 1}), ..Call::default() };
    to.write_all(&encode_node(&NodeMessage::Run(call)).unwrap()).await.unwrap();
    let reason = loop {
        match from.next().await.unwrap().unwrap() {
            HostMessage::Restart(wish) => break wish.reason,
            HostMessage::Answer(_) => {}
            other => panic!("{other:?}"),
        }
    };
    drop(to);
    assert_eq!(serving.await.unwrap(), host::ExitReason::InputClosed);
    reason
}

#[tokio::test]
async fn a_server_that_changes_or_ends_is_replaced() {
    assert_eq!(wish_after("change").await, "the server has changed its tools");
    assert_eq!(wish_after("leave").await, "the server has ended");
}

#[tokio::test]
async fn what_is_no_server_is_told() {
    let program = |program: &str| Server::Program { program: program.into(), arguments: vec![] };
    for (server, kind) in [
        (program("no-such-program-of-ours"), Failure::CONFIGURATION),
        (program("true"), Failure::COMMUNICATION),
        (Server::Address("http://127.0.0.1:1/mcp".into()), Failure::COMMUNICATION),
        (Server::Address("gopher:".into()), Failure::COMMUNICATION),
    ] {
        let Err(failure) = Mcp::connect(&server).await else { panic!("{server:?} is no server") };
        assert_eq!(failure.kind, kind, "{failure}");
    }
}
