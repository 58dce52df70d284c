//! What each step does.

use super::fold::{Entry, Outcome};
use super::owner::{Flight, Move, Owner};
use super::store::{Call, Reply};
use super::{Action, Node, Protocol, Rules, State, Which};

impl State {
    fn call(&mut self, node: usize, which: Which) -> Option<&mut (Call, Option<Reply>)> {
        let node = &mut self.nodes[node];
        match which {
            Which::Claim => node.claim.as_mut(),
            Which::Shard => node.owner.as_mut()?.call.as_mut(),
            Which::Flush => node.owner.as_mut()?.flush.as_mut(),
        }
    }

    /// Appends an entry with an acknowledgement.
    fn acknowledge(&mut self, entry: Entry, rules: &Rules) {
        self.store.log.push(entry);
        if let Some(replica) = self.replica.as_mut().filter(|_| rules.answers_wait_for_the_replica) {
            replica.clone_from(&self.store);
        }
    }

    /// What a shard has asked for when it ends may still reach the store.
    fn leave_behind(&mut self, at: usize) {
        let node = &self.nodes[at];
        let owner = node.owner.as_ref();
        let calls = [
            node.claim.as_ref(),
            owner.and_then(|one| one.call.as_ref()),
            owner.and_then(|one| one.flush.as_ref()),
        ];
        let writes = |call: &Call| !matches!(call, Call::Load | Call::Read { .. });
        let under_way = calls.into_iter().flatten().filter(|(call, reply)| reply.is_none() && writes(call));
        let under_way: Vec<_> = under_way.map(|(call, _)| (at, call.clone())).collect();
        self.late.extend(under_way);
    }

    fn give_way(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.owner = None;
        // What was not begun is taken back from the hosts.
        node.flights.retain(|_, flight| *flight == Flight::Running);
    }
}

impl Protocol {
    pub(super) fn step(&self, state: &mut State, action: Action) -> Option<()> {
        let rules = &self.rules;
        match action {
            Action::Ask => {
                state.left.asks -= 1;
                state.acknowledge(Entry::Ask(state.asked), rules);
                state.asked += 1;
            }
            Action::Carry(at, which) => {
                let (call, _) = state.call(at, which)?.clone();
                let reply = state.store.carry_out(at, &call, rules);
                state.call(at, which)?.1 = Some(reply);
            }
            Action::Hear(at, which) => self.hear(state, at, which)?,
            Action::Wake(at) => {
                let owner = state.nodes[at].owner.as_mut()?;
                owner.call = Some((Call::Read { after: owner.cursor }, None));
            }
            Action::Save(at) => {
                state.left.checkpoints -= 1;
                state.nodes[at].owner.as_mut()?.save();
            }
            Action::Offer(at, token) => {
                let node = &mut state.nodes[at];
                node.owner.as_mut()?.ready.remove(&token);
                node.flights.insert(token, Flight::Queued);
            }
            Action::Start(at, token) => {
                *state.starts.entry(token.0).or_default() += 1;
                state.nodes[at].flights.insert(token, Flight::Running);
            }
            Action::Finish(at, token) => {
                state.acknowledge(Entry::Report(token, Outcome::Done), rules);
                state.nodes[at].flights.remove(&token);
            }
            Action::Claim(at) => {
                state.nodes[at].claim = Some((Call::Claim { seen: state.store.epoch }, None));
            }
            Action::GiveWay(at) => state.give_way(at),
            Action::Hold(at) => {
                let owner = state.nodes[at].owner.as_mut()?;
                owner.moving = Some(match owner.moving? {
                    Move::Drain { to, .. } => Move::Drain { to, heard_hold: true },
                    Move::Told { to } => Move::Held { to },
                    other => other,
                });
            }
            Action::Landed(at) => {
                let owner = state.nodes[at].owner.as_mut()?;
                owner.moving = Some(match owner.moving? {
                    Move::Told { to } if !rules.hold_is_answered => Move::Drain { to, heard_hold: false },
                    Move::Held { to } => Move::Drain { to, heard_hold: true },
                    _ => return None,
                });
            }
            Action::Stay(at) => {
                let owner = state.nodes[at].owner.as_mut()?;
                // It gets no answer to its first message before the second is heard, so they are one here.
                owner.moving = None;
                self.advance(state, at);
            }
            Action::Drain(at) => {
                let owner = state.nodes[at].owner.as_mut()?;
                let Some(Move::Drain { to, .. }) = owner.moving else { return None };
                owner.drain(to, rules);
                self.advance(state, at);
            }
            Action::Renew(at) => {
                state.nodes[at].lease = true;
                state.nodes[at].present = true;
            }
            Action::Expire(at) => state.nodes[at].present = false,
            Action::Move(at, to) => {
                state.left.moves -= 1;
                state.nodes[at].owner.as_mut()?.moving = Some(Move::Told { to });
            }
            Action::Lapse(at) => {
                state.left.lapses -= 1;
                state.nodes[at].lease = false;
            }
            Action::Crash(at) => {
                state.left.crashes -= 1;
                state.leave_behind(at);
                state.nodes[at].owner = None;
            }
            Action::Die(at) => {
                state.left.deaths -= 1;
                state.leave_behind(at);
                let node = &mut state.nodes[at];
                (node.alive, node.lease, node.owner, node.claim) = (false, false, None, None);
                node.flights.clear();
            }
            Action::GiveUp(at, which) => {
                state.left.late -= 1;
                let call = state.call(at, which)?;
                call.1 = None;
                let copy = call.0.clone();
                state.late.push((at, copy));
            }
            Action::Arrive(at) => {
                let (node, call) = state.late.remove(at);
                state.store.carry_out(node, &call, rules);
            }
            Action::Replicate => {
                let State { store, replica, .. } = state;
                replica.as_mut()?.clone_from(store);
            }
            Action::FailOver => {
                state.store = state.replica.take()?;
                state.left.failovers -= 1;
                // The connections are gone, and with them what was not heard: it is sent again.
                for at in 0..state.nodes.len() {
                    for which in [Which::Claim, Which::Shard, Which::Flush] {
                        if let Some(call) = state.call(at, which) {
                            call.1 = None;
                        }
                    }
                }
            }
        }
        Some(())
    }

    fn hear(&self, state: &mut State, at: usize, which: Which) -> Option<()> {
        let node = &mut state.nodes[at];
        match which {
            Which::Claim => {
                let (_, reply) = node.claim.take()?;
                if let Some(Reply::Claimed { epoch, mark, head }) = reply {
                    node.owner = Some(Owner::new(epoch, mark, head));
                }
            }
            Which::Flush => {
                if !node.owner.as_mut()?.hear_flush() {
                    state.give_way(at);
                }
                self.advance(state, at);
            }
            Which::Shard => match node.owner.as_mut()?.hear(&self.rules) {
                None => state.give_way(at),
                Some(true) => node.owner = None,
                Some(false) => self.advance(state, at),
            },
        }
        Some(())
    }

    fn advance(&self, state: &mut State, at: usize) {
        let head = state.store.log.len();
        let Node { owner, batch, flights, .. } = &mut state.nodes[at];
        if let Some(owner) = owner {
            owner.advance(head, batch, flights, &self.rules);
        }
    }
}
