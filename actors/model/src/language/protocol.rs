//! The protocols and processes of the language that this version does not run: their calls are checked, and fault
//! when they are reached.

use super::compiler::{Compiler, Scope};
use super::node::At;
use super::shape::{RESOURCE, Shape, optional, required};
use crate::definition::TaskKind;

const OPENAPI: Shape = Shape::Map(&[
    required("document", RESOURCE),
    required("operationId", Shape::Text),
    optional("parameters", Shape::Names(&Shape::Any)),
    optional("authentication", Shape::Authentication),
    optional("output", Shape::Word(&["raw", "content", "response"])),
    optional("redirect", Shape::Boolean),
]);

const GRPC: Shape = Shape::Map(&[
    required("proto", RESOURCE),
    required(
        "service",
        Shape::Map(&[
            required("name", Shape::Text),
            required("host", Shape::Text),
            optional("port", Shape::Count),
            optional("authentication", Shape::Authentication),
        ]),
    ),
    required("method", Shape::Text),
    optional("arguments", Shape::Names(&Shape::Any)),
]);

const ASYNCAPI: Shape = Shape::Map(&[
    required("document", RESOURCE),
    optional("channel", Shape::Text),
    optional("operation", Shape::Text),
    optional(
        "server",
        Shape::Map(&[required("name", Shape::Text), optional("variables", Shape::Names(&Shape::Any))]),
    ),
    optional("protocol", Shape::Text),
    optional(
        "message",
        Shape::Map(&[optional("payload", Shape::Any), optional("headers", Shape::Names(&Shape::Any))]),
    ),
    optional(
        "subscription",
        Shape::Map(&[
            // What a filter and a policy see is the message, not the task: its own loop variables are unknown.
            optional("filter", Shape::Expression),
            required(
                "consume",
                Shape::Map(&[
                    optional("for", Shape::Duration),
                    optional("amount", Shape::Count),
                    optional("while", Shape::Expression),
                    optional("until", Shape::Expression),
                ]),
            ),
            optional("foreach", Shape::Foreach),
        ]),
    ),
    optional("authentication", Shape::Authentication),
]);

const A2A: Shape = Shape::Map(&[
    optional("agentCard", RESOURCE),
    optional("server", Shape::Endpoint),
    required(
        "method",
        Shape::Word(&[
            "message/send",
            "message/stream",
            "tasks/get",
            "tasks/list",
            "tasks/cancel",
            "tasks/resubscribe",
            "tasks/pushNotificationConfig/set",
            "tasks/pushNotificationConfig/get",
            "tasks/pushNotificationConfig/list",
            "tasks/pushNotificationConfig/delete",
            "agent/getAuthenticatedExtendedCard",
        ]),
    ),
    optional("parameters", Shape::Any),
]);

const MCP: Shape = Shape::Map(&[
    optional("protocolVersion", Shape::Text),
    required(
        "method",
        Shape::Word(&[
            "tools/list",
            "tools/call",
            "prompts/list",
            "prompts/get",
            "resources/list",
            "resources/read",
            "resources/templates/list",
        ]),
    ),
    optional("parameters", Shape::Any),
    optional("timeout", Shape::Duration),
    required(
        "transport",
        Shape::Map(&[
            optional(
                "http",
                Shape::Map(&[
                    required("endpoint", Shape::Endpoint),
                    optional("headers", Shape::Names(&Shape::Text)),
                ]),
            ),
            optional(
                "stdio",
                Shape::Map(&[
                    required("command", Shape::Text),
                    optional("arguments", Shape::List(&Shape::Text)),
                    optional("environment", Shape::Names(&Shape::Text)),
                ]),
            ),
            optional("options", Shape::Names(&Shape::Text)),
        ]),
    ),
    optional("client", Shape::Map(&[required("name", Shape::Text), required("version", Shape::Text)])),
]);

const CONTAINER: Shape = Shape::Map(&[
    required("image", Shape::Text),
    optional("name", Shape::Text),
    optional("command", Shape::Text),
    optional("ports", Shape::Names(&Shape::Any)),
    optional("volumes", Shape::Names(&Shape::Any)),
    optional("environment", Shape::Names(&Shape::Any)),
    optional("stdin", Shape::Text),
    optional("arguments", Shape::List(&Shape::Text)),
    optional(
        "lifetime",
        Shape::Map(&[
            required("cleanup", Shape::Word(&["always", "never", "eventually"])),
            optional("after", Shape::Duration),
        ]),
    ),
    optional("pullPolicy", Shape::Word(&["ifNotPresent", "always", "never"])),
]);

const SCRIPT: Shape = Shape::Map(&[
    required("language", Shape::Text),
    optional("code", Shape::Text),
    optional("source", RESOURCE),
    optional("stdin", Shape::Text),
    optional("arguments", Shape::List(&Shape::Text)),
    optional("environment", Shape::Names(&Shape::Any)),
]);

const WORKFLOW: Shape = Shape::Map(&[
    required("namespace", Shape::Text),
    required("name", Shape::Text),
    required("version", Shape::Text),
    optional("input", Shape::Names(&Shape::Any)),
]);

impl Compiler<'_> {
    /// `call` of a protocol other than HTTP.
    pub(super) fn call_protocol(&mut self, name: &str, with: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        let shape = match name {
            "openapi" => OPENAPI,
            "grpc" => GRPC,
            "asyncapi" => ASYNCAPI,
            "a2a" => A2A,
            _ => MCP,
        };
        self.unsupported(format!("call {name}"), with, &shape, scope)
    }

    /// `run` of a process other than a shell.
    pub(super) fn run_process(&mut self, name: &str, body: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        let shape = match name {
            "container" => CONTAINER,
            "script" => SCRIPT,
            _ => WORKFLOW,
        };
        self.unsupported(format!("run {name}"), body, &shape, scope)
    }

    fn unsupported(&mut self, what: String, at: &At<'_>, shape: &Shape, scope: &Scope) -> Option<TaskKind> {
        self.check_only(|compiler| compiler.check_shape(at, shape, scope));
        Some(TaskKind::Unsupported(what))
    }
}
