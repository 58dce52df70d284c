//! Who wants to see what is raised in the environment: the sinks, and the triggers that ask for lifecycle events. The
//! routers are told, and this node knows which lifecycle events to make at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use impresario_actors::behaviour::Asked;
use impresario_actors::definitions::Definitions;
use impresario_actors::post::Post;
use impresario_model::definition::TriggerOutline;
use impresario_model::entry::{Body, Entry, RaisedRoute, RouterEvent};
use impresario_model::ids::ActorId;
use impresario_persistence::{Store, StoreError};

use super::{NodeError, declared};
use crate::declared::DeclaredKind;

/// What this node knows of it; cheap to clone.
#[derive(Clone)]
pub struct Raised {
    store: Arc<dyn Store>,
    definitions: Arc<Definitions>,
    asked: Asked,
}

impl Raised {
    /// Nothing is known yet.
    pub fn new(store: Arc<dyn Store>, definitions: Arc<Definitions>) -> Self {
        Raised { store, definitions, asked: Asked::default() }
    }

    /// The types of lifecycle events that somebody asks for, kept up to date.
    pub fn asked(&self) -> Asked {
        self.asked.clone()
    }

    /// Reads who wants to see what: the version of it, and the routes. From then on this node makes what is asked for.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn refresh(&self) -> Result<(u64, Vec<RaisedRoute>), StoreError> {
        let settings = self.store.settings(DeclaredKind::Sink.prefix().to_owned()).await?;
        // Each change of a sink adds one, and whoever reads later has seen more.
        let version = settings.iter().map(|(_, setting)| setting.version).sum();
        let mut routes: Vec<RaisedRoute> =
            settings.iter().filter_map(|(key, setting)| declared::route(key, &setting.bytes)).collect();
        for definition in self.definitions.newest() {
            routes.extend(definition.triggers.iter().filter_map(lifecycle_route));
        }
        self.asked
            .set(routes.iter().flat_map(|route| route.lifecycle.iter().cloned()).collect::<BTreeSet<_>>());
        Ok((version, routes))
    }

    /// The same, told to all routers.
    ///
    /// # Errors
    /// When the store does not answer, or does not take the entries.
    pub(super) async fn announce(&self, post: &Post) -> Result<(), NodeError> {
        let (version, routes) = self.refresh().await?;
        let entry = |shard| Entry {
            to: ActorId::router(shard),
            origin: None,
            body: Body::Router(RouterEvent::RaisedRoutes { routes: routes.clone(), version }),
        };
        let entries: Vec<Entry> = (0..self.store.shards()).map(entry).collect();
        post.accept(&entries).await?;
        Ok(())
    }
}

/// Which lifecycle events a trigger asks for, if any. All others come to it by its own route.
fn lifecycle_route(trigger: &TriggerOutline) -> Option<RaisedRoute> {
    let lifecycle = trigger.events.as_ref()?.lifecycle.clone();
    let to = ActorId::trigger(&trigger.name);
    (!lifecycle.is_empty()).then_some(RaisedRoute { to, types: Some(Vec::new()), lifecycle })
}
