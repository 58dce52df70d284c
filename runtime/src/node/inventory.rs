//! The inventory of the environment: kept in its settings, changed by operators and packs, followed by every node.
//!
//! A setting is never deleted, so what was removed leaves a mark: a pack must not bring back what an operator has removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use impresario_actors::inventory::SharedInventory;
use impresario_actors::post::Post;
use impresario_model::calendar::{Ahead, CalendarSpec};
use impresario_model::entry::{Body, Entry, Limit, TargetEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::rfc3339;
use impresario_model::inventory::{
    GroupSpec, Inventory, InventoryError, NODE_PREFIX, NODE_TYPE, NODES, TargetSpec, TargetType,
};
use impresario_model::places::{Claim, Places};
use impresario_persistence::Store;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::NodeError;
use super::local::Local;
use crate::cluster::{ClusterView, NodeView};
use crate::inventory::{EntryKind, InventoryDocument, InventoryEntry, PlaceView, PlacesView};
use crate::orchestrator::{ActivityDetail, InstanceDetail, Refusal};
use crate::settings::update;

/// Who has put what an operator puts.
const OPERATOR: &str = "operator";

/// An entry as the environment keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// Who has put or removed it: `operator` or `pack NAME`.
    by: String,
    /// What it is; nothing once it was removed.
    #[serde(default)]
    spec: Option<Value>,
}

/// A kind of entries as the core knows it.
trait Described: Serialize + DeserializeOwned {
    const KIND: EntryKind;
    fn check(&self, inventory: &Inventory, name: &str, ahead: Ahead) -> Result<(), InventoryError>;
    fn put(self, inventory: &mut Inventory, name: &str, version: u64);
}

impl Described for TargetType {
    const KIND: EntryKind = EntryKind::TargetType;
    fn check(&self, inventory: &Inventory, name: &str, _ahead: Ahead) -> Result<(), InventoryError> {
        inventory.check_type(name, self)
    }
    fn put(self, inventory: &mut Inventory, name: &str, _version: u64) {
        inventory.put_type(name, self);
    }
}

impl Described for TargetSpec {
    const KIND: EntryKind = EntryKind::Target;
    fn check(&self, inventory: &Inventory, name: &str, _ahead: Ahead) -> Result<(), InventoryError> {
        inventory.check_target(name, self)
    }
    fn put(self, inventory: &mut Inventory, name: &str, version: u64) {
        inventory.put_target(name, self, version);
    }
}

impl Described for GroupSpec {
    const KIND: EntryKind = EntryKind::Group;
    fn check(&self, inventory: &Inventory, name: &str, _ahead: Ahead) -> Result<(), InventoryError> {
        inventory.check_group(name, self)
    }
    fn put(self, inventory: &mut Inventory, name: &str, _version: u64) {
        inventory.put_group(name, self);
    }
}

impl Described for CalendarSpec {
    const KIND: EntryKind = EntryKind::Calendar;
    fn check(&self, inventory: &Inventory, name: &str, ahead: Ahead) -> Result<(), InventoryError> {
        inventory.check_calendar(name, self, ahead)
    }
    fn put(self, inventory: &mut Inventory, name: &str, _version: u64) {
        inventory.put_calendar(name, self);
    }
}

/// Reads the inventory anew; the nodes in it stay as they are. What this version does not understand is left out.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn refresh(store: &Arc<dyn Store>, inventory: &SharedInventory) -> Result<(), NodeError> {
    let mut next = Inventory::default();
    for kind in EntryKind::ALL {
        for (key, setting) in store.settings(kind.prefix().to_owned()).await? {
            let name = key.trim_start_matches(kind.prefix());
            let stored = serde_json::from_slice::<Stored>(&setting.bytes);
            let put = stored.and_then(|stored| {
                stored.spec.map_or(Ok(()), |spec| put_as(kind, &mut next, name, (spec, setting.version)))
            });
            if let Err(error) = put {
                tracing::error!(%kind, name, %error, "left out, this version does not understand it: upgrade this node");
            }
        }
    }
    inventory.change(|now| {
        next.take_nodes(now);
        *now = next;
    });
    Ok(())
}

fn put_as(
    kind: EntryKind,
    inventory: &mut Inventory,
    name: &str,
    stored: (Value, u64),
) -> serde_json::Result<()> {
    match kind {
        EntryKind::TargetType => put_stored::<TargetType>(inventory, name, stored),
        EntryKind::Target => put_stored::<TargetSpec>(inventory, name, stored),
        EntryKind::Group => put_stored::<GroupSpec>(inventory, name, stored),
        EntryKind::Calendar => put_stored::<CalendarSpec>(inventory, name, stored),
    }
}

