//! What operators ask of adapters: written into the environment, and done at once at the node that was asked.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use impresario_actors::hosts::{HostSpec, HostsError, try_out};

use super::wanted::{self, Program, Wanted};
use super::{Adapters, SETTINGS};
use crate::adapters::{AdapterOrder, AdapterSummary};
use crate::cluster::NodeView;
use crate::node::local::Local;
use crate::node::refusal::refusal;
use crate::orchestrator::Refusal;
use crate::question::{Question, Reply};
use crate::settings;

/// The longest name of an adapter.
const NAME_LIMIT: usize = 64;

impl Local {
    /// The adapters of all nodes, or one of them, by name and node.
    pub(in crate::node) async fn all_adapters(
        &self,
        only: Option<String>,
    ) -> Result<Vec<AdapterSummary>, Refusal> {
        let view = self.view();
        let others = view.nodes.iter().filter(|node| node.alive && node.incarnation != view.me);
        let asked = others.map(|node| async {
            match self.peers.ask(node, &Question::Adapters).await {
                Ok(Reply::Adapters(adapters)) => adapters,
                Ok(_) => vec![silent(node, "it is of a version that cannot tell".to_owned())],
                Err(refusal) => vec![silent(node, refusal.to_string())],
            }
        });
        let mut all: Vec<AdapterSummary> = join_all(asked).await.into_iter().flatten().collect();
        all.extend(self.adapters.list());
        if let Some(name) = only {
            if !all.iter().any(|adapter| adapter.name == name) {
                return Err(self.adapters.unknown(&name));
            }
            all.retain(|adapter| adapter.name == name || adapter.name == "?");
        }
        all.sort_by(|a, b| (&a.name, &a.node).cmp(&(&b.name, &b.node)));
        Ok(all)
    }

    /// Does what an operator asks.
    pub(in crate::node) async fn order_adapter(
        &self,
        name: String,
        order: AdapterOrder,
    ) -> Result<(), Refusal> {
        match &order {
            AdapterOrder::Restart { node: Some(node), .. } => self.at(node, &name, &order).await,
            AdapterOrder::Release { node: Some(node) } => self.at(node, &name, &order).await,
            AdapterOrder::Release { node: None } => {
                let view = self.view();
                let names: Vec<&str> =
                    view.nodes.iter().filter(|node| node.alive).map(|node| node.name.as_str()).collect();
                let mut refused = Vec::new();
                let count = names.len();
                for node in names {
                    refused.extend(self.at(node, &name, &order).await.err());
                }
                // Where it works there is nothing to release.
                if refused.len() < count { Ok(()) } else { refused.pop().map_or(Ok(()), Err) }
            }
            _ => self.adapters.order(&name, order).await,
        }
    }

    /// Has one node do it, now.
    async fn at(&self, node: &str, name: &str, order: &AdapterOrder) -> Result<(), Refusal> {
        if node == &*self.node {
            return self.adapters.here(name, order).await;
        }
        let view = self.view();
        let found = view.nodes.iter().find(|other| other.alive && other.name == node);
        let Some(found) = found else {
            let known: Vec<&str> =
                view.nodes.iter().filter(|node| node.alive).map(|node| node.name.as_str()).collect();
            return Err(Refusal::NotFound(format!(
                "expected a node of the cluster, found '{node}'; known: {}",
                known.join(", ")
            )));
        };
        let question = Question::Adapter { name: name.to_owned(), order: order.clone() };
        match self.peers.ask(found, &question).await? {
            Reply::Adapters(_) => Ok(()),
            _ => Err(Refusal::later(format!("node {node} did not understand; is it of another version?"))),
        }
    }
}

fn silent(node: &NodeView, reason: String) -> AdapterSummary {
    AdapterSummary {
        name: "?".to_owned(),
        node: node.name.clone(),
        state: "no answer".to_owned(),
        last_error: Some(reason),
        ..AdapterSummary::default()
    }
}

impl Adapters {
    /// What is for this node alone.
    pub(in crate::node) async fn here(&self, name: &str, order: &AdapterOrder) -> Result<(), Refusal> {
        self.exists(name)?;
        let Some(hosts) = self.inner.hosts.get() else { return Err(Refusal::later("the node is starting")) };
        let failed = |error: HostsError| Refusal::Conflict(error.to_string());
        match order {
            AdapterOrder::Restart { reason, .. } => {
                hosts.restart(name, &asked(reason.as_deref())).map_err(failed)
            }
            AdapterOrder::Release { .. } => hosts.release(name).await.map_err(|_| {
                Refusal::Conflict(format!("adapter {name} is not quarantined at node {}", self.inner.node))
            }),
            _ => Err(Refusal::Invalid("expected an order for one node, found one for all".to_owned())),
        }
    }

