//! Who is there: the presence of nodes in one environment, as the cluster registry sees it.
//!
//! A node announces itself under a time to live and renews the announcement; one that does not is seen as gone. This
//! is a hint for liveness only. Safety comes from the epochs of [`crate::port`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};

use crate::port::Result;
use crate::sync::lock;
use crate::{Clock, StoreError};

/// One incarnation of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node's name: one incarnation at a time has it.
    pub node: String,
    /// Fresh at every start of the node.
    pub incarnation: String,
    /// What it tells of itself, opaque to the store.
    pub record: Bytes,
}

/// A member, and whether its presence holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The member as it announced itself last.
    pub member: Member,
    /// Whether its presence had not expired.
    pub alive: bool,
}

/// All members at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The store's clock, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Grows whenever a setting of the environment changes.
    pub settings: u64,
    /// The members that were not forgotten, by node.
    pub members: Vec<Sighting>,
}

/// The presence of nodes. It has a connection of its own, so that nothing else is in its way, and no call of it takes
/// longer than its timeout.
pub trait Membership: Send + Sync + 'static {
    /// Announces a member, or renews it, for `ttl`. A name passes to another incarnation only once the one before is
    /// gone.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when another incarnation has the name and is alive.
    fn renew(&self, member: Member, ttl: Duration) -> BoxFuture<'static, Result<()>>;

    /// Who is there.
    fn census(&self) -> BoxFuture<'static, Result<Census>>;

    /// Ends the presence of an incarnation in good order, and forgets it.
    fn leave(&self, incarnation: String) -> BoxFuture<'static, Result<()>>;

    /// Forgets a node that is gone; false when nothing is known of it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] while it is alive.
    fn forget(&self, node: String) -> BoxFuture<'static, Result<bool>>;
}

/// Presence in memory: of one node by itself, and of several in one process in tests.
pub struct MemoryMembership {
    clock: Clock,
    /// By node, with the time at which the presence ends.
    members: Mutex<BTreeMap<String, (Member, u64)>>,
}

impl fmt::Debug for MemoryMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMembership")
            .field("members", &lock(&self.members).len())
            .finish_non_exhaustive()
    }
}

impl MemoryMembership {
    /// Nobody yet, on a clock.
    pub fn new(clock: Clock) -> Self {
        MemoryMembership { clock, members: Mutex::default() }
    }
}

pub(crate) fn taken(node: &str, incarnation: &str) -> StoreError {
    StoreError::Refused(format!(
        "the node name '{node}' is taken by another node that is alive (incarnation {incarnation}): give each node a \
         name of its own"
    ))
}

pub(crate) fn alive(node: &str, incarnation: &str) -> StoreError {
    StoreError::Refused(format!("the node '{node}' is alive (incarnation {incarnation}): drain it instead"))
}

impl Membership for MemoryMembership {
    fn renew(&self, member: Member, ttl: Duration) -> BoxFuture<'static, Result<()>> {
        let now = (self.clock)();
        let mut members = lock(&self.members);
        if let Some((holder, until)) = members.get(&member.node)
            && holder.incarnation != member.incarnation
            && *until > now
        {
            return Box::pin(ready(Err(taken(&holder.node, &holder.incarnation))));
        }
        let until = now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        members.insert(member.node.clone(), (member, until));
        Box::pin(ready(Ok(())))
    }

    fn census(&self) -> BoxFuture<'static, Result<Census>> {
        let now = (self.clock)();
        let members = lock(&self.members);
        let sightings =
            members.values().map(|(member, until)| Sighting { member: member.clone(), alive: *until > now });
        let census = Census { now, settings: 0, members: sightings.collect() };
        Box::pin(ready(Ok(census)))
    }

    fn leave(&self, incarnation: String) -> BoxFuture<'static, Result<()>> {
        lock(&self.members).retain(|_, (member, _)| member.incarnation != incarnation);
        Box::pin(ready(Ok(())))
    }

    fn forget(&self, node: String) -> BoxFuture<'static, Result<bool>> {
        let now = (self.clock)();
        let mut members = lock(&self.members);
        let result = match members.get(&node) {
            Some((member, until)) if *until > now => Err(alive(&node, &member.incarnation)),
            _ => Ok(members.remove(&node).is_some()),
        };
        Box::pin(ready(result))
    }
}
