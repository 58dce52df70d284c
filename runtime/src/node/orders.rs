//! An operator's orders about instances: decisions about activities in doubt, and reruns.

use std::time::Duration;

use impresario_model::doubt::{Decision, Resolution};
use impresario_model::entry::{Body, Entry, ProcessEvent};
use impresario_model::ids::{self, ActorId, MAX_KEY_BYTES};
use impresario_model::instance::token_of;
use impresario_model::rerun::RerunOrder;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::local::Local;
use crate::orchestrator::{ActivityDetail, InstanceDetail, Refusal, Started};
use crate::orders::{RerunRequest, ResolveReply, ResolveRequest};

/// How long a door waits for an order to be carried out once it is durable.
const CARRIED_OUT: Duration = Duration::from_secs(5);
/// How long before it looks again.
const PAUSE: Duration = Duration::from_millis(20);

impl Local {
    /// Decides about an activity in doubt.
    pub(super) async fn resolve_activity(
        &self,
        id: &str,
        number: u64,
        request: ResolveRequest,
    ) -> Result<ResolveReply, Refusal> {
        let instance = self.find_instance(id).await?;
        let id = instance.summary.id.clone();
        let ResolveRequest { decision: word, attempt: meant, ref key, .. } = request;
        let key = key.clone();
        check_key(key.as_deref())?;
        let decision = request.into_decision()?;
        let before = match &key {
            None => None,
            Some(key) => decided_before(&instance, number, key, &decision, meant)?,
        };
        if let Some(attempt) = before {
            let durability = self.tier();
            return Ok(ResolveReply { id, activity: number, attempt, decision: word, durability });
        }
        let attempt = in_doubt(&instance, number, meant)?.attempts;
        let mine = match &key {
            None => Uuid::new_v4().to_string(),
            Some(key) => decision_id(&id, number, key, &decision),
        };
        let token = token_of(&id, number, attempt);
        let resolution = Resolution { id: mine.clone(), activity: number, token, decision };
        self.post_to(&id, ProcessEvent::Resolve(Box::new(resolution))).await?;
        let deadline = Instant::now() + CARRIED_OUT;
        loop {
            let shown = self.find_instance(&id).await?;
            let activity = activity_of(&shown, number)?;
            match &activity.resolved {
                Some(counted) if counted.id == mine => {
                    let durability = self.tier();
                    return Ok(ResolveReply { id, activity: number, attempt, decision: word, durability });
                }
                // It may not be applied yet, at a node that has just taken the instance over.
                _ if activity.status == "uncertain" && activity.attempts == attempt => {}
                _ => return Err(not_in_doubt(&id, activity)),
            }
            if Instant::now() >= deadline {
                return Err(Refusal::later(
                    "the decision is durable and not carried out yet: look at the instance",
                ));
            }
            sleep(PAUSE).await;
        }
    }

    /// Has an instance run again.
    pub(super) async fn rerun_instance(&self, id: &str, request: RerunRequest) -> Result<Started, Refusal> {
        let old = self.find_instance(id).await?;
        let of = old.summary.id.clone();
        if let Some(from) = &request.from {
            reached(&old, from)?;
        }
        let RerunRequest { from, input, key } = request;
        check_key(key.as_deref())?;
        let new = match &key {
            None => Uuid::now_v7().to_string(),
            Some(key) => ids::instance_of_rerun(&of, key),
        };
        let started = |created| Started {
            id: new.clone(),
            definition: old.summary.definition.clone(),
            created,
            durability: self.tier(),
        };
        if let Some(known) = self.instance_of(&new).await? {
            let same_input = from.is_some() || known.input == *input.as_ref().unwrap_or(&old.input);
            if known.began_at != from || !same_input {
                return Err(Refusal::Conflict(format!(
                    "the key '{}' has run it again as {new}, from another point or with another input: use another key",
                    key.unwrap_or_default()
                )));
            }
            return Ok(started(false));
        }
        let runtime = env!("CARGO_PKG_VERSION").to_owned();
        let order = RerunOrder { instance: new.clone(), from, input, key, runtime };
        self.post_to(&of, ProcessEvent::Rerun(Box::new(order))).await?;
        // The instance itself starts the new one, by a message.
        let deadline = Instant::now() + CARRIED_OUT;
        while self.instance_of(&new).await?.is_none() {
            if Instant::now() >= deadline {
                return Err(Refusal::later(format!(
                    "it is durable and not begun yet: it will be instance {new}"
                )));
            }
            sleep(PAUSE).await;
        }
        Ok(started(true))
    }

