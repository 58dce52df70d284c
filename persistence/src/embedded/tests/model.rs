//! Random actions on the embedded store, with crashes and restarts, against the memory store as its model.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::memory::MemoryStore;
use crate::port::ListQuery;

#[derive(Clone, Debug)]
enum Action {
    Append(Vec<(u16, usize)>),
    Fenced { shard: u16, behind: u64, len: usize },
    Claim(u16),
    Release { shard: u16, behind: u64 },
    Checkpoint { shard: u16, behind: u64, upto: usize, put: Vec<Row>, remove: Vec<String> },
    Groom { shard: u16, before: u64, limit: usize },
    Setting { key: String, expected: u64 },
    Restart,
    Crash,
}

fn actor() -> impl Strategy<Value = String> {
    prop_oneof![Just(""), Just("p/1"), Just("p/2"), Just("p/é"), Just("q/1")].prop_map(str::to_owned)
}

fn some_row() -> impl Strategy<Value = Row> {
    let times = (proptest::option::of(0u64..9), 0u64..9, proptest::option::of(0u64..9));
    (actor(), any::<bool>(), times).prop_map(|(actor, attention, (due, started, ended))| Row {
        snapshot: Bytes::from(vec![7; usize::try_from(started).unwrap()]),
        index: RowIndex {
            due,
            attention,
            status: if attention { "running" } else { "done" }.into(),
            group: format!("g:{started}"),
            started,
            ended,
        },
        actor,
    })
}

fn action() -> impl Strategy<Value = Action> {
    let shard = || 0..SHARDS;
    prop_oneof![
        6 => prop::collection::vec((shard(), 0usize..200), 0..6).prop_map(Action::Append),
        3 => (shard(), 0u64..2, 0usize..3)
            .prop_map(|(shard, behind, len)| Action::Fenced { shard, behind, len }),
        2 => shard().prop_map(Action::Claim),
        1 => (shard(), 0u64..2).prop_map(|(shard, behind)| Action::Release { shard, behind }),
        4 => (
            shard(),
            0u64..2,
            0usize..9,
            prop::collection::vec(some_row(), 0..4),
            prop::collection::vec(actor(), 0..2),
        )
            .prop_map(|(shard, behind, upto, put, remove)| {
                Action::Checkpoint { shard, behind, upto, put, remove }
            }),
        1 => (shard(), 0u64..9, 0usize..3)
            .prop_map(|(shard, before, limit)| Action::Groom { shard, before, limit }),
        1 => (actor(), 0u64..3).prop_map(|(key, expected)| Action::Setting { key, expected }),
        1 => Just(Action::Restart),
        1 => Just(Action::Crash),
    ]
}

/// The two stores and what both need to know.
struct Pair {
    real: Option<EmbeddedStore>,
    model: MemoryStore,
    folder: TempDir,
    epochs: Vec<u64>,
}

impl Pair {
    fn config(path: &Path) -> EmbeddedConfig {
        EmbeddedConfig {
            segment_bytes: 700,
            cache_bytes: 400,
            clock: Arc::new(|| 1000),
            readers: 1,
            ..config(path)
        }
    }

    fn new() -> Self {
        let folder = folder();
        let real = Some(EmbeddedStore::open(Self::config(folder.path())).unwrap());
        let model = MemoryStore::with_clock(SHARDS, Arc::new(|| 1000));
        Pair { real, model, folder, epochs: vec![0; usize::from(SHARDS)] }
    }

    fn stores(&self) -> [&dyn Store; 2] {
        [self.real.as_ref().unwrap(), &self.model]
    }

    fn epoch(&self, shard: u16, behind: u64) -> Epoch {
        Epoch(self.epochs[usize::from(shard)].saturating_sub(behind))
    }

    async fn both<T: PartialEq + std::fmt::Debug>(&self, act: impl AsyncFn(&dyn Store) -> T) -> T {
        let [real, model] = self.stores();
        let (real, model) = (act(real).await, act(model).await);
        assert_eq!(real, model);
        real
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Append(batch) => {
                let batch: Vec<_> =
                    batch.into_iter().map(|(shard, len)| entry(ShardId(shard), &"x".repeat(len))).collect();
                self.both(async |store| store.append(batch.clone()).await).await.unwrap();
            }
            Action::Fenced { shard, behind, len } => {
                let epoch = self.epoch(shard, behind);
                let batch = vec![Bytes::from_static(b"fenced"); len];
                let shard = ShardId(shard);
                let _ = self.both(async |s| s.append_fenced(shard, epoch, batch.clone()).await).await;
            }
            Action::Claim(shard) => {
                let owner = Owner { node: "n".into(), incarnation: "1".into() };
                let seen = Epoch(self.epochs[usize::from(shard)]);
                let claim = self.both(async |s| s.claim(ShardId(shard), owner.clone(), seen).await).await;
                self.epochs[usize::from(shard)] = claim.unwrap().epoch.0;
            }
            Action::Release { shard, behind } => {
                let epoch = self.epoch(shard, behind);
                let _ = self.both(async |s| s.release(ShardId(shard), epoch, None).await).await;
            }
            Action::Checkpoint { shard, behind, upto, put, remove } => {
                let epoch = self.epoch(shard, behind);
                let shard = ShardId(shard);
                let log = self.model.read(shard, Offset::ZERO, upto, usize::MAX).await.unwrap();
                let mark = log.last().map_or(Offset::ZERO, |record| record.offset);
                // An actor lives in one shard only.
                let mut checkpoint = Checkpoint { mark, put, remove };
                checkpoint.put.iter_mut().for_each(|row| row.actor.push_str(&format!(" {}", shard.0)));
                checkpoint.remove.iter_mut().for_each(|actor| actor.push_str(&format!(" {}", shard.0)));
                let _ = self.both(async |s| s.checkpoint(shard, epoch, checkpoint.clone()).await).await;
            }
            Action::Groom { shard, before, limit } => {
                let epoch = self.epoch(shard, 0);
                let _ = self.both(async |s| s.groom(ShardId(shard), epoch, before, limit).await).await;
            }
            Action::Setting { key, expected } => {
                let put = async |s: &dyn Store| s.put_setting(key.clone(), expected, "v".into()).await;
                let _ = self.both(put).await;
            }
            Action::Restart => {
                self.real = None;
                self.real = Some(EmbeddedStore::open(Self::config(self.folder.path())).unwrap());
            }
            Action::Crash => {
                let copy = crashed(self.folder.path());
                self.real = Some(EmbeddedStore::open(Self::config(copy.path())).unwrap());
                self.folder = copy;
            }
        }
    }

    async fn compare(&self) {
        for shard in (0..SHARDS).map(ShardId) {
            self.both(async |s| s.read(shard, Offset::ZERO, 100, 500).await).await.unwrap();
            self.both(async |s| *s.head(shard).borrow()).await;
            self.both(async |s| s.scan(shard, "p/".into(), None, 3).await).await.unwrap();
            self.both(async |s| s.due(shard, 8, 3).await).await.unwrap();
            self.both(async |s| s.attention(shard, Some("p/1".into()), 3).await).await.unwrap();
        }
        let query = ListQuery { group: Some("g:".into()), limit: 5, ..ListQuery::default() };
        self.both(async |s| s.list(query.clone()).await).await.unwrap();
        self.both(async |s| s.settings(String::new()).await).await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_is_the_memory_store_that_survives(
        actions in prop::collection::vec(action(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::new();
            for action in actions {
                pair.act(action).await;
                pair.compare().await;
            }
        });
    }
}
