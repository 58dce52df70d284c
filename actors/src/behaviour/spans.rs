//! The spans of an instance: what of its work a turn has ended.

use impresario_model::fault::Fault;
use impresario_model::instance::{Activity, ActivityState, Effect, Instance};
use impresario_model::trace::{Span, SpanKind, TRACEPARENT, TraceContext};

use crate::spans::Spans;

/// What was open before a turn.
pub(super) struct Before {
    ended: bool,
    open: Vec<u64>,
}

impl Before {
    /// Of an instance, or of none yet; nothing if nobody records its trace.
    pub(super) fn turn(spans: &Spans, instance: Option<&Instance>) -> Option<Before> {
        if !spans.wanted() {
            return None;
        }
        Some(instance.map_or(Before { ended: false, open: Vec::new() }, |instance| Before {
            ended: instance.status.ended(),
            open: instance.activities.open().map(|activity| activity.number).collect(),
        }))
    }
}

/// Gives what the turn asks for its place in the trace, and tells what has ended in it.
pub(super) fn of_turn(
    spans: &Spans,
    before: Option<Before>,
    instance: &Instance,
    now: u64,
    effects: &mut Vec<Effect>,
) {
    if before.is_none() && instance.trace.is_none() {
        return;
    }
    let context = TraceContext::of_instance(instance.trace, &instance.id);
    let mut told = Vec::new();
    for effect in effects.iter_mut() {
        match effect {
            Effect::Run(attempt) => {
                attempt.trace = Some(TraceContext::of_activity(context, &attempt.key));
            }
            Effect::Emit(event) if !event.extensions.contains_key(TRACEPARENT) => {
                let raised = TraceContext::of_event(Some(context), event);
                event.extensions.insert(TRACEPARENT.to_owned(), raised.to_string().into());
                let kind = ("emit", SpanKind::Producer);
                told.push(Span::of_event(event, kind, raised, Some(context.span), now));
            }
            _ => {}
        }
    }
    let Some(before) = before.filter(|_| spans.records(context)) else { return };
    // One that began and ended in the same turn never ran: nothing of it is worth a span.
    let ended = before.open.iter().filter_map(|number| instance.activities.get(*number));
    told.extend(
        ended.filter(|activity| !activity.is_open()).map(|one| of_activity(instance, context, one, now)),
    );
    if instance.status.ended() && !before.ended {
        told.push(of_instance(instance, context, now));
    }
    effects.extend(told.into_iter().map(|span| Effect::Span(Box::new(span))));
}

fn of_activity(instance: &Instance, context: TraceContext, activity: &Activity, now: u64) -> Span {
    let key = activity.key(&instance.id);
    let mut attributes = vec![
        ("impresario.instance", instance.id.clone()),
        ("impresario.activity", activity.number.to_string()),
        ("impresario.attempts", activity.attempt.to_string()),
        ("impresario.status", activity.status().to_owned()),
    ];
    attributes.extend(activity.target.clone().map(|target| ("impresario.target", target)));
    Span {
        context: TraceContext::of_activity(context, &key),
        parent: Some(context.span),
        name: format!("{}/{}", activity.adapter, activity.function),
        kind: SpanKind::Client,
        start: activity.started,
        end: activity.ended.unwrap_or(now),
        attributes,
        error: match &activity.state {
            ActivityState::Failed(fault) => Some(words(fault)),
            _ => None,
        },
    }
}

fn of_instance(instance: &Instance, context: TraceContext, now: u64) -> Span {
    Span {
        context,
        parent: instance.trace.map(|parent| parent.span),
        name: format!("{}/{}", instance.definition.namespace, instance.definition.name),
        kind: SpanKind::Internal,
        start: instance.started,
        end: instance.ended.unwrap_or(now),
        attributes: vec![
            ("impresario.instance", instance.id.clone()),
            ("impresario.definition", instance.definition.to_string()),
            ("impresario.started_by", instance.started_by.clone()),
            ("impresario.status", instance.status.word().to_owned()),
        ],
        error: instance.fault.as_ref().map(words),
    }
}

/// Why it failed, without the details: they may tell of data that is nobody's business but the process's.
fn words(fault: &Fault) -> String {
    fault.title.clone().unwrap_or_else(|| fault.kind.clone())
}
