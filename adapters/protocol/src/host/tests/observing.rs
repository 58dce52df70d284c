//! Watches: from the cursor on, never too far ahead, and silent once they are answered.

use super::*;

impl Node {
    async fn watch(&mut self, watch: &str, function: &str, cursor: Option<Value>) {
        let (watch, function) = (watch.into(), function.into());
        self.say(NodeMessage::Watch(Watch { watch, function, cursor, ..Watch::default() })).await;
    }

    async fn unwatch(&mut self, watch: &str) {
        self.say(NodeMessage::Unwatch(Unwatch { watch: watch.into() })).await;
    }

    async fn taken(&mut self, watch: &str, count: u64) {
        let cursor = Some((count - 1).into());
        self.say(NodeMessage::Taken(Taken { watch: watch.into(), count, cursor })).await;
    }

    async fn event(&mut self, watch: &str) -> u64 {
        let HostMessage::Event(observed) = self.next().await else { panic!("an event") };
        assert_eq!(observed.watch, watch);
        let cursor = observed.cursor.unwrap().as_u64().unwrap();
        assert_eq!(observed.event, Some(json!({"id": cursor.to_string()})));
        cursor
    }

    async fn events(&mut self, watch: &str, numbers: std::ops::Range<u64>) {
        for number in numbers {
            assert_eq!(self.event(watch).await, number);
        }
    }

    async fn ended(&mut self, watch: &str) {
        let answer = Answer { id: Some(watch.into()), outcome: Ok(json!({})) };
        assert_eq!(self.answer().await, answer);
    }
}

#[tokio::test]
async fn a_watch_is_never_too_far_ahead_of_what_is_durable() {
    let mut node = Node::start().await;
    node.watch("w", "count", None).await;
    node.events("w", 0..EVENTS_AHEAD_MAX).await;
    node.ping().await;
    node.taken("w", 3).await;
    node.events("w", EVENTS_AHEAD_MAX..EVENTS_AHEAD_MAX + 3).await;
    // What was taken before says nothing new.
    node.taken("w", 2).await;
    node.ping().await;
    node.unwatch("w").await;
    node.ended("w").await;
    node.actor.dropped.notified().await;
}

#[tokio::test]
async fn a_watch_goes_on_from_its_cursor_and_others_beside_it() {
    let mut node = Node::start().await;
    node.watch("w", "count", Some(json!(41))).await;
    node.events("w", 42..42 + EVENTS_AHEAD_MAX).await;
    // It is under way, so it is not begun again.
    node.watch("w", "count", None).await;
    node.watch("v", "count", Some(json!(6))).await;
    node.events("v", 7..7 + EVENTS_AHEAD_MAX).await;
    // Runs have their own places beside it.
    node.run("1", "echo").await;
    assert_eq!(node.answer().await.id.as_deref(), Some("1"));
    node.unwatch("w").await;
    node.ended("w").await;
    // Its name is free again.
    node.watch("w", "count", None).await;
    node.events("w", 0..EVENTS_AHEAD_MAX).await;
    node.unwatch("nobody").await;
    node.ping().await;
}

#[tokio::test]
async fn a_watch_that_cannot_go_on_is_a_failure() {
    let mut node = Node::start().await;
    node.watch("w", "break", None).await;
    assert_eq!(node.failure("w").await.detail.as_deref(), Some("out of sight"));
    for function in ["echo", "unheard"] {
        node.watch("w", function, None).await;
        let failure = node.failure("w").await;
        assert_eq!(failure.kind, Failure::CONFIGURATION);
        assert!(failure.detail.unwrap().contains("count"));
    }
    node.run("1", "count").await;
    assert_eq!(node.failure("1").await.kind, Failure::CONFIGURATION);
}

#[tokio::test]
async fn shutting_down_ends_the_watches() {
    let mut node = Node::start().await;
    node.watch("w", "count", None).await;
    node.events("w", 0..EVENTS_AHEAD_MAX).await;
    node.say(NodeMessage::Shutdown).await;
    node.ended("w").await;
    assert!(node.from.next().await.unwrap().is_none());
    assert_eq!(node.host.await.unwrap(), ExitReason::Drained);
}

#[tokio::test]
async fn the_end_of_the_input_drops_watches() {
    let mut node = Node::start().await;
    node.watch("w", "count", None).await;
    node.events("w", 0..1).await;
    drop(node.to);
    assert_eq!(node.host.await.unwrap(), ExitReason::InputClosed);
    node.actor.dropped.notified().await;
}

#[tokio::test]
async fn beyond_so_many_watches_the_host_is_busy() {
    let mut node = Node::with_pipe(4 * 1024 * 1024).await;
    for number in 0..WATCHES_MAX {
        node.watch(&format!("{number}"), "count", None).await;
    }
    node.watch("one too many", "count", None).await;
    let refused = loop {
        if let HostMessage::Answer(answer) = node.next().await {
            break answer;
        }
    };
    assert_eq!(refused.id.as_deref(), Some("one too many"));
    assert_eq!(refused.outcome.unwrap_err().code, ErrorObject::BUSY);
}
