//! What a host answers to right and wrong requests, none of which begins any work.

use std::collections::BTreeSet;

use impresario_adapter::message::{Cancel, Probe, ProbeOutcome, RunAnswer, Taken};
use impresario_adapter::wire::{MAX_LINE_BYTES, encode_node};
use impresario_adapter::{
    Answer, Call, ErrorObject, Failure, Function, FunctionKind, Manifest, NodeMessage, Unwatch, Watch,
};
use serde_json::{Value, json};

use crate::Trial;
use crate::host::{Host, shown};
use crate::report::Report;
use crate::schema::breaking;

/// A name that no adapter has.
const UNKNOWN: &str = "impresario-adapter-test-no-such-function";

pub(crate) async fn check(report: &mut Report, host: &mut Host, manifest: &Manifest, trial: Option<&Trial>) {
    let ping = ping(host).await;
    let silent = ping.is_err();
    report.judge("ping", "a result that is a map", ping);
    if silent {
        // Everything that follows would only wait for it again.
        return;
    }
    report.judge("members", "unknown members are passed over", members(host).await);
    report.judge("methods", "an unknown method is answered with error -32601", methods(host).await);
    report.judge("notifications", "an unknown notification is passed over", notifications(host).await);
    report.judge(
        "garbage",
        "what is no request is answered with error -32700 or -32600 and the id null",
        garbage(host).await,
    );
    report.judge(
        "long line",
        format!("a line of more than {MAX_LINE_BYTES} bytes is answered with error -32700, and the next one is read"),
        long_line(host).await,
    );
    report.judge(
        "parameters",
        "a run without its parameters is answered with error -32602",
        parameters(host).await,
    );
    report.judge(
        "function",
        "a run of an unknown function fails, kind `configuration`",
        function(host).await,
    );
    arguments(report, host, &manifest.functions).await;
    report.judge("together", "two runs that come together are both answered", together(host).await);
    report.judge("token", "a run that comes twice is answered once", token(host).await);
    report.judge(
        "strangers",
        "cancel, unwatch and taken of what is unknown are passed over",
        strangers(host).await,
    );
    report.judge("watch", "a watch of an unknown function fails, kind `configuration`", watch(host).await);
    probes(report, host, &manifest.functions, trial).await;
}

/// What the whole of the conversation shows, once it has ended.
pub(crate) fn review(report: &mut Report, host: &Host) {
    let wrong = match host.wrong.as_slice() {
        [] => Ok("nothing else".to_owned()),
        [first, ..] => Err(format!("{} that are not, the first: {first}", host.wrong.len())),
    };
    report.judge("lines", "only messages of the protocol on standard output", wrong);
    let mut ids = BTreeSet::new();
    let twice: BTreeSet<&str> =
        host.answered.iter().filter(|id| !ids.insert(id.as_str())).map(String::as_str).collect();
    let once = match twice.first() {
        None => Ok(format!("{} answers", host.answered.len())),
        Some(id) => Err(format!("two answers to {id:?}")),
    };
    report.judge("answers", "one answer for each request", once);
    let hellos = match host.late_hellos() {
        0 => Ok("no other".to_owned()),
        count => Err(format!("{count} more")),
    };
    report.judge("one hello", "`hello` only once", hellos);
}

/// A run that no adapter begins.
fn idle_run(token: &str) -> Call {
    call(token, UNKNOWN, json!({}))
}

pub(crate) fn call(token: &str, function: &str, arguments: Value) -> Call {
    let (function, key) = (function.to_owned(), format!("adapter-test {token}"));
    Call { token: token.to_owned(), attempt: 1, key, function, arguments, ..Call::default() }
}

async fn ping(host: &mut Host) -> Result<String, String> {
    match host.ping().await?.outcome {
        Ok(Value::Object(_)) => Ok("it is there".to_owned()),
        Ok(other) => Err(format!("the result {}", shown(&other.to_string()))),
        Err(error) => Err(told(&error)),
    }
}

async fn members(host: &mut Host) -> Result<String, String> {
    let line = json!({
        "jsonrpc": "2.0", "id": "members", "method": "ping", "params": {"why": "test"}, "trace": [1],
    });
    host.write(format!("{line}\n").as_bytes()).await?;
    match host.answer(Some("members")).await?.outcome {
        Ok(_) => Ok("passed over".to_owned()),
        Err(error) => Err(told(&error)),
    }
}

