//! A shard as a child of the engine's supervisor.

use std::sync::Arc;
use std::time::Duration;

use impresario_persistence::{Claim, ShardId};
use ractor::{Actor, ActorCell};

use super::ends::INTENSITY;
use super::{DRAIN_LIMIT, EngineArguments, Scope, Shards};
use crate::shard::{ShardActor, ShardArguments};
use crate::supervision::{Backoff, Child, ChildSpec, Restart, Starting};

/// What the supervisor calls a shard.
pub(super) fn name(shard: u16) -> String {
    format!("shard {shard}")
}

/// The child that runs a shard, on a claim that was made already or on its own.
pub(super) fn shard(number: u16, claim: Option<Claim>, with: &EngineArguments, shards: &Shards) -> Child {
    let spec = ChildSpec {
        name: name(number),
        kind: "shard",
        restart: match with.scope {
            // A shard ends by itself only when the store says that it has a newer owner: it is not started again.
            Scope::All => Restart::Transient,
            Scope::OnDemand => Restart::Temporary,
        },
        intensity: INTENSITY,
        backoff: Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(5), jitter: 0.2 },
        shutdown: DRAIN_LIMIT,
    };
    let with = ShardArguments {
        shard: ShardId(number),
        owner: with.owner.clone(),
        claim,
        post: with.post.clone(),
        kinds: Arc::clone(&with.kinds),
        runner: Arc::clone(&with.runner),
        clock: with.clock.clone(),
        settings: with.settings.clone(),
    };
    let shards = Arc::clone(shards);
    let start = move |supervisor: ActorCell| -> Starting {
        let (with, shards) = (with.clone(), Arc::clone(&shards));
        Box::pin(async move {
            let (actor, _) = ShardActor::spawn_linked(None, ShardActor, with, supervisor).await?;
            shards.insert(number, actor.clone());
            Ok(actor.get_cell())
        })
    };
    Child { spec, start: Arc::new(start) }
}
