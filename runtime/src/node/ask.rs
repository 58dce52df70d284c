//! Waits for instances: for one, or for those that an event starts.
//!
//! The ids of the latter follow from the triggers and the event, so that they are known before anything has happened, at any
//! node, and the same event again finds the same instances. Nothing is noted of who waits: one that goes away costs nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use impresario_model::definition::{Consumption, Definition, Strategy, TriggerSpec, Watch};
use impresario_model::event::CloudEvent;
use impresario_model::ids;
use impresario_model::trigger::{describe, match_event};
use tokio::time::{Instant, sleep_until};

use super::local::Local;
use crate::ask::{AskReply, AskedInstance, goes_on};
use crate::orchestrator::{InstanceDetail, Orchestrator, Refusal};

/// The first and the longest pause between two looks at an instance.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// The most triggers that are named where none matches.
const NAMED: usize = 5;

/// The pauses between looks: each half as long again as the one before.
struct Looks {
    pause: Duration,
    deadline: Instant,
}

impl Looks {
    fn until(deadline: Instant) -> Looks {
        Looks { pause: PAUSE.0, deadline }
    }

    /// Waits for the next look; false when the time is over.
    async fn next(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        sleep_until(self.deadline.min(now + self.pause)).await;
        self.pause = (self.pause * 3 / 2).min(PAUSE.1);
        true
    }
}

impl Local {
    /// An instance, once it does not go on by itself any more, or as it is when the time is over.
    pub(super) async fn wait_for_end(&self, id: &str, wait: Duration) -> Result<InstanceDetail, Refusal> {
        let mut looks = Looks::until(Instant::now() + wait);
        let mut found = self.instance(id.to_owned()).await?;
        let id = found.summary.id.clone();
        while goes_on(&found.summary.status) && looks.next().await {
            found = match self.instance(id.clone()).await {
                Ok(found) => found,
                // Its shard may be on its way to another node.
                Err(Refusal::Busy { .. } | Refusal::Unavailable { .. } | Refusal::NotMine) => continue,
                Err(refusal) => return Err(refusal),
            };
        }
        Ok(found)
    }

    /// Makes an event durable, and waits for what it starts.
    pub(super) async fn ask_event(&self, event: CloudEvent, wait: Duration) -> Result<AskReply, Refusal> {
        let deadline = Instant::now() + wait;
        let newest = self.definitions.newest();
        let compiled = newest.iter().filter(|outline| outline.watching(&event.kind).next().is_some());
        let compiled: Vec<Arc<Definition>> =
            compiled.filter_map(|outline| self.definitions.get(&outline.id)).collect();
        let watching = compiled.iter().flat_map(|definition| {
            definition.triggers.iter().map(move |trigger| (definition.as_ref(), trigger))
        });
        let (matching, others): (Vec<_>, Vec<_>) = watching
            .filter_map(|(definition, trigger)| {
                Some((definition, trigger, watches(definition, trigger, &event)?))
            })
            .partition(|(_, _, matches)| *matches);
        let instances: Vec<AskedInstance> = matching
            .into_iter()
            .map(|(definition, trigger, _)| {
                let id = ids::instance_of_event(&trigger.name, &event.source, &event.id);
                AskedInstance::unseen(id, trigger.name.clone(), definition.id.to_string())
            })
            .collect();
        let nothing = instances.is_empty().then(|| why_nothing(&event, &others));
        let (source, id) = (event.source.clone(), event.id.clone());
        let durability = self.accept(vec![event]).await?.durability;
        let instances = join_all(instances.into_iter().map(|asked| self.answer_of(asked, deadline))).await;
        let complete = !instances.is_empty() && instances.iter().all(AskedInstance::answered);
        let detail = nothing.or_else(|| (!complete).then(|| missing(&instances, wait)));
        Ok(AskReply { source, id, durability, complete, instances, detail })
    }

    async fn answer_of(&self, mut asked: AskedInstance, deadline: Instant) -> AskedInstance {
        let mut looks = Looks::until(deadline);
        loop {
            // Whatever is not known now may be known at the next look.
            if let Ok(Some(detail)) = self.instance_of(&asked.id).await {
                asked = asked.seen(*detail);
            }
            if asked.answered() || !looks.next().await {
                return asked;
            }
        }
    }
}

/// Whether a trigger watches events of this type, and if so, whether this one starts an instance by itself. What a trigger
/// starts for several events together has an id that nobody knows before they are all there.
fn watches(definition: &Definition, trigger: &TriggerSpec, event: &CloudEvent) -> Option<bool> {
    let Watch::Event(consumption) = &trigger.watch else { return None };
    if consumption.types().is_some_and(|types| !types.contains(&event.kind)) {
        return None;
    }
    Some(!gathers(definition, consumption) && !match_event(consumption, event).filters.is_empty())
}

/// Whether a trigger starts an instance for several events together.
fn gathers(definition: &Definition, consumption: &Consumption) -> bool {
    consumption.strategy == Strategy::All
        || consumption.until.is_some()
        || definition.ops.events.threshold.is_some()
}

fn why_nothing(event: &CloudEvent, others: &[(&Definition, &TriggerSpec, bool)]) -> String {
    if others.is_empty() {
        return format!("no trigger watches events of the type '{}'", event.kind);
    }
    let named: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|(definition, trigger, _)| {
            let several = matches!(&trigger.watch, Watch::Event(all) if gathers(definition, all));
            let why = if several { ", which waits for several events" } else { "" };
            format!("{} ({}{why})", trigger.name, describe(definition, &trigger.watch))
        })
        .collect();
    let more = others.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("these triggers do not match the event: {}{more}", named.join(", "))
}

fn missing(instances: &[AskedInstance], wait: Duration) -> String {
    let unseen = instances.iter().filter(|asked| asked.status == "unknown").count();
    let open = instances.iter().filter(|asked| goes_on(&asked.status)).count();
    let wait = humantime::format_duration(wait);
    let unseen = match unseen {
        0 => String::new(),
        count => format!(
            "; {count} was not seen: its trigger may hold the event back, or the event was sent before and its instance is no \
             longer kept"
        ),
    };
    format!(
        "no answer of {open} within {wait}{unseen}; nothing is lost: ask again with the same source and id, or look at the \
         instances by their ids"
    )
}
