//! What goes wrong in a trial, and how it is put right.

use std::fmt;
use std::time::{Duration, Instant};

use impresario_test_servers::Direction;

use super::store::StoreKind;
use super::trial::Progress;
use super::{Cluster, Design};
use crate::accounts::{CONCURRENCY, Harm};
use crate::chance::Chance;

/// Longer than the others wait for a node before they take its work.
const BEYOND_TTL: Duration = Duration::from_secs(4);
/// A network that is slow and still works.
const DELAY: Duration = Duration::from_millis(100);
/// How long a disk that is slow holds everything up, each time.
const STALL: Duration = Duration::from_millis(300);
const STALLS: u32 = 5;
/// How many replies are lost in one fault.
const REPLIES: u64 = 5;
/// How long a store stays away that was killed.
const AWAY: Duration = Duration::from_secs(1);
/// Keys with a time to live of others in the same store.
const VOLATILE_KEYS: u32 = 200_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nemesis {
    /// A node is killed.
    Kill,
    /// A node is killed, in a store where 200 000 keys of others are about to expire.
    KillAmongVolatileKeys,
    /// A node is killed, where presence holds for one second.
    KillWithShortPresence,
    /// A node does nothing for longer than its presence holds, and then goes on as if nothing had been.
    Freeze,
    /// A node's connections to the store are reset, and new ones refused.
    Cut,
    /// A node's connections to the store carry nothing.
    Blackhole,
    /// A node hears nothing from the store, which hears it.
    Deaf,
    /// The store hears nothing of a node, which hears it.
    Mute,
    /// Everything between a node and the store is late.
    Delay,
    /// Replies of the store to a node are lost, with their connections.
    LostReplies,
    /// The store is killed and comes back.
    StoreKill,
    /// The store stands still for a moment, again and again, as on a slow disk.
    StoreStalls,
    /// The primary is killed, and sentinels put a replica in its place.
    Failover,
    /// A master of a Redis Cluster is killed, and its replica takes its place.
    MasterLost,
    /// Every node is stopped in good order and started again, one after another.
    RollingRestart,
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Nemesis::Kill => "kill -9 of a node",
            Nemesis::KillAmongVolatileKeys => "kill -9 of a node, 200 000 other volatile keys in the store",
            Nemesis::KillWithShortPresence => "kill -9 of a node, presence of 1 s",
            Nemesis::Freeze => "node frozen for twice its presence",
            Nemesis::Cut => "node cut off from the store, connections reset",
            Nemesis::Blackhole => "node cut off from the store, nothing carried",
            Nemesis::Deaf => "node hears nothing from the store",
            Nemesis::Mute => "store hears nothing from a node",
            Nemesis::Delay => "100 ms of delay each way between a node and the store",
            Nemesis::LostReplies => "replies of the store lost with their connections",
            Nemesis::StoreKill => "kill -9 of Redis, back after 1 s",
            Nemesis::StoreStalls => "Redis stands still for 300 ms, again and again",
            Nemesis::Failover => "kill -9 of the primary, Sentinel failover",
            Nemesis::MasterLost => "kill -9 of a master of a Redis Cluster",
            Nemesis::RollingRestart => "rolling restart of all nodes",
        })
    }
}

impl Nemesis {
    /// All of them.
    pub const ALL: [Nemesis; 15] = [
        Nemesis::Kill,
        Nemesis::KillAmongVolatileKeys,
        Nemesis::KillWithShortPresence,
        Nemesis::Freeze,
        Nemesis::Cut,
        Nemesis::Blackhole,
        Nemesis::Deaf,
        Nemesis::Mute,
        Nemesis::Delay,
        Nemesis::LostReplies,
        Nemesis::StoreKill,
        Nemesis::StoreStalls,
        Nemesis::Failover,
        Nemesis::MasterLost,
        Nemesis::RollingRestart,
    ];

    /// The store that it needs.
    pub fn store(self) -> StoreKind {
        match self {
            Nemesis::Failover => StoreKind::Sentinels,
            Nemesis::MasterLost => StoreKind::RedisCluster,
            _ => StoreKind::Redis,
        }
    }

    /// So many nodes that it can strike.
    pub fn design(self, nodes: usize) -> Design {
        let mut design = Design::of(nodes);
        design.proxied = matches!(
            self,
            Nemesis::Cut
                | Nemesis::Blackhole
                | Nemesis::Deaf
                | Nemesis::Mute
                | Nemesis::Delay
                | Nemesis::LostReplies
        );
        if self == Nemesis::KillWithShortPresence {
            design = design
                .set("cluster.presence_ttl", "1s")
                .set("cluster.presence_interval", "250ms")
                .set("cluster.poll_interval", "100ms");
        }
        design
    }

    /// What so many faults among so many nodes may do to activities at most.
    pub fn harm(self, faults: u32, nodes: usize) -> Harm {
        let at_work = faults as usize * CONCURRENCY;
        match self {
            // A store that answers late, or again, interrupts nothing.
            Nemesis::Delay | Nemesis::LostReplies | Nemesis::StoreStalls | Nemesis::RollingRestart => {
                Harm::None
            }
            Nemesis::Kill | Nemesis::KillAmongVolatileKeys | Nemesis::KillWithShortPresence => {
                Harm::InDoubt(at_work)
            }
            Nemesis::Freeze | Nemesis::Cut | Nemesis::Blackhole | Nemesis::Deaf | Nemesis::Mute => {
                Harm::Zombie(at_work)
            }
            Nemesis::StoreKill | Nemesis::Failover | Nemesis::MasterLost => Harm::Zombie(nodes * at_work),
        }
    }

