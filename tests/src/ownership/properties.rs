//! What has to hold at every moment, whatever happened.

use stateright::Property;

use super::fold::{Effect, Entry, Fate, Fold, Outcome};
use super::owner::Flight;
use super::store::Told;
use super::{Protocol, State};

/// The names of the properties.
pub const ONE_EPOCH_WRITES: &str = "only the newest epoch writes";
/// See [`ONE_EPOCH_WRITES`].
pub const ROWS_AND_LOG: &str = "rows and log are what was acknowledged";
/// See [`ONE_EPOCH_WRITES`].
pub const STARTED_ONCE: &str = "an activity that must not be done twice is started once at most";
/// See [`ONE_EPOCH_WRITES`].
pub const TOLD_ONCE: &str = "what is told arrives once, in order, and right";
/// See [`ONE_EPOCH_WRITES`].
pub const TOLD_BEFORE_MARK: &str = "a checkpoint holds only what was told";
/// See [`ONE_EPOCH_WRITES`].
pub const MOVES_INTERRUPT_NOTHING: &str = "a move interrupts nothing";
/// See [`ONE_EPOCH_WRITES`].
pub const COMES_TO_AN_END: &str = "somebody owns the shard in the end, and everything is settled";

/// What can happen: an activity is done.
pub const DONE: &str = "reached: an activity is done";
/// What can happen: an attempt that was settled as lost has not begun yet, and still may. It is the one start that it was:
/// see [`STARTED_ONCE`].
pub const LATE_START: &str = "reached: an attempt that was settled as lost may still begin";

/// All properties.
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_EPOCH_WRITES, |_: &Protocol, state: &State| one_epoch_writes(state)),
        Property::always(ROWS_AND_LOG, |_: &Protocol, state: &State| {
            state.store.rows == Fold::of(&state.store.log[..state.store.mark])
        }),
        Property::always(STARTED_ONCE, |_: &Protocol, state: &State| {
            state.starts.values().all(|starts| *starts <= 1)
        }),
        Property::always(TOLD_ONCE, told_once),
        Property::always(TOLD_BEFORE_MARK, |_: &Protocol, state: &State| {
            let told = |wanted: &Told| state.store.told.contains(wanted);
            wanted(&state.store.log[..state.store.mark]).iter().all(told)
        }),
        Property::always(MOVES_INTERRUPT_NOTHING, |protocol: &Protocol, state: &State| {
            let limits = protocol.limits;
            let lost = |entry: &Entry| matches!(entry, Entry::Report(_, Outcome::Lost));
            limits.deaths + limits.lapses + limits.crashes + limits.failovers > 0
                || !state.store.log.iter().any(lost)
        }),
        Property::always(COMES_TO_AN_END, comes_to_an_end),
        Property::sometimes(DONE, |_: &Protocol, state: &State| {
            Fold::of(&state.store.log).activities.values().any(|activity| activity.fate == Fate::Done)
        }),
        Property::sometimes(LATE_START, |_: &Protocol, state: &State| {
            let lost = |token| state.store.log.contains(&Entry::Report(token, Outcome::Lost));
            let queued = state.nodes.iter().flat_map(|node| &node.flights);
            queued.into_iter().any(|(token, flight)| *flight == Flight::Queued && lost(*token))
        }),
    ]
}

/// Every marker lies between the claim of its epoch and the next, and no older epoch has had an effect otherwise.
fn one_epoch_writes(state: &State) -> bool {
    let store = &state.store;
    let between = |(at, entry): (usize, &Entry)| {
        let Entry::Marker(_, epoch) = entry else { return true };
        let epoch = usize::from(*epoch);
        at >= store.begins[epoch] && store.begins.get(epoch + 1).is_none_or(|end| at < *end)
    };
    !store.breached && store.log.iter().enumerate().all(between)
}

/// What the entries of the log are to tell the other shard.
fn wanted(log: &[Entry]) -> Vec<Told> {
    let mut fold = Fold::default();
    let mut wanted = Vec::new();
    for (at, entry) in log.iter().enumerate() {
        for effect in fold.apply(entry) {
            if let Effect::Tell(body) = effect {
                wanted.push(Told { origin: at + 1, body });
            }
        }
    }
    wanted
}

fn told_once(protocol: &Protocol, state: &State) -> bool {
    let mut seen = 0;
    let mut accepted = Vec::new();
    for told in &state.store.told {
        if told.origin > seen || !protocol.rules.dedup {
            seen = seen.max(told.origin);
            accepted.push(told.clone());
        }
    }
    wanted(&state.store.log).starts_with(&accepted)
}

/// Whether there is something left that happens by itself, or nothing is left to do.
fn comes_to_an_end(protocol: &Protocol, state: &State) -> bool {
    let mut actions = Vec::new();
    state.progress(&protocol.rules, &mut actions);
    if !actions.is_empty() || state.nodes.iter().all(|node| !node.alive) {
        return true;
    }
    let owner = state.store.owner.and_then(|at| state.nodes[at].owner.as_ref());
    let Some(owner) = owner else { return false };
    let activities = Fold::of(&state.store.log).activities;
    owner.recovered
        && owner.cursor == state.store.log.len()
        && activities.len() == usize::from(state.asked)
        && activities.values().all(|activity| activity.fate != Fate::Running)
        && wanted(&state.store.log).iter().all(|wanted| state.store.told.contains(wanted))
}
