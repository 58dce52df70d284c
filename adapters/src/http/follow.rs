//! A request on its way: who asks is shown, a challenge is met once, redirections are followed.
//!
//! Credentials are for the host that the definition names. Once a redirection leads to another one (another scheme or port
//! is another host, too), they are not shown again, and of the definition's headers only those go along that say
//! what the content is.

use std::borrow::Cow;

use impresario_adapter::Failure;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderName, LOCATION, RANGE,
};
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::answer::Asked;
use super::client::{self, Clients};
use super::credentials::Credentials;
use super::digest::{Challenge, Question};
use super::oauth::Tokens;
use super::tls::Trust;
use super::{arguments, request};

/// What may be told to a host that the definition does not name.
const TOLD_TO_OTHERS: [HeaderName; 6] =
    [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, RANGE];

/// What all requests of a host share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clients: Clients,
    pub(super) tokens: Tokens,
}

/// Who asks, and what was learnt about how to show it.
pub(super) struct Asker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) trust: Trust,
    pub(super) credentials: Credentials,
    challenge: Option<Challenge>,
    count: u32,
    token: Option<(String, bool)>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(shared: &'a Shared, trust: Trust, credentials: Credentials) -> Self {
        Self { shared, trust, credentials, challenge: None, count: 0, token: None }
    }

    /// Sends it, and follows where it leads.
    pub(super) async fn send(
        mut self,
        mut request: Request,
        redirect: arguments::Redirect,
    ) -> Result<(Response, Asked), Failure> {
        let origin = request.url().origin();
        let (mut own, mut met, mut hops) = (true, false, 0);
        let mut first = None;
        loop {
            let trust = if own { Cow::Borrowed(&self.trust) } else { Cow::Owned(self.trust.for_others()) };
            let client = self.shared.clients.get(&trust)?;
            let mut sent =
                request.try_clone().ok_or_else(|| Failure::runtime("a body that cannot be sent"))?;
            if own {
                self.show(&client, &mut sent).await?;
            }
            let asked = Asked::of(&sent);
            let response =
                client.execute(sent).await.map_err(|error| client::explain(&error, &asked.endpoint))?;
            if own && !met && response.status() == StatusCode::UNAUTHORIZED && self.learn(&response) {
                met = true;
                continue;
            }
            let endpoint = asked.endpoint.clone();
            let first = &*first.get_or_insert(asked);
            let Some(next) = redirect.follow.then(|| location(&response)).flatten() else {
                return Ok((response, first.clone()));
            };
            if hops == redirect.limit {
                let title = format!("{} redirected more than {} times", first.endpoint, redirect.limit);
                return Err(
                    Failure::communication(title).with_detail(format!("the last place was {endpoint}"))
                );
            }
            hops += 1;
            met = false;
            let next = next.map_err(|reason| {
                Failure::communication(format!("{endpoint} redirected to a place that cannot be requested"))
                    .with_detail(reason)
            })?;
            own &= next.origin() == origin;
            redirected(&mut request, response.status(), next, own);
        }
    }

    /// Shows who asks.
    async fn show(&mut self, client: &reqwest::Client, request: &mut Request) -> Result<(), Failure> {
        let header = match &self.credentials {
            Credentials::None => return Ok(()),
            Credentials::Basic { username, password } => request::basic(username, password)?,
            Credentials::Bearer { token } => request::credential(&format!("Bearer {token}"))?,
            Credentials::Digest { username, password } => {
                let Some(challenge) = &self.challenge else { return Ok(()) };
                self.count += 1;
                let url = request.url();
                let uri = match url.query() {
                    None => url.path().to_owned(),
                    Some(query) => format!("{}?{query}", url.path()),
                };
                let method = request.method().as_str();
                let question = Question { method, uri: &uri, username, password };
                request::credential(&challenge.meet(&question, self.count))?
            }
            Credentials::OAuth(grant) => {
                // One that was refused is not shown a second time.
                let refused = self.token.take().map(|(token, _)| token);
                let (token, kept) = self.shared.tokens.get(client, grant, refused.as_deref()).await?;
                let header = request::credential(&format!("Bearer {token}"))?;
                self.token = Some((token, kept));
                header
            }
        };
        request.headers_mut().insert(AUTHORIZATION, header);
        Ok(())
    }

    /// Whether there is more to show to somebody who was not satisfied.
    fn learn(&mut self, response: &Response) -> bool {
        match &self.credentials {
            Credentials::None | Credentials::Basic { .. } | Credentials::Bearer { .. } => false,
            Credentials::Digest { .. } => {
                self.challenge = Challenge::find(response.headers());
                self.count = 0;
                self.challenge.is_some()
            }
            // A token that was kept may have been withdrawn; one that was just given was not.
            Credentials::OAuth(_) => self.token.as_ref().is_some_and(|(_, kept)| *kept),
        }
    }
}

/// Where a response sends us, if it does.
fn location(response: &Response) -> Option<Result<Url, String>> {
    let redirects = [301, 302, 303, 307, 308].contains(&response.status().as_u16());
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    let joined = location.to_str().ok().and_then(|location| response.url().join(location).ok());
    let Some(mut url) = joined else { return Some(Err("its `Location` is not a URI".into())) };
    if !matches!(url.scheme(), "http" | "https") {
        return Some(Err(format!("it is neither http nor https but {}", url.scheme())));
    }
    // Whoever redirects does not choose who asks.
    let _: (Result<(), ()>, Result<(), ()>) = (url.set_username(""), url.set_password(None));
    Some(Ok(url))
}

/// What is asked at the next place (RFC 9110, 15.4).
fn redirected(request: &mut Request, status: StatusCode, next: Url, own: bool) {
    let post = *request.method() == Method::POST;
    let becomes_get = match status.as_u16() {
        303 => *request.method() != Method::HEAD,
        301 | 302 => post,
        _ => false,
    };
    if becomes_get {
        *request.method_mut() = Method::GET;
        *request.body_mut() = None;
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            request.headers_mut().remove(name);
        }
    }
    if !own {
        let headers = std::mem::take(request.headers_mut());
        let kept = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
        request.headers_mut().extend(kept.filter(|(name, _)| TOLD_TO_OTHERS.contains(name)));
    }
    *request.url_mut() = next;
}
