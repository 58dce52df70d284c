//! Where the spans of a node go: to whoever exports them, or nowhere.

use impresario_model::trace::{Span, TraceContext};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

/// Takes spans, and never waits: what finds no room is lost, and counted. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<Recorder>);

#[derive(Clone, Debug)]
struct Recorder {
    sender: mpsc::Sender<Span>,
    /// Traces whose random part is below are recorded.
    below: u64,
    lost: Counter,
}

/// How many bits of a trace's id say whether it is one of those that are recorded: the random ones of W3C Trace Context,
/// level 2.
const RANDOM_BITS: u32 = 56;

impl Spans {
    /// Gives a share of all traces, 0 to 1, to whoever receives; what it has no room for is counted as lost.
    pub fn recorded(sender: mpsc::Sender<Span>, share: f64, lost: Counter) -> Self {
        let below = (share.clamp(0.0, 1.0) * (1_u64 << RANDOM_BITS) as f64) as u64;
        Spans(Some(Recorder { sender, below, lost }))
    }

    /// Whether anybody records spans at all.
    pub fn wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Whether spans of this trace are recorded: the same on every node of the same settings.
    pub fn records(&self, context: TraceContext) -> bool {
        let random = context.trace as u64 & ((1 << RANDOM_BITS) - 1);
        self.0.as_ref().is_some_and(|recorder| context.sampled && random < recorder.below)
    }

    /// Takes a span, if its trace is recorded.
    pub fn tell(&self, span: Span) {
        let Some(recorder) = self.0.as_ref().filter(|_| self.records(span.context)) else { return };
        if recorder.sender.try_send(span).is_err() {
            recorder.lost.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use impresario_model::trace::SpanKind;

    use super::*;

    fn span(number: usize) -> Span {
        Span {
            context: TraceContext::of_instance(None, &number.to_string()),
            parent: None,
            name: "n".to_owned(),
            kind: SpanKind::Internal,
            start: 0,
            end: 1,
            attributes: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn a_share_of_the_traces_is_recorded_and_what_finds_no_room_is_counted() {
        let lost = Counter::default();
        let (sender, mut receiver) = mpsc::channel(100);
        let spans = Spans::recorded(sender, 0.25, lost.clone());
        (0..2000).for_each(|number| spans.tell(span(number)));
        let told = receiver.len() as u64 + lost.get();
        assert_eq!(receiver.len(), 100);
        assert!((400..600).contains(&told), "a quarter of 2000: {told}");
        let first = receiver.try_recv().unwrap();
        let unsampled = TraceContext { sampled: false, ..first.context };
        assert!(spans.records(first.context) && !spans.records(unsampled));
        assert!(!Spans::default().records(first.context) && !Spans::default().wanted());
    }

    #[test]
    fn all_and_none_are_shares_too() {
        for (share, taken) in [(1.0, 50), (0.0, 0), (7.0, 50), (-1.0, 0)] {
            let (sender, receiver) = mpsc::channel(100);
            let spans = Spans::recorded(sender, share, Counter::default());
            (0..50).for_each(|number| spans.tell(span(number)));
            assert_eq!(receiver.len(), taken, "{share}");
        }
    }
}
