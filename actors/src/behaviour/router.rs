//! The router of a shard as an actor.

use std::sync::Arc;

use impresario_model::entry::Body;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_model::router::{Chunk, Router, RouterSnapshot, Window};
use impresario_persistence::{Row, RowIndex};

use super::trigger::tell;
use super::{Behaviour, Inspection, RowChanges, Unfit, decode, encode, of_another_kind};
use crate::definitions::Definitions;

/// The router of one shard. Its window is stored in rows below its own: `router/3/00000000000000000017`.
pub struct RouterBehaviour {
    actor: ActorId,
    router: Router,
    definitions: Arc<Definitions>,
}

impl RouterBehaviour {
    /// From its rows, or an empty one.
    ///
    /// # Errors
    /// [`Unfit`] when a row cannot be read.
    pub fn load(
        actor: &ActorId,
        rows: &[Row],
        window: Window,
        definitions: Arc<Definitions>,
    ) -> Result<Self, Unfit> {
        let mut state = RouterSnapshot::default();
        let mut chunks = Vec::new();
        for row in rows {
            if row.actor == actor.as_str() {
                state = decode(actor, row)?;
            } else {
                chunks.push(decode::<Chunk>(actor, row)?);
            }
        }
        let router = Router::new(state, chunks, window);
        Ok(RouterBehaviour { actor: actor.clone(), router, definitions })
    }

    fn chunk_row(&self, number: u64) -> String {
        format!("{}/{number:020}", self.actor)
    }
}

impl Behaviour for RouterBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        let Body::Router(event) = body else {
            return Err(of_another_kind(&self.actor));
        };
        let messages = self.router.apply(event, &|id| self.definitions.get(id), moment);
        messages.map(tell).map_err(|id| {
            Unfit(format!("definition {id} is not known to this node, and events may concern its listeners"))
        })
    }

    fn parks(&self) -> bool {
        false
    }

    fn status(&self) -> &'static str {
        "routing"
    }

    fn index(&self) -> RowIndex {
        RowIndex { status: self.status().to_owned(), ..RowIndex::default() }
    }

    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        let changes = self.router.take_changes();
        let own = Row {
            actor: self.actor.to_string(),
            snapshot: encode(&self.actor, &self.router.state)?,
            index: self.index(),
        };
        let mut put = vec![own];
        for chunk in changes.put {
            put.push(Row {
                actor: self.chunk_row(chunk.number),
                snapshot: encode(&self.actor, &chunk)?,
                index: RowIndex::default(),
            });
        }
        let remove = changes.remove.into_iter().map(|number| self.chunk_row(number)).collect();
        Ok(RowChanges { put, remove })
    }

    fn inspect(&self) -> Inspection {
        Inspection::Router(self.router.state.clone(), self.router.remembered())
    }
}