async fn methods(host: &mut Host) -> Result<String, String> {
    let line = json!({"jsonrpc": "2.0", "id": "methods", "method": "dance", "params": {}});
    host.write(format!("{line}\n").as_bytes()).await?;
    let answer = host.answer(Some("methods")).await?;
    coded(answer, &[ErrorObject::METHOD_NOT_FOUND])
}

async fn notifications(host: &mut Host) -> Result<String, String> {
    host.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"dance\",\"params\":{}}\n").await?;
    quiet(host).await
}

/// Nothing is answered between what was said and a ping.
async fn quiet(host: &mut Host) -> Result<String, String> {
    host.ping().await?;
    match host.answers.pop_front() {
        None => Ok("passed over".to_owned()),
        Some(answer) => Err(format!("an answer to {:?}", answer.id)),
    }
}

async fn garbage(host: &mut Host) -> Result<String, String> {
    let lines: [&[u8]; 6] =
        [b"garbage\n", b"{\"jsonrpc\":\"2.0\"\n", b"\xff\xfe\n", b"[]\n", b"7\n", b"{}\n"];
    for line in lines {
        host.write(line).await?;
        let told = |error| format!("after {:?}: {error}", String::from_utf8_lossy(line));
        let answer = host.answer(None).await.map_err(told)?;
        coded(answer, &[ErrorObject::PARSE_ERROR, ErrorObject::INVALID_REQUEST]).map_err(told)?;
    }
    host.ping().await?;
    Ok(format!("{} errors", lines.len()))
}

async fn long_line(host: &mut Host) -> Result<String, String> {
    let mut line = vec![b'x'; MAX_LINE_BYTES + 1];
    line.push(b'\n');
    host.write(&line).await?;
    let found = coded(host.answer(None).await?, &[ErrorObject::PARSE_ERROR])?;
    host.ping().await?;
    Ok(found)
}

async fn parameters(host: &mut Host) -> Result<String, String> {
    host.write(b"{\"jsonrpc\":\"2.0\",\"id\":\"parameters\",\"method\":\"run\",\"params\":{}}\n").await?;
    coded(host.answer(Some("parameters")).await?, &[ErrorObject::INVALID_PARAMS])
}

async fn function(host: &mut Host) -> Result<String, String> {
    host.say(&NodeMessage::Run(idle_run("function"))).await?;
    failed(host.answer(Some("function")).await?, Failure::CONFIGURATION)
}

async fn watch(host: &mut Host) -> Result<String, String> {
    let watch = Watch { watch: "watch".to_owned(), function: UNKNOWN.to_owned(), ..Watch::default() };
    host.say(&NodeMessage::Watch(watch)).await?;
    failed(host.answer(Some("watch")).await?, Failure::CONFIGURATION)
}

async fn arguments(report: &mut Report, host: &mut Host, functions: &[Function]) {
    let expected = "arguments that break the schema of a function fail, kind `validation`";
    let with_schema = functions.iter().filter(|function| function.kind == FunctionKind::Activity);
    let broken: Vec<_> = with_schema
        .filter_map(|function| Some((function.name.as_str(), breaking(function.input.as_ref()?)?)))
        .collect();
    if broken.is_empty() {
        return report.skip("arguments", expected, "no function has a schema that can be broken");
    }
    let count = broken.len();
    for (name, arguments) in broken {
        let told = |error| format!("`{name}` with {arguments}: {error}");
        let token = format!("arguments of {name}");
        let run = NodeMessage::Run(call(&token, name, arguments.clone()));
        let found = async {
            host.say(&run).await?;
            failed(host.answer(Some(&token)).await?, Failure::VALIDATION)
        };
        if let Err(error) = found.await {
            return report.judge("arguments", expected, Err(told(error)));
        }
    }
    report.judge("arguments", expected, Ok(format!("{count} functions refuse them")));
}

