//! Asks a running node: finds its address and token, and turns what goes wrong into words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use impresario_config::{Config, Loaded, Override, Sources, process_variables};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::Global;
use super::error::CliError;
use crate::endpoint::Endpoint;
use crate::http::problem::ProblemDocument;
use crate::http::token::token_file;

/// More than any answer of a node.
const ANSWER_LIMIT: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a node lets a request take by default.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Loads the settings with the flags that every command has.
pub(super) fn settings(global: &Global, mut flags: Vec<Override>) -> Result<Loaded, CliError> {
    if let Some(data) = &global.data {
        flags.push(Override { key: "data".to_owned(), value: data.clone(), flag: "--data".to_owned() });
    }
    for assignment in &global.set {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(CliError::Usage(format!("--set: expected KEY=VALUE, found '{assignment}'")));
        };
        flags.push(Override { key: key.to_owned(), value: value.to_owned(), flag: "--set".to_owned() });
    }
    let sources = Sources { file: global.config.clone(), variables: process_variables(), flags };
    impresario_config::load(&sources).map_err(|error| CliError::Usage(format!("in the settings:\n{error}")))
}

/// A node to ask.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    /// Where the token was found, for the message when it is refused.
    token_from: String,
    /// The node that the data folder knows of, for the message when it does not answer.
    known: Option<Endpoint>,
}

