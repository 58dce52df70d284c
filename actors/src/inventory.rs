//! The inventory as the node knows it: what attempts are done on, and the selections that it answers by itself.

use std::sync::{Arc, PoisonError, RwLock};

use crate::activity::RunRequest;
use impresario_adapter::Target;
use impresario_model::entry::ActivityOutcome;
use impresario_model::fault::{Fault, FaultKind};
use impresario_model::ids::shard_of;
use impresario_model::inventory::{Inventory, SELECT, SelectError, Selection, Unusable};

/// The most targets of one selection together, in bytes of JSON: their list is kept in the state of an instance.
const SELECTED_BYTES_MAX: usize = 2 << 20;

/// The inventory of a node; cheap to clone. Readers have a copy of a moment and hold no lock.
#[derive(Clone, Debug, Default)]
pub struct SharedInventory(Arc<RwLock<Arc<Inventory>>>);

impl SharedInventory {
    /// As it is now.
    pub fn now(&self) -> Arc<Inventory> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it by what `change` makes of a copy.
    pub fn change(&self, change: impl FnOnce(&mut Inventory)) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Inventory::clone(&now);
        change(&mut next);
        *now = Arc::new(next);
    }

    /// The target that an attempt is done on, with its properties.
    ///
    /// # Errors
    /// How the attempt ends: the target is not there, or disabled.
    pub fn look_up(&self, name: &str) -> Result<Target, ActivityOutcome> {
        match self.now().usable(name) {
            Ok(target) => Ok(Target { name: target.name, kind: target.kind, properties: target.properties }),
            Err(unusable) => {
                let (status, title) = match &unusable {
                    Unusable::Missing { .. } => (404, "No such target"),
                    Unusable::Disabled(_) => (409, "Target disabled"),
                };
                Err(failed(FaultKind::Configuration, status, title, unusable.to_string()))
            }
        }
    }

    /// The runtime user as whom work on a target is done if a call names none.
    pub fn user_of(&self, target: &str) -> Option<String> {
        self.now().runtime_user_of(target).map(str::to_owned)
    }

    /// Answers an attempt of a function of the inventory.
    pub fn answer(&self, request: &RunRequest) -> ActivityOutcome {
        if request.function != SELECT {
            let detail = format!("expected the function {SELECT}, found '{}'", request.function);
            return failed(FaultKind::Configuration, 404, "No such function", detail);
        }
        let selection: Selection = match serde_json::from_value(request.arguments.clone()) {
            Ok(selection) => selection,
            Err(error) => {
                let detail =
                    format!("expected group, where, variables, name, take and allowEmpty, found: {error}");
                return failed(FaultKind::Validation, 400, "Not a selection", detail);
            }
        };
        // The key is the same for all attempts, and another one for each activity.
        let chance = u64::from(shard_of(request.key.as_bytes(), u16::MAX));
        match self.now().select(&selection, chance) {
            Ok(targets) => match serde_json::to_value(&targets) {
                Ok(list) if list.to_string().len() <= SELECTED_BYTES_MAX => ActivityOutcome::Completed(list),
                too_much => too_large(targets.len(), too_much.err()),
            },
            Err(error) => {
                let (kind, status) = match &error {
                    SelectError::NoSuchGroup(_) | SelectError::Nothing(_) => (FaultKind::Configuration, 404),
                    SelectError::Several(..) => (FaultKind::Configuration, 409),
                    SelectError::Condition(_) => (FaultKind::Expression, 400),
                };
                failed(kind, status, "No target selected", error.to_string())
            }
        }
    }
}

fn too_large(count: usize, error: Option<serde_json::Error>) -> ActivityOutcome {
    let found = error.map_or_else(|| format!("{count} targets with more"), |error| error.to_string());
    let detail = format!("expected a list of at most {SELECTED_BYTES_MAX} bytes, found {found}");
    failed(FaultKind::Validation, 400, "Selection too large", detail)
}

fn failed(kind: FaultKind, status: u16, title: &str, detail: String) -> ActivityOutcome {
    // The instance knows at which task it happened.
    ActivityOutcome::Failed(Fault { status, instance: None, ..Fault::new(kind, title, detail, "") })
}

#[cfg(test)]
mod tests {
    use impresario_model::inventory::TargetSpec;
    use impresario_persistence::ShardId;
    use serde_json::{Value, json};

    use super::*;
    use crate::activity::ActivityAddress;

    fn inventory() -> SharedInventory {
        let inventory = SharedInventory::default();
        inventory.change(|inventory| {
            for number in 0..4 {
                let spec = json!({
                    "type": "unix-server", "properties": { "host": format!("h{number}") }, "enabled": number < 3,
                });
                let spec: TargetSpec = serde_json::from_value(spec).unwrap();
                inventory.put_target(&format!("web{number}"), spec, 1);
            }
        });
        inventory
    }

    fn select(key: &str, arguments: Value) -> ActivityOutcome {
        let request = RunRequest {
            address: ActivityAddress { shard: ShardId(0), actor: "process/p".to_owned(), activity: 1 },
            token: format!("{key}.1"),
            attempt: 1,
            key: key.to_owned(),
            adapter: "inventory".to_owned(),
            function: "select".to_owned(),
            arguments,
            state: None,
            target: None,
            on: None,
            user: None,
            secrets: std::collections::BTreeMap::new(),
            resolved: None,
            trace: None,
        };
        inventory().answer(&request)
    }

    #[test]
    fn a_selection_is_answered_with_what_activities_get() {
        let ActivityOutcome::Completed(list) = select("i.1", json!({ "name": "web1" })) else { panic!() };
        assert_eq!(list, json!([{ "name": "web1", "type": "unix-server", "properties": { "host": "h1" } }]));
    }

    #[test]
    fn any_of_several_is_the_same_for_all_attempts_and_spreads_over_activities() {
        let any = |key: &str| select(key, json!({ "take": "any" }));
        assert_eq!(any("i.1"), any("i.1"));
        let mut seen: Vec<String> = Vec::new();
        for number in 0..50 {
            let ActivityOutcome::Completed(list) = any(&format!("i.{number}")) else { panic!() };
            seen.push(list[0]["name"].as_str().unwrap().to_owned());
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["web0", "web1", "web2"]);
    }

    #[test]
    fn what_is_wrong_is_an_error_that_a_definition_can_catch() {
        let fault = |outcome: ActivityOutcome| match outcome {
            ActivityOutcome::Failed(fault) => {
                assert!(!fault.uncatchable);
                (fault.status, fault.kind.rsplit('/').next().unwrap().to_owned())
            }
            other => panic!("{other:?}"),
        };
        let table = [
            (select("k", json!({ "group": "none" })), (404, "configuration")),
            (select("k", json!({ "where": "false" })), (404, "configuration")),
            (select("k", json!({ "take": "one" })), (409, "configuration")),
            (select("k", json!({ "where": ".a.b.c | tonumber" })), (400, "expression")),
            (select("k", json!({ "wher": "true" })), (400, "validation")),
            (inventory().look_up("web9").unwrap_err(), (404, "configuration")),
            (inventory().look_up("web3").unwrap_err(), (409, "configuration")),
        ];
        for (outcome, (status, kind)) in table {
            assert_eq!(fault(outcome), (status, kind.to_owned()));
        }
        assert_eq!(inventory().look_up("web0").unwrap().properties["host"], json!("h0"));
    }
}
