//! A lane: one server to talk to, for the shards that live there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::config::RedisConfig;
use super::held::{Acknowledged, Logs};
use super::keys::Keys;
use super::link::Link;
use super::live::{Live, Trouble};
use super::reply::{self, Reply};
use super::writer::Queue;
use crate::StoreError;
use crate::port::{Result, ShardId};
use crate::sync::lock;

/// For how long the server is asked at once whether the replicas have it: nothing else is answered meanwhile.
const REPLICAS_STEP: Duration = Duration::from_millis(20);
/// Before something in doubt is sent again to a server that has refused it.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// One server to talk to.
pub(super) struct Lane {
    pub(super) config: Arc<RedisConfig>,
    pub(super) keys: Keys,
    pub(super) tag: String,
    /// Which set of data the environment is.
    pub(super) dataset: String,
    /// The shards that live there.
    pub(super) shards: Vec<ShardId>,
    pub(super) link: Link,
    pub(super) logs: Arc<Logs>,
    pub(super) acknowledged: Arc<Mutex<Acknowledged>>,
    pub(super) queue: Arc<Queue>,
    /// Told when there is another shard to follow.
    pub(super) follow: tokio::sync::Notify,
    /// Why nothing new is taken although the server answers: too few replicas have what they should.
    pub(super) short: Mutex<Option<String>>,
    pub(super) standing: Arc<dyn Fn(crate::port::Standing) + Send + Sync>,
}

impl Lane {
    /// The connection of now.
    pub(super) fn live(&self) -> Result<Live> {
        let live = self.link.live()?;
        match &*lock(&self.short) {
            Some(reason) => Err(StoreError::Away(reason.clone())),
            None => Ok(live),
        }
    }

    /// Asks something that changes nothing.
    pub(super) async fn look(&self, question: &Cmd) -> Result<Reply> {
        let live = self.link.live()?;
        let answer = live.ask(question).await.map_err(|trouble| self.link.trouble(&live, trouble))?;
        let (word, reply) = reply::open(answer)?;
        if word == "gone" { Err(self.gone(&live)) } else { Ok(reply) }
    }

    /// Like [`Lane::look`], for many plain commands.
    pub(super) async fn look_all(&self, questions: &redis::Pipeline) -> Result<Vec<Value>> {
        let live = self.link.live()?;
        live.ask_all(questions).await.map_err(|trouble| self.link.trouble(&live, trouble))
    }

    /// Has a change carried out, and waits until it is as durable as was asked for. Once it was sent it is sent until it
    /// is answered; so it must be one that is harmless to repeat.
    pub(super) async fn change(&self, change: &Cmd) -> Result<(String, Reply)> {
        let mut live = self.live()?;
        let mut in_doubt = false;
        loop {
            let done = async {
                let answer = live.ask(change).await?;
                self.replicate(&live).await?;
                Ok(answer)
            };
            match done.await {
                Ok(answer) => {
                    let (word, reply) = reply::open(answer)?;
                    return if word == "gone" { Err(self.gone(&live)) } else { Ok((word, reply)) };
                }
                Err(Trouble::Refused(error)) if !in_doubt => return Err(error),
                Err(trouble) => self.again(&live, trouble).await,
            }
            in_doubt = true;
            live = self.link.wait().await.ok_or_else(closed)?;
        }
    }

    /// Gives up the connection on which something was sent that may have been carried out, so that it is sent again on
    /// the next one. A server that refuses it then says nothing of what it did before, and is left alone for a moment.
    pub(super) async fn again(&self, live: &Live, trouble: Trouble) {
        let refused = matches!(trouble, Trouble::Refused(_));
        self.link.fault(live.generation, &trouble.words());
        if refused {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }

    /// What to answer when the environment has vanished from a server that was good: the next greeting says it too.
    pub(super) fn gone(&self, live: &Live) -> StoreError {
        let reason = gone(&self.config.environment);
        self.link.fault(live.generation, &reason);
        StoreError::Away(reason)
    }

    /// Waits until the replicas have what this connection wrote. Nothing new is taken when that takes long.
    pub(super) async fn replicate(&self, live: &Live) -> std::result::Result<(), Trouble> {
        let wanted = self.config.replicas;
        if wanted == 0 {
            return Ok(());
        }
        let mut wait = redis::cmd("WAIT");
        wait.arg(wanted).arg(u64::try_from(REPLICAS_STEP.as_millis()).unwrap_or(1));
        let since = Instant::now();
        let mut told = false;
        let result = loop {
            let found = match live.ask_within(&wait, REPLICAS_STEP).await {
                Ok(Value::Int(found)) => found,
                // What was written is on the server already, whatever it says of its replicas: it is no primary any more.
                Ok(other) => break Err(Trouble::Lost(reply::strange(&other).to_string())),
                Err(trouble) => break Err(Trouble::Lost(trouble.words())),
            };
            if found >= i64::from(wanted) {
                break Ok(());
            }
            if !told && since.elapsed() > self.config.timeout {
                let reason =
                    format!("{wanted} replicas must have each write, and {found} answer: start the others");
                *lock(&self.short) = Some(reason.clone());
                (self.standing)(crate::port::Standing::Away(reason));
                told = true;
            }
        };
        if told {
            *lock(&self.short) = None;
            if result.is_ok() && self.link.live().is_ok() {
                (self.standing)(crate::port::Standing::Up);
            }
        }
        result
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Failed("the store was closed before the server had answered".to_owned())
}

pub(super) fn gone(environment: &str) -> String {
    format!(
        "the environment '{environment}' is no longer on the server: it was flushed, or the server started without its \
         data. Restore the data and the store goes on"
    )
}
