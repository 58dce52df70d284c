//! Asks the node, over the same API as everybody: one task for what is on the screen, one for the head of it, and one for
//! orders. Each has one request under way at most; what is asked for a page that was left is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::page::{Content, Detail, News, Order, Overview, Trouble, Want};
use crate::adapters::AdapterOrder;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::inspect::EntryPage;
use crate::orchestrator::{InstanceDetail, InstancePage};
use crate::system_events::Severity;

/// How long an answer is waited for. Longer than a node waits for another one.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest pause after failures.
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// How many instances, and how many system events, one page has.
const PAGE: &str = "200";
/// How many entries one answer has at most.
const ENTRIES: usize = 500;
/// Of a status, so many instances are counted.
const COUNTED: usize = 100;
/// The statuses that are counted: those of instances that go on, and those that somebody has to look at.
const COUNTED_STATUSES: [&str; 5] = ["running", "waiting", "faulted", "uncertain", "quarantined"];

/// Asks for what the screen shows, until nobody wants news any more.
pub(super) async fn contents(
    client: Arc<Client>,
    mut wants: watch::Receiver<Want>,
    news: mpsc::Sender<News>,
    refresh: Duration,
) {
    loop {
        let want = wants.borrow_and_update().clone();
        tokio::select! {
            changed = wants.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = poll(&client, want, &news, refresh) => return,
        }
    }
}

async fn poll(client: &Client, want: Want, news: &mpsc::Sender<News>, refresh: Duration) {
    if want == Want::Nothing {
        return std::future::pending().await;
    }
    let mut after = None;
    let mut failures = 0;
    loop {
        let content = content(client, &want, &mut after).await;
        failures = if content.is_ok() { 0 } else { failures + 1 };
        // A full page of entries is not the last one.
        let more = matches!(&content, Ok(Content::Entries(page)) if page.items.len() >= ENTRIES);
        if news.send(News::Content { want: want.clone(), content }).await.is_err() {
            return;
        }
        tokio::time::sleep(if more { refresh / 4 } else { pause(refresh, failures) }).await;
    }
}

/// Longer and longer while the node does not answer.
fn pause(refresh: Duration, failures: u32) -> Duration {
    let longer = refresh.saturating_mul(2u32.saturating_pow(failures.min(8)));
    if failures == 0 { refresh } else { longer.min(PAUSE_MOST.max(refresh)) }
}

