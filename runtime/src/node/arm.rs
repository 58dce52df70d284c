//! Arming: triggers and routes follow the newest definitions that are deployed, and the calendars that they name.
//!
//! The environment keeps what each trigger was told last, so that a start tells nothing to a hundred thousand triggers of
//! which nothing has changed. Several nodes may arm at the same time, each with what it had read. So whoever is about to
//! tell something says so first, under a number that grows: a trigger that was told under a higher number does not listen
//! to a lower one, and whoever finds that another came between looks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use impresario_actors::definitions::Definitions;
use impresario_actors::inventory::SharedInventory;
use impresario_actors::post::{Post, PostError};
use impresario_model::calendar::Calendar;
use impresario_model::correlation;
use impresario_model::definition::{DefinitionId, Outline, TriggerOutline};
use impresario_model::entry::{Body, Entry, Route, RouterEvent, TriggerEvent};
use impresario_model::ids::ActorId;
use impresario_persistence::{Store, StoreError};
use serde::Deserialize;
use tokio::time::Instant;

use super::definitions::load_stored;
use super::deploy::{Deployment, in_force};
use super::{NodeError, inventory};
use crate::settings::{SettingError, TRIES, decode, encode};

/// Where the environment keeps what the triggers were told.
pub(super) const TRIGGERS: &str = "triggers";
/// So many entries are told at once.
const CHUNK: usize = 2_000;
/// How long shards that have too much waiting are waited for, and how often they are asked.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_millis(20));

/// The version of this program, as instances see it.
const RUNTIME: &str = env!("CARGO_PKG_VERSION");

/// What each trigger was told last, as a fingerprint; empty while somebody is about to tell it something else.
type Told = BTreeMap<String, String>;

/// What the setting holds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Told(Told),
    /// The names alone, as versions before this one wrote it.
    Names(Vec<String>),
}

/// What triggers are to be told.
struct Order {
    definition: DefinitionId,
    calendar: Option<Arc<Calendar>>,
    told: String,
}

/// What is wanted of all triggers.
#[derive(Default)]
struct Wanted {
    orders: BTreeMap<String, Order>,
    routes: Vec<Route>,
    packs: Vec<String>,
    definitions: usize,
}

/// Arms the triggers of the newest active definitions as far as they were told something else, disarms those that are gone,
/// and tells the routers.
///
/// # Errors
/// When the store does not answer, or does not take the entries.
pub async fn arm(
    post: &Post,
    definitions: &Definitions,
    inventory: &SharedInventory,
) -> Result<Deployment, NodeError> {
    let store = post.store();
    for _ in 0..TRIES {
        let (version, told) = told(store).await?;
        // What was deployed before that version was written is seen from here on.
        load_stored(store, definitions).await?;
        inventory::refresh(store, inventory).await?;
        // Before anything can start an instance that listens: of all versions, because instances may run any of them.
        let mut listeners = Vec::new();
        let all = definitions.all();
        correlation::merge(
            &mut listeners,
            &all.iter().flat_map(|one| one.listeners.clone()).collect::<Vec<_>>(),
        );
        drop(all);
        if !listeners.is_empty() {
            tell_routers(post, RouterEvent::Listeners(listeners)).await?;
        }
        let wanted = Wanted::read(store, definitions, inventory).await?;
        let mut marked = told.clone();
        let changed: Vec<&String> = wanted
            .orders
            .iter()
            .filter(|(name, order)| told.get(*name) != Some(&order.told))
            .map(first)
            .collect();
        let gone: Vec<&String> = told.keys().filter(|name| !wanted.orders.contains_key(*name)).collect();
        if changed.is_empty() && gone.is_empty() {
            tell_routers(post, RouterEvent::Routes(wanted.routes.clone())).await?;
            if self::told(store).await?.0 == version {
                return Ok(wanted.deployment());
            }
            continue;
        }
        marked.extend(changed.iter().chain(&gone).map(|name| ((*name).clone(), String::new())));
        let Some(generation) = put(store, version, &marked).await? else { continue };
        let mut entries: Vec<Entry> = changed
            .iter()
            .filter_map(|name| Some(wanted.orders.get(*name)?.entry(name, generation)))
            .collect();
        entries.extend(gone.iter().map(|name| trigger_entry(name, TriggerEvent::Retire { generation })));
        // Triggers first: an event must not reach one that is not armed.
        post_all(post, &entries).await?;
        tell_routers(post, RouterEvent::Routes(wanted.routes.clone())).await?;
        let now = wanted.orders.iter().map(|(name, order)| (name.clone(), order.told.clone())).collect();
        if put(store, generation, &now).await?.is_some() {
            return Ok(wanted.deployment());
        }
    }
    Err(SettingError::Contended(TRIGGERS.to_owned()).into())
}

