//! What packs and operators declare by name: kept in the settings of the environment, told to an actor of that name, and
//! shown with what the actor says.
//!
//! A setting is never deleted, so what was removed leaves a mark: a pack must not bring back what an operator has removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_actors::behaviour::Inspection;
use impresario_actors::hosts::Hosts;
use impresario_actors::post::Post;
use impresario_adapter::{FunctionKind, Manifest};
use impresario_model::definition::Schema;
use impresario_model::entry::{Body, Entry, MonitorEvent, RaisedRoute, SinkEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::rfc3339;
use impresario_model::monitor::{Monitor, MonitorSpec, MonitorStanding};
use impresario_model::sink::{Sink, SinkSpec};
use impresario_persistence::{Setting, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::NodeError;
use super::adapters::wanted;
use super::local::Local;
use super::refusal::refusal;
use crate::declared::{Declared, DeclaredKind, DeclaredOrder, DeclaredRequest};
use crate::metrics::{DeclaredFigures, MonitorFigures, SinkFigures};
use crate::orchestrator::Refusal;
use crate::question::{Question, Reply};
use crate::settings::{decode, update};

/// Who has declared what an operator declares.
const OPERATOR: &str = "operator";
/// The longest name.
const NAME_BYTES_MAX: usize = 128;
/// The most of one kind.
const COUNT_MAX: usize = 1_000;
/// How many actors are asked at once.
const ASKED_AT_ONCE: usize = 32;

/// One of them as the environment keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// Who has declared or removed it: `operator` or `pack NAME`.
    by: String,
    /// What it is to do; nothing once it was removed.
    #[serde(default)]
    spec: Option<Value>,
    /// An operator has it rest.
    #[serde(default)]
    paused: bool,
}

fn key(kind: DeclaredKind, name: &str) -> String {
    format!("{}{name}", kind.prefix())
}

/// The actor that does it.
pub(super) fn actor(kind: DeclaredKind, name: &str) -> ActorId {
    match kind {
        DeclaredKind::Monitor => ActorId::monitor(name),
        DeclaredKind::Sink => ActorId::sink(name),
    }
}

/// What its actor is told of a wish.
fn want(kind: DeclaredKind, name: &str, stored: Stored, version: u64) -> serde_json::Result<Entry> {
    let Stored { spec, paused, .. } = stored;
    let body = match kind {
        DeclaredKind::Monitor => {
            let spec = spec.map(serde_json::from_value).transpose()?.map(Box::new);
            Body::Monitor(MonitorEvent::Want { spec, paused, version })
        }
        DeclaredKind::Sink => {
            let spec = spec.map(serde_json::from_value).transpose()?.map(Box::new);
            Body::Sink(SinkEvent::Want { spec, paused, version })
        }
    };
    Ok(Entry { to: actor(kind, name), origin: None, body })
}

/// Which of the events that are raised come to a sink, from its setting; nothing for one that was removed or is disabled.
pub(super) fn route(key: &str, bytes: &[u8]) -> Option<RaisedRoute> {
    let name = key.trim_start_matches(DeclaredKind::Sink.prefix());
    let spec = decode::<Stored>(key, bytes).ok()?.spec?;
    let spec: SinkSpec = serde_json::from_value(spec).ok().filter(|spec: &SinkSpec| spec.enabled)?;
    Some(RaisedRoute { to: ActorId::sink(name), types: spec.types(), lifecycle: spec.lifecycle() })
}

/// Tells every actor what is wanted of it; asked at each start of a node. Who knows it already is not moved by it.
///
/// # Errors
/// When the store does not answer, or does not take the entries.
pub(super) async fn announce(post: &Post) -> Result<(), NodeError> {
    let mut entries = Vec::new();
    for kind in DeclaredKind::ALL {
        for (key, setting) in post.store().settings(kind.prefix().to_owned()).await? {
            let name = key.trim_start_matches(kind.prefix());
            let told = decode::<Stored>(&key, &setting.bytes).map_err(|error| error.to_string());
            let told = told.and_then(|stored| {
                want(kind, name, stored, setting.version).map_err(|error| error.to_string())
            });
            match told {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    tracing::error!(%kind, name, error, "left out, this version does not understand it: upgrade this node");
                }
            }
        }
    }
    post.accept(&entries).await?;
    Ok(())
}

