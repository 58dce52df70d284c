//! What is known of a definition without compiling it: enough to arm its triggers, to route events, and to list it.
//!
//! A compiled definition takes some 11 KiB and a tenth of a millisecond; an outline a few hundred bytes. It is kept with the
//! definition's text, so that a node with very many of them is up before it has compiled any.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Definition, DefinitionId, EventFilter, TaskKind, TriggerSpec, Watch};
use crate::correlation::{self, ListenerRoute};
use crate::lifecycle::{self, asks_for};
use crate::trigger::describe;

/// A definition in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// Its name and version.
    pub id: DefinitionId,
    /// `document.title`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `document.summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The calendar on whose days its triggers fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// What starts instances of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<TriggerOutline>,
    /// The routes to all listeners that its instances can have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerRoute>,
    /// The functions of adapters that it calls, as (adapter, function).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub calls: BTreeSet<(String, String)>,
}

/// A trigger in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerOutline {
    /// Unique in the environment.
    pub name: String,
    /// What it watches, in words.
    pub watches: String,
    /// Which events it wants to see; none for a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<WantedEvents>,
}

/// Which events a trigger wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedEvents {
    /// Their literal types; `None` for all types.
    pub types: Option<Vec<String>>,
    /// The types of lifecycle events that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifecycle: Vec<String>,
}

impl WantedEvents {
    /// Whether events of a type are among them.
    pub fn has(&self, kind: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == kind))
    }
}

impl Outline {
    /// Of a compiled definition.
    pub fn of(definition: &Definition) -> Self {
        let calls = definition.tasks.iter().filter_map(|task| match &task.kind {
            TaskKind::Activity(spec) => Some((spec.adapter.clone(), spec.function.clone())),
            _ => None,
        });
        let trigger = |spec: &TriggerSpec| TriggerOutline {
            name: spec.name.clone(),
            watches: describe(definition, &spec.watch),
            events: wanted(&spec.watch),
        };
        Outline {
            id: definition.id.clone(),
            title: definition.title.clone(),
            summary: definition.summary.clone(),
            calendar: definition.ops.calendar.clone(),
            triggers: definition.triggers.iter().map(trigger).collect(),
            listeners: correlation::routes([definition]),
            calls: calls.collect(),
        }
    }

    /// Its triggers that want to see events of a type.
    pub fn watching<'o>(&'o self, kind: &'o str) -> impl Iterator<Item = &'o TriggerOutline> {
        self.triggers
            .iter()
            .filter(move |trigger| trigger.events.as_ref().is_some_and(|wanted| wanted.has(kind)))
    }
}

fn wanted(watch: &Watch) -> Option<WantedEvents> {
    let Watch::Event(consumption) = watch else { return None };
    let asks = |kind: &str| consumption.filters.iter().any(|filter: &EventFilter| asks_for(filter, kind));
    let lifecycle =
        lifecycle::TYPES.iter().filter(|kind| asks(kind)).map(|kind| (*kind).to_owned()).collect();
    Some(WantedEvents { types: consumption.types(), lifecycle })
}