    async fn order(&self, name: &str, order: AdapterOrder) -> Result<(), Refusal> {
        match order {
            AdapterOrder::Add { command, environment } => self.add(name, command, environment).await,
            AdapterOrder::Remove => {
                self.is_program(name)?;
                self.unused(name, &BTreeMap::<String, ()>::new())?;
                self.change(name, |wanted| {
                    wanted.program = None;
                    Ok(())
                })
                .await
            }
            AdapterOrder::Restart { reason, .. } => {
                self.exists(name)?;
                self.change(name, |wanted| {
                    wanted.reason = asked(reason.as_deref());
                    Ok(())
                })
                .await
            }
            AdapterOrder::Stop => self.hold(name, true).await,
            AdapterOrder::Start => self.hold(name, false).await,
            AdapterOrder::Set { settings } => {
                self.exists(name)?;
                self.change(name, |wanted| {
                    wanted.settings.extend(settings.clone());
                    wanted.settings.retain(|_, value| !value.is_empty());
                    SETTINGS.clone_into(&mut wanted.reason);
                    wanted::host(HostSpec::new(name, "/"), wanted).map(drop).map_err(Refusal::Invalid)
                })
                .await
            }
            AdapterOrder::Release { .. } => self.here(name, &order).await,
        }
    }

    async fn hold(&self, name: &str, stopped: bool) -> Result<(), Refusal> {
        self.exists(name)?;
        self.write(name, |wanted| {
            wanted.stopped = stopped;
            Ok(())
        })
        .await
    }

    async fn add(
        &self,
        name: &str,
        command: Vec<String>,
        environment: BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(good) {
            return Err(Refusal::Invalid(format!(
                "expected a name of 1 to {NAME_LIMIT} characters a-z, 0-9, '-' and '_', found '{name}'"
            )));
        }
        if self.inner.builtin.iter().any(|spec| spec.name == name) {
            return Err(Refusal::Conflict(format!("adapter {name} is built in: choose another name")));
        }
        let Some((program, arguments)) = command.split_first() else {
            return Err(Refusal::Invalid("expected a program, found none".to_owned()));
        };
        let mut spec = HostSpec {
            name: name.to_owned(),
            program: program.into(),
            arguments: arguments.to_vec(),
            ..self.inner.template.clone()
        };
        spec.environment.extend(environment.clone());
        let node = &self.inner.node;
        let manifest = try_out(&spec)
            .await
            .map_err(|error| Refusal::Invalid(format!("{program} is no adapter at node {node}: {error}")))?;
        let program = Program { command, environment, manifest };
        let known = wanted::read_all(&self.inner.store).await.map_err(|error| refusal(error.into()))?;
        let mut catalog = crate::node::builtin_catalog();
        wanted::extend(&mut catalog, &known);
        wanted::check(name, &program, &catalog).map_err(Refusal::Invalid)?;
        self.unused(name, &program.functions(name))?;
        self.change(name, |wanted| {
            wanted.program = Some(program.clone());
            wanted.stopped = false;
            // The same words may start another program now.
            "its program was added".clone_into(&mut wanted.reason);
            Ok(())
        })
        .await
    }

    /// Whether no definition calls a function of the adapter beyond those that stay.
    fn unused<T>(&self, name: &str, stay: &BTreeMap<String, T>) -> Result<(), Refusal> {
        let stays = |function: &str| stay.keys().any(|called| called.split(':').next() == Some(function));
        for definition in self.inner.definitions.all() {
            let called = definition.calls.iter().find(|(adapter, called)| adapter == name && !stays(called));
            if let Some((_, function)) = called {
                return Err(Refusal::Conflict(format!(
                    "definition {} calls '{function}' of adapter {name}, and every node compiles it",
                    definition.id
                )));
            }
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> Result<(), Refusal> {
        if self.list().iter().any(|adapter| adapter.name == name) { Ok(()) } else { Err(self.unknown(name)) }
    }

    fn is_program(&self, name: &str) -> Result<(), Refusal> {
        if self.inner.builtin.iter().any(|spec| spec.name == name) {
            return Err(Refusal::Conflict(format!(
                "adapter {name} is built in and cannot be removed; `impresario adapters stop {name}` stops it"
            )));
        }
        self.exists(name)
    }

    fn unknown(&self, name: &str) -> Refusal {
        let known: Vec<String> = self.list().into_iter().map(|adapter| adapter.name).collect();
        Refusal::NotFound(format!("expected an adapter, found '{name}'; known: {}", known.join(", ")))
    }

    /// Changes what is wanted so that every process has to be replaced.
    async fn change(
        &self,
        name: &str,
        step: impl Fn(&mut Wanted) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.write(name, |wanted| {
            step(wanted)?;
            wanted.restarts += 1;
            Ok(())
        })
        .await
    }

    /// Changes what is wanted, again if another node was faster; then this node follows.
    async fn write(
        &self,
        name: &str,
        step: impl Fn(&mut Wanted) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        settings::update(&self.inner.store, &wanted::key(name), |before: Option<Wanted>| {
            let mut wanted = before.unwrap_or_default();
            step(&mut wanted)?;
            Ok::<_, Refusal>(Some(wanted))
        })
        .await?;
        self.follow().await.map_err(|error| refusal(error.into()))
    }
}

/// Why, for the log.
fn asked(reason: Option<&str>) -> String {
    reason.map_or_else(|| "an operator asked for it".to_owned(), |reason| reason.chars().take(1024).collect())
}
