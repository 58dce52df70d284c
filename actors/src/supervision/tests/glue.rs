//! Real actors under a real supervisor; the clock is paused, so a wait costs nothing and is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use crate::supervision::{
    Backoff, Child, ChildSpec, ChildState, Intensity, Regime, Restart, Supervisor, SupervisorError,
    SupervisorSettings,
};

const S: Duration = Duration::from_secs(1);

enum Blow {
    Fail,
    Panic,
    Hang,
}

#[derive(Debug, PartialEq)]
enum Note {
    Started(&'static str, u32),
    Stopped(&'static str),
}

/// Says when it starts and stops, and can be hurt.
struct Probe {
    name: &'static str,
    notes: mpsc::Sender<(Note, Option<ActorRef<Blow>>)>,
}

impl Actor for Probe {
    type Msg = Blow;
    type State = ();
    type Arguments = (u32, u32);

    async fn pre_start(
        &self,
        myself: ActorRef<Blow>,
        (nth, bad): (u32, u32),
    ) -> Result<(), ActorProcessingErr> {
        self.notes.send((Note::Started(self.name, nth), Some(myself))).await?;
        if nth <= bad { Err("not today".into()) } else { Ok(()) }
    }

    async fn handle(&self, _: ActorRef<Blow>, blow: Blow, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match blow {
            Blow::Fail => Err("failed".into()),
            Blow::Panic => panic!("panicked"),
            Blow::Hang => std::future::pending().await,
        }
    }

    async fn post_stop(&self, _: ActorRef<Blow>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.notes.send((Note::Stopped(self.name), None)).await?;
        Ok(())
    }
}

type Notes = mpsc::Receiver<(Note, Option<ActorRef<Blow>>)>;

struct Bench {
    sender: mpsc::Sender<(Note, Option<ActorRef<Blow>>)>,
    notes: Notes,
}

impl Bench {
    fn new() -> Self {
        let (sender, notes) = mpsc::channel(64);
        Self { sender, notes }
    }

    /// A child whose first `bad` starts fail.
    fn child(&self, name: &'static str, bad: u32) -> Child {
        let spec = ChildSpec {
            name: name.into(),
            kind: "probe",
            restart: Restart::Permanent,
            intensity: Intensity { restarts: 2, period: 100 * S },
            backoff: Backoff { initial: S, max: 10 * S, jitter: 0.0 },
            shutdown: 5 * S,
        };
        let (notes, starts) = (self.sender.clone(), Arc::new(AtomicU32::new(0)));
        let start = move |supervisor| -> crate::supervision::Starting {
            let (notes, nth) = (notes.clone(), starts.fetch_add(1, Ordering::Relaxed) + 1);
            Box::pin(async move {
                Ok(Actor::spawn_linked(None, Probe { name, notes }, (nth, bad), supervisor)
                    .await?
                    .0
                    .get_cell())
            })
        };
        Child { spec, start: Arc::new(start) }
    }

    async fn started(&mut self, name: &'static str, nth: u32) -> ActorRef<Blow> {
        let (note, actor) = self.notes.recv().await.unwrap();
        assert_eq!(note, Note::Started(name, nth));
        actor.unwrap()
    }

    async fn stopped(&mut self, name: &'static str) {
        assert_eq!(self.notes.recv().await.unwrap().0, Note::Stopped(name));
    }
}

fn settings(regime: Regime) -> SupervisorSettings {
    SupervisorSettings { name: "test".into(), regime, seed: 0, children_max: 4, observer: None }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_a_child_it_is_started_again_after_its_wait_and_its_sibling_is_not() {
    let mut bench = Bench::new();
    let children = vec![bench.child("a", 0), bench.child("b", 0)];
    let supervisor = Supervisor::start(settings(Regime::Escalate), children, None).await.unwrap();
    let a = bench.started("a", 1).await;
    let b = bench.started("b", 1).await;

    let before = Instant::now();
    a.cast(Blow::Fail).unwrap();
    let a = bench.started("a", 2).await;
    assert_eq!(before.elapsed().as_secs(), 1);
    a.cast(Blow::Panic).unwrap();
    bench.started("a", 3).await;
    assert_eq!(before.elapsed().as_secs(), 3);
    b.kill();
    bench.started("b", 2).await;

    let tree = supervisor.tree();
    let seen: Vec<_> = tree.iter().map(|child| (child.name.as_str(), child.restarts)).collect();
    assert_eq!(seen, [("a", 2), ("b", 1)]);
    assert_eq!(tree[0].last_error.as_deref(), Some("panicked"));
    assert_eq!(tree[1].last_error.as_deref(), Some("was killed"));
    supervisor.stop().await;
    bench.stopped("b").await;
    bench.stopped("a").await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_counts_as_an_end_and_the_next_child_is_started_meanwhile() {
    let mut bench = Bench::new();
    let children = vec![bench.child("a", 1), bench.child("b", 0)];
    let supervisor = Supervisor::start(settings(Regime::Escalate), children, None).await.unwrap();
    bench.started("a", 1).await;
    bench.started("b", 1).await;
    assert!(matches!(supervisor.tree()[0].state, ChildState::Restarting { at } if at >= S));
    bench.started("a", 2).await;
    assert!(supervisor.tree()[0].last_error.as_deref().unwrap().contains("not today"));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_panics_or_hangs_does_not_take_the_supervisor_along() {
    let mut bench = Bench::new();
    let supervisor = Supervisor::start(settings(Regime::Quarantine), vec![], None).await.unwrap();
    let panics = Child { start: Arc::new(|_| panic!("in the start function")), ..bench.child("panics", 0) };
    let hangs = Child { start: Arc::new(|_| Box::pin(std::future::pending())), ..bench.child("hangs", 0) };
    supervisor.add(panics).await.unwrap();
    supervisor.add(hangs).await.unwrap();
    supervisor.add(bench.child("a", 0)).await.unwrap();
    bench.started("a", 1).await;
    let tree = supervisor.tree();
    assert!(tree[0].last_error.as_deref().unwrap().contains("start function panicked"));
    assert!(tree[1].last_error.as_deref().unwrap().contains("not started within"));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_intensity_infrastructure_stops_its_siblings_and_tells_the_owner() {
    let mut bench = Bench::new();
    let children = vec![bench.child("a", 0), bench.child("b", 9)];
    let (told, mut owner_hears) = mpsc::channel(1);
    let owner = Actor::spawn(None, Owner(told), ()).await.unwrap().0;
    let supervisor =
        Supervisor::start(settings(Regime::Escalate), children, Some(owner.get_cell())).await.unwrap();
    bench.started("a", 1).await;
    for nth in 1..=3 {
        bench.started("b", nth).await;
    }
    bench.stopped("a").await;
    let reason = supervisor.ended().await.unwrap();
    assert!(reason.starts_with("b: could not be started"), "{reason}");
    assert_eq!(owner_hears.recv().await.unwrap(), reason);
    assert!(matches!(supervisor.add(bench.child("c", 0)).await, Err(SupervisorError::Ended)));
}

/// Hears how its child, the supervisor, ended.
struct Owner(mpsc::Sender<String>);

impl Actor for Owner {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: ractor::SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let Some((_, reason)) = crate::supervision::ExitReason::decode(&event) {
            assert!(reason.is_abnormal());
            self.0.send(reason.to_string()).await?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_intensity_a_user_child_is_set_aside_until_released() {
    let mut bench = Bench::new();
    let mut quarantined = settings(Regime::Quarantine);
    let (told, mut decisions) = mpsc::channel(8);
    quarantined.observer = Some(Arc::new(move |name, _, action| {
        told.try_send((name.to_owned(), action.clone())).unwrap();
    }));
    let children = vec![bench.child("a", 0), bench.child("b", 3)];
    let supervisor = Supervisor::start(quarantined, children, None).await.unwrap();
    let a = bench.started("a", 1).await;
    for nth in 1..=3 {
        bench.started("b", nth).await;
    }
    for _ in 0..3 {
        assert_eq!(decisions.recv().await.unwrap().0, "b");
    }
    assert!(matches!(supervisor.tree()[1].state, ChildState::Quarantined { .. }));
    assert!(matches!(supervisor.release("a").await, Err(SupervisorError::NoSuchChild(_))));
    supervisor.release("b").await.unwrap();
    bench.started("b", 4).await;
    a.cast(Blow::Fail).unwrap();
    bench.started("a", 2).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_goes_in_reverse_and_a_child_that_hangs_is_killed_at_its_limit() {
    let mut bench = Bench::new();
    let children = vec![bench.child("a", 0), bench.child("b", 0), bench.child("c", 0)];
    let supervisor = Supervisor::start(settings(Regime::Escalate), children, None).await.unwrap();
    bench.started("a", 1).await;
    let b = bench.started("b", 1).await;
    bench.started("c", 1).await;
    b.cast(Blow::Hang).unwrap();
    let before = Instant::now();
    supervisor.stop().await;
    assert_eq!(before.elapsed().as_secs(), 5);
    bench.stopped("c").await;
    bench.stopped("a").await;
    assert!(supervisor.tree().is_empty());
    assert_eq!(supervisor.ended().await, None, "it was asked to");
}

#[tokio::test(start_paused = true)]
async fn a_removed_child_ends_while_its_siblings_are_still_looked_after() {
    let mut bench = Bench::new();
    let children = vec![bench.child("a", 0), bench.child("b", 0)];
    let supervisor = Supervisor::start(settings(Regime::Escalate), children, None).await.unwrap();
    let a = bench.started("a", 1).await;
    let b = bench.started("b", 1).await;
    a.cast(Blow::Hang).unwrap();
    let gone = Arc::new(Mutex::new(false));
    let removal = async {
        supervisor.remove("a").await.unwrap();
        *gone.lock().await = true;
    };
    let meanwhile = async {
        b.cast(Blow::Fail).unwrap();
        bench.started("b", 2).await;
        assert!(!*gone.lock().await, "a hangs for five seconds, b is back after one");
        assert_eq!(supervisor.tree()[0].state, ChildState::Stopping);
    };
    tokio::join!(removal, meanwhile);
    assert_eq!(supervisor.tree().len(), 1);
    assert!(matches!(supervisor.remove("a").await, Err(SupervisorError::NoSuchChild(_))));
}

#[tokio::test(start_paused = true)]
async fn supervisors_nest() {
    let mut bench = Bench::new();
    let inner_child = bench.child("inner", 0);
    let start = move |owner| -> crate::supervision::Starting {
        let children = vec![inner_child.clone()];
        Box::pin(async move {
            Ok(Supervisor::start(settings(Regime::Escalate), children, Some(owner)).await?.cell())
        })
    };
    let nested = Child { start: Arc::new(start), ..bench.child("nested", 0) };
    let outer = Supervisor::start(settings(Regime::Escalate), vec![nested], None).await.unwrap();
    bench.started("inner", 1).await;
    outer.stop().await;
    bench.stopped("inner").await;
}

#[tokio::test(start_paused = true)]
async fn orders_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let supervisor =
        Supervisor::start(settings(Regime::Escalate), vec![bench.child("a", 0)], None).await.unwrap();
    assert!(matches!(supervisor.add(bench.child("a", 0)).await, Err(SupervisorError::Exists(_))));
    assert!(matches!(supervisor.add(bench.child("", 0)).await, Err(SupervisorError::Spec(_))));
    for name in ["b", "c", "d"] {
        supervisor.add(bench.child(name, 0)).await.unwrap();
    }
    assert!(matches!(supervisor.add(bench.child("e", 0)).await, Err(SupervisorError::Full(4))));
    let twice = vec![bench.child("a", 0), bench.child("a", 0)];
    let refused = Supervisor::start(settings(Regime::Escalate), twice, None).await;
    assert!(matches!(refused, Err(SupervisorError::Exists(_))));
}
