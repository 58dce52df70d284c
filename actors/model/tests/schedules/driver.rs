//! A trigger, and the time that passes for it.

use impresario_model::calendar::{Calendar, CalendarSpec};
use impresario_model::definition::Definition;
use impresario_model::encoding;
use impresario_model::entry::TriggerEvent;
use impresario_model::ids::{ActorId, instance_of_fire};
use impresario_model::instance::Moment;
use impresario_model::language::{Catalog, compile};
use impresario_model::trigger::{Choice, Trigger};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A schedule under test; its clock only goes where a test says.
pub(crate) struct Schedule {
    pub(crate) trigger: Trigger,
    pub(crate) definition: Definition,
    zone: String,
    calendar: Option<Box<Calendar>>,
    now: u64,
    count: u64,
}

pub(crate) fn millis(at: &str) -> u64 {
    at.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap()
}

pub(crate) fn spec(value: Value) -> CalendarSpec {
    serde_json::from_value(value).unwrap()
}

impl Schedule {
    /// Armed at a moment. `ops` are those of the triggers.
    pub(crate) fn new(schedule: &Value, ops: &Value, calendar: Option<Calendar>, at: &str) -> Self {
        let document = json!({
            "document": {
                "dsl": "1.0.3", "namespace": "test", "name": "tick", "version": "1.0.0",
                "metadata": { "ops": { "triggers": ops } },
            },
            "schedule": schedule,
            "do": [{ "done": { "set": { "ok": true } } }],
        });
        let definition = compile(&document.to_string(), &Catalog::default()).unwrap();
        let trigger = Trigger::new(&definition.triggers[0].name);
        let zone = ops["timezone"].as_str().unwrap_or("UTC").to_owned();
        let calendar = calendar.map(Box::new);
        let mut schedule = Schedule { trigger, definition, zone, calendar, now: millis(at), count: 0 };
        schedule.arm();
        schedule
    }

    /// Applies an event now: the instances that it starts.
    pub(crate) fn apply(&mut self, event: &TriggerEvent) -> Vec<String> {
        self.count += 1;
        let moment = Moment { offset: (self.now << 20) | self.count, now: self.now };
        // Between entries it may leave memory.
        let stored = encoding::encode(&self.trigger).unwrap();
        self.trigger = encoding::decode(&stored).unwrap();
        let messages = self.trigger.apply(event, Some(&self.definition), moment);
        messages.iter().map(|message| message.to.as_str().to_owned()).collect()
    }

    pub(crate) fn arm(&mut self) {
        let definition = self.definition.id.clone();
        let calendar = self.calendar.clone();
        self.apply(&TriggerEvent::Arm { definition, runtime: "0".to_owned(), calendar, generation: 0 });
    }

    /// Its calendar is another one from now on.
    pub(crate) fn change(&mut self, calendar: Calendar) {
        self.calendar = Some(Box::new(calendar));
        self.arm();
    }

    /// Time passes, with nobody there to see it.
    pub(crate) fn sleep_until(&mut self, at: &str) {
        self.now = self.now.max(millis(at));
    }

    /// Time passes up to a moment, and the trigger is woken whenever it is due: the nominal times for which it fired, as
    /// local times of its zone.
    pub(crate) fn run_until(&mut self, at: &str) -> Vec<String> {
        self.run(at).into_iter().map(|(_, nominal)| self.local(nominal)).collect()
    }

    /// As above: when it fired, and for which nominal time.
    pub(crate) fn run(&mut self, at: &str) -> Vec<(u64, u64)> {
        let until = millis(at);
        let mut fired = Vec::new();
        while let Some(due) = self.trigger.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let before = self.trigger.clone();
            for instance in self.apply(&TriggerEvent::Timer) {
                fired.push((self.now, nominal_of(&before, &self.trigger, &instance)));
            }
            assert!(self.trigger != before, "woken for nothing: {before:?}");
        }
        self.now = self.now.max(until);
        fired
    }

    pub(crate) fn approve(&mut self, plan: u64, choice: Choice) {
        assert_eq!(self.apply(&TriggerEvent::Approve { plan, choice }), Vec::<String>::new());
    }

    pub(crate) fn next(&self) -> Option<String> {
        self.trigger.next.map(|next| self.local(next))
    }

    fn local(&self, at: u64) -> String {
        let at = Timestamp::from_millisecond(at.try_into().unwrap()).unwrap().in_tz(&self.zone).unwrap();
        at.strftime("%F %T %:z").to_string()
    }
}

/// The nominal time from which the id of an instance is made: one of those that the trigger had before it.
fn nominal_of(before: &Trigger, after: &Trigger, instance: &str) -> u64 {
    let named = |at: &u64| ActorId::process(&instance_of_fire(&before.name, *at)).as_str() == instance;
    let owed = [before, after].into_iter().filter_map(|trigger| trigger.owed.as_ref());
    let owed = owed.flat_map(|owed| owed.times.iter().copied());
    let missed = after.missed.iter().flat_map(|missed| [missed.first, missed.last]);
    let known: Vec<u64> = before.next.into_iter().chain(owed).chain(missed).collect();
    if let Some(at) = known.iter().copied().find(|at| named(at)) {
        return at;
    }
    // Several in one turn: whole seconds, minutes or hours behind what was known, or just now.
    let last = after.last.unwrap();
    let from: Vec<u64> = known.into_iter().chain([last - last % 1_000 - 60_000]).collect();
    let near = [1_000, 60_000, 3_600_000]
        .into_iter()
        .flat_map(|step| from.iter().flat_map(move |from| (*from..=last).step_by(step).take(1_100)));
    near.into_iter().find(named).expect("the id of a nominal time")
}
