//! The threads that read: rows, and entries that are no longer in memory. No async thread ever waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::schema::open_for_reading;
use crate::StoreError;
use crate::embedded::queue::{AbandonOnDrop, Cost, Linger, Queue};
use crate::port::Result;
use crate::sync::lock;

/// How many reads may wait in the queue; further readers wait for their turn before it.
const WAITING: usize = 256;
const ONE: Cost = Cost { count: 1, bytes: 0 };

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The reader threads.
pub(in crate::embedded) struct Readers {
    queue: Queue<Job>,
    turns: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    path: PathBuf,
}

impl Readers {
    /// Starts so many threads, each with a connection of its own.
    pub(in crate::embedded) fn start(path: &Path, count: usize) -> Result<Arc<Self>> {
        let readers = Arc::new(Readers {
            // The turns bound it.
            queue: Queue::new(Cost { count: usize::MAX, bytes: usize::MAX }),
            turns: Arc::new(Semaphore::new(WAITING)),
            threads: Mutex::new(Vec::new()),
            path: path.to_owned(),
        });
        for number in 0..count.max(1) {
            if let Err(error) = readers.start_one(number) {
                readers.close();
                return Err(error);
            }
        }
        Ok(readers)
    }

    fn start_one(self: &Arc<Self>, number: usize) -> Result<()> {
        let db = open_for_reading(&self.path)?;
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name(format!("reader-{number}"))
            .spawn(move || shared.serve(&db))
            .map_err(|error| StoreError::Refused(format!("cannot start a thread: {error}")))?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    fn serve(&self, db: &Connection) {
        let _abandon = AbandonOnDrop(&self.queue);
        let mut jobs = Vec::new();
        while self.queue.take(ONE, Linger::default(), &mut jobs) {
            for job in jobs.drain(..) {
                job(db);
            }
        }
    }

    /// Runs a read on one of the threads.
    pub(in crate::embedded) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &Path) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = |_| StoreError::Failed("the store is shut down".to_owned());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| gone(()))?;
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        let job = Box::new(move |db: &Connection| {
            let _ = reply.send(read(db, &path));
            // Held until here, so that reads nobody waits for any more count as well.
            drop(turn);
        });
        self.queue.push(job, ONE).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Ends the threads, after what is waiting.
    pub(in crate::embedded) fn close(&self) {
        self.queue.close();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A reader that panicked has told its caller by going away.
            let _ = thread.join();
        }
    }
}
