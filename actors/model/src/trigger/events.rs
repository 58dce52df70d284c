//! When a trigger fires that watches events.

use serde_json::json;

use super::Trigger;
use crate::definition::{TriggerSpec, Watch};
use crate::entry::Message;
use crate::event::CloudEvent;
use crate::expression::Fuel;
use crate::ids;

impl Trigger {
    pub(super) fn on_event(&mut self, spec: &TriggerSpec, event: &CloudEvent, now: u64) -> Vec<Message> {
        let Watch::Event(filters) = &spec.watch else { return Vec::new() };
        let matches = |filter: &crate::definition::EventFilter| {
            matches!(filter.check(event, &mut Fuel(Fuel::PER_EXPRESSION)), Ok(true))
        };
        if !filters.is_empty() && !filters.iter().any(matches) {
            return Vec::new();
        }
        let instance = ids::instance_of_event(&self.name, &event.source, &event.id);
        vec![self.start(&instance, json!([event.envelope()]), now)]
    }
}
