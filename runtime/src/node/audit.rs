//! The audits of this node's shards, and what all nodes found together.

use std::time::Duration;

use futures_util::future::join_all;
use impresario_actors::shard::Progress;
use impresario_persistence::Standing;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::local::Local;
use crate::audit::{AuditReport, Auditor, Settled, settled_at};
use crate::question::{Question, Reply};

impl Local {
    /// Audits every so often, about so many rows each time, until the task is dropped.
    pub(super) fn audit_every(&self, every: Duration, rows: usize) -> JoinSet<()> {
        let node = self.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut auditor = Auditor::new(node.engine.clone(), node.definitions.clone(), rows);
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if matches!(*node.engine.store().standing().borrow(), Standing::Away(_)) {
                    // Nothing is proven meanwhile, and the age of the last proof says so.
                    continue;
                }
                let settled = node.gather_settled().await;
                if let Err(error) = auditor.audit(&node.mine(), &settled).await {
                    tracing::warn!(%error, "an audit was not finished: the store did not answer");
                }
                node.audits.send_replace(auditor.report());
            }
        });
        tasks
    }

    /// What the last audit of this node found; how long ago that is, is told as of now.
    pub(super) fn own_audit(&self) -> AuditReport {
        let mut report = self.audits.borrow().clone();
        let at = report.proven_at.as_deref().and_then(impresario_model::instance::from_rfc3339);
        let now = self.engine.store().clock()();
        report.proven_ms_ago = at.map(|at| now.saturating_sub(at));
        report
    }

    /// What the last audits of all nodes found.
    pub(super) async fn gather_audits(&self) -> AuditReport {
        let mut report = self.own_audit();
        let view = self.view();
        let others: Vec<_> =
            view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me).collect();
        let answers = join_all(others.iter().map(|node| self.ask_node(node, &Question::Audit))).await;
        for (node, answer) in others.iter().zip(answers) {
            match answer {
                Ok(Reply::Audit(theirs)) => report.merge(theirs),
                _ => report.unheard.push(format!("node {}", node.name)),
            }
        }
        let unowned = (0..self.shards()).filter(|shard| view.owner_of(*shard).is_none());
        report.unheard.extend(unowned.map(|shard| format!("shard {shard}, which has no owner")));
        report
    }

    /// Up to when the rows of the shards hold that other nodes run.
    async fn gather_settled(&self) -> Settled {
        let view = self.view();
        let others = view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me);
        let answers = join_all(others.map(|node| self.ask_node(node, &Question::Settled))).await;
        let mut settled = Settled::new();
        for answer in answers {
            if let Ok(Reply::Settled(theirs)) = answer {
                settled.extend(theirs);
            }
        }
        settled
    }

    /// The same of the shards that this node runs.
    pub(super) async fn own_settled(&self) -> Vec<(u16, u64)> {
        let now = self.engine.store().clock()();
        let progress = Auditor::progress(&self.engine, &self.mine()).await;
        let view = self.view();
        let mine =
            progress.into_iter().filter(|(shard, at): &(u16, Progress)| view.is_mine(*shard) && at.recovered);
        mine.map(|(shard, at)| (shard, settled_at(&at, now))).collect()
    }
}
