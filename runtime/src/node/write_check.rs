//! Whether the store takes writes: what the last one came to, and a small one to find out when it takes them again.

use std::sync::{Arc, Mutex, PoisonError};

use impresario_actors::post::{Post, PostError};
use impresario_actors::task::{TaskKind, spawn};
use impresario_model::entry::{Body, Entry, ProcessEvent};
use impresario_model::ids::ActorId;
use impresario_persistence::StoreError;

/// What is known of the store's willingness to write. Cheap to clone.
#[derive(Clone)]
pub struct WriteCheck {
    post: Post,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    problem: Option<String>,
    probing: bool,
}

impl WriteCheck {
    /// Nothing is wrong yet.
    pub fn new(post: Post) -> Self {
        WriteCheck { post, known: Arc::default() }
    }

    /// Notes what a write came to.
    pub fn note<T>(&self, result: &Result<T, PostError>) {
        let problem = match result {
            Err(PostError::Store(error @ (StoreError::Full(_) | StoreError::Failed(_)))) => {
                Some(error.to_string())
            }
            Ok(_) => None,
            // A refusal of this one entry says nothing about the store.
            Err(_) => return,
        };
        let mut known = self.lock();
        if known.problem != problem {
            match &problem {
                Some(problem) => {
                    tracing::error!(problem, "the store takes no writes; the doors refuse new work")
                }
                None => tracing::info!("the store takes writes again"),
            }
            known.problem = problem;
        }
    }

    /// Why the store took no write the last time, if so. Asking has it tried again: whoever withholds work from a
    /// node that is not ready would otherwise never find out that it is.
    pub fn problem(&self) -> Option<String> {
        let mut known = self.lock();
        if known.problem.is_some() && !known.probing {
            known.probing = true;
            let check = self.clone();
            spawn(TaskKind::StoreProbe, async move {
                // Nobody is woken by this: no instance has this name.
                let entry = Entry {
                    to: ActorId::process("write-check"),
                    origin: None,
                    body: Body::Process(ProcessEvent::Timer),
                };
                let result = check.post.accept(&[entry]).await;
                check.lock().probing = false;
                check.note(&result);
            });
        }
        known.problem.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
