//! An entry that its actor fails on: that actor is set aside, and nothing else, until an operator says what to do.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use impresario_actors::behaviour::{Behaviour, BuiltinKinds, Inspection, Kinds, RowChanges, Unfit};
use impresario_actors::shard::{HELD_MAX, Order};
use impresario_model::definition::Definition;
use impresario_model::entry::{
    ActivityOutcome, Body, Entry, ProcessEvent, Remedy, Route, RouterEvent, TriggerEvent,
};
use impresario_model::event::CloudEvent;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Instance, Moment, Status, Unsettled};
use impresario_persistence::lossy::{CrashPoint, Side};
use impresario_persistence::{Row, RowIndex};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time, to_process, to_router};
use crate::support::outside::start_event;
use crate::support::scenario::definition_of;
use crate::support::world::World;

/// The product's actors, but for a defect: they panic when a report, or a reason to cancel or to pause, says `poison`.
struct Fragile {
    kinds: Arc<BuiltinKinds>,
    healed: Arc<AtomicBool>,
}

struct FragileBehaviour {
    inner: Box<dyn Behaviour>,
    healed: Arc<AtomicBool>,
}

impl Kinds for Fragile {
    fn load(&self, actor: &ActorId, rows: &[Row]) -> Result<Box<dyn Behaviour>, Unfit> {
        let inner = self.kinds.load(actor, rows)?;
        Ok(Box::new(FragileBehaviour { inner, healed: Arc::clone(&self.healed) }))
    }
}

fn poisonous(body: &Body) -> bool {
    match body {
        Body::Process(ProcessEvent::Cancel { reason }) | Body::Trigger(TriggerEvent::Pause { reason }) => {
            reason.as_deref() == Some("poison")
        }
        Body::Process(ProcessEvent::Report { outcome: ActivityOutcome::Completed(output), .. }) => {
            *output == json!("poison")
        }
        _ => false,
    }
}

impl Behaviour for FragileBehaviour {
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit> {
        if poisonous(body) && !self.healed.load(Ordering::SeqCst) {
            // A panic, but one that does not fill the log of the test.
            resume_unwind(Box::new("poison"));
        }
        self.inner.apply(body, moment)
    }
    fn due(&self) -> Option<u64> {
        self.inner.due()
    }
    fn attention(&self) -> bool {
        self.inner.attention()
    }
    fn ended(&self) -> bool {
        self.inner.ended()
    }
    fn parks(&self) -> bool {
        self.inner.parks()
    }
    fn status(&self) -> &'static str {
        self.inner.status()
    }
    fn unsettled(&self) -> Unsettled {
        self.inner.unsettled()
    }
    fn rows(&mut self) -> Result<RowChanges, Unfit> {
        self.inner.rows()
    }
    fn index(&self) -> RowIndex {
        self.inner.index()
    }
    fn inspect(&self) -> Inspection {
        self.inner.inspect()
    }
}

fn definition() -> Definition {
    definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "fragile", "version": "1.0.0" },
        "do": [
            { "first": { "set": { "n": 1 } } },
            { "pause": { "wait": "PT1M" } },
            { "ask": { "call": "work:1.0.0@default", "with": { "job": "ask" } } },
        ],
    }))
}

/// A node with one shard, an instance `sick`, and a neighbour `well`, both in their wait.
async fn node(point: Option<CrashPoint>, answers: &[Value]) -> (Node, Arc<AtomicBool>) {
    let definition = definition();
    let healed = Arc::new(AtomicBool::new(false));
    let kinds = Arc::new(Fragile { kinds: kinds_of(&[&definition]), healed: Arc::clone(&healed) });
    let answers = [("ask".to_owned(), answers.to_vec())].into();
    let setup = Setup { crash: point, world: World::new(&answers), ..Setup::new(1, kinds) };
    let mut node = Node::start(setup).await;
    for id in ["sick", "well"] {
        node.send(to_process(id, ProcessEvent::Start(Box::new(start_event(&definition, json!({}))))));
    }
    node.settle().await;
    (node, healed)
}

fn cancel(id: &str, reason: &str) -> impresario_model::entry::Entry {
    to_process(id, ProcessEvent::Cancel { reason: Some(reason.to_owned()) })
}

/// Why an actor was set aside, if it was.
async fn aside(node: &mut Node, id: &str) -> Option<String> {
    node.settle().await;
    let facts = node.engine.facts().await.unwrap();
    let mut facts = facts.into_iter().flat_map(|(_, facts)| facts);
    facts.find(|fact| fact.actor == format!("process/{id}")).and_then(|fact| fact.aside)
}

async fn order(node: &mut Node, remedy: Remedy) -> Result<(), String> {
    node.settle().await;
    let order = Order { actor: ActorId::process("sick"), entry: None, remedy };
    node.engine.take_back(order).await.map_err(|error| error.to_string())
}