fn first<T>((name, _): (&String, T)) -> &String {
    name
}

/// What the triggers were told, and the version of that.
async fn told(store: &Arc<dyn Store>) -> Result<(u64, Told), NodeError> {
    let Some(setting) = store.setting(TRIGGERS.to_owned()).await? else { return Ok((0, Told::new())) };
    let told = match decode(TRIGGERS, &setting.bytes)? {
        Stored::Told(told) => told,
        Stored::Names(names) => names.into_iter().map(|name| (name, String::new())).collect(),
    };
    Ok((setting.version, told))
}

/// Keeps it, and answers its version; none if another node was faster.
async fn put(store: &Arc<dyn Store>, version: u64, told: &Told) -> Result<Option<u64>, NodeError> {
    match store.put_setting(TRIGGERS.to_owned(), version, encode(TRIGGERS, told)?).await {
        Ok(version) => Ok(Some(version)),
        Err(StoreError::Conflict { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Wanted {
    /// What is wanted as of now.
    async fn read(
        store: &Arc<dyn Store>,
        definitions: &Definitions,
        inventory: &SharedInventory,
    ) -> Result<Self, NodeError> {
        let (packs, newest) = in_force(store, definitions).await?;
        let mut wanted = Wanted { packs, definitions: newest.len(), ..Wanted::default() };
        let inventory = inventory.now();
        let mut calendars: BTreeMap<&str, Option<(Arc<Calendar>, String)>> = BTreeMap::new();
        for definition in &newest {
            let calendar = definition.calendar.as_deref().and_then(|name| {
                let known = calendars.entry(name).or_insert_with(|| resolved(&inventory, name, definition));
                known.clone()
            });
            for trigger in &definition.triggers {
                let order = Order::new(definition, calendar.clone());
                wanted.orders.insert(trigger.name.clone(), order);
                wanted.routes.extend(route(trigger));
            }
        }
        Ok(wanted)
    }

    fn deployment(self) -> Deployment {
        let triggers = self.orders.into_keys().collect();
        Deployment { packs: self.packs, definitions: self.definitions, triggers }
    }
}

/// A calendar with what it names, and a fingerprint of it. Without it, its triggers do not fire; they are armed anew once it
/// is there.
fn resolved(
    inventory: &impresario_model::inventory::Inventory,
    name: &str,
    definition: &Outline,
) -> Option<(Arc<Calendar>, String)> {
    match inventory.calendars().resolve(name) {
        Ok(calendar) => {
            let fingerprint = calendar.fingerprint();
            Some((Arc::new(calendar), fingerprint))
        }
        Err(error) => {
            tracing::warn!(definition = %definition.id, %error, "its triggers do not fire until there is its calendar");
            None
        }
    }
}

impl Order {
    fn new(definition: &Outline, calendar: Option<(Arc<Calendar>, String)>) -> Self {
        let (calendar, fingerprint) = calendar.unzip();
        let told = format!("{} {RUNTIME} {}", definition.id, fingerprint.unwrap_or_default());
        Order { definition: definition.id.clone(), calendar, told: told.trim_end().to_owned() }
    }

    fn entry(&self, name: &str, generation: u64) -> Entry {
        let calendar = self.calendar.as_deref().cloned().map(Box::new);
        let (definition, runtime) = (self.definition.clone(), RUNTIME.to_owned());
        trigger_entry(name, TriggerEvent::Arm { definition, runtime, calendar, generation })
    }
}

/// Which events a trigger wants to see; none for a schedule.
fn route(trigger: &TriggerOutline) -> Option<Route> {
    let wanted = trigger.events.as_ref()?;
    Some(Route { trigger: trigger.name.clone(), types: wanted.types.clone() })
}

fn trigger_entry(name: &str, event: TriggerEvent) -> Entry {
    Entry { to: ActorId::trigger(name), origin: None, body: Body::Trigger(event) }
}

async fn tell_routers(post: &Post, event: RouterEvent) -> Result<(), NodeError> {
    let entry = |shard| Entry { to: ActorId::router(shard), origin: None, body: Body::Router(event.clone()) };
    post_all(post, &(0..post.store().shards()).map(entry).collect::<Vec<_>>()).await
}

/// Posts entries a part at a time. Shards that have too much waiting are waited for.
async fn post_all(post: &Post, entries: &[Entry]) -> Result<(), NodeError> {
    let (limit, again) = PATIENCE;
    for chunk in entries.chunks(CHUNK) {
        let began = Instant::now();
        loop {
            match post.accept(chunk).await {
                Err(PostError::Overloaded { .. }) if began.elapsed() < limit => {
                    tokio::time::sleep(again).await
                }
                posted => break posted.map(drop)?,
            }
        }
    }
    Ok(())
}
