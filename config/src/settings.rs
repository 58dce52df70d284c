//! The table of settings: each row is a key, its type, its default, and what it is for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::load::Reader;
use crate::network::Networks;
use crate::table::{Setting, settings};
use crate::value::{
    ByteSize, Labels, LogFilter, LogFormat, Name, Names, RedisKeeping, RedisTopology, Servers, SettingValue,
    StoreKind, Url,
};

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
        /// The node's name in logs and lists, its own among the nodes of its environment. `auto` is the host name.
        name: Name = "auto";
        /// Where it stands. When a node is gone, its work goes to nodes of the same site first.
        site: Option<Name> = "none";
        /// What else is to be known of it.
        labels: Labels = "none";
        /// How much work it takes compared with the others: a node of 200 gets twice the work of one of 100.
        weight: u16 = "100";
        /// Where the other nodes reach its HTTP door. `none` is the address it listens at.
        advertise: Option<Url> = "none";
    }

    /// Where mailbox logs and snapshots are kept.
    store: Store {
        /// `embedded` is durable on this machine; `redis` is shared by several nodes; `memory` forgets everything at
        /// exit.
        kind: StoreKind = "embedded";
        /// How many shards the actors are spread over. Fixed when the environment is made.
        shards: u16 = "16";
        /// How many appends may wait for the log's writer; a sender beyond them is told to try later.
        queue: usize = "16384";
        /// The size at which the log goes on in a new file. Old files are deleted whole.
        segment_size: ByteSize = "64MiB";
    }

    /// The store that several nodes share, with `store.kind = redis`.
    redis: Redis {
        /// The servers: one, or the sentinels, or some nodes of the cluster.
        servers: Servers = "127.0.0.1:6379";
        /// How they belong together.
        topology: RedisTopology = "standalone";
        /// What the sentinels call the primary.
        primary: Name = "mymaster";
        /// The user to log in as. `none` is the server's default user.
        user: Option<Name> = "none";
        /// The file with the user's password, its end of line not counted.
        password_file: Option<PathBuf> = "none";
        /// Whether to speak TLS.
        tls: bool = "false";
        /// The certificates of the authorities to trust, in PEM. `none` trusts those of the operating system.
        tls_ca: Option<PathBuf> = "none";
        /// The certificate to show to the server, in PEM.
        tls_certificate: Option<PathBuf> = "none";
        /// The key of that certificate, in PEM.
        tls_key: Option<PathBuf> = "none";
        /// The least that the servers have to keep of what they acknowledge; a server that keeps less is refused.
        /// `fsync` is `appendfsync always`, `everysec` is that.
        keeping: RedisKeeping = "everysec";
        /// How many replicas must have an entry before it is acknowledged.
        replicas: u8 = "0";
        /// How long one request to a server may take before the server counts as away.
        timeout: Duration = "2s";
    }

    /// How the nodes that share a store look after each other.
    cluster: Cluster {
        /// A node that was not heard of for so long counts as gone, and its work goes to the others.
        presence_ttl: Duration = "2s";
        /// How often a node says that it is there. At most a third of `presence_ttl`.
        presence_interval: Duration = "500ms";
        /// How often a node looks who is there and what nobody owns.
        poll_interval: Duration = "250ms";
        /// How long a shard that moves to another node waits for its work in flight before it stays where it is.
        move_patience: Duration = "10s";
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
        /// How many requests are worked on at once, half of them to webhooks at most; more are refused with 503.
        concurrency: usize = "1024";
        /// How many requests may wait at once for the end of an instance (`wait`, `ask`); more are refused with 503.
        waiting: usize = "256";
    }

    /// The TCP door: one event a line in, one reply a line out.
    tcp: Tcp {
        /// The address and port to listen at. `none` is no such door.
        listen: Option<SocketAddr> = "none";
        /// The certificate to show to clients, in PEM; with it the door speaks TLS and nothing else.
        tls_certificate: Option<PathBuf> = "none";
        /// The key of that certificate, in PEM.
        tls_key: Option<PathBuf> = "none";
        /// How many connections may be open at once; more wait until one ends.
        connections: usize = "4096";
        /// How many events of one connection may be on their way to the log before the first of them is answered.
        ahead: usize = "256";
        /// The longest line that is taken for an event.
        line_limit: ByteSize = "1MiB";
        /// A connection on which no event comes for so long is closed, and one that does not read its replies.
        idle_timeout: Duration = "5m";
    }

    /// The syslog listener: log lines of devices, which become events.
    syslog: Syslog {
        /// The address and port to listen at over TCP. `none` is no such listener.
        listen: Option<SocketAddr> = "none";
        /// The address and port to listen at over UDP, one message a datagram. `none` is no such listener.
        listen_udp: Option<SocketAddr> = "none";
        /// The networks whose senders are heard. The protocol knows no token, so this and a firewall are what there is.
        networks: Networks = "any";
        /// The certificate to show to senders, in PEM; with it the TCP listener speaks TLS and nothing else.
        tls_certificate: Option<PathBuf> = "none";
        /// The key of that certificate, in PEM.
        tls_key: Option<PathBuf> = "none";
        /// How many TCP connections may be open at once; more wait until one ends.
        connections: usize = "1024";
        /// What of a longer message is kept; the rest is cut off, and the event says so.
        message_limit: ByteSize = "64KiB";
        /// A connection on which no message comes for so long is closed.
        idle_timeout: Duration = "1h";
        /// How many datagrams may wait for the log; those beyond are lost, and counted.
        queue: usize = "10000";
    }

    /// The listener for SNMP notifications: traps and informs.
    snmp: Snmp {
        /// The address and port to listen at over UDP. `none` is no such listener.
        listen: Option<SocketAddr> = "none";
        /// The networks whose senders are heard.
        networks: Networks = "any";
        /// The runtime users whose field `community` (v1, v2c) or `username`, `authPassword` and the like (v3) lets a
        /// sender in. Without one of them nobody is heard.
        runtime_users: Names = "none";
        /// How many notifications may wait for the log; traps beyond are lost, and counted; informs are not acknowledged, so
        /// that their senders repeat them.
        queue: usize = "10000";
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
        /// How many of the events that came through its doors last a node remembers, for operators to look at. They are in
        /// memory only.
        recent_events: usize = "1000";
        /// How many bytes these may have together.
        recent_bytes: ByteSize = "4MiB";
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
        /// A host that has more than this in memory, with its children, is replaced by a fresh one.
        memory_limit: ByteSize = "1GiB";
    }

    /// The environment key, under which the secrets of runtime users are sealed.
    key: KeySettings {
        /// The file that holds it, for its owner alone (mode 0600). `none` is `environment.key` in the data folder; elsewhere
        /// it stays out of copies of the data. It is made at the first start; `impresario key import` brings it to others.
        file: Option<PathBuf> = "none";
    }

    /// Where the spans of traces go: what happened between an event at a door and the last activity that it led to.
    traces: Traces {
        /// The collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`. `none` records nothing.
        endpoint: Option<Url> = "none";
        /// How many of a hundred traces are recorded; a trace that its sender does not have recorded never is.
        percent: u8 = "100";
        /// How many spans may wait for the collector; more are lost, and counted.
        queue: usize = "8192";
    }

    /// What the node writes to its standard error.
    log: Log {
        /// The least level, and exceptions by module: `info`, `warn,impresario_actors=debug`. `impresario log` changes it while
        /// the node runs.
        level: LogFilter = "info";
        /// `text` for people, `json` for machines.
        format: LogFormat = "text";
    }
}
