//! What may be described: names, types, properties, groups without circles, and nothing taken away that others name.

use std::collections::BTreeMap;

use serde_json::Value;

use self::InventoryError::{Conflict, Invalid, NotFound};
use super::{
    ENTRIES_MAX, ENTRY_BYTES_MAX, GroupSpec, Inventory, NODE_TYPE, NODES, TargetSpec, TargetType, builtin,
};
use crate::calendar::{Ahead, CalendarError, CalendarSpec};
use crate::definition::Schema;
use crate::expression::Expression;

/// The longest name of a target, a type or a group.
const NAME_BYTES_MAX: usize = 128;

/// Why the inventory does not change.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InventoryError {
    /// It makes no sense: correct it.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Something else stands in its way.
    #[error("{0}")]
    Conflict(String),
}

impl From<CalendarError> for InventoryError {
    fn from(error: CalendarError) -> Self {
        match error {
            CalendarError::Invalid(reason) => Invalid(reason),
            CalendarError::NotFound(reason) => NotFound(reason),
            CalendarError::Conflict(reason) => Conflict(reason),
        }
    }
}

impl Inventory {
    /// Whether a type may be put.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_type(&self, name: &str, kind: &TargetType) -> Result<(), InventoryError> {
        check_name("target type", name)?;
        check_size("target type", name, &kind.schema, self.types.len(), self.types.contains_key(name))?;
        if builtin::target_type(name).is_some() {
            return Err(Conflict(format!("target type '{name}' is built in: choose another name")));
        }
        if !kind.schema.is_object() {
            return Err(Invalid(format!(
                "target type '{name}': expected a JSON Schema, found {}",
                kind.schema
            )));
        }
        let schema = Schema::compile(&kind.schema).map_err(|error| {
            Invalid(format!("target type '{name}': expected a JSON Schema, found: {error}"))
        })?;
        let mut of_type = self.targets.iter().filter(|(_, known)| known.spec.kind == name);
        let unfit = of_type.find_map(|(target, known)| {
            let found = schema.check(&Value::Object(known.spec.properties.clone())).err()?;
            Some(Conflict(format!(
                "target '{target}' of type '{name}' would not fit it any more, change it first: {found}"
            )))
        });
        unfit.map_or(Ok(()), Err)
    }

    /// Whether a target may be put.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_target(&self, name: &str, spec: &TargetSpec) -> Result<(), InventoryError> {
        check_name("target", name)?;
        let properties = Value::Object(spec.properties.clone());
        check_size("target", name, &properties, self.targets.len(), self.targets.contains_key(name))?;
        if spec.kind == NODE_TYPE {
            return Err(Invalid(format!(
                "target '{name}': the nodes are targets by themselves, in the group '{NODES}': choose another type"
            )));
        }
        let Some(kind) = self.target_type(&spec.kind) else {
            let known = self.types().into_iter().map(|(name, _)| name).filter(|name| name != NODE_TYPE);
            let known: Vec<String> = known.collect();
            let kind = &spec.kind;
            return Err(Invalid(format!(
                "target '{name}': expected a target type (one of {}), found '{kind}'",
                known.join(", ")
            )));
        };
        if spec.limit == Some(0) {
            return Err(Invalid(format!(
                "target '{name}': expected a limit of at least 1, found 0: to stop all work on it, disable it"
            )));
        }
        let schema = Schema::compile(&kind.schema).map_err(|error| {
            Invalid(format!("the schema of target type '{}' is invalid: {error}", spec.kind))
        })?;
        schema.check(&properties).map_err(|violations| {
            Invalid(format!(
                "target '{name}': expected the properties of type '{}', found others: {violations}",
                spec.kind
            ))
        })
    }

    /// Whether a group may be put.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_group(&self, name: &str, spec: &GroupSpec) -> Result<(), InventoryError> {
        check_name("group", name)?;
        let size = serde_json::to_value(spec).unwrap_or_default();
        check_size("group", name, &size, self.groups.len(), self.groups.contains_key(name))?;
        if name == NODES {
            return Err(Conflict(format!("group '{NODES}' is built in: choose another name")));
        }
        if let Some(source) = &spec.criteria {
            Expression::parse(source, &[]).map_err(|error| {
                Invalid(format!("group '{name}': expected a jq expression as criteria, found: {error}"))
            })?;
        }
        for member in &spec.members {
            self.usable(member).map(drop).or_else(|unusable| match unusable {
                super::Unusable::Missing { .. } => Err(Invalid(format!("group '{name}': {unusable}"))),
                super::Unusable::Disabled(_) => Ok(()),
            })?;
        }
        for nested in &spec.groups {
            if nested != NODES && nested != name && !self.groups.contains_key(nested) {
                return Err(Invalid(format!(
                    "group '{name}': expected the name of a group, found '{nested}', which names none"
                )));
            }
            if let Some(path) = self.path(nested, name) {
                return Err(Invalid(format!(
                    "group '{name}': expected groups that are not in themselves, found {name} → {}",
                    path.join(" → ")
                )));
            }
        }
        Ok(())
    }

    /// Whether a calendar may be put, so that it covers some day in time.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_calendar(
        &self,
        name: &str,
        spec: &CalendarSpec,
        ahead: Ahead,
    ) -> Result<(), InventoryError> {
        check_name("calendar", name)?;
        Ok(self.calendars.check(name, spec, ahead)?)
    }

    /// The way from a group to one that is in it, if there is one.
    fn path<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut outer: BTreeMap<&str, Option<&str>> = BTreeMap::from([(from, None)]);
        let mut left = vec![from];
        while let Some(name) = left.pop() {
            if name == to {
                let mut path = vec![name];
                while let Some(Some(before)) = path.last().and_then(|last| outer.get(last)) {
                    path.push(before);
                }
                path.reverse();
                return Some(path);
            }
            for nested in self.groups.get(name).iter().flat_map(|group| &group.spec.groups) {
                if !outer.contains_key(nested.as_str()) {
                    outer.insert(nested, Some(name));
                    left.push(nested);
                }
            }
        }
        None
    }

    /// Whether a type may be removed.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_type_removal(&self, name: &str) -> Result<(), InventoryError> {
        if builtin::target_type(name).is_some() {
            return Err(Conflict(format!("target type '{name}' is built in")));
        }
        if !self.types.contains_key(name) {
            return Err(NotFound(format!(
                "expected the name of a target type, found '{name}', which names none"
            )));
        }
        match self.targets.iter().find(|(_, known)| known.spec.kind == name) {
            Some((target, _)) => {
                Err(Conflict(format!("target '{target}' is of type '{name}': remove it first")))
            }
            None => Ok(()),
        }
    }

    /// Whether a target may be removed.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_target_removal(&self, name: &str) -> Result<(), InventoryError> {
        if !self.targets.contains_key(name) {
            let unusable = self.usable(name).err().map(|unusable| unusable.to_string());
            return Err(unusable.map_or_else(
                || Conflict(format!("'{name}' is a node: it leaves the targets when it leaves the cluster")),
                NotFound,
            ));
        }
        match self.groups.iter().find(|(_, group)| group.spec.members.iter().any(|member| member == name)) {
            Some((group, _)) => {
                Err(Conflict(format!("target '{name}' is a member of group '{group}': take it out first")))
            }
            None => Ok(()),
        }
    }

    /// Whether a group may be removed.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn check_group_removal(&self, name: &str) -> Result<(), InventoryError> {
        if name == NODES {
            return Err(Conflict(format!("group '{NODES}' is built in")));
        }
        if !self.groups.contains_key(name) {
            return Err(NotFound(format!("expected the name of a group, found '{name}', which names none")));
        }
        match self.groups.iter().find(|(_, group)| group.spec.groups.iter().any(|nested| nested == name)) {
            Some((outer, _)) => {
                Err(Conflict(format!("group '{name}' is in group '{outer}': take it out first")))
            }
            None => Ok(()),
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), InventoryError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(Invalid(format!(
            "expected a name for a {what} of 1 to {NAME_BYTES_MAX} letters, digits, '.', '-' and '_', found '{shown}'"
        )));
    }
    Ok(())
}

fn check_size(
    what: &str,
    name: &str,
    value: &Value,
    count: usize,
    replaces: bool,
) -> Result<(), InventoryError> {
    let bytes = value.to_string().len();
    if bytes > ENTRY_BYTES_MAX {
        return Err(Invalid(format!(
            "{what} '{name}': expected at most {ENTRY_BYTES_MAX} bytes, found {bytes}"
        )));
    }
    if count >= ENTRIES_MAX && !replaces {
        return Err(Conflict(format!(
            "{what} '{name}': there are {count} already, the limit is {ENTRIES_MAX}"
        )));
    }
    Ok(())
}
