//! Triggers as operators see and order them.

use std::sync::Arc;
use std::time::Duration;

use impresario_model::definition::{Consumption, Definition, DefinitionId, Watch};
use impresario_model::entry::{Body, Entry, FireOrder, TriggerEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{self, ActorId};
use impresario_model::language::nearest;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::app::blocking;
use super::approve::decided;
use super::local::Local;
use super::orders::check_key;
use super::trigger_views::{self, EVENT};
use crate::orchestrator::{Refusal, Started, TriggerSummary};
use crate::orders::REASON_LIMIT;
use crate::triggers::{
    FireRequest, RECENT_MOST, TestReply, TestRequest, TestedEvent, TriggerDetail, TriggerOrder,
};

/// How long a door waits for an order to be carried out once it is durable.
const CARRIED_OUT: Duration = Duration::from_secs(5);
/// How long before it looks again.
const PAUSE: Duration = Duration::from_millis(20);
/// How many triggers the banner looks at.
const BANNER_TRIGGERS: usize = 20;

impl Local {
    /// A few triggers for the banner, those that wait for events first: there may be very many.
    pub async fn some_triggers(&self) -> Result<Vec<TriggerSummary>, Refusal> {
        let newest = self.definitions.newest();
        let (events, times): (Vec<_>, Vec<_>) = newest
            .iter()
            .flat_map(|definition| &definition.triggers)
            .partition(|trigger| trigger.events.is_some());
        let some = events.into_iter().chain(times).take(BANNER_TRIGGERS);
        self.triggers_of(some.map(|trigger| trigger.name.clone()).collect()).await
    }

    /// The trigger of a name, or the only one of a definition.
    pub(super) async fn find_trigger(&self, name: &str) -> Result<Box<TriggerDetail>, Refusal> {
        let definition = name.rsplit_once('/').map_or("", |(definition, _)| definition);
        let exists = self.definitions.newest_named(definition);
        let exists = exists.is_some_and(|known| known.triggers.iter().any(|trigger| trigger.name == name));
        let of_definition = self.definitions.newest_named(name);
        let of_definition = of_definition.iter().flat_map(|known| &known.triggers).collect::<Vec<_>>();
        let name = match of_definition.as_slice() {
            _ if exists => name,
            [only] => only.name.as_str(),
            [] => return Err(unknown(name, &self.trigger_names())),
            [first, second, ..] => {
                return Err(Refusal::Invalid(format!(
                    "expected the name of one trigger, found '{name}', which has several: {}, {}",
                    first.name, second.name
                )));
            }
        };
        self.trigger_of(name).await?.ok_or_else(|| unknown(name, &self.trigger_names()))
    }

    /// Carries an order out.
    pub(super) async fn order_trigger(
        &self,
        name: &str,
        order: TriggerOrder,
    ) -> Result<TriggerDetail, Refusal> {
        let name = self.find_trigger(name).await?.summary.name;
        let event = match &order {
            TriggerOrder::Pause { reason } => {
                check_reason(reason.as_deref())?;
                TriggerEvent::Pause { reason: reason.clone() }
            }
            TriggerOrder::Resume => TriggerEvent::Resume,
            TriggerOrder::Approve(request) => self.approval(&name, request).await?,
        };
        let counts = |shown: &TriggerDetail| match &order {
            TriggerOrder::Pause { reason } => {
                shown.paused.as_ref().is_some_and(|paused| paused.reason == *reason)
            }
            TriggerOrder::Resume => shown.paused.is_none(),
            TriggerOrder::Approve(request) => decided(shown, &request.plan),
        };
        self.post_to_trigger(&name, event).await?;
        let deadline = Instant::now() + CARRIED_OUT;
        loop {
            let shown = self.find_trigger(&name).await?;
            if counts(&shown) {
                return Ok(*shown);
            }
            if Instant::now() >= deadline {
                return Err(Refusal::later(
                    "the order is durable and not carried out yet: look at the trigger",
                ));
            }
            sleep(PAUSE).await;
        }
    }

    /// Fires a trigger by hand.
    pub(super) async fn fire_trigger(&self, name: &str, request: FireRequest) -> Result<Started, Refusal> {
        let trigger = self.find_trigger(name).await?.summary;
        let name = &trigger.name;
        let definition = self.armed_with(&trigger)?;
        let FireRequest { input, event, key } = request;
        let input = match (input, event) {
            (Some(_), Some(_)) => {
                return Err(Refusal::Invalid("expected an input or an event, found both".to_owned()));
            }
            (Some(input), None) => input,
            (None, Some(event)) => {
                let event = read_event(event)?;
                let watched = watched(&definition, name).ok_or_else(|| {
                    Refusal::Invalid(format!("expected no event, as {name} is a schedule; give an input"))
                })?;
                Value::Array(vec![watched.read.of(&event)])
            }
            (None, None) if trigger.kind == EVENT => {
                return Err(Refusal::Invalid(format!(
                    "expected an event or an input: {name} gives the instances that it starts a list of events"
                )));
            }
            (None, None) => json!({}),
        };
        if let Some(schema) = &definition.input.schema {
            schema.check(&input).map_err(|violations| {
                Refusal::Invalid(format!("expected an input as {} declares it: {violations}", definition.id))
            })?;
        }
        check_key(key.as_deref())?;
        let instance = match &key {
            None => Uuid::now_v7().to_string(),
            Some(key) => ids::instance_of_order(name, key),
        };
        let started = |created| Started {
            id: instance.clone(),
            definition: definition.id.to_string(),
            created,
            durability: self.tier(),
        };
        if let Some(known) = self.instance_of(&instance).await? {
            if known.input != input {
                return Err(Refusal::Conflict(format!(
                    "the key '{}' has fired it with another input, as {instance}: use another key",
                    key.unwrap_or_default()
                )));
            }
            return Ok(started(false));
        }
        let order = FireOrder { instance: instance.clone(), input };
        self.post_to_trigger(name, TriggerEvent::Fire(Box::new(order))).await?;
        // The trigger starts it, by a message.
        let deadline = Instant::now() + CARRIED_OUT;
        while self.instance_of(&instance).await?.is_none() {
            if Instant::now() >= deadline {
                return Err(Refusal::later(format!(
                    "the order is durable and not carried out yet: it will be instance {instance}"
                )));
            }
            sleep(PAUSE).await;
        }
        Ok(started(true))
    }

    /// Tells whether events match a trigger, and why.
    pub(super) async fn test_trigger(&self, name: &str, request: TestRequest) -> Result<TestReply, Refusal> {
        let trigger = self.find_trigger(name).await?.summary;
        let definition = self.armed_with(&trigger)?;
        let name = trigger.name;
        if watched(&definition, &name).is_none() {
            return Err(Refusal::Invalid(format!(
                "expected a trigger that watches events, found {name}, which watches: {}",
                trigger.watches
            )));
        }
        let (events, window) = match (request.event, request.recent) {
            (Some(event), None) => (vec![read_event(event)?], None),
            (None, Some(count)) => {
                check_count(count)?;
                let (recent, window) = self.recent(None, count).await;
                (recent.into_iter().map(|recent| recent.event).collect(), Some(window))
            }
            _ => {
                return Err(Refusal::Invalid("expected an event, or a number of recent ones".to_owned()));
            }
        };
        let of = name.clone();
        // Expressions of others may be slow.
        let events: Vec<TestedEvent> = blocking(move || {
            let Some(watched) = watched(&definition, &of) else { return Vec::new() };
            events.iter().map(|event| trigger_views::tested(watched, event)).collect()
        })
        .await
        .map_err(|error| Refusal::later(error.to_string()))?;
        Ok(TestReply { trigger: name, watches: trigger.watches, events, window })
    }

    fn armed_with(&self, trigger: &TriggerSummary) -> Result<Arc<Definition>, Refusal> {
        let known = trigger.definition.parse::<DefinitionId>().ok().and_then(|id| self.definitions.get(&id));
        known.ok_or_else(|| match trigger.definition.as_str() {
            "" => Refusal::Conflict(format!("{} is disarmed: no definition has it any more", trigger.name)),
            other => Refusal::later(format!("this node does not know definition {other} yet")),
        })
    }

    async fn post_to_trigger(&self, name: &str, event: TriggerEvent) -> Result<(), Refusal> {
        let to = ActorId::trigger(name);
        self.post(&[Entry { to, origin: None, body: Body::Trigger(event) }]).await
    }
}

/// What a trigger of a definition consumes, if it watches events.
pub(super) fn watched<'d>(definition: &'d Definition, name: &str) -> Option<&'d Consumption> {
    let spec = definition.triggers.iter().find(|spec| spec.name == name)?;
    match &spec.watch {
        Watch::Event(consumption) => Some(consumption),
        _ => None,
    }
}

/// Whether so many recent events can be told.
pub(super) fn check_count(count: usize) -> Result<(), Refusal> {
    match (1..=RECENT_MOST).contains(&count) {
        true => Ok(()),
        false => Err(Refusal::Invalid(format!("expected 1 to {RECENT_MOST} recent events, found {count}"))),
    }
}

fn check_reason(reason: Option<&str>) -> Result<(), Refusal> {
    match reason.map(str::len).filter(|length| *length > REASON_LIMIT) {
        None => Ok(()),
        Some(found) => {
            Err(Refusal::Invalid(format!("expected a reason of at most {REASON_LIMIT} bytes, found {found}")))
        }
    }
}

fn read_event(event: Value) -> Result<CloudEvent, Refusal> {
    CloudEvent::from_json(event).map_err(|error| Refusal::Invalid(format!("the event: {error}")))
}

fn unknown(name: &str, names: &[String]) -> Refusal {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = match (nearest(name, &known), known.as_slice()) {
        (Some(near), _) => format!("; did you mean '{near}'?"),
        (None, []) => "; there are none".to_owned(),
        (None, _) => "; `impresario triggers` lists them".to_owned(),
    };
    Refusal::NotFound(format!("expected the name of a trigger, found '{name}'{hint}"))
}
