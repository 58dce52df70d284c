//! Where an instance stands that waits for its turn.

use impresario_model::ids::ActorId;
use impresario_model::overlap::Turns;

use super::local::Local;
use crate::orchestrator::InstanceDetail;
use crate::question::{Question, Reply};

/// So many instances that wait for their turn are told.
const QUEUE_SHOWN: usize = 1_000;

/// The instances that wait, longest first.
pub(super) fn line(turns: &Turns) -> Vec<String> {
    turns.queue.iter().take(QUEUE_SHOWN).map(|turn| turn.instance.clone()).collect()
}

impl Local {
    /// Tells of an instance that waits for its turn how many are before it.
    pub(super) async fn tell_turn(&self, instance: &mut InstanceDetail) {
        let Some(of) = instance.turn_of.as_deref().and_then(|of| ActorId::parse(of).ok()) else { return };
        let question = Question::Turns { actor: of.to_string() };
        // Without an answer there is less to show, and no reason to show nothing.
        let Ok(Reply::Turns(line)) = self.ask_owner(of.shard(self.shards()), question).await else { return };
        let before = line.iter().position(|waiting| *waiting == instance.summary.id);
        let words = match before {
            Some(0) => "its turn: next in line".to_owned(),
            Some(before) => format!("its turn: {before} before it"),
            None => return,
        };
        instance.waits_for.push(words);
    }
}
