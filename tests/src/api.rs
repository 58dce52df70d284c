//! A client of the HTTP door: typed where a test only wants to get on, raw where it is about the door itself.

use std::time::Duration;

use impresario::http::problem::ProblemDocument;
use impresario::orchestrator::{
    Accepted, Health, InstanceDetail, InstancePage, InstanceSummary, NodeSummary, Started, TreeNode,
    TriggerSummary,
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Longer than a node lets any request take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How a request ended.
#[derive(Debug)]
pub enum Failure {
    /// Nobody answered, or not to the end: whether it was done is not known.
    Broken(reqwest::Error),
    /// The node refused it.
    Refused(StatusCode, ProblemDocument),
    /// The node answered something else.
    Odd(String),
}

/// A node's API.
#[derive(Clone, Debug)]
pub struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    /// At this address, with this token.
    pub fn new(url: &str, token: &str) -> Self {
        Api { client: client(TIMEOUT), url: url.to_owned(), token: token.to_owned() }
    }

    /// The same for those who would rather ask another node than wait longer than this.
    pub fn impatient(&self, timeout: Duration) -> Self {
        Api { client: client(timeout), ..self.clone() }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The node's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// A request without the token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request, and reads its answer.
    pub async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = request.send().await.map_err(Failure::Broken)?;
        let status = response.status();
        let body = response.bytes().await.map_err(Failure::Broken)?;
        let odd = || Failure::Odd(format!("{status}: {}", String::from_utf8_lossy(&body)));
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| odd());
        }
        Err(serde_json::from_slice(&body).map_or_else(|_| odd(), |problem| Failure::Refused(status, problem)))
    }

    /// Sends a request whose answer is empty.
    pub async fn tell(&self, request: RequestBuilder) -> Result<(), Failure> {
        let response = request.send().await.map_err(Failure::Broken)?;
        let status = response.status();
        let body = response.bytes().await.map_err(Failure::Broken)?;
        if status.is_success() {
            return Ok(());
        }
        let odd = || Failure::Odd(format!("{status}: {}", String::from_utf8_lossy(&body)));
        Err(serde_json::from_slice(&body).map_or_else(|_| odd(), |problem| Failure::Refused(status, problem)))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(self.request(Method::GET, path)).await
    }

    /// Sends one event in structured mode.
    pub async fn send(&self, event: &Value) -> Result<Accepted, Failure> {
        let request =
            self.request(Method::POST, "/events").header("content-type", "application/cloudevents+json");
        self.ask(request.body(event.to_string())).await
    }

    /// Starts an instance.
    pub async fn start(&self, definition: &str, input: Value, key: Option<&str>) -> Result<Started, Failure> {
        let mut body = json!({ "definition": definition, "input": input });
        if let Some(key) = key {
            body["key"] = key.into();
        }
        self.ask(self.request(Method::POST, "/api/v1/instances").json(&body)).await
    }

    /// Shows an instance.
    pub async fn instance(&self, id: &str) -> Result<InstanceDetail, Failure> {
        self.get(&format!("/api/v1/instances/{id}")).await
    }

    /// One page of instances; `query` such as `status=running&limit=10`.
    pub async fn page(&self, query: &str) -> Result<InstancePage, Failure> {
        self.get(&format!("/api/v1/instances?{query}")).await
    }

    /// All instances that `query` names, page by page; a page that misses some is odd.
    pub async fn instances(&self, query: &str) -> Result<Vec<InstanceSummary>, Failure> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.page(&format!("{query}&limit=500{cursor}")).await?;
            if !page.unheard.is_empty() {
                return Err(Failure::Odd(format!("of shards {:?} the owner does not answer", page.unheard)));
            }
            all.extend(page.items);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// The trigger monitors.
    pub async fn triggers(&self) -> Result<Vec<TriggerSummary>, Failure> {
        self.get("/api/v1/triggers").await
    }

    /// The nodes of the cluster, as this one sees them.
    pub async fn nodes(&self) -> Result<Vec<NodeSummary>, Failure> {
        self.get("/api/v1/nodes").await
    }

    /// The tree of actors.
    pub async fn tree(&self) -> Result<TreeNode, Failure> {
        self.get("/api/v1/tree").await
    }

    /// How the node is; `None` if it does not answer.
    pub async fn health(&self) -> Option<Health> {
        let response = self.anonymous(Method::GET, "/health/ready").send().await.ok()?;
        response.json().await.ok()
    }
}

fn client(timeout: Duration) -> reqwest::Client {
    // The client wants one even for plain HTTP; the first to install one wins.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(timeout).no_proxy().build().expect("an HTTP client")
}

/// A CloudEvent with data.
pub fn event(source: &str, id: &str, kind: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": source, "type": kind,
        "datacontenttype": "application/json", "data": data,
    })
}