fn put_stored<T: Described>(
    inventory: &mut Inventory,
    name: &str,
    (spec, version): (Value, u64),
) -> serde_json::Result<()> {
    serde_json::from_value::<T>(spec).map(|entry| entry.put(inventory, name, version))
}

/// Checks an entry as somebody has written it: the form in which it is kept.
fn checked(
    inventory: &Inventory,
    (kind, name): (EntryKind, &str),
    spec: Value,
    ahead: Ahead,
) -> Result<Value, InventoryError> {
    match kind {
        EntryKind::TargetType => checked_as::<TargetType>(inventory, name, spec, ahead),
        EntryKind::Target => checked_as::<TargetSpec>(inventory, name, spec, ahead),
        EntryKind::Group => checked_as::<GroupSpec>(inventory, name, spec, ahead),
        EntryKind::Calendar => checked_as::<CalendarSpec>(inventory, name, spec, ahead),
    }
}

fn checked_as<T: Described>(
    inventory: &Inventory,
    name: &str,
    spec: Value,
    ahead: Ahead,
) -> Result<Value, InventoryError> {
    let invalid = |found: String| InventoryError::Invalid(format!("{} '{name}': {found}", T::KIND));
    let known = T::KIND.members();
    let unknown =
        spec.as_object().and_then(|members| members.keys().find(|key| !known.contains(&key.as_str())));
    if let Some(unknown) = unknown {
        return Err(invalid(format!("expected the members {}, found '{unknown}'", known.join(", "))));
    }
    let entry: T = serde_json::from_value(spec)
        .map_err(|error| invalid(format!("expected the members {}, found: {error}", known.join(", "))))?;
    entry.check(inventory, name, ahead)?;
    serde_json::to_value(&entry).map_err(|error| invalid(error.to_string()))
}

/// Puts the entries of a pack, without touching what an operator, or another pack, has put or removed.
///
/// # Errors
/// [`NodeError::Deploy`] with what is wrong with them.
pub(super) async fn deploy(
    store: &Arc<dyn Store>,
    inventory: &SharedInventory,
    pack: &str,
    documents: &[(impl AsRef<Path>, InventoryDocument)],
) -> Result<(), NodeError> {
    let by = format!("pack {pack}");
    let mut next = Inventory::clone(&inventory.now());
    for (path, document) in documents {
        for (kind, name, spec) in document.entries() {
            let refused =
                |error: InventoryError| NodeError::Deploy(format!("{}: {error}", path.as_ref().display()));
            // A pack that was right last year is to start this year too.
            let spec = checked(&next, (kind, name), spec.clone(), Ahead::EVER).map_err(refused)?;
            let new = Stored { by: by.clone(), spec: Some(spec.clone()) };
            let key = format!("{}{name}", kind.prefix());
            let kept = AtomicBool::new(false);
            update(store, &key, |before: Option<Stored>| match before {
                Some(before) if before == new => Ok::<_, NodeError>(None),
                Some(before) if before.by != by => {
                    let had = if before.spec.is_some() { "changed" } else { "removed" };
                    kept.store(true, Ordering::Relaxed);
                    tracing::warn!(pack, %kind, name, by = before.by, "kept as it is, because it was {had} since");
                    Ok(None)
                }
                _ => Ok(Some(new.clone())),
            })
            .await?;
            if !kept.into_inner() {
                put_as(kind, &mut next, name, (spec, 0))
                    .map_err(|error| NodeError::Deploy(error.to_string()))?;
            }
        }
    }
    refresh(store, inventory).await
}

/// Keeps the living nodes among the targets, from now on and until the result is dropped.
pub(super) fn follow_nodes(
    inventory: SharedInventory,
    mut view: watch::Receiver<Arc<ClusterView>>,
) -> JoinSet<()> {
    let mut following = JoinSet::new();
    take_nodes(&inventory, &view.borrow_and_update());
    following.spawn(async move {
        while view.changed().await.is_ok() {
            take_nodes(&inventory, &view.borrow_and_update());
        }
    });
    following
}

fn take_nodes(inventory: &SharedInventory, view: &ClusterView) {
    let living: Vec<(String, TargetSpec)> =
        view.nodes.iter().filter(|node| view.lives(&node.incarnation)).map(target_of).collect();
    let now = inventory.now();
    let known = now.targets().filter(|(name, _)| name.starts_with(NODE_PREFIX));
    let same = known.map(|(_, spec)| spec).eq(living.iter().map(|(_, spec)| spec))
        && now.members(NODES).is_ok_and(|names| {
            names
                .iter()
                .map(|name| name.trim_start_matches(NODE_PREFIX))
                .eq(living.iter().map(|(name, _)| name))
        });
    // The view changes with every look, the nodes in it hardly ever.
    if !same {
        inventory.change(|inventory| inventory.set_nodes(living));
    }
}