    async fn post_to(&self, id: &str, event: ProcessEvent) -> Result<(), Refusal> {
        let entry = Entry { to: ActorId::process(id), origin: None, body: Body::Process(event) };
        self.post(&[entry]).await
    }
}

/// Refuses a key that is too short or too long.
pub(super) fn check_key(key: Option<&str>) -> Result<(), Refusal> {
    match key.map(str::len).filter(|length| !(1..=MAX_KEY_BYTES).contains(length)) {
        None => Ok(()),
        Some(found) => Err(Refusal::Invalid(format!(
            "expected an idempotency key of 1 to {MAX_KEY_BYTES} bytes, found {found}"
        ))),
    }
}

/// The id of a decision with a key: what the key gives, and what was decided. The instance keeps it, so a repetition is
/// recognised at any node.
fn decision_id(instance: &str, activity: u64, key: &str, decision: &Decision) -> String {
    let content = Sha256::digest(serde_json::to_vec(decision).unwrap_or_default());
    let content: String = content.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{content}", ids::decision_of_key(instance, activity, key))
}

/// The attempt that the same decision with the same key was about before, if it counted.
fn decided_before(
    instance: &InstanceDetail,
    number: u64,
    key: &str,
    decision: &Decision,
    meant: Option<u32>,
) -> Result<Option<u32>, Refusal> {
    let id = &instance.summary.id;
    let Some(resolved) = activity_of(instance, number)?.resolved.as_ref() else { return Ok(None) };
    if !resolved.id.starts_with(&ids::decision_of_key(id, number, key)) {
        return Ok(None);
    }
    let same = resolved.id == decision_id(id, number, key, decision);
    match same && meant.is_none_or(|meant| meant == resolved.attempt) {
        true => Ok(Some(resolved.attempt)),
        false => Err(Refusal::Conflict(format!(
            "the key '{key}' has decided otherwise about attempt {} of activity {number}: {}; use another key",
            resolved.attempt, resolved.decision
        ))),
    }
}

fn activity_of(instance: &InstanceDetail, number: u64) -> Result<&ActivityDetail, Refusal> {
    let id = &instance.summary.id;
    instance.activities.iter().find(|activity| activity.number == number).ok_or_else(|| {
        Refusal::NotFound(format!(
            "expected an activity of instance {id}, found {number}, which it does not have or keeps no longer"
        ))
    })
}

/// The activity, if somebody has to decide about it, and it is the attempt that was meant.
fn in_doubt(
    instance: &InstanceDetail,
    number: u64,
    attempt: Option<u32>,
) -> Result<&ActivityDetail, Refusal> {
    let activity = activity_of(instance, number)?;
    if activity.status != "uncertain" {
        return Err(not_in_doubt(&instance.summary.id, activity));
    }
    match attempt {
        Some(attempt) if attempt != activity.attempts => Err(Refusal::Conflict(format!(
            "attempt {attempt} of activity {number} is not in doubt: attempt {} is",
            activity.attempts
        ))),
        _ => Ok(activity),
    }
}

fn not_in_doubt(id: &str, activity: &ActivityDetail) -> Refusal {
    let before = activity.resolved.as_ref().map_or_else(String::new, |resolved| {
        let (attempt, at) = (resolved.attempt, &resolved.at);
        format!("; of its attempt {attempt} it was decided at {at}: {}", resolved.decision)
    });
    Refusal::Conflict(format!(
        "expected an activity that is uncertain, found activity {} of instance {id}, which is {}{before}",
        activity.number, activity.status
    ))
}

/// Whether an instance can run again from a start point.
fn reached(instance: &InstanceDetail, from: &str) -> Result<(), Refusal> {
    let known: Vec<&str> = instance.start_points.iter().map(|point| point.id.as_str()).collect();
    let words = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
    let point = instance.start_points.iter().find(|point| point.id == from).ok_or_else(|| {
        Refusal::NotFound(format!("expected a start point of the instance ({words}), found '{from}'"))
    })?;
    match point.data.as_str() {
        "kept" => Ok(()),
        "too large" => Err(Refusal::Conflict(format!(
            "the data that was there at '{from}' was too much to keep: run it again from another start point, or from \
             the beginning"
        ))),
        _ => Err(Refusal::Conflict(format!(
            "the instance never came to '{from}': there is no data to begin with"
        ))),
    }
}
