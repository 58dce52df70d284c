//! Asks adapters what became of attempts that were cut off, and makes their answers entries.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use impresario_adapter::Failure;
use impresario_adapter::message::{Probe, ProbeOutcome};
use impresario_model::doubt::ProbeAnswer;
use impresario_model::entry::{Body, Entry, ProcessEvent};
use impresario_model::ids::ActorId;
use impresario_persistence::Append;
use tokio::time::{Instant, sleep};

use super::reports::{REPORT_BYTES_MAX, post_until_taken};
use crate::activity::ProbeQuestion;
use crate::hosts::{Hosts, Refusal};
use crate::post::Post;
use crate::secrets::Resolved;
use crate::task::{TaskKind, spawn};

/// How long an adapter may take, its host's start included. Then nobody can tell.
const LIMIT: Duration = Duration::from_secs(60);
/// How long before a host that was full, or ended before it answered, is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// The questions of a node. Each is an activity that was cut off, so there are no more than that.
#[derive(Clone)]
pub(super) struct Probes {
    hosts: Hosts,
    post: Post,
    /// The attempts about which something is asked now.
    asked: Arc<Mutex<HashSet<String>>>,
}

impl Probes {
    pub(super) fn new(hosts: Hosts, post: Post) -> Self {
        Probes { hosts, post, asked: Arc::default() }
    }

    /// Asks, unless that is under way already.
    ///
    /// Without its secrets nobody can be asked.
    pub(super) fn ask(&self, question: ProbeQuestion, resolved: Result<Option<Box<Resolved>>, Failure>) {
        if !self.asked().insert(question.token.clone()) {
            return;
        }
        let probes = self.clone();
        spawn(TaskKind::Probe, async move {
            let token = question.token.clone();
            let answer = match resolved {
                Ok(resolved) => probes.answer(&question, resolved.unwrap_or_default().as_ref()).await,
                Err(failure) => {
                    let reason = format!("its adapter cannot be asked: {}", failure.title);
                    Some(ProbeAnswer::Unknown { reason })
                }
            };
            if let Some(answer) = answer
                && let Some(append) = probes.address(question, answer)
            {
                post_until_taken(&probes.post, vec![append]).await;
            }
            probes.asked().remove(&token);
        });
    }

    /// What the adapter answers; nothing if the node stops, as the next owner asks again.
    async fn answer(&self, question: &ProbeQuestion, resolved: &Resolved) -> Option<ProbeAnswer> {
        let unknown = |reason: String| Some(ProbeAnswer::Unknown { reason });
        let deadline = Instant::now() + LIMIT;
        loop {
            let probe = Probe {
                function: question.function.clone(),
                key: question.key.clone(),
                arguments: resolved.fill(question.arguments.clone()),
                target: question.on.clone(),
                user: resolved.user.clone(),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match self.hosts.probe(&question.adapter, probe, left).await {
                Ok(Some(ProbeOutcome::Done { output })) => {
                    return Some(ProbeAnswer::Done(resolved.mask.value(output)));
                }
                Ok(Some(ProbeOutcome::NotDone)) => return Some(ProbeAnswer::NotDone),
                Ok(Some(ProbeOutcome::Unknown)) => return unknown("its adapter cannot tell".to_owned()),
                Ok(None) | Err(Refusal::Busy) if left.is_zero() => {
                    return unknown(format!("its adapter did not answer within {LIMIT:?}"));
                }
                Ok(None) | Err(Refusal::Busy) => sleep(AGAIN).await,
                Err(Refusal::Stopping) => return None,
                Err(refusal @ (Refusal::Unknown | Refusal::Quarantined(_))) => {
                    return unknown(format!("its adapter cannot be asked: {refusal}"));
                }
            }
        }
    }

    fn address(&self, question: ProbeQuestion, answer: ProbeAnswer) -> Option<Append> {
        let ProbeQuestion { address, token, .. } = question;
        let to = ActorId::parse(&address.actor).ok()?;
        let entry = |answer| {
            let event = ProcessEvent::Probed { activity: address.activity, token: token.clone(), answer };
            self.post.address(&Entry { to: to.clone(), origin: None, body: Body::Process(event) }).ok()
        };
        entry(answer).filter(|append| append.bytes.len() <= REPORT_BYTES_MAX).or_else(|| {
            let reason =
                format!("its adapter says that it was done, with more than {REPORT_BYTES_MAX} bytes");
            entry(ProbeAnswer::Unknown { reason })
        })
    }

    /// Whether something is asked about an attempt now.
    pub(super) fn asks(&self, token: &str) -> bool {
        self.asked().contains(token)
    }

    fn asked(&self) -> MutexGuard<'_, HashSet<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