async fn together(host: &mut Host) -> Result<String, String> {
    let mut lines = Vec::new();
    for token in ["together 1", "together 2"] {
        let line = encode_node(&NodeMessage::Run(idle_run(token))).map_err(|error| error.to_string())?;
        lines.extend(line);
    }
    host.write(&lines).await?;
    // In whatever order: the second is waited for first.
    for token in ["together 2", "together 1"] {
        host.answer(Some(token)).await.map_err(|error| format!("{token}: {error}"))?;
    }
    Ok("both".to_owned())
}

async fn token(host: &mut Host) -> Result<String, String> {
    let run = NodeMessage::Run(idle_run("token"));
    host.say(&run).await?;
    host.answer(Some("token")).await?;
    host.say(&run).await?;
    host.ping().await?;
    let again = host.answers.iter().position(|answer| answer.id.as_deref() == Some("token"));
    match again.and_then(|at| host.answers.remove(at)) {
        None => Ok("one answer".to_owned()),
        Some(_) => Err("two answers".to_owned()),
    }
}

async fn strangers(host: &mut Host) -> Result<String, String> {
    let (token, watch) = ("never sent".to_owned(), "never begun".to_owned());
    host.say(&NodeMessage::Cancel(Cancel { token })).await?;
    host.say(&NodeMessage::Unwatch(Unwatch { watch: watch.clone() })).await?;
    host.say(&NodeMessage::Taken(Taken { watch, count: 1, cursor: Some(json!(1)) })).await?;
    quiet(host).await
}

async fn probes(report: &mut Report, host: &mut Host, functions: &[Function], trial: Option<&Trial>) {
    let expected = "a probe of a key that was never used is answered with notDone or unknown";
    let mut count = 0;
    for function in functions.iter().filter(|function| function.probe) {
        let name = function.name.clone();
        let own = trial.filter(|trial| trial.function == name);
        let arguments = own.map_or(json!({}), |trial| trial.arguments.clone());
        let key = "adapter-test: a key that was never used".to_owned();
        let (id, told) = (format!("probe of {name}"), format!("`{name}`: "));
        let probe = Probe { function: name, key, arguments, ..Probe::default() };
        let found = async {
            host.say(&NodeMessage::Probe { id: id.clone(), probe }).await?;
            let answer = host.answer(Some(&id)).await?;
            match &answer.outcome {
                // Without arguments that make sense there may be nothing to look for, and nothing to answer.
                Err(error) if own.is_none() && error.code == ErrorObject::FAILED => Ok(()),
                Err(error) => Err(crate::conversation::told(error)),
                Ok(result) => match serde_json::from_value::<ProbeOutcome>(result.clone()) {
                    Ok(ProbeOutcome::NotDone | ProbeOutcome::Unknown) => Ok(()),
                    Ok(ProbeOutcome::Done { .. }) => Err("that it was done".to_owned()),
                    Err(_) => Err(format!("the result {}", shown(&result.to_string()))),
                },
            }
        };
        if let Err(error) = found.await {
            return report.judge("probe", expected, Err(told + &error));
        }
        count += 1;
    }
    match count {
        0 => report.skip("probe", expected, "no function says that it can be probed"),
        _ => report.judge("probe", expected, Ok(format!("{count} functions"))),
    }
}

/// An error with one of these codes.
fn coded(answer: Answer, codes: &[i64]) -> Result<String, String> {
    match answer.outcome {
        Err(error) if codes.contains(&error.code) => Ok(told(&error)),
        Err(error) => Err(told(&error)),
        Ok(result) => Err(format!("the result {}", shown(&result.to_string()))),
    }
}

/// A failure of this kind.
fn failed(answer: Answer, kind: &str) -> Result<String, String> {
    if let Err(error) = &answer.outcome
        && error.code != ErrorObject::FAILED
    {
        return Err(told(error));
    }
    match answer.into_run() {
        RunAnswer::Failed(failure) if failure.kind == kind => Ok(shown(&failure.to_string())),
        RunAnswer::Failed(failure) => Err(shown(&failure.to_string())),
        RunAnswer::Done(output) => Err(format!("the output {}", shown(&output.to_string()))),
        RunAnswer::Refused(why) => Err(format!("a refusal: {}", shown(&why))),
    }
}

pub(crate) fn told(error: &ErrorObject) -> String {
    format!("error {}: {}", error.code, shown(&error.message))
}