/// Asks once; `after` is where the tail of entries goes on.
pub(super) async fn content(
    client: &Client,
    want: &Want,
    after: &mut Option<String>,
) -> Result<Content, Trouble> {
    Ok(match want {
        // Nobody asks for that.
        Want::Nothing => return Err(Trouble::Failed("nothing to ask for".to_owned())),
        Want::Actors => Content::Actors(get(client, "/api/v1/tree").await?),
        Want::Instances { status, cursor } => {
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(status.map(|status| ("status", status.to_owned())));
            query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
            Content::Instances(ask(client, "/api/v1/instances", query).await?)
        }
        Want::Nodes => Content::Nodes(get(client, "/api/v1/nodes").await?),
        Want::Adapters => Content::Adapters(get(client, "/api/v1/adapters").await?),
        Want::Triggers { after } => {
            let query = after.iter().map(|after| ("after", after.clone())).collect();
            Content::Triggers(ask(client, "/api/v1/triggers", query).await?)
        }
        Want::Entries { text } => {
            let mut query = vec![("limit", ENTRIES.to_string())];
            query.extend((!text.is_empty()).then(|| ("text", text.clone())));
            query.extend(after.clone().map(|after| ("after", after)));
            let page: EntryPage = ask(client, "/api/v1/entries", query).await?;
            *after = Some(page.next.clone());
            Content::Entries(page)
        }
        Want::Quarantine => Content::Quarantine(get(client, "/api/v1/quarantine").await?),
        Want::Events { severity } => {
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(severity.map(|severity| ("severity", word(severity).to_owned())));
            Content::Events(ask(client, "/api/v1/system-events", query).await?)
        }
        Want::Detail(actor) => Content::Detail(Box::new(detail(client, actor).await?)),
        Want::Trace(subject) => {
            // An actor's id has a kind; what has none is the id of an event.
            let name = if subject.contains('/') { "actor" } else { "event" };
            Content::Trace(ask(client, "/api/v1/trace", vec![(name, subject.clone())]).await?)
        }
    })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

async fn detail(client: &Client, actor: &str) -> Result<Detail, Trouble> {
    let instance = match actor.strip_prefix("process/") {
        Some(id) => Some(at::<InstanceDetail>(client, "instances", id).await),
        None => None,
    };
    // The beginning of an id is enough for an instance; all else wants the whole of it.
    let actor = match &instance {
        Some(Ok(instance)) => format!("process/{}", instance.summary.id),
        _ => actor.to_owned(),
    };
    let (inside, explanation) = tokio::join!(at(client, "actors", &actor), at(client, "explain", &actor));
    let known = matches!(&instance, Some(Ok(_)));
    match (inside, instance) {
        (Err(trouble), None) => Err(trouble),
        (Err(_), Some(Err(trouble))) if !known => Err(trouble),
        (inside, instance) => Ok(Detail { actor, inside, instance, explanation }),
    }
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Trouble> {
    ask(client, path, Vec::new()).await
}

async fn ask<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: Vec<(&str, String)>,
) -> Result<T, Trouble> {
    answer(client.query(path, &query)).await
}

/// Asks about an id, whose slashes are slashes of the path.
async fn at<T: DeserializeOwned>(client: &Client, what: &str, id: &str) -> Result<T, Trouble> {
    answer(client.get_at(&path(what, id))).await
}

fn path<'a>(what: &'a str, id: &'a str) -> Vec<&'a str> {
    ["api", "v1", what].into_iter().chain(id.split('/')).collect()
}

async fn answer<T>(asked: impl Future<Output = Result<T, CliError>>) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| match error {
            CliError::NotFound(words) => Trouble::NotFound(words),
            other => Trouble::Failed(other.to_string()),
        }),
        Err(_) => Err(Trouble::Failed(format!("the node did not answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Asks for the head of the screen, until nobody wants news any more.
pub(super) async fn overviews(client: Arc<Client>, news: mpsc::Sender<News>, refresh: Duration) {
    let mut counts = BTreeMap::new();
    let mut failures = 0;
    for turn in 0_usize.. {
        let overview = overview(&client, &mut counts, turn).await;
        failures = if overview.is_ok() { 0 } else { failures + 1 };
        if news.send(News::Overview(overview)).await.is_err() {
            return;
        }
        tokio::time::sleep(pause(refresh, failures)).await;
    }
}

/// How many instances have the status with this number, and whether there are more.
type Counts = BTreeMap<usize, (usize, bool)>;

/// Asks for the nodes and the audit, and counts the instances of one status at each turn.
pub(super) async fn overview(client: &Client, counts: &mut Counts, turn: usize) -> Result<Overview, Trouble> {
    let nodes = get(client, "/api/v1/nodes").await?;
    // A node without an auditor is a node to look at all the same.
    let audit = get(client, "/api/v1/audit").await.ok();
    let number = turn % COUNTED_STATUSES.len();
    let query = vec![("status", COUNTED_STATUSES[number].to_owned()), ("limit", COUNTED.to_string())];
    if let Ok(page) = ask::<InstancePage>(client, "/api/v1/instances", query).await {
        counts.insert(number, (page.items.len(), page.next.is_some()));
    }
    let counts = counts.iter().map(|(number, (count, more))| (COUNTED_STATUSES[*number], *count, *more));
    Ok(Overview { nodes, audit, counts: counts.collect() })
}

/// How many turns it takes until all is counted.
pub(super) const TURNS: usize = COUNTED_STATUSES.len();

/// Tells the cluster what an operator wants, one order after another.
pub(super) async fn orders(
    client: Arc<Client>,
    mut orders: mpsc::Receiver<Order>,
    wants: watch::Sender<Want>,
    news: mpsc::Sender<News>,
) {
    while let Some(order) = orders.recv().await {
        let done = answer(tell(&client, &order)).await;
        let told = match done {
            Ok(()) => Ok(format!("done: {}", order.question().trim_end_matches('?'))),
            Err(trouble) => Err(trouble.words().to_owned()),
        };
        if news.send(News::Ordered(told)).await.is_err() {
            return;
        }
        // The screen shows what came of it without waiting for its next turn.
        wants.send_modify(|_| {});
    }
}

async fn tell(client: &Client, order: &Order) -> Result<(), CliError> {
    match order {
        Order::Restart { adapter, node } => {
            let reason = Some("asked for in the console".to_owned());
            let restart = AdapterOrder::Restart { node: node.clone(), reason };
            client.tell_at(&["api", "v1", "adapters", adapter], &[], &restart).await
        }
        Order::Quarantine { actor, entry, order } => {
            let query: Vec<(&str, &str)> = entry.iter().map(|entry| ("entry", entry.as_str())).collect();
            client.tell_at(&path("quarantine", actor), &query, order).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_the_node_does_not_answer_and_end_somewhere() {
        let refresh = Duration::from_secs(1);
        let pauses: Vec<u64> = (0..6).map(|failures| pause(refresh, failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        assert_eq!(pause(Duration::from_secs(60), 9), Duration::from_secs(60), "never sooner than asked for");
    }
}
