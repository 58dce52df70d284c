//! Tools as functions, and their answers as outputs.

use impresario_adapter::{Failure, Function};
use jsonschema::Validator;
use rmcp::model::CallToolResult;
use rmcp::service::{Peer, RoleClient};
use serde_json::{Map, Value, json};

/// So much of what a server says goes into a failure.
const DETAIL_CHARS: usize = 2000;
/// The longest name that a function may have.
const NAME_CHARS: usize = 128;
/// How many tools a server may have: they all are in the first message.
const TOOLS_MAX: usize = 1000;

/// A tool.
pub(super) struct Tool {
    pub(super) function: Function,
    input: Option<Validator>,
}

/// Lists the tools. Those that no function can be made of are told of on standard error, and left out.
pub(super) async fn list(peer: &Peer<RoleClient>, version: &str) -> Result<Vec<Tool>, Failure> {
    let listed = peer.list_all_tools().await.map_err(|error| {
        Failure::communication("the tools of the server could not be listed")
            .with_detail(shortened(&error.to_string()))
    })?;
    if listed.len() > TOOLS_MAX {
        return Err(Failure::configuration("the server has too many tools")
            .with_detail(format!("expected at most {TOOLS_MAX}, found {}", listed.len())));
    }
    let mut tools: Vec<Tool> = Vec::new();
    for tool in listed {
        let known = tools.iter().any(|other| other.function.name == tool.name);
        if known || word(&tool.name, "") != tool.name {
            eprintln!(
                "the tool {:?} is left out: expected a name without spaces that no other has",
                tool.name
            );
            continue;
        }
        tools.push(Tool::new(tool, version));
    }
    Ok(tools)
}

impl Tool {
    fn new(tool: rmcp::model::Tool, version: &str) -> Self {
        let hints = tool.annotations.as_ref();
        let harmless = hints
            .is_some_and(|hints| hints.read_only_hint == Some(true) || hints.idempotent_hint == Some(true));
        let (input, validator) = schema(&tool.name, "input", Value::Object((*tool.input_schema).clone()));
        let output = tool.output_schema.as_ref().map(|output| Value::Object((**output).clone()));
        let function = Function {
            name: tool.name.to_string(),
            version: version.to_owned(),
            restartable: harmless,
            input,
            output: output.and_then(|output| schema(&tool.name, "output", output).0),
            ..Function::default()
        };
        Self { function, input: validator }
    }

    /// Checks the arguments. None at all are an empty map.
    pub(super) fn arguments(&self, arguments: Value) -> Result<Map<String, Value>, Failure> {
        let name = &self.function.name;
        let invalid = |why: String| {
            Failure::validation(format!("the arguments of `{name}` are not valid")).with_detail(why)
        };
        let arguments = if arguments.is_null() { Value::Object(Map::new()) } else { arguments };
        if let Some(input) = &self.input {
            let wrong: Vec<String> = input
                .iter_errors(&arguments)
                .take(3)
                .map(|error| format!("{error} at '{}'", error.instance_path()))
                .collect();
            if !wrong.is_empty() {
                return Err(invalid(shortened(&wrong.join("; "))));
            }
        }
        match arguments {
            Value::Object(arguments) => Ok(arguments),
            _ => Err(invalid("expected a map".to_owned())),
        }
    }
}

/// A schema that can be used, or none: a tool is worth having without.
fn schema(name: &str, what: &str, schema: Value) -> (Option<Value>, Option<Validator>) {
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
    // The linear engine: a pattern of a server must not be able to hold a thread.
    match options.with_pattern_options(jsonschema::PatternOptions::regex()).build(&schema) {
        Ok(validator) => (Some(schema), Some(validator)),
        Err(error) => {
            eprintln!("the {what} schema of the tool `{name}` is left out: {error}");
            (None, None)
        }
    }
}

/// The answer of a tool as an output.
pub(super) fn output(name: &str, result: CallToolResult) -> Result<Value, Failure> {
    let texts = result.content.iter().filter_map(|block| block.as_text().map(|text| text.text.as_str()));
    let text = texts.collect::<Vec<_>>().join("\n");
    if result.is_error == Some(true) {
        let text = match (text.is_empty(), result.structured_content) {
            (true, Some(structured)) => structured.to_string(),
            (true, None) => "it says nothing more".to_owned(),
            (false, _) => text,
        };
        return Err(Failure::runtime(format!("the tool `{name}` failed")).with_detail(shortened(&text)));
    }
    if let Some(structured) = result.structured_content {
        return Ok(structured);
    }
    let content = serde_json::to_value(&result.content).map_err(|error| {
        Failure::runtime(format!("the answer of `{name}` cannot be read")).with_detail(error.to_string())
    })?;
    Ok(json!({"content": content, "text": text}))
}

/// A name or a version as the protocol wants it: without spaces, and not too long.
pub(super) fn word(text: &str, otherwise: &str) -> String {
    let kept = text.trim().chars().map(|c| if c.is_whitespace() || c.is_control() { '-' } else { c });
    let kept: String = kept.take(NAME_CHARS).collect();
    if kept.is_empty() { otherwise.to_owned() } else { kept }
}

/// As much of a text as goes into a failure.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(DETAIL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