/// Declares what a pack brings, and removes what it brought before and no longer has; what an operator, or another pack,
/// has declared or removed since stays as it is.
///
/// # Errors
/// [`NodeError::Deploy`] with what is wrong.
pub(super) async fn deploy(
    store: &Arc<dyn Store>,
    pack: &str,
    declared: &[(PathBuf, DeclaredKind, String, Value)],
) -> Result<(), NodeError> {
    let by = format!("pack {pack}");
    let known = manifests(store).await?;
    for kind in DeclaredKind::ALL {
        let mut brought = BTreeSet::new();
        for (path, _, name, spec) in declared.iter().filter(|(_, of, ..)| *of == kind) {
            let spec = checked(kind, name, spec.clone(), &known)
                .map_err(|found| NodeError::Deploy(format!("{}: {found}", path.display())))?;
            brought.insert(name.clone());
            let kept = AtomicBool::new(false);
            update(store, &key(kind, name), |before: Option<Stored>| {
                if before.as_ref().is_some_and(|before| before.by != by) {
                    kept.store(true, Ordering::Relaxed);
                    return Ok::<_, NodeError>(None);
                }
                let paused = before.as_ref().is_some_and(|before| before.paused);
                let new = Stored { by: by.clone(), spec: Some(spec.clone()), paused };
                Ok((before.as_ref() != Some(&new)).then_some(new))
            })
            .await?;
            if kept.into_inner() {
                tracing::warn!(pack, %kind, name, "kept as it is, because it was changed or removed since");
            }
        }
        for (key, setting) in store.settings(kind.prefix().to_owned()).await? {
            let name = key.trim_start_matches(kind.prefix());
            let mine = decode::<Stored>(&key, &setting.bytes)
                .is_ok_and(|stored| stored.by == by && stored.spec.is_some());
            if mine && !brought.contains(name) {
                update(store, &key, |before: Option<Stored>| {
                    let gone = before.filter(|before| before.by == by && before.spec.is_some());
                    Ok::<_, NodeError>(gone.map(|before| Stored { spec: None, ..before }))
                })
                .await?;
            }
        }
    }
    Ok(())
}

/// What all adapters of the environment can do.
async fn manifests(store: &Arc<dyn Store>) -> Result<BTreeMap<String, Manifest>, StoreError> {
    let builtin = impresario_adapters::manifests().into_iter();
    let mut known: BTreeMap<String, Manifest> =
        builtin.map(|manifest| (manifest.adapter.clone(), manifest)).collect();
    for (name, wanted) in wanted::read_all(store).await? {
        if let Some(program) = wanted.program {
            known.insert(name, program.manifest);
        }
    }
    Ok(known)
}

/// Checks what somebody has written: the form in which it is kept.
fn checked(
    kind: DeclaredKind,
    name: &str,
    spec: Value,
    known: &BTreeMap<String, Manifest>,
) -> Result<Value, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(good) {
        return Err(format!(
            "expected a name of 1 to {NAME_BYTES_MAX} characters a-z, A-Z, 0-9, '-', '_' and '.', found '{name}'"
        ));
    }
    let told = |found: String| format!("{kind} '{name}': {found}");
    match kind {
        DeclaredKind::Monitor => {
            let spec: MonitorSpec = serde_json::from_value(spec).map_err(|error| told(error.to_string()))?;
            spec.check().and_then(|()| check_function(&spec, known)).map_err(told)?;
            serde_json::to_value(&spec).map_err(|error| told(error.to_string()))
        }
        DeclaredKind::Sink => {
            let spec: SinkSpec = serde_json::from_value(spec).map_err(|error| told(error.to_string()))?;
            spec.check().map_err(told)?;
            serde_json::to_value(&spec).map_err(|error| told(error.to_string()))
        }
    }
}