fn target_of(node: &NodeView) -> (String, TargetSpec) {
    let record = &node.record;
    let mut properties = Map::new();
    properties.insert("url".to_owned(), json!(record.url));
    properties.insert("version".to_owned(), json!(record.version));
    properties.extend(record.site.iter().map(|site| ("site".to_owned(), json!(site))));
    let spec = TargetSpec {
        kind: NODE_TYPE.to_owned(),
        properties,
        labels: record.labels.clone(),
        enabled: true,
        ..TargetSpec::default()
    };
    (node.name.clone(), spec)
}

impl From<InventoryError> for Refusal {
    fn from(error: InventoryError) -> Refusal {
        match error {
            InventoryError::Invalid(reason) => Refusal::Invalid(reason),
            InventoryError::NotFound(reason) => Refusal::NotFound(reason),
            InventoryError::Conflict(reason) => Refusal::Conflict(reason),
        }
    }
}

/// What stands in the way of a change of the settings.
pub(super) fn unsettled(error: NodeError) -> Refusal {
    match error {
        NodeError::Store(error) => super::refusal::refusal(error.into()),
        error => Refusal::later(error.to_string()),
    }
}

impl Local {
    /// The inventory, as it is stored now.
    async fn newest_inventory(&self) -> Result<Arc<Inventory>, Refusal> {
        refresh(self.engine.store(), &self.inventory).await.map_err(unsettled)?;
        Ok(self.inventory.now())
    }