async fn ended(node: &mut Node, id: &str) -> Instance {
    node.run_to_end(id).await
}

#[test]
fn only_the_actor_that_fails_is_set_aside_and_it_comes_back_when_told() {
    on_paused_time(async {
        let (mut node, healed) = node(None, &[json!({ "output": "fine" })]).await;
        node.send(cancel("sick", "poison"));
        node.send(cancel("sick", "later"));
        assert_eq!(aside(&mut node, "sick").await.as_deref(), Some("the actor panicked"));
        assert_eq!(ended(&mut node, "well").await.status, Status::Completed);
        let shown = node.instance("sick").await.unwrap();
        assert_eq!(shown.status, Status::Waiting, "what it did before is kept");
        assert_eq!(node.engine.facts().await.unwrap()[0].1.len(), 3, "sick, well, and the router");

        order(&mut node, Remedy::Retry).await.unwrap();
        assert!(aside(&mut node, "sick").await.is_some(), "it fails again");
        healed.store(true, Ordering::SeqCst);
        order(&mut node, Remedy::Retry).await.unwrap();
        let instance = ended(&mut node, "sick").await;
        assert_eq!(instance.status, Status::Cancelled);
        assert_eq!(
            instance.fault.unwrap().detail.as_deref(),
            Some("poison"),
            "in the order in which they came"
        );
        assert!(order(&mut node, Remedy::Skip).await.is_err(), "it is not there any more");
        node.engine.stop().await;
    });
}

#[test]
fn an_order_that_was_answered_survives_a_crash() {
    on_paused_time(async {
        let (mut node, _) = node(None, &[json!({ "output": "fine" })]).await;
        node.send(cancel("sick", "poison"));
        assert!(aside(&mut node, "sick").await.is_some());
        order(&mut node, Remedy::Skip).await.unwrap();
        node.restart().await;
        assert_eq!(aside(&mut node, "sick").await, None);
        let instance = ended(&mut node, "sick").await;
        assert_eq!(instance.status, Status::Completed, "its timer still wakes it");
        node.engine.stop().await;
    });
}

#[test]
fn a_report_that_is_skipped_leaves_nothing_waiting() {
    on_paused_time(async {
        let answers = [json!({ "output": "fine" }), json!([{ "output": "poison" }, { "output": "better" }])];
        let (mut node, _) = node(None, &answers).await;
        // `well` asks first; the other one gets the poison.
        node.send(cancel("well", "not needed"));
        node.settle().await;
        node.world.lock().unwrap().skip("ask");
        let due = node.instance("sick").await.unwrap().due();
        node.advance(due).await;
        assert!(aside(&mut node, "sick").await.is_some());
        order(&mut node, Remedy::Skip).await.unwrap();
        let instance = ended(&mut node, "sick").await;
        assert_eq!((instance.status, instance.output), (Status::Completed, Some(json!("better"))));
        node.engine.stop().await;
    });
}

/// The whole story, with a crash at every write of it.
async fn story(point: Option<CrashPoint>) -> (u64, usize) {
    let (mut node, _) = node(point, &[json!({ "output": "fine" })]).await;
    node.send(cancel("sick", "poison"));
    node.send(cancel("sick", "poison"));
    assert!(aside(&mut node, "sick").await.is_some());
    assert_eq!(ended(&mut node, "well").await.status, Status::Completed);
    // An order that was not answered is given again; one of them may have been carried out.
    while aside(&mut node, "sick").await.is_some() {
        let _ = order(&mut node, Remedy::Skip).await;
    }
    let instance = ended(&mut node, "sick").await;
    assert_eq!(instance.status, Status::Completed);
    assert_eq!(instance.output, Some(json!("fine")));
    let counts = (node.store.counts().total(), node.crashes);
    node.engine.stop().await;
    counts
}

#[test]
fn quarantine_survives_a_crash_at_every_write() {
    let (writes, _) = on_paused_time(story(None));
    for nth in 1..=writes {
        for side in [Side::Before, Side::After] {
            let point = CrashPoint { write: None, nth, side };
            let (_, crashes) = on_paused_time(story(Some(point)));
            assert!(crashes > 0, "{point:?}");
        }
    }
    println!("{} crash points", 2 * writes);
}

fn edited(reason: &str) -> Remedy {
    Remedy::Edit(Box::new(Body::Process(ProcessEvent::Cancel { reason: Some(reason.to_owned()) })))
}

