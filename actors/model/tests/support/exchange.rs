//! Events on their way to one instance, in memory: a router, and the subscriptions behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use impresario_model::correlation;
use impresario_model::definition::Definition;
use impresario_model::encoding;
use impresario_model::entry::{Body, Message, RouterEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::instance::Moment;
use impresario_model::router::{Router, RouterSnapshot, Window};
use impresario_model::subscription::{Subscription, SubscriptionEvent};

/// A router, and the subscriptions behind it.
pub struct Exchange {
    definition: Arc<Definition>,
    router: Router,
    subscriptions: BTreeMap<String, Subscription>,
    offset: u64,
}

impl Exchange {
    /// With the listeners of a definition.
    pub fn new(definition: &Definition) -> Self {
        let window = Window { millis: 3_600_000, count: 10_000 };
        let mut exchange = Exchange {
            definition: Arc::new(definition.clone()),
            router: Router::new(RouterSnapshot::default(), Vec::new(), window),
            subscriptions: BTreeMap::new(),
            offset: 0,
        };
        let listeners = RouterEvent::Listeners(correlation::routes([definition]));
        exchange.apply(Message { to: ActorId::router(0), body: Body::Router(listeners) }, 0);
        exchange
    }

    /// What an event is to the router.
    pub fn incoming(event: CloudEvent) -> Message {
        Message { to: ActorId::router(0), body: Body::Router(RouterEvent::Event(Box::new(event))) }
    }

    /// Applies a message to whom it is for, unless that is the instance: what is sent on.
    pub fn apply(&mut self, message: Message, now: u64) -> Vec<Message> {
        self.offset += 1;
        let moment = Moment { offset: self.offset, now };
        match &message.body {
            Body::Router(event) => {
                let definition = &self.definition;
                let find = |id: &_| (definition.id == *id).then(|| Arc::clone(definition));
                self.router.apply(event, &find, moment).unwrap()
            }
            Body::Subscription(event) => {
                assert_eq!(message.to.kind(), Some(ActorKind::Subscription));
                let key = message.to.key().to_owned();
                let mut subscription = self.subscriptions.remove(&key).unwrap_or_default();
                let sent = subscription.apply(&key, event, moment);
                let stored = encoding::encode(&subscription).unwrap();
                assert!(encoding::decode::<Subscription>(&stored).unwrap() == subscription);
                if !subscription.is_empty() {
                    self.subscriptions.insert(key, subscription);
                }
                sent
            }
            other => panic!("not for the exchange: {other:?}"),
        }
    }

    /// Once nobody listens any more, nothing is left but what is kept for a while, and then nothing at all.
    pub fn check_left(&mut self) {
        for (key, subscription) in std::mem::take(&mut self.subscriptions) {
            assert_eq!(subscription.subscribers, [], "somebody listens at {key} ({})", subscription.about);
            let due = subscription.due().expect("it is kept for its events");
            self.subscriptions.insert(key.clone(), subscription);
            let body = Body::Subscription(SubscriptionEvent::Timer);
            self.apply(Message { to: ActorId::subscription(&key), body }, due);
        }
        assert!(self.subscriptions.is_empty(), "{:?}", self.subscriptions.keys());
    }
}
