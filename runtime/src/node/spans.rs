//! The beginning of a trace: an event at a door.

use impresario_model::event::CloudEvent;
use impresario_model::trace::{Span, SpanKind, TRACEPARENT, TraceContext};

use super::local::Local;

impl Local {
    /// Gives events that come in a place in a trace where somebody records them, and the spans that they open: of one
    /// that carries a place, what follows is in that trace.
    pub(super) fn open_spans(&self, events: &mut [CloudEvent]) -> Vec<Span> {
        let spans = self.engine.post().spans();
        if !spans.wanted() {
            return Vec::new();
        }
        let now = self.engine.store().clock()();
        let mut opened = Vec::new();
        for event in events {
            let carried = TraceContext::carried_by(event);
            let context = TraceContext::of_event(carried, event);
            if !spans.records(context) {
                continue;
            }
            // What a sender says stays as it is, right or wrong: an event is passed on as it came.
            event.extensions.entry(TRACEPARENT).or_insert_with(|| context.to_string().into());
            let parent = carried.map(|carried| carried.span);
            opened.push(Span::of_event(event, ("accept", SpanKind::Server), context, parent, now));
        }
        opened
    }

    /// The events are durable, or refused: that is the end of their spans.
    pub(super) fn close_spans(&self, opened: Vec<Span>, refused: Option<String>) {
        let now = self.engine.store().clock()();
        for span in opened {
            self.engine.post().spans().tell(Span { end: now, error: refused.clone(), ..span });
        }
    }
}
