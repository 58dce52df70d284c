//! Which events a listener or a trigger consumes, when it has enough, and in which form it gets them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::filter::EventFilter;
use crate::event::CloudEvent;
use crate::expression::Expression;

/// `to` of a listener or `on` of a schedule.
#[derive(Clone, Debug)]
pub struct Consumption {
    /// How many events of which filters.
    pub strategy: Strategy,
    /// The filters: exactly one with [`Strategy::One`]; none with [`Strategy::Any`] stands for every event.
    pub filters: Vec<EventFilter>,
    /// When an `any` ends that goes on; it ends with its first event if absent.
    pub until: Option<Until>,
    /// In which form events are given on.
    pub read: Read,
}

/// How many events of which filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// An event of the one filter.
    One,
    /// An event of any filter.
    Any,
    /// An event of each filter, in any order.
    All,
}

/// What ends an `any` that goes on.
#[derive(Clone, Debug)]
pub enum Until {
    /// Nothing: `until: false`.
    Never,
    /// It holds for the list of the events so far.
    Condition(Expression),
    /// Events of their own, which are not given on. Their own `until` is none.
    Events(Box<Consumption>),
}

/// In which form an event is given on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Its data.
    Data,
    /// The whole of it.
    Envelope,
    /// The bytes of its data in base64.
    Raw,
}

impl Consumption {
    /// The literal types of the events that it has to see, those that end it among them; `None` for all types.
    pub fn types(&self) -> Option<Vec<String>> {
        let types = |filters: &[EventFilter]| -> Option<Vec<String>> {
            filters.iter().map(|filter| filter.event_type().map(str::to_owned)).collect()
        };
        let mut all = types(&self.filters).filter(|_| !self.filters.is_empty())?;
        if let Some(Until::Events(ending)) = &self.until {
            all.extend(ending.types()?);
        }
        all.sort();
        all.dedup();
        Some(all)
    }
}

impl Read {
    /// The event in this form.
    pub fn of(self, event: &CloudEvent) -> Value {
        match (self, &event.data, &event.data_base64) {
            (Read::Envelope, ..) => event.envelope(),
            (Read::Data | Read::Raw, None, Some(binary)) => Value::String(binary.clone()),
            (Read::Data, data, None | Some(_)) => data.clone().unwrap_or(Value::Null),
            (Read::Raw, None, None) => Value::Null,
            (Read::Raw, Some(Value::String(text)), _) => {
                // Text that is JSON has its quotes in what was sent; other text stands for itself.
                let json = crate::event::is_json(event.datacontenttype.as_deref());
                let bytes = if json { Value::String(text.clone()).to_string() } else { text.clone() };
                Value::String(BASE64_STANDARD.encode(bytes))
            }
            (Read::Raw, Some(data), _) => Value::String(BASE64_STANDARD.encode(data.to_string())),
        }
    }
}