fn check_function(spec: &MonitorSpec, known: &BTreeMap<String, Manifest>) -> Result<(), String> {
    let (adapter, name) = spec.function()?;
    let function = known.get(adapter).and_then(|manifest| manifest.function(name));
    let Some(function) = function.filter(|function| function.kind == FunctionKind::Monitor) else {
        let monitors = known.iter().flat_map(|(adapter, manifest)| {
            let of_kind = manifest.functions.iter().filter(|function| function.kind == FunctionKind::Monitor);
            of_kind.map(move |function| format!("{adapter}/{}", function.name))
        });
        let monitors: Vec<String> = monitors.collect();
        return Err(format!(
            "function: expected one that can be watched ({}), found '{}'",
            monitors.join(", "),
            spec.function
        ));
    };
    let Some(schema) = &function.input else { return Ok(()) };
    // A schema was compiled when its adapter was added.
    let schema = Schema::compile(schema).map_err(|error| format!("function: {error}"))?;
    schema.check(&Value::Object(spec.arguments.clone())).map_err(|found| format!("arguments: {found}"))
}

impl Local {
    /// Does what is asked about those of a kind, and shows what it is about as it is then.
    pub(super) async fn about_declared(
        &self,
        kind: DeclaredKind,
        request: DeclaredRequest,
    ) -> Result<Vec<Declared>, Refusal> {
        let letters = matches!(&request, DeclaredRequest::Order(_, DeclaredOrder::Dead));
        let one = match request {
            DeclaredRequest::List => return self.list_declared(kind).await,
            DeclaredRequest::Show(name) => name,
            DeclaredRequest::Put(name, spec) => {
                self.put_declared(kind, &name, spec).await?;
                name
            }
            DeclaredRequest::Remove(name) => {
                self.change_declared(kind, &name, |stored| Stored {
                    by: OPERATOR.to_owned(),
                    spec: None,
                    ..stored
                })
                .await?;
                return Ok(Vec::new());
            }
            DeclaredRequest::Order(name, order) => {
                self.order_declared(kind, &name, &order).await?;
                name
            }
        };
        let (stored, _) = self.stored(kind, &one).await?;
        Ok(vec![self.shown(kind, one, stored, letters).await?])
    }

    async fn list_declared(&self, kind: DeclaredKind) -> Result<Vec<Declared>, Refusal> {
        let asked = stream::iter(self.all_stored(kind).await?);
        let asked = asked.map(|(name, stored)| async move { self.shown(kind, name, stored, false).await });
        asked.buffered(ASKED_AT_ONCE).try_collect().await
    }

    /// Those that are not removed, by name.
    async fn all_stored(&self, kind: DeclaredKind) -> Result<Vec<(String, Stored)>, Refusal> {
        let settings = self.engine.store().settings(kind.prefix().to_owned()).await;
        let settings = settings.map_err(|error| refusal(error.into()))?;
        let stored = settings.into_iter().filter_map(|(key, setting)| {
            // What is damaged was told at the start.
            let stored = decode::<Stored>(&key, &setting.bytes).ok()?;
            stored.spec.is_some().then(|| (key.trim_start_matches(kind.prefix()).to_owned(), stored))
        });
        Ok(stored.collect())
    }

    /// One that is not removed, with the version of the wish.
    async fn stored(&self, kind: DeclaredKind, name: &str) -> Result<(Stored, u64), Refusal> {
        let key = key(kind, name);
        let setting =
            self.engine.store().setting(key.clone()).await.map_err(|error| refusal(error.into()))?;
        if let Some(Setting { version, bytes }) = setting {
            let stored: Stored = decode(&key, &bytes)?;
            if stored.spec.is_some() {
                return Ok((stored, version));
            }
        }
        let known: Vec<String> = self.all_stored(kind).await?.into_iter().map(|(name, _)| name).collect();
        let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
        Err(Refusal::NotFound(format!("expected the name of a {kind} ({known}), found '{name}'")))
    }

