//! The thread that writes the state: all that waits becomes one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::future::{BoxFuture, ready};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::oneshot;

use super::changes::{Change, Pending, Waiting};
use super::sql::explain;
use crate::StoreError;
use crate::embedded::health::Health;
use crate::embedded::log::Log;
use crate::embedded::queue::{AbandonOnDrop, Cost, Linger, Queue, Refusal};
use crate::port::Result;

/// What may wait for the writer: some checkpoints of every shard of a large environment, within reason.
const QUEUE: Cost = Cost { count: 4096, bytes: 64 * 1024 * 1024 };
/// What becomes durable together: large enough to share a flush, small enough to answer soon.
const GROUP: Cost = Cost { count: 256, bytes: 8 * 1024 * 1024 };

/// The way to the writer of the state.
pub(in crate::embedded) struct StateWriter {
    queue: Queue<Box<dyn Pending>>,
    health: Arc<Health>,
}

impl StateWriter {
    /// Enqueues a change of so many bytes; the answer comes once it is durable.
    pub(in crate::embedded) fn submit<C: Change + 'static>(
        &self,
        change: C,
        bytes: usize,
    ) -> BoxFuture<'static, Result<C::Answer>> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { change, decided: None, reply };
        let pushed = self.health.check().and_then(|()| {
            let pushed = self.queue.push(Box::new(waiting), Cost { count: 1, bytes });
            pushed.map_err(|refusal| match refusal {
                Refusal::Full => StoreError::Busy,
                Refusal::Closed => self.health.gone(),
            })
        });
        if let Err(error) = pushed {
            return Box::pin(ready(Err(error)));
        }
        let health = Arc::clone(&self.health);
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(health.gone())) })
    }

    /// Takes no more changes; what is waiting is still written.
    pub(in crate::embedded) fn close(&self) {
        self.queue.close();
    }
}

/// Starts the writer on an open database.
pub(in crate::embedded) fn start(
    db: Connection,
    path: PathBuf,
    log: Arc<Log>,
    health: Arc<Health>,
) -> Result<(Arc<StateWriter>, JoinHandle<()>)> {
    let writer = Arc::new(StateWriter { queue: Queue::new(QUEUE), health });
    let shared = Arc::clone(&writer);
    let thread = std::thread::Builder::new()
        .name("state-writer".to_owned())
        .spawn(move || Run { db, path, log, shared }.run())
        .map_err(|error| StoreError::Refused(format!("cannot start a thread: {error}")))?;
    Ok((writer, thread))
}

struct Run {
    db: Connection,
    path: PathBuf,
    log: Arc<Log>,
    shared: Arc<StateWriter>,
}

impl Run {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _abandon = AbandonOnDrop(&shared.queue);
        let mut group = Vec::new();
        while shared.queue.take(GROUP, Linger::default(), &mut group) {
            self.write(std::mem::take(&mut group));
        }
    }

    fn write(&mut self, mut group: Vec<Box<dyn Pending>>) {
        if let Err(error) = self.shared.health.check() {
            return fail_all(group, &error);
        }
        match self.transact(&mut group) {
            Ok(()) => group.into_iter().for_each(|change| change.settle(&self.log)),
            // One change that is too much for the disk must not fail its neighbours.
            Err(error) if is_full(&error) && group.len() > 1 => {
                group.into_iter().for_each(|change| self.write(vec![change]));
            }
            Err(error) => fail_all(group, &self.judge(&error)),
        }
    }

    fn transact(&mut self, group: &mut [Box<dyn Pending>]) -> rusqlite::Result<()> {
        // Dropped without a commit it is rolled back.
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in group {
            change.apply(&tx, &self.log)?;
        }
        tx.commit()
    }

    /// Tells errors that undid the transaction from those after which nobody knows.
    fn judge(&self, error: &rusqlite::Error) -> StoreError {
        match explain(error, &self.path) {
            StoreError::Failed(why) => self.shared.health.fail(why),
            known => known,
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn fail_all(group: Vec<Box<dyn Pending>>, error: &StoreError) {
    for change in group {
        change.fail(error.clone());
    }
}
