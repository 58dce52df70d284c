//! The inventory of an environment: the targets that work is done on, their types, and groups of them; and the calendars
//! of its triggers.
//!
//! It is what operators and packs have described, as of a moment. Instances never look into it: what they need of it
//! comes back to them as the durable answer of an activity ([`select`]), so that a replay sees the same.

mod builtin;
mod check;
mod select;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::check::InventoryError;
pub use self::select::{SelectError, Selection, Take};
use crate::calendar::{CalendarSpec, Calendars};
use crate::entry::Limit;
use crate::expression::Expression;

/// The adapter that answers questions about the inventory. It is no host: the node answers by itself.
pub const ADAPTER: &str = "inventory";
/// Its function that selects targets.
pub const SELECT: &str = "select";
/// The well-known group of all living nodes.
pub const NODES: &str = "nodes";
/// The type of the targets in [`NODES`].
pub const NODE_TYPE: &str = "node";
/// What the name of such a target begins with; no other target's name may hold a colon.
pub const NODE_PREFIX: &str = "node:";
/// The most targets, and the most groups and types, that an environment has: a selection looks at all of them at once.
pub const ENTRIES_MAX: usize = 10_000;
/// The largest target, group or type, in bytes of JSON.
pub const ENTRY_BYTES_MAX: usize = 64 << 10;

/// A type of targets: which properties they have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetType {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema (draft 2020-12) of the properties.
    pub schema: Value,
}

/// A target as somebody has described it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its properties, as its type says. They are no secret.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// As whom work is done on it if a call names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_user: Option<String>,
    /// How many activities may work on it at the same time, in the whole environment; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// What it is found by, besides its properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether work may be done on it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A group of targets: those that are named, those that meet the criteria, and those of other groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The targets that are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// A jq expression over a target, such as `.type == "unix-server" and .labels.role == "web"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<String>,
    /// Groups whose members are members of this one too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

fn yes() -> bool {
    true
}

/// A target as an activity gets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its properties.
    pub properties: Map<String, Value>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Why no work can be done on a target.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    /// There is none of this name.
    #[error("expected the name of a target, found '{name}', which names none{}", did_you_mean(.nearest))]
    Missing {
        /// The name.
        name: String,
        /// One that looks like it.
        nearest: Option<String>,
    },
    /// Somebody has switched it off.
    #[error("target '{0}' is disabled: enable it, or choose another")]
    Disabled(String),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// A target with what expressions see of it.
#[derive(Clone, Debug)]
struct Known {
    spec: TargetSpec,
    view: Value,
    version: u64,
}

/// A group with its criteria, parsed.
#[derive(Clone, Debug)]
struct Group {
    spec: GroupSpec,
    criteria: Option<Expression>,
}

/// All that is described, as of a moment.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    types: BTreeMap<String, TargetType>,
    targets: BTreeMap<String, Known>,
    groups: BTreeMap<String, Group>,
    calendars: Calendars,
    nodes: BTreeMap<String, Known>,
}

impl Inventory {
    /// Adds or replaces a type that was checked.
    pub fn put_type(&mut self, name: &str, kind: TargetType) {
        self.types.insert(name.to_owned(), kind);
    }

    /// Adds or replaces a target that was checked; `version` is that of its description.
    pub fn put_target(&mut self, name: &str, spec: TargetSpec, version: u64) {
        self.targets.insert(name.to_owned(), Known { version, ..known(name, spec) });
    }

    /// Adds or replaces a group that was checked. Criteria that this version cannot read are met by nothing.
    pub fn put_group(&mut self, name: &str, spec: GroupSpec) {
        let criteria = spec.criteria.as_deref().and_then(|source| Expression::parse(source, &[]).ok());
        self.groups.insert(name.to_owned(), Group { spec, criteria });
    }

    /// Adds or replaces a calendar that was checked.
    pub fn put_calendar(&mut self, name: &str, spec: CalendarSpec) {
        self.calendars.put(name, spec);
    }

    /// The calendars.
    pub fn calendars(&self) -> &Calendars {
        &self.calendars
    }

    /// Replaces the living nodes, each with its name.
    pub fn set_nodes(&mut self, nodes: impl IntoIterator<Item = (String, TargetSpec)>) {
        let named = |(name, spec): (String, TargetSpec)| {
            let name = format!("{NODE_PREFIX}{name}");
            (name.clone(), known(&name, spec))
        };
        self.nodes = nodes.into_iter().map(named).collect();
    }

    /// Takes the living nodes over from another inventory.
    pub fn take_nodes(&mut self, other: &Inventory) {
        self.nodes.clone_from(&other.nodes);
    }

    /// The type of a name, built in or not.
    pub fn target_type(&self, name: &str) -> Option<TargetType> {
        builtin::target_type(name).or_else(|| self.types.get(name).cloned())
    }

    /// All types by name, the built-in ones first.
    pub fn types(&self) -> Vec<(String, TargetType)> {
        let own = self.types.iter().map(|(name, kind)| (name.clone(), kind.clone()));
        builtin::target_types().into_iter().map(|(name, kind)| (name.to_owned(), kind)).chain(own).collect()
    }

    /// Whether a type is built in.
    pub fn is_builtin_type(name: &str) -> bool {
        builtin::target_type(name).is_some()
    }

    /// The target of a name.
    pub fn target(&self, name: &str) -> Option<&TargetSpec> {
        self.targets.get(name).or_else(|| self.nodes.get(name)).map(|known| &known.spec)
    }

    /// All targets by name: the described ones, then the nodes.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &TargetSpec)> {
        self.targets.iter().chain(&self.nodes).map(|(name, known)| (name.as_str(), &known.spec))
    }

    /// The group of a name.
    pub fn group(&self, name: &str) -> Option<&GroupSpec> {
        self.groups.get(name).map(|group| &group.spec)
    }

    /// All groups by name, without [`NODES`].
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupSpec)> {
        self.groups.iter().map(|(name, group)| (name.as_str(), &group.spec))
    }

    /// The target of a name, for work to be done on it.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn usable(&self, name: &str) -> Result<Target, Unusable> {
        let Some(spec) = self.target(name) else {
            let known: Vec<&str> = self.targets.keys().map(String::as_str).collect();
            let nearest = crate::language::nearest(name, &known).map(str::to_owned);
            return Err(Unusable::Missing { name: name.to_owned(), nearest });
        };
        if !spec.enabled {
            return Err(Unusable::Disabled(name.to_owned()));
        }
        Ok(target(name, spec))
    }

    /// The limit of a target whose work is limited.
    pub fn limit_of(&self, name: &str) -> Option<Limit> {
        let known = self.targets.get(name)?;
        known.spec.limit.map(|most| Limit { most: Some(most), version: known.version })
    }

    /// As whom work is done on a target if a call names nobody.
    pub fn runtime_user_of(&self, name: &str) -> Option<&str> {
        self.target(name)?.runtime_user.as_deref()
    }
}

fn target(name: &str, spec: &TargetSpec) -> Target {
    Target {
        name: name.to_owned(),
        kind: spec.kind.clone(),
        properties: spec.properties.clone(),
        labels: spec.labels.clone(),
    }
}

fn known(name: &str, spec: TargetSpec) -> Known {
    let view = json!({
        "name": name,
        "type": spec.kind,
        "properties": spec.properties,
        "labels": spec.labels,
        "limit": spec.limit,
        "enabled": spec.enabled,
    });
    Known { spec, view, version: 0 }
}

#[cfg(test)]
mod tests;
