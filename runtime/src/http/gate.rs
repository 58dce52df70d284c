//! What every request passes: a place among the requests at work, the token, and the net under panics.
//!
//! One function and hardly a layer: this is the hot path of events.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures_util::FutureExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use impresario_config::Http;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::error;

use super::problem::Problem;
use super::token::TokenKeeper;
use super::{
    adapters, api, ask, auth, declared, events, health, inventory, nodes, orders, triggers, users, webhooks,
};
use crate::metrics::RequestMetrics;
use crate::orchestrator::{Answer, Orchestrator};
use crate::question;

/// What the handlers share.
pub(super) struct Shared {
    pub(super) orchestrator: Arc<dyn Orchestrator>,
    pub(super) body_limit: usize,
    request_timeout: Duration,
    pub(super) waiting: ask::Waiting,
    pub(super) requests: RequestMetrics,
}

impl Shared {
    /// When a request that arrives now has to be answered.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Waits for the engine until the deadline.
    pub(super) async fn ask<T>(&self, deadline: Instant, answer: Answer<T>) -> Result<T, Problem> {
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(Problem::from),
            Err(_) => Err(Problem::engine_slow(self.request_timeout)),
        }
    }
}

/// Lets requests through to the routes.
pub(super) struct Gate {
    routes: TowerToHyperService<Router>,
    places: Semaphore,
    /// What of the places requests to webhooks may take: who sends them is known only by the whole body, which a
    /// stranger may never finish.
    strangers: Semaphore,
    keeper: Arc<TokenKeeper>,
    requests: RequestMetrics,
}

impl Gate {
    pub(super) fn new(
        settings: &Http,
        orchestrator: Arc<dyn Orchestrator>,
        keeper: Arc<TokenKeeper>,
    ) -> Gate {
        let requests = RequestMetrics::default();
        let shared = Shared {
            orchestrator,
            body_limit: usize::try_from(settings.body_limit.0).unwrap_or(usize::MAX),
            request_timeout: settings.request_timeout,
            waiting: ask::Waiting::new(settings.waiting),
            requests: requests.clone(),
        };
        let routes = routes().with_state(Arc::new(shared));
        Gate {
            routes: TowerToHyperService::new(routes),
            places: Semaphore::new(settings.concurrency),
            strangers: Semaphore::new((settings.concurrency / 2).max(1)),
            keeper,
            requests,
        }
    }

    /// Answers one request, whatever happens.
    pub(super) async fn pass(&self, request: Request<Body>) -> Response {
        let (began, method) = (Instant::now(), request.method().clone());
        let response = self.let_through(request).await;
        let route = response.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        self.requests.answered(route, &method, response.status(), began.elapsed().as_secs_f64());
        response
    }

    async fn let_through(&self, request: Request<Body>) -> Response {
        // A probe has to get through when the node is busiest.
        if health::is_probe(request.uri().path()) {
            return self.route(request).await;
        }
        let Ok(_place) = self.places.try_acquire() else {
            return Problem::crowded().into_response();
        };
        if webhooks::is_hook(request.uri().path()) {
            let Ok(_part) = self.strangers.try_acquire() else {
                return Problem::crowded_hooks().into_response();
            };
            return self.route(request).await;
        }
        match auth::check(&self.keeper, request.headers()).await {
            Ok(()) => self.route(request).await,
            Err(problem) => problem.into_response(),
        }
    }

    async fn route(&self, request: Request<Body>) -> Response {
        // A handler holds nothing that a panic could leave half changed: it only asks and formats.
        match AssertUnwindSafe(self.routes.call(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => {
                let reason = panic.downcast_ref::<&str>().copied().map(str::to_owned);
                let reason = reason.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                error!(reason, "a handler of the HTTP door panicked");
                Problem::internal().into_response()
            }
        }
    }
}

fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/events", post(events::accept))
        .route("/api/v1/instances", get(api::instances).post(api::start))
        .route("/api/v1/instances/{id}", get(ask::instance))
        .route("/api/v1/instances/{id}/cancel", post(api::cancel))
        .route("/api/v1/instances/{id}/rerun", post(orders::rerun))
        .route("/api/v1/instances/{id}/activities/{activity}/resolve", post(orders::resolve))
        .route("/api/v1/ask", post(ask::ask))
        .route("/api/v1/definitions", get(api::definitions))
        .route("/api/v1/tree", get(api::tree))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/nodes/{name}", delete(nodes::remove))
        .route("/api/v1/log", get(nodes::levels).put(nodes::set_levels))
        .route("/api/v1/nodes/{name}/drain", post(nodes::drain))
        .route("/api/v1/adapters", get(adapters::list))
        .route("/api/v1/adapters/{name}", get(adapters::show).post(adapters::order))
        .merge(inventory::routes())
        .merge(declared::routes())
        .merge(triggers::routes())
        .merge(users::routes())
        .merge(webhooks::routes())
        .route(question::PATH, post(nodes::ask))
        .route("/metrics", get(health::metrics))
        .route(health::LIVE, get(health::live))
        .route(health::READY, get(health::ready))
        .route_layer(middleware::from_fn(name_route))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
}

/// Leaves the name of the route with the response, for the figures.
async fn name_route(route: MatchedPath, request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(route);
    response
}

async fn no_such_path(request: Request<Body>) -> Problem {
    Problem::no_such_path(request.uri().path())
}

async fn no_such_method(request: Request<Body>) -> Problem {
    Problem::no_such_method(request.method(), request.uri().path())
}