impl Client {
    /// Finds the node: a flag or variable names it, or the data folder does, or it is where the settings say.
    pub(super) fn find(global: &Global) -> Result<Client, CliError> {
        let config = settings(global, vec![])?.config;
        let variables = process_variables();
        let variable =
            |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let known = Endpoint::find(&config.data);
        let named = global.url.clone().or_else(|| variable("IMPRESARIO_URL"));
        let local = named.is_none();
        let url = named
            .or_else(|| known.as_ref().map(|node| node.url.clone()))
            .unwrap_or_else(|| default_url(&config));
        let (token, token_from) = match variable("IMPRESARIO_TOKEN") {
            Some(token) => (token, "IMPRESARIO_TOKEN".to_owned()),
            None => read_token(&token_file(&config.data), &url)?,
        };
        let http = client(REQUEST_TIMEOUT)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Client { http, url, token, token_from, known: known.filter(|_| local) })
    }

    /// The same for a request that takes up to so long.
    pub(super) fn patient(&self, timeout: Duration) -> Result<Client, CliError> {
        let http = client(timeout.max(REQUEST_TIMEOUT))?;
        let Client { url, token, token_from, known, .. } = self;
        let (url, token, token_from) = (url.clone(), token.clone(), token_from.clone());
        Ok(Client { http, url, token, token_from, known: known.clone() })
    }

    /// The node's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks with GET.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// Asks with GET and parameters.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, CliError> {
        let mut url = self.parsed(path)?;
        url.query_pairs_mut().extend_pairs(query);
        self.answer(self.http.get(url).bearer_auth(&self.token)).await
    }

    /// Asks with POST, and reads the answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.answer(self.with_body(path, media_type, body)?).await
    }

    /// Asks with POST, where the answer is empty.
    pub(super) async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), CliError> {
        self.send(self.with_body(path, "application/json", body)?).await.map(drop)
    }

    /// Asks with PUT, and reads the answer.
    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let request = self.http.put(self.of_segments(path)?).bearer_auth(&self.token);
        self.answer(request.json(body)).await
    }

    /// Asks with GET, where a part of the path is a name.
    pub(crate) async fn get_at<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CliError> {
        self.answer(self.http.get(self.of_segments(path)?).bearer_auth(&self.token)).await
    }

    /// Asks with POST, where a part of the path is a name, and reads the answer.
    pub(super) async fn post_at<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let request = self.http.post(self.of_segments(path)?).bearer_auth(&self.token);
        self.answer(request.json(body)).await
    }

    /// Asks with POST and parameters, where a part of the path is a name, and nothing of the answer matters.
    pub(crate) async fn tell_at(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<(), CliError> {
        let mut url = self.of_segments(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.post(url).bearer_auth(&self.token);
        self.send(request.json(body)).await.map(drop)
    }

    /// Asks with POST or DELETE and no body, where the answer is empty.
    pub(super) async fn order(&self, method: Method, path: &[&str]) -> Result<(), CliError> {
        let url = self.of_segments(path)?;
        self.send(self.http.request(method, url).bearer_auth(&self.token)).await.map(drop)
    }

    /// A URL with a path of these segments; names may have any character.
    fn of_segments(&self, path: &[&str]) -> Result<reqwest::Url, CliError> {
        let mut url = self.parsed("")?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(url)
    }

    /// Whether nobody listens at the address.
    pub(super) async fn is_gone(&self) -> bool {
        let probe = self.http.get(format!("{}/health/live", self.url)).send().await;
        probe.is_err_and(|error| error.is_connect())
    }

    fn parsed(&self, path: &str) -> Result<reqwest::Url, CliError> {
        reqwest::Url::parse(&format!("{}{path}", self.url))
            .map_err(|error| CliError::Usage(format!("--url: expected a URL, found '{}': {error}", self.url)))
    }

    fn with_body(
        &self,
        path: &str,
        media_type: &str,
        body: &impl Serialize,
    ) -> Result<RequestBuilder, CliError> {
        let body = serde_json::to_vec(body).map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(self.request(Method::POST, path).header(CONTENT_TYPE, media_type).body(body))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let response = self.send(request).await?;
        let body = self.read(response).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let url = &self.url;
            CliError::Failed(format!(
                "expected an answer of Impresario from {url}, found something else: {error}"
            ))
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, CliError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(CliError::Failed(format!("expected at most {ANSWER_LIMIT} bytes, found more")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(CliError::Refused(format!(
                "the node at {} refuses the token of {}: take the token of that node's data folder, with --data \
                 FOLDER or IMPRESARIO_TOKEN",
                self.url, self.token_from
            )));
        }
        let after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let again = after.map_or_else(String::new, |seconds| format!(" (try again in {seconds}s)"));
        let body = self.read(response).await?;
        let said = match serde_json::from_slice::<ProblemDocument>(&body) {
            Ok(problem) => format!("{}: {}", problem.title.to_lowercase(), problem.detail),
            Err(_) => format!("the node at {} answered {status}", self.url),
        };
        if status == StatusCode::NOT_FOUND {
            return Err(CliError::NotFound(said));
        }
        Err(CliError::Refused(format!("{said}{again}")))
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let url = &self.url;
        if error.is_timeout() {
            return CliError::Failed(format!("the node at {url} does not answer in time: see its log"));
        }
        if error.is_builder() {
            return CliError::Usage(format!(
                "--url: expected a URL such as http://127.0.0.1:4747, found '{url}'"
            ));
        }
        if !error.is_connect() {
            return CliError::Failed(format!("the connection to {url} broke: {}", causes(error)));
        }
        let known = self.known.as_ref().map_or_else(String::new, |node| {
            format!(" (the last one of this data folder was process {})", node.pid)
        });
        CliError::Failed(format!("no node answers at {url}{known}: start one with `impresario serve`"))
    }
}

fn client(timeout: Duration) -> Result<reqwest::Client, CliError> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .no_proxy()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot make an HTTP client: {error}")))
}

/// Where a node with these settings would answer.
fn default_url(config: &Config) -> String {
    let mut address = config.http.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}")
}

fn read_token(file: &PathBuf, url: &str) -> Result<(String, String), CliError> {
    match std::fs::read_to_string(file) {
        Ok(token) => Ok((token.trim().to_owned(), file.display().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let data = file.parent().unwrap_or(Path::new(".")).display();
            Err(CliError::Failed(format!(
                "expected the token for {url} in {}, found no such file: start a node with `impresario serve`, or name \
                 the data folder of the running one with --data (it is {data} now), or set IMPRESARIO_TOKEN",
                file.display()
            )))
        }
        Err(error) => Err(CliError::Failed(format!("cannot read the token in {}: {error}", file.display()))),
    }
}

/// An error with its causes; reqwest's own text hides them.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
