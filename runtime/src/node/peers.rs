//! Asks other nodes over their HTTP doors, within limits of time and size.

use std::sync::Arc;
use std::time::Duration;

use impresario_model::encoding;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, StatusCode};

use super::NodeError;
use crate::cluster::NodeView;
use crate::http::problem::{ProblemDocument, refusal_of};
use crate::orchestrator::Refusal;
use crate::question::{MEDIA_TYPE, PATH, Question, Reply};

/// How long a connection may take; nodes are near each other.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a question may take altogether.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer: what one node may know of its actors that the store does not.
const REPLY_LIMIT: usize = 64 << 20;
/// Connections that are kept open to each node, and for how long; the other side closes them after a minute.
const IDLE: (usize, Duration) = (16, Duration::from_secs(30));

/// Asks other nodes. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    http: Client,
    token: Arc<str>,
}

impl Peers {
    /// Asks with the token of this node.
    ///
    /// # Errors
    /// [`NodeError::System`] when no HTTP client can be made.
    pub fn new(token: &str) -> Result<Peers, NodeError> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(IDLE.0)
            .pool_idle_timeout(IDLE.1)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| NodeError::System(format!("cannot make an HTTP client: {error}")))?;
        Ok(Peers { http, token: token.into() })
    }

    /// Asks a node.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when it does not answer in time, and what it refuses.
    pub async fn ask(&self, node: &NodeView, question: &Question) -> Result<Reply, Refusal> {
        let body = encoding::encode(question).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let url = format!("{}{PATH}", node.record.url.trim_end_matches('/'));
        let request =
            self.http.post(url).bearer_auth(&self.token).header(CONTENT_TYPE, MEDIA_TYPE).body(body);
        let response = request.send().await.map_err(|error| silent(node, &error))?;
        let status = response.status();
        let body = read(node, response).await?;
        if status == StatusCode::OK {
            return encoding::decode(&body)
                .map_err(|error| Refusal::later(format!("the answer of node {} is {error}", node.name)));
        }
        let detail = serde_json::from_slice::<ProblemDocument>(&body).map(|problem| problem.detail);
        let said = match (status, detail) {
            // Its own words tell a client to send another token, and this client has sent the right one.
            (StatusCode::UNAUTHORIZED, _) => "it does not know the token of this node yet".to_owned(),
            (_, Ok(detail)) => detail,
            (status, Err(_)) => format!("it answered {status}"),
        };
        match refusal_of(status, said) {
            Refusal::Unavailable { reason, retry_after_ms } => {
                let reason = format!("node {}: {reason}", node.name);
                Err(Refusal::Unavailable { reason, retry_after_ms })
            }
            refusal => Err(refusal),
        }
    }
}

async fn read(node: &NodeView, mut response: Response) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| silent(node, &error))? {
        if body.len() + chunk.len() > REPLY_LIMIT {
            let name = &node.name;
            return Err(Refusal::later(format!("the answer of node {name} is over {REPLY_LIMIT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn silent(node: &NodeView, error: &reqwest::Error) -> Refusal {
    tracing::debug!(node = node.name, url = node.record.url, ?error, "a node does not answer");
    let what = if error.is_timeout() { "in time " } else { "" };
    Refusal::later(format!("node {} does not answer {what}at {}", node.name, node.record.url))
}
