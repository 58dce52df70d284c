//! Selects targets: of a group or of all, by a condition or by name, all of them or one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Inventory, Known, NODES, Target, target};
use crate::expression::{Expression, Fuel, Variables};

/// Which targets are asked for: the arguments of the function [`super::SELECT`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Selection {
    /// Those of this group; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those for which this jq expression holds.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// What the expression sees, by name without `$`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
    /// Only the one of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many of those that are left.
    #[serde(default)]
    pub take: Take,
    /// Whether it may be none.
    #[serde(default)]
    pub allow_empty: bool,
}

/// How many are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// All, by name.
    #[default]
    All,
    /// One of them, another one each time.
    Any,
    /// The only one.
    One,
}

/// Why nothing was selected.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectError {
    /// There is no such group.
    #[error("expected the name of a group, found '{0}', which names none")]
    NoSuchGroup(String),
    /// Nothing matches.
    #[error("expected at least one target, found none that is enabled{0}")]
    Nothing(String),
    /// More than the one.
    #[error("expected exactly one target, found {0}: {1}")]
    Several(usize, String),
    /// A condition is no expression, or fails.
    #[error("{0}")]
    Condition(String),
}

struct Given<'a>(&'a Map<String, Value>);

impl Variables for Given<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.0.get(name).map(Cow::Borrowed)
    }
}

impl Inventory {
    /// The selected targets, by name. Where one of several is taken, `chance` says which.
    ///
    /// # Errors
    /// [`SelectError`].
    pub fn select(&self, selection: &Selection, chance: u64) -> Result<Vec<Target>, SelectError> {
        let mut fuel = Fuel(Fuel::PER_EXPRESSION);
        let mut found = match &selection.group {
            Some(group) => self.members_within(group, &mut fuel)?,
            None => self.targets.iter().map(|(name, known)| (name.as_str(), known)).collect(),
        };
        found.retain(|name, known| {
            known.spec.enabled && selection.name.as_ref().is_none_or(|wanted| wanted == name)
        });
        if let Some(source) = &selection.condition {
            let names: Vec<&str> = selection.variables.keys().map(String::as_str).collect();
            let condition = Expression::parse(source, &names)
                .map_err(|error| SelectError::Condition(format!("where: {error}")))?;
            let mut kept = BTreeMap::new();
            for (name, known) in found {
                if holds(&condition, "where", name, known, &Given(&selection.variables), &mut fuel)? {
                    kept.insert(name, known);
                }
            }
            found = kept;
        }
        if found.is_empty() && !selection.allow_empty {
            return Err(SelectError::Nothing(described(selection)));
        }
        let count = found.len();
        let chosen = match selection.take {
            Take::All => 0..count,
            Take::One if count > 1 => {
                let names: Vec<&str> = found.keys().take(3).copied().collect();
                return Err(SelectError::Several(count, format!("{}, …", names.join(", "))));
            }
            Take::One => 0..count,
            Take::Any if count == 0 => 0..0,
            Take::Any => {
                // The remainder is below the count, which is a usize.
                let at = (chance % count as u64) as usize;
                at..at + 1
            }
        };
        let chosen = found.into_iter().skip(chosen.start).take(chosen.len());
        Ok(chosen.map(|(name, known)| target(name, &known.spec)).collect())
    }

    /// The names of all targets of a group, disabled ones too.
    ///
    /// # Errors
    /// [`SelectError`] when there is no such group, or its criteria fail.
    pub fn members(&self, group: &str) -> Result<Vec<String>, SelectError> {
        let members = self.members_within(group, &mut Fuel(Fuel::PER_EXPRESSION))?;
        Ok(members.into_keys().map(str::to_owned).collect())
    }

    fn members_within(&self, group: &str, fuel: &mut Fuel) -> Result<BTreeMap<&str, &Known>, SelectError> {
        if group != NODES && !self.groups.contains_key(group) {
            return Err(SelectError::NoSuchGroup(group.to_owned()));
        }
        let mut members = BTreeMap::new();
        // A circle of groups, which two nodes may have made together, ends where it began.
        let mut seen = BTreeSet::from([group]);
        let mut left = vec![group];
        while let Some(name) = left.pop() {
            if name == NODES {
                members.extend(self.nodes.iter().map(|(name, known)| (name.as_str(), known)));
            }
            let Some(group) = self.groups.get(name) else { continue };
            for member in &group.spec.members {
                // One that was removed meanwhile is none.
                members
                    .extend(self.targets.get_key_value(member).map(|(name, known)| (name.as_str(), known)));
            }
            if let Some(criteria) = &group.criteria {
                let field = format!("the criteria of group '{name}'");
                for (target, known) in &self.targets {
                    if holds(criteria, &field, target, known, &Given(&Map::new()), fuel)? {
                        members.insert(target, known);
                    }
                }
            }
            left.extend(group.spec.groups.iter().map(String::as_str).filter(|nested| seen.insert(nested)));
        }
        Ok(members)
    }
}

fn holds(
    condition: &Expression,
    field: &str,
    name: &str,
    known: &Known,
    variables: &dyn Variables,
    fuel: &mut Fuel,
) -> Result<bool, SelectError> {
    match condition.evaluate(&known.view, variables, fuel) {
        Ok(value) => Ok(!matches!(value, Value::Null | Value::Bool(false))),
        Err(error) => Err(SelectError::Condition(format!("{field}, at target '{name}': {error}"))),
    }
}

/// What was asked for, for the message that it is not there.
fn described(selection: &Selection) -> String {
    let mut parts = String::new();
    if let Some(name) = &selection.name {
        parts.push_str(&format!(" and has the name '{name}'"));
    }
    if let Some(group) = &selection.group {
        parts.push_str(&format!(" in group '{group}'"));
    }
    if let Some(condition) = &selection.condition {
        parts.push_str(&format!(" where {condition}"));
    }
    parts
}
