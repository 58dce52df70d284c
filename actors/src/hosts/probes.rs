//! Questions to a host what became of work that was cut off. Unlike runs they may be lost: who asks asks again, or
//! takes silence for "nobody can tell".

use std::collections::{HashMap, VecDeque};

use impresario_adapter::message::{Answer, Probe, ProbeOutcome};
use tokio::sync::oneshot;

/// Each is an activity that was cut off, so there are about as many as runs; more only wait for their turn elsewhere.
const PROBES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Probes {
    asked: u64,
    waiting: VecDeque<(String, Probe)>,
    open: HashMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    /// The generation that has the question; none while it waits.
    generation: Option<u64>,
    reply: oneshot::Sender<ProbeOutcome>,
}

impl Probes {
    /// Takes a question on; nothing if there are too many. Dropping the receiver withdraws it.
    pub(super) fn ask(&mut self, probe: Probe) -> Option<oneshot::Receiver<ProbeOutcome>> {
        self.open.retain(|_, open| !open.reply.is_closed());
        self.waiting.retain(|(id, _)| self.open.contains_key(id));
        if self.open.len() >= PROBES_MAX {
            return None;
        }
        self.asked += 1;
        let id = format!("probe:{}", self.asked);
        let (reply, answer) = oneshot::channel();
        self.open.insert(id.clone(), Open { generation: None, reply });
        self.waiting.push_back((id, probe));
        Some(answer)
    }

    /// All that waits, for this generation to answer.
    pub(super) fn take(&mut self, generation: u64) -> Vec<(String, Probe)> {
        for (id, _) in &self.waiting {
            if let Some(open) = self.open.get_mut(id) {
                open.generation = Some(generation);
            }
        }
        self.waiting.drain(..).collect()
    }

    /// Hands an answer on; gives back one that belongs to no question.
    pub(super) fn settle(&mut self, answer: Answer) -> Option<Answer> {
        let Some(open) = answer.id.as_ref().and_then(|id| self.open.remove(id)) else { return Some(answer) };
        // Who asked may have gone.
        let _withdrawn = open.reply.send(answer.into_probe());
        None
    }

    /// A generation ended: what it was asked stays unanswered.
    pub(super) fn close(&mut self, generation: u64) {
        self.open.retain(|_, open| open.generation != Some(generation));
    }

    /// Nobody will answer.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.open.clear();
    }

    pub(super) fn wait_for_host(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
