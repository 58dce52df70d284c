//! The inventory at the doors: what is put, listed and shown of targets, their types, groups of them, and calendars.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most entries of one file.
const DOCUMENT_ENTRIES_MAX: usize = 10_000;

/// What an entry of the inventory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A type of targets.
    TargetType,
    /// A target.
    Target,
    /// A group of targets.
    Group,
    /// A calendar of triggers.
    Calendar,
}

impl EntryKind {
    /// In the order in which they build on each other.
    pub const ALL: [EntryKind; 4] =
        [EntryKind::TargetType, EntryKind::Target, EntryKind::Group, EntryKind::Calendar];

    /// The last part of its path: `/api/v1/targets`.
    pub fn plural(self) -> &'static str {
        match self {
            EntryKind::TargetType => "target-types",
            EntryKind::Target => "targets",
            EntryKind::Group => "groups",
            EntryKind::Calendar => "calendars",
        }
    }

    /// What the settings of the environment are named by: `target/NAME`.
    pub fn prefix(self) -> &'static str {
        match self {
            EntryKind::TargetType => "target-type/",
            EntryKind::Target => "target/",
            EntryKind::Group => "group/",
            EntryKind::Calendar => "calendar/",
        }
    }

    /// The members that an entry may have.
    pub fn members(self) -> &'static [&'static str] {
        match self {
            EntryKind::TargetType => &["description", "schema"],
            EntryKind::Target => {
                &["type", "description", "properties", "runtimeUser", "limit", "labels", "enabled"]
            }
            EntryKind::Group => &["description", "members", "criteria", "groups"],
            EntryKind::Calendar => &["description", "include", "exclude"],
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryKind::TargetType => "target type",
            EntryKind::Target => "target",
            EntryKind::Group => "group",
            EntryKind::Calendar => "calendar",
        })
    }
}

impl FromStr for EntryKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = EntryKind::ALL.into_iter().find(|kind| kind.plural() == text);
        known.ok_or_else(|| format!("expected target-types, targets, groups or calendars, found '{text}'"))
    }
}

/// An entry as it is listed and shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryEntry {
    /// Its name.
    pub name: String,
    /// Who has described it: `operator`, `pack NAME`, `cluster` for the nodes, or `built in`.
    pub by: String,
    /// What it is.
    #[serde(flatten)]
    pub spec: Map<String, Value>,
    /// Of a group that is shown alone: all its members as of now, disabled ones too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// Of a target that is shown alone: who has a place there, and who waits, if its work is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<PlacesView>,
    /// Of a calendar that is shown alone: the next days that it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<String>>,
    /// Of a calendar that is shown alone: the triggers and calendars that use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<Vec<String>>,
}

/// The places at a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlacesView {
    /// The activities that have a place, longest first.
    pub holders: Vec<PlaceView>,
    /// Those that wait for one, longest first.
    pub waiting: Vec<PlaceView>,
    /// How many more wait than are listed.
    #[serde(default)]
    pub more: usize,
}

/// An activity that has a place, or waits for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceView {
    /// Its instance.
    pub instance: String,
    /// Its number within the instance.
    pub activity: u64,
    /// Since when: RFC 3339, UTC.
    pub since: String,
}

impl InventoryEntry {
    /// A member that is a text.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.spec.get(member)?.as_str()
    }
}

/// A file with entries, as packs bring them and `import` reads them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InventoryDocument {
    /// Types, by name.
    #[serde(default)]
    pub target_types: BTreeMap<String, Value>,
    /// Targets, by name.
    #[serde(default)]
    pub targets: BTreeMap<String, Value>,
    /// Groups, by name.
    #[serde(default)]
    pub groups: BTreeMap<String, Value>,
    /// Calendars, by name.
    #[serde(default)]
    pub calendars: BTreeMap<String, Value>,
}

impl InventoryDocument {
    /// Reads one in YAML or JSON.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let document: InventoryDocument =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
        let maps = [&document.target_types, &document.targets, &document.groups, &document.calendars];
        let entries: usize = maps.iter().map(|map| map.len()).sum();
        if entries > DOCUMENT_ENTRIES_MAX {
            return Err(format!("expected at most {DOCUMENT_ENTRIES_MAX} entries, found {entries}"));
        }
        Ok(document)
    }

    /// All entries, each behind those that it names where the file has them: types, targets, inner groups, outer groups, and
    /// calendars likewise.
    pub fn entries(&self) -> Vec<(EntryKind, &str, &Value)> {
        let plain = [(EntryKind::TargetType, &self.target_types), (EntryKind::Target, &self.targets)];
        let mut entries: Vec<_> = plain.into_iter().flat_map(|(kind, map)| named(kind, map)).collect();
        entries.extend(inner_first(named(EntryKind::Group, &self.groups).collect(), &["/groups"]));
        let calendars = named(EntryKind::Calendar, &self.calendars).collect();
        entries.extend(inner_first(calendars, &["/include/calendars", "/exclude/calendars"]));
        entries
    }
}

type Named<'a> = (EntryKind, &'a str, &'a Value);

fn named(kind: EntryKind, map: &BTreeMap<String, Value>) -> impl Iterator<Item = Named<'_>> {
    map.iter().map(move |(name, value)| (kind, name.as_str(), value))
}

/// Entries of a kind that name each other at these places, each behind those that it names.
fn inner_first<'a>(mut left: Vec<Named<'a>>, places: &[&str]) -> Vec<Named<'a>> {
    let mut entries = Vec::new();
    while !left.is_empty() {
        let waits = |value: &Value, left: &[Named<'_>]| {
            let nested = places.iter().filter_map(|place| value.pointer(place)?.as_array()).flatten();
            nested.filter_map(Value::as_str).any(|nested| left.iter().any(|(_, name, _)| *name == nested))
        };
        let (later, now): (Vec<_>, Vec<_>) =
            left.iter().copied().partition(|(_, _, value)| waits(value, &left));
        // In a circle none comes before the others; whoever puts them is told.
        let stuck = now.is_empty();
        entries.extend(if stuck { later.clone() } else { now });
        left = if stuck { Vec::new() } else { later };
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_name_comes_before_them() {
        let text = "
groups:
  a: { groups: [b, c, elsewhere] }
  b: { groups: [c] }
  c: { members: [t] }
calendars:
  w: { include: { calendars: [x] }, exclude: { calendars: [z] } }
  x: { exclude: { calendars: [y] } }
  y: {}
  z: {}
targets: { t: { type: own } }
targetTypes: { own: { schema: {} } }
";
        let document = InventoryDocument::parse(text).unwrap();
        let names: Vec<&str> = document.entries().into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["own", "t", "c", "b", "a", "y", "z", "x", "w"]);
        let circle = InventoryDocument::parse("groups: { a: { groups: [b] }, b: { groups: [a] } }").unwrap();
        assert_eq!(circle.entries().len(), 2);
        let found = InventoryDocument::parse("target: {}").unwrap_err();
        assert!(found.contains("target"), "{found}");
    }
}