#[test]
fn an_entry_that_was_edited_is_applied_in_its_place() {
    on_paused_time(async {
        let (mut node, _) = node(None, &[json!({ "output": "fine" })]).await;
        node.send(cancel("sick", "poison"));
        node.send(cancel("sick", "later"));
        assert!(aside(&mut node, "sick").await.is_some());
        let shown = node.engine.aside(0).await.unwrap().remove(0);
        let entry = shown.entry.unwrap();
        assert_eq!((shown.actor.as_str(), shown.held, shown.dropped), ("process/sick", 1, 0));
        assert!(poisonous(&entry.body));
        let elsewhere =
            Order { actor: ActorId::process("sick"), entry: Some(entry.offset + 1), remedy: Remedy::Skip };
        let refused = node.engine.take_back(elsewhere).await.unwrap_err().to_string();
        assert!(refused.starts_with("expected the entry that 'process/sick' fails on"), "{refused}");
        order(&mut node, edited("mended")).await.unwrap();
        let instance = ended(&mut node, "sick").await;
        assert_eq!(instance.fault.unwrap().detail.as_deref(), Some("mended"), "before what came later");
        node.engine.stop().await;
    });
}

#[test]
fn what_is_held_is_bounded() {
    on_paused_time(async {
        let (mut node, healed) = node(None, &[json!({ "output": "fine" })]).await;
        node.send(cancel("sick", "poison"));
        (0..HELD_MAX + 4).for_each(|number| node.send(cancel("sick", &number.to_string())));
        assert!(aside(&mut node, "sick").await.is_some());
        let shown = node.engine.aside(0).await.unwrap().remove(0);
        assert_eq!((shown.held, shown.dropped), (HELD_MAX - 1, 5));
        healed.store(true, Ordering::SeqCst);
        order(&mut node, Remedy::Retry).await.unwrap();
        assert_eq!(ended(&mut node, "sick").await.fault.unwrap().detail.as_deref(), Some("poison"));
        node.engine.stop().await;
    });
}

/// A trigger that fails on an order, while events come for it. They start one instance each, and are counted once.
async fn events_story(point: Option<CrashPoint>) -> (u64, usize) {
    let definition = definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "started", "version": "1.0.0" },
        "schedule": { "on": { "one": { "with": { "type": "seen" } } } },
        "do": [{ "note": { "set": { "id": "${ .[0].id }" } } }],
    }));
    let kinds = Arc::new(Fragile { kinds: kinds_of(&[&definition]), healed: Arc::default() });
    let mut node = Node::start(Setup { crash: point, ..Setup::new(2, kinds) }).await;
    let actor = ActorId::trigger(&definition.triggers[0].name);
    let tell = |node: &mut Node, event: TriggerEvent| {
        node.send(Entry { to: actor.clone(), origin: None, body: Body::Trigger(event) });
    };
    let id = definition.id.clone();
    tell(
        &mut node,
        TriggerEvent::Arm { definition: id, runtime: "0".to_owned(), calendar: None, generation: 0 },
    );
    tell(&mut node, TriggerEvent::Pause { reason: Some("poison".to_owned()) });
    let route = Route { trigger: actor.key().to_owned(), types: None };
    for shard in 0..2 {
        let body = Body::Router(RouterEvent::Routes(vec![route.clone()]));
        node.send(Entry { to: ActorId::router(shard), origin: None, body });
    }
    node.settle().await;
    for number in 0..3 {
        let event = json!({ "specversion": "1.0", "id": number.to_string(), "source": "/s", "type": "seen" });
        node.send(to_router(CloudEvent::from_json(event).unwrap(), 2));
    }
    loop {
        node.settle().await;
        let shard = actor.shard(2);
        let aside = node.engine.aside(shard).await.unwrap();
        if aside.is_empty() {
            break;
        }
        let remedy = Remedy::Edit(Box::new(Body::Trigger(TriggerEvent::Resume)));
        let entry = aside[0].entry.as_ref().map(|entry| entry.offset);
        // One that was not answered may have been carried out.
        let _ = node.engine.take_back(Order { actor: actor.clone(), entry, remedy }).await;
    }
    node.answered().await;
    let Inspection::Trigger(trigger) = node.inspect(&actor).await else { panic!("no trigger") };
    assert_eq!(trigger.fired, 3, "{point:?}");
    for number in 0..3 {
        let id = impresario_model::ids::instance_of_event(&trigger.name, "/s", &number.to_string());
        assert_eq!(node.run_to_end(&id).await.status, Status::Completed, "{point:?}");
    }
    let counts = (node.store.counts().total(), node.crashes);
    node.engine.stop().await;
    counts
}

#[test]
fn an_order_is_carried_out_once_whatever_crashes() {
    let (writes, _) = on_paused_time(events_story(None));
    for nth in 1..=writes {
        for side in [Side::Before, Side::After] {
            let point = CrashPoint { write: None, nth, side };
            let (_, crashes) = on_paused_time(events_story(Some(point)));
            assert!(crashes > 0, "{point:?}");
        }
    }
    println!("{} crash points", 2 * writes);
}