    async fn put_declared(&self, kind: DeclaredKind, name: &str, spec: Value) -> Result<(), Refusal> {
        let store = self.engine.store();
        let known = manifests(store).await.map_err(|error| refusal(error.into()))?;
        let spec = checked(kind, name, spec, &known).map_err(Refusal::Invalid)?;
        let others = self.all_stored(kind).await?;
        if others.len() >= COUNT_MAX && !others.iter().any(|(other, _)| other == name) {
            return Err(Refusal::Conflict(format!(
                "expected at most {COUNT_MAX} {}, found as many",
                kind.plural()
            )));
        }
        update(store, &key(kind, name), |before: Option<Stored>| {
            let paused = before.as_ref().is_some_and(|before| before.paused && before.spec.is_some());
            let new = Stored { by: OPERATOR.to_owned(), spec: Some(spec.clone()), paused };
            Ok::<_, Refusal>((before.as_ref() != Some(&new)).then_some(new))
        })
        .await?;
        self.tell_wish(kind, name).await
    }

    async fn change_declared(
        &self,
        kind: DeclaredKind,
        name: &str,
        change: impl Fn(Stored) -> Stored,
    ) -> Result<(), Refusal> {
        self.stored(kind, name).await?;
        update(self.engine.store(), &key(kind, name), |before: Option<Stored>| {
            let after = before.clone().map(&change);
            Ok::<_, Refusal>(after.filter(|after| before.as_ref() != Some(after)))
        })
        .await?;
        self.tell_wish(kind, name).await
    }

    /// Tells the actor what is wanted now; again if it is told already, in case it was not.
    async fn tell_wish(&self, kind: DeclaredKind, name: &str) -> Result<(), Refusal> {
        let key = key(kind, name);
        let setting =
            self.engine.store().setting(key.clone()).await.map_err(|error| refusal(error.into()))?;
        let Some(Setting { version, bytes }) = setting else { return Ok(()) };
        let entry = want(kind, name, decode(&key, &bytes)?, version);
        self.post(&[entry.map_err(|error| Refusal::Conflict(error.to_string()))?]).await?;
        if kind == DeclaredKind::Sink {
            self.raised
                .announce(self.engine.post())
                .await
                .map_err(|error| Refusal::later(error.to_string()))?;
        }
        Ok(())
    }

    async fn order_declared(
        &self,
        kind: DeclaredKind,
        name: &str,
        order: &DeclaredOrder,
    ) -> Result<(), Refusal> {
        match order {
            DeclaredOrder::Pause => {
                self.change_declared(kind, name, |stored| Stored { paused: true, ..stored }).await
            }
            DeclaredOrder::Resume => {
                self.change_declared(kind, name, |stored| Stored { paused: false, ..stored }).await?;
                let body = match kind {
                    DeclaredKind::Monitor => Body::Monitor(MonitorEvent::Again),
                    DeclaredKind::Sink => Body::Sink(SinkEvent::Again),
                };
                self.post(&[Entry { to: actor(kind, name), origin: None, body }]).await
            }
            DeclaredOrder::Dead => self.about_letters(kind, name, None).await,
            DeclaredOrder::Retry { numbers } => {
                let retry = SinkEvent::Retry { numbers: numbers.clone() };
                self.about_letters(kind, name, Some(retry)).await
            }
            DeclaredOrder::Drop { numbers } => {
                let drop = SinkEvent::Drop { numbers: numbers.clone() };
                self.about_letters(kind, name, Some(drop)).await
            }
        }
    }

    /// Dead letters are those of a sink.
    async fn about_letters(
        &self,
        kind: DeclaredKind,
        name: &str,
        order: Option<SinkEvent>,
    ) -> Result<(), Refusal> {
        if kind != DeclaredKind::Sink {
            return Err(Refusal::Invalid(format!("expected a sink, which has dead letters, found a {kind}")));
        }
        self.stored(kind, name).await?;
        let Some(order) = order else { return Ok(()) };
        let body = Body::Sink(order);
        self.post(&[Entry { to: actor(kind, name), origin: None, body }]).await
    }

    /// One of them with what its actor says, wherever that is.
    async fn shown(
        &self,
        kind: DeclaredKind,
        name: String,
        stored: Stored,
        letters: bool,
    ) -> Result<Declared, Refusal> {
        let shard = actor(kind, &name).shard(self.shards());
        let question = Question::Declared { kind, name: name.clone(), after: self.appended(shard), letters };
        let status = match self.ask_owner(shard, question).await? {
            Reply::Declared(status) => status,
            _ => return Err(Refusal::later("the owner of its shard is of a version that cannot tell")),
        };
        let spec = match stored.spec {
            Some(Value::Object(spec)) => spec,
            _ => Map::new(),
        };
        Ok(Declared { name, by: stored.by, paused: stored.paused, spec, status })
    }

