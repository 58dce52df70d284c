//! What can happen next.

use super::owner::{Flight, Move};
use super::{Action, Rules, State, Which};

impl State {
    /// Whether the replica has everything.
    fn replicated(&self) -> bool {
        self.replica.as_ref().is_none_or(|replica| *replica == self.store)
    }

    /// What happens by itself, sooner or later.
    pub(super) fn progress(&self, rules: &Rules, actions: &mut Vec<Action>) {
        let replicated = self.replicated();
        if !replicated {
            actions.push(Action::Replicate);
        }
        let answers = replicated || !rules.answers_wait_for_the_replica;
        for (at, node) in self.nodes.iter().enumerate() {
            if node.present && !node.lease {
                actions.push(Action::Expire(at));
            }
            if !node.alive {
                continue;
            }
            if !node.lease {
                actions.push(Action::Renew(at));
            }
            for (token, flight) in &node.flights {
                actions.push(match flight {
                    Flight::Queued => Action::Start(at, *token),
                    Flight::Running => Action::Finish(at, *token),
                });
            }
            let owner = node.owner.as_ref();
            let calls = [
                (Which::Claim, node.claim.as_ref()),
                (Which::Shard, owner.and_then(|owner| owner.call.as_ref())),
                (Which::Flush, owner.and_then(|owner| owner.flush.as_ref())),
            ];
            for (which, call) in calls {
                match call {
                    Some((_, None)) => actions.push(Action::Carry(at, which)),
                    Some((_, Some(_))) if answers => actions.push(Action::Hear(at, which)),
                    Some((_, Some(_))) | None => {}
                }
            }
            match owner {
                None => {
                    let again = rules.owners_claim_again && self.store.owner == Some(at);
                    let free = self.store.owner.is_none_or(|owner| owner != at && !self.nodes[owner].present);
                    if node.lease && node.claim.is_none() && (free || again) {
                        actions.push(Action::Claim(at));
                    }
                }
                Some(_) => self.progress_of(at, rules, actions),
            }
        }
        actions.extend((0..self.late.len()).map(Action::Arrive));
    }

    fn progress_of(&self, at: usize, rules: &Rules, actions: &mut Vec<Action>) {
        let node = &self.nodes[at];
        let Some(owner) = &node.owner else { return };
        if matches!(owner.moving, Some(Move::Held { .. } | Move::Told { .. })) {
            actions.push(if node.flights.is_empty() { Action::Landed(at) } else { Action::Stay(at) });
        }
        let told = matches!(owner.moving, Some(Move::Told { .. } | Move::Drain { heard_hold: false, .. }));
        // One that was told to start nothing has not heard it yet.
        let starts = node.lease && (owner.moving.is_none() || told);
        if starts && (owner.listens() || !rules.start_after_marker) {
            actions.extend(owner.ready.iter().map(|token| Action::Offer(at, *token)));
        }
        if !owner.listens() {
            return;
        }
        if owner.behind(self.store.log.len()) {
            actions.push(Action::Wake(at));
        }
        if self.store.owner.is_some_and(|owner| owner != at) && self.store.epoch > owner.epoch {
            actions.push(Action::GiveWay(at));
        }
        if told {
            actions.push(Action::Hold(at));
        } else if matches!(owner.moving, Some(Move::Drain { .. })) {
            actions.push(Action::Drain(at));
        }
    }

    /// What may happen, or not.
    pub(super) fn chances(&self, rules: &Rules, actions: &mut Vec<Action>) {
        if self.left.asks > 0 {
            actions.push(Action::Ask);
        }
        if self.replica.is_some() {
            actions.push(Action::FailOver);
        }
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            if self.left.deaths > 0 {
                actions.push(Action::Die(at));
            }
            if self.left.lapses > 0 && node.lease {
                actions.push(Action::Lapse(at));
            }
            if let Some(owner) = &node.owner {
                if self.left.crashes > 0 {
                    actions.push(Action::Crash(at));
                }
                if self.left.checkpoints > 0 && owner.may_save(rules) {
                    actions.push(Action::Save(at));
                }
                if self.left.moves > 0 && owner.moving.is_none() && owner.loaded {
                    let others = (0..self.nodes.len()).filter(|to| *to != at && self.nodes[*to].present);
                    actions.extend(others.map(|to| Action::Move(at, to)));
                }
            }
            if self.left.late > 0 {
                let owner = node.owner.as_ref();
                let calls = [
                    (Which::Claim, node.claim.is_some()),
                    (Which::Shard, owner.is_some_and(|owner| owner.call.is_some())),
                    (Which::Flush, owner.is_some_and(|owner| owner.flush.is_some())),
                ];
                actions.extend(
                    calls.into_iter().filter(|(_, there)| *there).map(|(which, _)| Action::GiveUp(at, which)),
                );
            }
        }
    }
}
