//! Calendars at this node: which days they cover, who uses them, and the triggers that follow when they change.

use impresario_model::calendar::Ahead;
use impresario_model::inventory::{Inventory, InventoryError};

use super::arm::arm;
use super::local::Local;
use crate::inventory::InventoryEntry;
use crate::orchestrator::Refusal;

/// So many of the days that a calendar covers are shown.
const DAYS_SHOWN: usize = 10;

impl Local {
    /// The time by the clock that stamps the entries, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.engine.store().clock()()
    }

    /// Adds the next days that a calendar covers, and what uses it.
    pub(super) fn tell_calendar(&self, entry: &mut InventoryEntry) {
        let inventory = self.inventory.now();
        let days = inventory.calendars().next_days(&entry.name, Ahead::of(self.now()), DAYS_SHOWN);
        // One that was put by a newer version may name what this one does not understand.
        entry.days = days.ok().map(|days| days.iter().map(ToString::to_string).collect());
        let mut users = self.triggers_on(&entry.name);
        let calendars = inventory.calendars().users(&entry.name);
        users.extend(calendars.iter().map(|name| format!("calendar {name}")));
        entry.used_by = Some(users);
    }

    /// The triggers whose definition names a calendar.
    fn triggers_on(&self, calendar: &str) -> Vec<String> {
        let newest = self.definitions.newest();
        let using = newest.iter().filter(|definition| definition.calendar.as_deref() == Some(calendar));
        using
            .flat_map(|definition| &definition.triggers)
            .map(|spec| format!("trigger {}", spec.name))
            .collect()
    }

    /// Whether nothing uses a calendar any more.
    pub(super) fn check_calendar_removal(
        &self,
        inventory: &Inventory,
        name: &str,
    ) -> Result<(), InventoryError> {
        inventory.calendars().check_removal(name)?;
        match self.triggers_on(name).first() {
            Some(user) => Err(InventoryError::Conflict(format!(
                "{user} fires on the days of calendar '{name}': deploy a definition without it first"
            ))),
            None => Ok(()),
        }
    }

    /// Tells the triggers that use a changed calendar. If this node ends before, the next one that starts does so, or
    /// whoever puts the calendar again.
    pub(super) async fn rearm(&self) -> Result<(), Refusal> {
        let post = self.engine.post();
        arm(post, &self.definitions, &self.inventory).await.map_err(super::inventory::unsettled)?;
        Ok(())
    }
}
