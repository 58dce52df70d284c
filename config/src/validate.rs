//! What a single value cannot tell: ranges, and settings that contradict each other.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::Problem;
use crate::load::Effective;
use crate::settings::Config;
use crate::source::Origin;
use crate::value::ByteSize;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn validate(config: &Config, effective: &[Effective]) -> Vec<Problem> {
    let mut check = Check { effective, problems: Vec::new() };
    let Config { node, store, redis, cluster, http, tcp, syslog, snmp, engine, adapters, traces, .. } =
        config;

    check.range("store.shards", store.shards, 1..=4096);
    check.range("store.queue", store.queue, 64..=1 << 20);
    check.range("store.segment_size", store.segment_size, ByteSize(1 << 20)..=ByteSize(1 << 30));
    check.range("http.body_limit", http.body_limit, ByteSize(1 << 10)..=ByteSize(64 << 20));
    check.duration("http.request_timeout", http.request_timeout, SECOND..=DAY);
    check.range("http.concurrency", http.concurrency, 1..=1 << 20);
    check.range("tcp.connections", tcp.connections, 1..=1 << 20);
    check.range("tcp.ahead", tcp.ahead, 1..=1 << 16);
    check.range("tcp.line_limit", tcp.line_limit, ByteSize(1 << 10)..=ByteSize(64 << 20));
    check.duration("tcp.idle_timeout", tcp.idle_timeout, SECOND / 10..=365 * DAY);
    check.range("http.waiting", http.waiting, 0..=1 << 20);
    check.range("syslog.connections", syslog.connections, 1..=1 << 20);
    check.range("syslog.message_limit", syslog.message_limit, ByteSize(1 << 10)..=ByteSize(1 << 20));
    check.duration("syslog.idle_timeout", syslog.idle_timeout, SECOND / 10..=365 * DAY);
    check.range("syslog.queue", syslog.queue, 1..=1 << 20);
    check.range("snmp.queue", snmp.queue, 1..=1 << 20);
    check.duration("engine.checkpoint_interval", engine.checkpoint_interval, SECOND / 100..=DAY);
    check.range("engine.checkpoint_entries", engine.checkpoint_entries, 1..=10_000_000);
    check.duration("engine.idle_after", engine.idle_after, Duration::ZERO..=DAY);
    check.range("engine.live_actors", engine.live_actors, 1..=10_000_000);
    check.range("engine.backlog_limit", engine.backlog_limit, 1..=100_000_000);
    check.range("engine.task_limit", engine.task_limit, 1..=1 << 40);
    check.duration("engine.retention", engine.retention, Duration::ZERO..=3650 * DAY);
    check.duration("engine.dedup_window", engine.dedup_window, Duration::ZERO..=30 * DAY);
    check.range("engine.dedup_limit", engine.dedup_limit, 0..=100_000_000);
    check.range("adapters.concurrency", adapters.concurrency, 1..=100_000);
    check.range("adapters.queue", adapters.queue, 1..=10_000_000);
    check.duration("adapters.stop_timeout", adapters.stop_timeout, Duration::ZERO..=DAY);
    check.range("adapters.memory_limit", adapters.memory_limit, ByteSize(16 << 20)..=ByteSize(1 << 50));
    check.duration("adapters.idle_timeout", adapters.idle_timeout, SECOND / 10..=365 * DAY);
    check.range("traces.percent", traces.percent, 0..=100);
    check.range("traces.queue", traces.queue, 1..=1 << 20);
    check.range("node.weight", node.weight, 1..=10_000);
    check.duration("redis.timeout", redis.timeout, SECOND / 10..=60 * SECOND);
    check.duration("cluster.presence_ttl", cluster.presence_ttl, SECOND / 2..=300 * SECOND);
    check.duration(
        "cluster.presence_interval",
        cluster.presence_interval,
        SECOND / 20..=cluster.presence_ttl / 3,
    );
    check.duration("cluster.poll_interval", cluster.poll_interval, SECOND / 20..=cluster.presence_ttl);
    check.duration("cluster.move_patience", cluster.move_patience, Duration::ZERO..=DAY);
    check.duration("shutdown_timeout", config.shutdown_timeout, Duration::ZERO..=DAY);

    if redis.user.is_some() && redis.password_file.is_none() {
        check.problem("redis.user", "expected redis.password_file with it, found none");
    }
    if redis.tls_certificate.is_some() != redis.tls_key.is_some() {
        check.problem(
            "redis.tls_certificate",
            "expected redis.tls_key with it and the other way round, found one of them",
        );
    }
    let tls_file = [&redis.tls_ca, &redis.tls_certificate, &redis.tls_key].iter().any(|file| file.is_some());
    if tls_file && !redis.tls {
        check.problem("redis.tls", "expected true, because a file for TLS is named; found false");
    }
    if tcp.tls_certificate.is_some() != tcp.tls_key.is_some() {
        check.problem(
            "tcp.tls_certificate",
            "expected tcp.tls_key with it and the other way round, found one of them",
        );
    }
    if syslog.tls_certificate.is_some() != syslog.tls_key.is_some() {
        check.problem(
            "syslog.tls_certificate",
            "expected syslog.tls_key with it and the other way round, found one of them",
        );
    }
    if snmp.listen.is_some() && snmp.runtime_users.0.is_empty() {
        check.problem(
            "snmp.runtime_users",
            "expected the runtime users with the communities or v3 credentials of the senders, found none",
        );
    }
    for (key, limit) in [("http.body_limit", http.body_limit), ("tcp.line_limit", tcp.line_limit)] {
        if limit.0 > store.segment_size.0 / 4 {
            let message = format!(
                "expected at most a quarter of store.segment_size ({}), found {limit}: an event has to fit one file of \
                 the log",
                store.segment_size
            );
            check.problem(key, &message);
        }
    }
    check.problems
}

struct Check<'a> {
    effective: &'a [Effective],
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, key: &'static str, message: &str) {
        let given = self.effective.iter().find(|effective| effective.setting.key == key);
        let origin = given.map_or(Origin::Default, |effective| effective.origin.clone());
        self.problems.push(Problem { origin, message: format!("'{key}': {message}") });
    }

    fn range<T: PartialOrd + Display>(&mut self, key: &'static str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.problem(key, &format!("expected {} to {}, found {value}", range.start(), range.end()));
        }
    }

    fn duration(&mut self, key: &'static str, value: Duration, range: RangeInclusive<Duration>) {
        if !range.contains(&value) {
            let show = humantime::format_duration;
            let (least, most) = (show(*range.start()), show(*range.end()));
            self.problem(key, &format!("expected {least} to {most}, found {}", show(value)));
        }
    }
}