    pub(super) async fn list_entries(&self, kind: EntryKind) -> Result<Vec<InventoryEntry>, Refusal> {
        let inventory = self.newest_inventory().await?;
        let stored = self.engine.store().settings(kind.prefix().to_owned()).await;
        let stored = stored.map_err(|error| super::refusal::refusal(error.into()))?;
        let mut entries = given(&inventory, kind);
        for (key, setting) in stored {
            let Ok(Stored { by, spec: Some(Value::Object(spec)) }) = serde_json::from_slice(&setting.bytes)
            else {
                continue;
            };
            let name = key.trim_start_matches(kind.prefix()).to_owned();
            entries.push(InventoryEntry { name, by, spec, ..InventoryEntry::default() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(super) async fn show_entry(&self, kind: EntryKind, name: &str) -> Result<InventoryEntry, Refusal> {
        let entries = self.list_entries(kind).await?;
        let known: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let Some(at) = known.iter().position(|known| *known == name) else {
            let inventory = self.inventory.now();
            return Err(match (kind, inventory.usable(name)) {
                (EntryKind::Target, Err(unusable)) => Refusal::NotFound(unusable.to_string()),
                _ => Refusal::NotFound(format!(
                    "expected the name of a {kind} (one of {}), found '{name}', which names none",
                    known.join(", ")
                )),
            });
        };
        let mut entry = entries.into_iter().nth(at).ok_or_else(|| Refusal::NotFound(name.to_owned()))?;
        if kind == EntryKind::Target {
            entry.places = self.places_of(name).await?;
        }
        if kind == EntryKind::Group {
            let members = self.inventory.now().members(name);
            entry.targets = Some(members.map_err(|error| Refusal::Invalid(error.to_string()))?);
        }
        if kind == EntryKind::Calendar {
            self.tell_calendar(&mut entry);
        }
        Ok(entry)
    }

    pub(super) async fn put_entry(
        &self,
        kind: EntryKind,
        name: &str,
        spec: Value,
    ) -> Result<InventoryEntry, Refusal> {
        let inventory = self.newest_inventory().await?;
        let spec = checked(&inventory, (kind, name), spec, Ahead::of(self.now()))?;
        self.store_entry(kind, name, Some(spec)).await?;
        if kind == EntryKind::Calendar {
            self.rearm().await?;
        }
        self.show_entry(kind, name).await
    }

    pub(super) async fn remove_entry(&self, kind: EntryKind, name: &str) -> Result<(), Refusal> {
        let inventory = self.newest_inventory().await?;
        match kind {
            EntryKind::TargetType => inventory.check_type_removal(name)?,
            EntryKind::Target => inventory.check_target_removal(name)?,
            EntryKind::Group => inventory.check_group_removal(name)?,
            EntryKind::Calendar => self.check_calendar_removal(&inventory, name)?,
        }
        self.store_entry(kind, name, None).await
    }

    async fn store_entry(&self, kind: EntryKind, name: &str, spec: Option<Value>) -> Result<(), Refusal> {
        let store = self.engine.store();
        let new = Stored { by: OPERATOR.to_owned(), spec };
        let key = format!("{}{name}", kind.prefix());
        let limited = self.inventory.now().limit_of(name).is_some();
        let changed =
            |before: Option<Stored>| Ok::<_, Refusal>((before.as_ref() != Some(&new)).then(|| new.clone()));
        update(store, &key, changed).await?;
        // The others hear of it by the count of changed settings.
        refresh(store, &self.inventory).await.map_err(unsettled)?;
        if kind != EntryKind::Target || !limited && self.inventory.now().limit_of(name).is_none() {
            return Ok(());
        }
        let setting = store.setting(key).await.map_err(|error| super::refusal::refusal(error.into()))?;
        let most = self.inventory.now().limit_of(name).and_then(|limit| limit.most);
        let limit = Limit { most, version: setting.map_or(0, |setting| setting.version) };
        // If it does not arrive, the next activity that asks for a place says the same.
        self.post(&[limit_entry(name, limit)]).await
    }

    /// Adds to an instance which of its activities wait for a place, and where in the line.
    pub(super) async fn tell_places(&self, instance: &mut InstanceDetail) {
        let id = instance.summary.id.clone();
        let waits = |activity: &&ActivityDetail| activity.status == WAITING_FOR_PLACE;
        let waiting: Vec<(u64, String)> = instance
            .activities
            .iter()
            .filter(waits)
            .filter_map(|activity| Some((activity.number, activity.target.clone()?)))
            .take(WAITS_SHOWN)
            .collect();
        let mut known: BTreeMap<String, PlacesView> = BTreeMap::new();
        for (number, target) in waiting {
            if !known.contains_key(&target) {
                // Without an answer there is less to show, and no reason to show nothing.
                let places = self.places_of(&target).await.ok().flatten();
                known.insert(target.clone(), places.unwrap_or_default());
            }
            let line = known.get(&target).and_then(|places| {
                places.waiting.iter().position(|place| place.instance == id && place.activity == number)
            });
            let line = line.map_or_else(String::new, |before| match before {
                0 => ", next in line".to_owned(),
                before => format!(", {before} before it"),
            });
            instance.waits_for.push(format!("a place at target {target} for activity {number}{line}"));
        }
    }
}

/// The word for an activity that waits for a place.
const WAITING_FOR_PLACE: &str = "waiting";
/// For so many waiting activities of an instance it is told where in the line they are.
const WAITS_SHOWN: usize = 100;
/// So many activities that wait for a place are listed.
const QUEUE_SHOWN: usize = 1_000;

/// The places at a target as people see them; nothing if nobody has one or waits.
pub(super) fn places_view(places: &Places) -> Option<PlacesView> {
    let view = |claim: &Claim| PlaceView {
        instance: claim.instance.clone(),
        activity: claim.activity,
        since: rfc3339(claim.since),
    };
    let used = !places.holders.is_empty() || !places.queue.is_empty();
    used.then(|| PlacesView {
        holders: places.holders.iter().take(QUEUE_SHOWN).map(view).collect(),
        waiting: places.queue.iter().take(QUEUE_SHOWN).map(view).collect(),
        more: places.queue.len().saturating_sub(QUEUE_SHOWN),
    })
}

/// Tells the limits that packs may have changed; asked at each start of a node.
///
/// # Errors
/// When the store does not take them.
pub(super) async fn announce_limits(post: &Post, inventory: &SharedInventory) -> Result<(), NodeError> {
    let inventory = inventory.now();
    let limits =
        inventory.targets().filter_map(|(name, _)| Some(limit_entry(name, inventory.limit_of(name)?)));
    post.accept(&limits.collect::<Vec<_>>()).await?;
    Ok(())
}

fn limit_entry(name: &str, limit: Limit) -> Entry {
    Entry { to: ActorId::target(name), origin: None, body: Body::Target(TargetEvent::Limit(limit)) }
}

/// What is there without being stored.
fn given(inventory: &Inventory, kind: EntryKind) -> Vec<InventoryEntry> {
    let entry = |name: &str, by: &str, spec: Value| {
        let spec = match spec {
            Value::Object(spec) => spec,
            _ => Map::new(),
        };
        InventoryEntry { name: name.to_owned(), by: by.to_owned(), spec, ..InventoryEntry::default() }
    };
    match kind {
        EntryKind::TargetType => {
            let builtin = inventory.types().into_iter().filter(|(name, _)| Inventory::is_builtin_type(name));
            builtin.map(|(name, kind)| entry(&name, "built in", json!(kind))).collect()
        }
        EntryKind::Target => {
            let nodes = inventory.targets().filter(|(name, _)| name.starts_with(NODE_PREFIX));
            nodes.map(|(name, spec)| entry(name, "cluster", json!(spec))).collect()
        }
        EntryKind::Calendar => Vec::new(),
        EntryKind::Group => {
            vec![entry(NODES, "built in", json!({ "description": "All living nodes of this environment." }))]
        }
    }
}
