//! Presence in Redis: one key with a time to live for each incarnation, looked at, never listened for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::Cmd;

use super::config::RedisConfig;
use super::keys::Keys;
use super::library;
use super::link::{Link, Setup};
use super::reply::{self, Reply};
use crate::membership::{Census, Member, Membership, Sighting, alive, taken};
use crate::port::Result;

/// The presence of nodes in one environment in Redis, over a connection of its own.
///
/// It lives in the runtime in which it was connected.
pub struct RedisMembership {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<RedisConfig>,
    keys: Keys,
    link: Link,
}

impl RedisMembership {
    /// Connects and checks the server.
    ///
    /// # Errors
    /// As for [`super::RedisStore::open`].
    pub async fn connect(config: RedisConfig) -> Result<RedisMembership> {
        config.check()?;
        let config = Arc::new(config);
        let keys = Keys::new(&config.environment, 1);
        let link = Link::open(Setup {
            config: Arc::clone(&config),
            tag: keys.tag(),
            clock: Arc::default(),
            greeting: Arc::new(|_| async { Ok(()) }.boxed()),
            standing: Arc::new(|_| {}),
        })
        .await?;
        Ok(RedisMembership { shared: Arc::new(Shared { config, keys, link }) })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl fmt::Debug for RedisMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisMembership").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Shared {
    fn keys(&self) -> [String; 3] {
        ["members:names", "members:records", "environment"].map(|name| self.keys.common(name))
    }

    /// Asks once. Every call may be made again by whoever made it.
    async fn ask(&self, call: &Cmd) -> Result<(String, Reply)> {
        let live = self.link.live()?;
        let answer = live.ask(call).await.map_err(|trouble| self.link.trouble(&live, trouble))?;
        reply::open(answer)
    }
}

impl Membership for RedisMembership {
    fn renew(&self, member: Member, ttl: Duration) -> BoxFuture<'static, Result<()>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let [names, records, _] = shared.keys();
            let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 53);
            let mut call = library::call("renew", &[&names, &records]);
            call.arg(&member.node).arg(&member.incarnation).arg(member.record.as_ref()).arg(millis);
            let (word, mut reply) = shared.ask(&call).await?;
            if word == "taken" {
                return Err(taken(&member.node, &reply.text()?));
            }
            Ok(())
        }
        .boxed()
    }

    fn census(&self) -> BoxFuture<'static, Result<Census>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let [names, records, environment] = shared.keys();
            let (_, mut reply) =
                shared.ask(&library::look("census", &[&names, &records, &environment])).await?;
            let mut census = Census { now: reply.number()?, settings: reply.number()?, members: Vec::new() };
            while !reply.is_empty() {
                let member =
                    Member { node: reply.text()?, incarnation: reply.text()?, record: reply.bytes()? };
                census.members.push(Sighting { member, alive: reply.number()? == 1 });
            }
            census.members.sort_by(|a, b| a.member.node.cmp(&b.member.node));
            Ok(census)
        }
        .boxed()
    }

    fn leave(&self, incarnation: String) -> BoxFuture<'static, Result<()>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let [names, records, _] = shared.keys();
            let mut call = library::call("leave", &[&names, &records]);
            call.arg(incarnation);
            shared.ask(&call).await.map(|_| ())
        }
        .boxed()
    }

    fn forget(&self, node: String) -> BoxFuture<'static, Result<bool>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let [names, records, _] = shared.keys();
            let mut call = library::call("forget", &[&names, &records]);
            call.arg(&node);
            let (word, mut reply) = shared.ask(&call).await?;
            if word == "alive" {
                return Err(alive(&node, &reply.text()?));
            }
            Ok(reply.number()? == 1)
        }
        .boxed()
    }
}
