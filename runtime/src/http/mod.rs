//! The HTTP door: CloudEvents in at `/events`, the API under `/api/v1`, questions of other nodes under `/internal/v1`,
//! health for probes.
//!
//! The door owns nothing but sockets: it asks the engine through [`crate::orchestrator::Orchestrator`] and turns
//! refusals into status codes in one place, `problem.rs`. Every request but the health probes and the document
//! of the API carries the node's bearer token ([`token`]); those to `/hooks` are verified by the webhook they are for. `routes` is how
//! a route is registered together with what is said of it; `openapi` makes the document of the API from that. Everything is bounded: connections, requests at work, bodies, and time.

mod adapters;
mod api;
mod ask;
mod auth;
mod body;
mod declared;
mod document;
mod door;
mod events;
mod gate;
mod health;
mod idempotency;
mod inspect;
mod inventory;
mod nodes;
mod openapi;
mod orders;
mod path;
pub mod problem;
mod proof;
mod routes;
pub mod token;
mod token_file;
mod triggers;
mod users;
mod webhooks;

pub(crate) use self::api::CancelRequest;
pub use self::document::document as openapi;
pub use self::door::Door;
pub use self::token::{TokenError, TokenKeeper, token_file};
