//! One reason why something waits, and how several become an explanation.

use impresario_model::fault::Fault;
use impresario_model::instance::rfc3339;

use crate::explain::Explanation;

/// How many reasons are told one by one.
const REASONS_TOLD: usize = 20;

/// How soon a reason is told: the lower, the sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Nothing goes on until a person does something.
    Person,
    /// Something is not as it should be, and may mend itself.
    #[default]
    Trouble,
    /// It takes its time.
    Usual,
}

/// One reason why something waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reason {
    pub(super) rank: Rank,
    /// What it waits for: the end of a sentence that begins with `It waits for`.
    pub(super) waits_for: String,
    /// In milliseconds since the Unix epoch.
    pub(super) since: Option<u64>,
    pub(super) wakes: Option<String>,
    pub(super) evidence: Vec<String>,
    pub(super) can_do: Vec<String>,
}

/// An explanation of something that waits for these reasons.
pub(super) fn waiting(subject: String, state: &str, mut reasons: Vec<Reason>) -> Explanation {
    reasons.sort_by_key(|reason| (reason.rank, reason.since.unwrap_or(u64::MAX)));
    let all = reasons.len();
    let mut rest = reasons.into_iter();
    let Some(first) = rest.next() else {
        return Explanation {
            subject,
            state: state.to_owned(),
            text:
                "It has not ended, and nothing that it waits for is known here: it is between two steps, or \
                   nothing will wake it."
                    .to_owned(),
            since: None,
            wakes: None,
            evidence: Vec::new(),
            can_do: vec![
                "impresario audit shows whether something is stuck: it looks again every few seconds"
                    .to_owned(),
            ],
        };
    };
    let mut text = format!("It waits for {}.", first.waits_for);
    let mut evidence = first.evidence;
    let mut can_do = first.can_do;
    if all > 1 {
        text.push_str(&format!(" It waits for {} more at the same time.", things(all - 1)));
    }
    for other in rest.by_ref().take(REASONS_TOLD) {
        evidence.push(format!("it waits for {} too", other.waits_for));
        if other.rank == Rank::Person {
            can_do.extend(other.can_do);
        }
    }
    let untold = rest.count();
    if untold > 0 {
        evidence.push(format!("… and for {} more", things(untold)));
    }
    Explanation {
        subject,
        state: state.to_owned(),
        text,
        since: first.since.map(rfc3339),
        wakes: first.wakes,
        evidence,
        can_do,
    }
}

/// Something of which one sentence is all there is to say.
pub(super) fn plain(subject: String, state: &str, text: impl Into<String>) -> Explanation {
    Explanation {
        subject,
        state: state.to_owned(),
        text: text.into(),
        since: None,
        wakes: None,
        evidence: Vec::new(),
        can_do: Vec::new(),
    }
}

fn things(count: usize) -> String {
    if count == 1 { "1 thing".to_owned() } else { format!("{count} things") }
}

/// An error on one line.
pub(super) fn fault_words(fault: &Fault) -> String {
    let kind = fault.kind.rsplit('/').next().unwrap_or_default();
    let title = fault.title.as_deref().unwrap_or(kind);
    let detail = fault.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
    format!("'{title}'{detail} ({kind}, {})", fault.status)
}

/// A word for a few of some: `1 entry`, `3 entries`.
pub(super) fn count(many: usize, one: &str, more: &str) -> String {
    if many == 1 { format!("1 {one}") } else { format!("{many} {more}") }
}