    /// What an actor of this node says of itself.
    pub(super) async fn status_of(
        &self,
        kind: DeclaredKind,
        name: &str,
        letters: bool,
    ) -> Result<Map<String, Value>, Refusal> {
        let status = match self.inspect_here(&actor(kind, name)).await? {
            Inspection::Monitor(monitor) => monitor_status(&monitor, &self.hosts),
            Inspection::Sink(sink) => sink_status(&sink, letters),
            _ => json!({ "state": "not begun" }),
        };
        Ok(match status {
            Value::Object(status) => status.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        })
    }
}

impl Local {
    /// The figures of the monitors and sinks whose shards this node owns.
    pub(super) async fn declared_figures(&self) -> DeclaredFigures {
        let mut figures = DeclaredFigures::default();
        for kind in DeclaredKind::ALL {
            // The store may be away: then there are none of these.
            let names = self.all_stored(kind).await.unwrap_or_default().into_iter().map(|(name, _)| name);
            let mine = names
                .map(|name| actor(kind, &name))
                .filter(|actor| self.view().is_mine(actor.shard(self.shards())));
            let actors: Vec<ActorId> = mine.collect();
            for told in join_all(actors.iter().map(|actor| self.inspect_here(actor))).await {
                match told {
                    Ok(Inspection::Monitor(monitor)) => {
                        figures.monitors.push(monitor_figures(&monitor, &self.hosts))
                    }
                    Ok(Inspection::Sink(sink)) => figures.sinks.push(sink_figures(&sink)),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        figures
    }
}

fn monitor_figures(monitor: &Monitor, hosts: &Hosts) -> MonitorFigures {
    let function = monitor.spec.as_deref().and_then(|spec| spec.function().ok());
    MonitorFigures {
        name: monitor.name.clone(),
        adapter: function.map(|(adapter, _)| adapter.to_owned()).unwrap_or_default(),
        watching: matches!(monitor.standing, MonitorStanding::Watching { .. }) && observes(monitor, hosts),
        events: monitor.events,
        invalid: monitor.invalid,
        failures: u64::from(monitor.failures),
    }
}

fn sink_figures(sink: &Sink) -> SinkFigures {
    SinkFigures {
        name: sink.name.clone(),
        delivered: sink.delivered,
        failed: sink.failed,
        dropped: sink.dropped,
        waiting: sink.queue.len(),
        dead: sink.dead.len(),
    }
}

fn observes(monitor: &Monitor, hosts: &Hosts) -> bool {
    let adapter = monitor.spec.as_deref().and_then(|spec| spec.function().ok()).map(|(adapter, _)| adapter);
    adapter.is_some_and(|adapter| hosts.observes(adapter, &monitor.name))
}

fn monitor_status(monitor: &Monitor, hosts: &Hosts) -> Value {
    let at_work = observes(monitor, hosts);
    let (state, until) = match monitor.standing {
        MonitorStanding::Watching { .. } if !at_work => ("waiting for its adapter", None),
        MonitorStanding::Waiting { until } => (monitor.word(), Some(rfc3339(until))),
        MonitorStanding::Off | MonitorStanding::Watching { .. } | MonitorStanding::Stuck { .. } => {
            (monitor.word(), None)
        }
    };
    json!({
        "state": state, "problem": monitor.problem, "nextTry": until, "failures": monitor.failures,
        "events": monitor.events, "lastEvent": monitor.last.map(rfc3339), "begun": monitor.begun,
        "invalid": monitor.invalid, "lastInvalid": monitor.invalid_last, "cursor": monitor.cursor,
    })
}

fn sink_status(sink: &Sink, letters: bool) -> Value {
    json!({
        "state": sink.word(), "problem": sink.problem, "waiting": sink.queue.len(), "dead": sink.dead.len(),
        "delivered": sink.delivered, "lastDelivery": sink.last.map(rfc3339), "failed": sink.failed,
        "dropped": sink.dropped, "nextTry": sink.due().map(rfc3339), "letters": letters.then(|| sink.letters()),
    })
}