    /// What has to be there before the first fault.
    pub(super) async fn prepare(self, cluster: &mut Cluster) {
        if self == Nemesis::KillAmongVolatileKeys {
            let script =
                "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'volatile:' .. i, i, 'PX', 60000 + i) end";
            cluster.store.redis().command(&["EVAL", script, "0", &VOLATILE_KEYS.to_string()]).await;
        }
    }

    /// Breaks something, sees that the others carry on, puts it right, and sees that all is whole.
    pub(super) async fn strike(self, cluster: &mut Cluster, chance: &mut Chance, progress: &mut Progress) {
        let nodes = cluster.members().len() as u64;
        let victim = usize::try_from(chance.below(nodes)).expect("a small number");
        match self {
            Nemesis::Kill | Nemesis::KillAmongVolatileKeys | Nemesis::KillWithShortPresence => {
                let broken = Instant::now();
                cluster.kill(victim).await;
                progress.taken_over(broken, &cluster.apis()).await;
                let mended = Instant::now();
                cluster.restart(victim).await;
                progress.whole(mended, &cluster.apis()).await;
            }
            Nemesis::Freeze => {
                let broken = Instant::now();
                cluster.freeze(victim);
                progress.taken_over(broken, &cluster.apis_without(victim)).await;
                tokio::time::sleep(BEYOND_TTL.saturating_sub(broken.elapsed())).await;
                let mended = Instant::now();
                cluster.thaw(victim);
                self.rejoined(cluster, mended, progress).await;
            }
            Nemesis::Cut | Nemesis::Blackhole | Nemesis::Deaf | Nemesis::Mute => {
                let broken = Instant::now();
                let proxy = cluster.member(victim).proxy();
                match self {
                    Nemesis::Cut => proxy.cut(),
                    Nemesis::Deaf => proxy.half_close(Direction::ToClient),
                    Nemesis::Mute => proxy.half_close(Direction::ToServer),
                    _ => proxy.blackhole(),
                }
                progress.taken_over(broken, &cluster.apis_without(victim)).await;
                tokio::time::sleep(BEYOND_TTL.saturating_sub(broken.elapsed())).await;
                let mended = Instant::now();
                cluster.member(victim).proxy().pass();
                self.rejoined(cluster, mended, progress).await;
            }
            Nemesis::Delay => {
                let broken = Instant::now();
                cluster.member(victim).proxy().delay(DELAY);
                progress.taken_over(broken, &cluster.apis()).await;
                let mended = Instant::now();
                cluster.member(victim).proxy().pass();
                progress.whole(mended, &cluster.apis()).await;
            }
            Nemesis::LostReplies => {
                let proxy = cluster.member(victim).proxy();
                let lost = proxy.lost();
                for reply in 1..=REPLIES {
                    proxy.cut_after_request("");
                    progress.seen("a reply that was lost", || proxy.lost() >= lost + reply).await;
                }
                progress.whole(Instant::now(), &cluster.apis()).await;
            }
            Nemesis::StoreKill => {
                cluster.store.redis().kill();
                tokio::time::sleep(AWAY).await;
                let mended = Instant::now();
                cluster.store.redis().restart().await;
                self.rejoined(cluster, mended, progress).await;
            }
            Nemesis::StoreStalls => {
                for _ in 0..STALLS {
                    cluster.store.redis().pause();
                    tokio::time::sleep(STALL).await;
                    cluster.store.redis().resume();
                    tokio::time::sleep(STALL).await;
                }
                progress.whole(Instant::now(), &cluster.apis()).await;
            }
            Nemesis::Failover => {
                let broken = Instant::now();
                let gone = cluster.store.sentinels().kill_primary().await;
                self.rejoined(cluster, broken, progress).await;
                cluster.store.sentinels().servers()[gone].restart().await;
                cluster.store.sentinels().settled().await;
            }
            Nemesis::MasterLost => {
                let broken = Instant::now();
                let gone = cluster.store.cluster().kill_master().await;
                // Its shards have no second copy until it is back, as a replica.
                cluster.store.cluster().nodes()[gone].restart().await;
                cluster.store.cluster().settled().await;
                self.rejoined(cluster, broken, progress).await;
            }
            Nemesis::RollingRestart => {
                for member in 0..cluster.members().len() {
                    let broken = Instant::now();
                    cluster.stop(member).await;
                    progress.taken_over(broken, &cluster.apis()).await;
                    let mended = Instant::now();
                    cluster.restart(member).await;
                    progress.whole(mended, &cluster.apis()).await;
                }
            }
        }
    }

    /// Waits until every node works again. One that was taken for gone may have ended itself: what watches over it in an
    /// installation starts it again, so this does.
    async fn rejoined(self, cluster: &mut Cluster, mended: Instant, progress: &mut Progress) {
        cluster.restart_ended().await;
        progress.whole(mended, &cluster.apis()).await;
    }
}
