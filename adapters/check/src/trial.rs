//! A function called for real.

use std::time::Duration;

use impresario_adapter::message::RunAnswer;
use impresario_adapter::{
    CURSOR_BYTES_MAX, EVENTS_AHEAD_MAX, Function, NodeMessage, Observed, Unwatch, Watch,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::Trial;
use crate::conversation::{call, told};
use crate::host::{Host, shown};
use crate::report::Report;
use crate::schema::{compile, violations};

/// How long a monitor is watched once it has told something.
const MOMENT: Duration = Duration::from_millis(200);

/// Runs it once. It comes twice, and must be done once.
pub(crate) async fn run(report: &mut Report, host: &mut Host, function: &Function, trial: &Trial) {
    let found = async {
        let run = NodeMessage::Run(call("call", &trial.function, trial.arguments.clone()));
        host.say(&run).await?;
        host.say(&run).await?;
        match host.answer(Some("call")).await?.into_run() {
            RunAnswer::Done(output) => {
                suits(function.output.as_ref(), &output)?;
                Ok(shown(&output.to_string()))
            }
            RunAnswer::Failed(failure) => Err(shown(&failure.to_string())),
            RunAnswer::Refused(why) => Err(format!("a refusal: {}", shown(&why))),
        }
    };
    report.judge("call", "an output that suits the function's schema", found.await);
}

/// Watches it for a moment, without taking anything.
pub(crate) async fn watch(report: &mut Report, host: &mut Host, function: &Function, trial: &Trial) {
    let events = observe(host, function, trial).await;
    report.judge(
        "call",
        format!("events that suit the schemas, at most {EVENTS_AHEAD_MAX} before any was taken"),
        events.map(|count| format!("{count} messages")),
    );
    let found = async {
        host.say(&NodeMessage::Unwatch(Unwatch { watch: "call".to_owned() })).await?;
        match host.answer(Some("call")).await?.outcome {
            Ok(Value::Object(_)) => {}
            Ok(other) => return Err(format!("the result {}", shown(&other.to_string()))),
            Err(error) => return Err(told(&error)),
        }
        host.events.clear();
        host.ping().await?;
        // What a source tells comes at its own pace, so this can only be found by waiting for it.
        let late = timeout(MOMENT, host.event()).await;
        if late.is_ok_and(|late| late.is_ok()) {
            return Err("an event after the answer".to_owned());
        }
        Ok("it has stopped".to_owned())
    };
    report.judge(
        "unwatch",
        "a watch that is told to stop is answered with {}, and says nothing after",
        found.await,
    );
}

async fn observe(host: &mut Host, function: &Function, trial: &Trial) -> Result<u64, String> {
    let watch = Watch {
        watch: "call".to_owned(),
        function: trial.function.clone(),
        arguments: trial.arguments.clone(),
        ..Watch::default()
    };
    host.say(&NodeMessage::Watch(watch)).await?;
    // It may be silent for a good reason, but not because it has failed.
    let mut count = 0;
    while let Ok(observed) = timeout(if count == 0 { host.limit() } else { MOMENT }, host.event()).await {
        let Ok(observed) = observed else { break };
        count += 1;
        if count > EVENTS_AHEAD_MAX {
            return Err(format!("more than {EVENTS_AHEAD_MAX}"));
        }
        suitable(function, &observed)?;
    }
    let ended = host.answers.iter().position(|answer| answer.id.as_deref() == Some("call"));
    match ended.and_then(|at| host.answers.remove(at)).map(|answer| answer.outcome) {
        None => Ok(count),
        Some(Ok(_)) => Err("it ended without being told to".to_owned()),
        Some(Err(error)) => Err(told(&error)),
    }
}

fn suitable(function: &Function, observed: &Observed) -> Result<(), String> {
    if observed.watch != "call" {
        return Err(format!("an event of the watch {:?}, which there is not", observed.watch));
    }
    let bytes = observed.cursor.as_ref().map_or(0, |cursor| cursor.to_string().len());
    if bytes > CURSOR_BYTES_MAX {
        return Err(format!("a cursor of {bytes} bytes, the most is {CURSOR_BYTES_MAX}"));
    }
    match &observed.event {
        Some(event) => suits(function.output.as_ref(), &event["data"]),
        None => Ok(()),
    }
}

fn suits(schema: Option<&Value>, value: &Value) -> Result<(), String> {
    let Some(schema) = schema else { return Ok(()) };
    violations(&compile(schema)?, value).map_err(|error| format!("{}: {error}", shown(&value.to_string())))
}
