//! The table of settings: each row is a key, its type, its default, and what it is for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::load::Reader;
use crate::table::{Setting, settings};
use crate::value::{ByteSize, LogFilter, LogFormat, Name, SettingValue, StoreKind};

settings! {
    top {
        /// The environment: the namespace in the store of everything that belongs together.
        environment: Name = "PRODUCTION";
        /// The folder of everything this node keeps: the embedded store, the token of its API, its address.
        data: PathBuf = "impresario-data";
        /// How long a shutdown waits for work in flight before it leaves it to the next start.
        shutdown_timeout: Duration = "30s";
    }

    /// This node.
    node: Node {
        /// The node's name in logs and lists. `auto` is the host name.
        name: Name = "auto";
    }

    /// Where mailbox logs and snapshots are kept.
    store: Store {
        /// `embedded` is durable on this machine; `memory` forgets everything at exit.
        kind: StoreKind = "embedded";
        /// How many shards the actors are spread over. Fixed when the environment is made.
        shards: u16 = "16";
        /// How many appends may wait for the log's writer; a sender beyond them is told to try later.
        queue: usize = "16384";
        /// The size at which the log goes on in a new file. Old files are deleted whole.
        segment_size: ByteSize = "64MiB";
    }

    /// The HTTP door: events in, and the API.
    http: Http {
        /// The address and port to listen at. Only this machine can reach the default; name a wider address to
        /// let others in, and put TLS in front of it.
        listen: SocketAddr = "127.0.0.1:4747";
        /// The largest request body.
        body_limit: ByteSize = "1MiB";
        /// How long a request may take, its body included.
        request_timeout: Duration = "30s";
        /// How many requests are worked on at once; more are refused with 503.
        concurrency: usize = "1024";
    }

    /// The shards and the instances in them.
    engine: Engine {
        /// How often the changed actors of a shard are snapshotted and its log is trimmed. Longer means less
        /// writing and a longer replay after a crash.
        checkpoint_interval: Duration = "2s";
        /// Checkpoint earlier once so many entries were applied since the last one.
        checkpoint_entries: usize = "10000";
        /// An actor without work for so long leaves memory; its next entry brings it back.
        idle_after: Duration = "10s";
        /// With more actors of one shard than this in memory, they leave as soon as they have nothing to do.
        live_actors: usize = "512";
        /// How many entries may wait in one shard before the doors refuse new work with 429.
        backlog_limit: usize = "100000";
        /// How many tasks one instance may run before it faults; a definition may set its own limit.
        task_limit: u64 = "100000";
        /// How long an instance is kept after it ended.
        retention: Duration = "7days";
        /// For how long an event with the same source and id, or a start with the same key, counts as the same.
        dedup_window: Duration = "10m";
        /// How many of them one shard remembers at most; the oldest are forgotten first.
        dedup_limit: usize = "65536";
    }

    /// The processes that do the work of activities.
    adapters: Adapters {
        /// How many activities one adapter host runs at once.
        concurrency: usize = "64";
        /// How many activities may wait for a place in one adapter host.
        queue: usize = "10000";
        /// How long a host that was asked to stop may take before it is killed.
        stop_timeout: Duration = "10s";
        /// A host without work for so long is stopped; the next activity starts it again.
        idle_timeout: Duration = "5m";
    }

    /// What the node writes to its standard error.
    log: Log {
        /// The least level, and exceptions by module: `info`, `warn,impresario_actors=debug`.
        level: LogFilter = "info";
        /// `text` for people, `json` for machines.
        format: LogFormat = "text";
    }
}
