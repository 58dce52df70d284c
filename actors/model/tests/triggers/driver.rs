//! An event trigger, the events that come, and the time that passes.

use impresario_model::calendar::Calendar;
use impresario_model::definition::Definition;
use impresario_model::encoding;
use impresario_model::entry::{Body, FireOrder, Message, ProcessEvent, TriggerEvent};
use impresario_model::event::CloudEvent;
use impresario_model::instance::Moment;
use impresario_model::language::{Catalog, compile};
use impresario_model::trigger::Trigger;
use serde_json::{Value, json};

/// Thursday, 1 January 2026, 12:00 UTC.
pub(crate) const NOON: u64 = 1_767_268_800_000;

/// A trigger under test.
pub(crate) struct Watcher {
    pub(crate) trigger: Trigger,
    pub(crate) definition: Definition,
    pub(crate) now: u64,
    count: u64,
}

/// A definition with `schedule.on`, and the options of its triggers.
pub(crate) fn document(schedule: &Value, options: &Value) -> String {
    json!({
        "document": {
            "dsl": "1.0.3", "namespace": "test", "name": "watch", "version": "1.0.0",
            "metadata": { "ops": { "triggers": options } },
        },
        "schedule": schedule,
        "do": [{ "done": { "set": { "ok": true } } }],
    })
    .to_string()
}

/// An event of a type, with data.
pub(crate) fn event(kind: &str, id: impl ToString, data: &Value) -> CloudEvent {
    CloudEvent::from_json(json!({
        "specversion": "1.0", "id": id.to_string(), "source": "/s", "type": kind, "data": data,
    }))
    .unwrap()
}

impl Watcher {
    pub(crate) fn new(on: &Value, options: &Value) -> Self {
        Self::reading(&json!({ "on": on }), options, None)
    }

    /// With `read` beside `on`, and a calendar.
    pub(crate) fn reading(schedule: &Value, options: &Value, calendar: Option<Calendar>) -> Self {
        let definition = compile(&document(schedule, options), &Catalog::default())
            .map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
            .unwrap();
        let trigger = Trigger::new(&definition.triggers[0].name);
        let mut watcher = Watcher { trigger, definition, now: NOON, count: 0 };
        watcher.arm(calendar);
        watcher
    }

    pub(crate) fn arm(&mut self, calendar: Option<Calendar>) {
        let definition = self.definition.id.clone();
        let calendar = calendar.map(Box::new);
        self.apply(&TriggerEvent::Arm { definition, runtime: "0".to_owned(), calendar, generation: 0 });
    }

    /// Its definition is another one from now on.
    pub(crate) fn deploy(&mut self, on: &Value, options: &Value) {
        self.definition = compile(&document(&json!({ "on": on }), options), &Catalog::default()).unwrap();
        self.arm(None);
    }

    /// Applies an entry now. Between entries it is stored and read again.
    pub(crate) fn apply(&mut self, event: &TriggerEvent) -> Vec<Message> {
        self.count += 1;
        let moment = Moment { offset: (self.now << 20) | self.count, now: self.now };
        let stored = encoding::encode(&self.trigger).unwrap();
        self.trigger = encoding::decode(&stored).unwrap();
        let known = self.trigger.needs(event).map(|_| &self.definition);
        let told = self.trigger.apply(event, known, moment);
        // The same entry again, as a replay gives it, changes nothing.
        let before = self.trigger.clone();
        assert!(self.trigger.apply(event, Some(&self.definition), moment).is_empty());
        assert_eq!(self.trigger, before);
        told
    }

    /// An event comes: the inputs of the instances that it starts.
    pub(crate) fn see(&mut self, event: CloudEvent) -> Vec<Value> {
        inputs(self.apply(&TriggerEvent::Event(Box::new(event))))
    }

    /// Several events come: for each, the ids in the inputs of the instances that it starts, as `a+b`.
    pub(crate) fn ids(&mut self, events: impl IntoIterator<Item = CloudEvent>) -> Vec<Vec<String>> {
        let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
        let joined = |input: &Value| input.as_array().unwrap().iter().map(id).collect::<Vec<_>>().join("+");
        events.into_iter().map(|event| self.see(event).iter().map(joined).collect()).collect()
    }

    pub(crate) fn fire(&mut self, instance: &str, input: Value) -> Vec<Message> {
        self.apply(&TriggerEvent::Fire(Box::new(FireOrder { instance: instance.to_owned(), input })))
    }
}

/// The inputs of starts.
pub(crate) fn inputs(messages: Vec<Message>) -> Vec<Value> {
    let input = |message: Message| match message.body {
        Body::Process(ProcessEvent::Start(start)) => start.input,
        other => panic!("{other:?}"),
    };
    messages.into_iter().map(input).collect()
}
