//! Routes and what is said of them, in one registration: the router serves it, and the document of the API describes it.
//!
//! Nothing else makes a route, so nothing that is served can be missing from the document.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::handler::Handler;
use axum::http::Request;
use axum::middleware::{self, Next};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::gate::Shared;
use super::idempotency;

/// How the schema of a type is made.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What is said of the methods at each path.
pub(super) type Said = Vec<(String, Vec<Operation>)>;

/// Routes with what is said of each.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<Shared>>,
    documented: Said,
}

impl Routes {
    pub(super) fn new() -> Routes {
        Routes::default()
    }

    /// A path and what can be done there.
    pub(super) fn at(mut self, path: &str, methods: Methods) -> Routes {
        self.router = self.router.route(path, methods.router);
        self.documented.push((path.to_owned(), methods.operations));
        self
    }

    /// A path of which nothing is said to the public: nodes ask each other there.
    pub(super) fn internal(mut self, path: &str, router: MethodRouter<Arc<Shared>>) -> Routes {
        self.router = self.router.route(path, router);
        self
    }

    pub(super) fn merge(mut self, other: Routes) -> Routes {
        self.router = self.router.merge(other.router);
        self.documented.extend(other.documented);
        self
    }

    /// The router, and what is said of it, by path.
    pub(super) fn into_parts(self) -> (Router<Arc<Shared>>, Said) {
        (self.router, self.documented)
    }
}

/// What can be done at one path.
#[derive(Default)]
pub(super) struct Methods {
    router: MethodRouter<Arc<Shared>>,
    operations: Vec<Operation>,
}

impl Methods {
    pub(super) fn get<H: Handler<T, Arc<Shared>>, T: 'static>(handler: H, operation: Operation) -> Methods {
        Methods::default().and(MethodFilter::GET, "get", handler, operation)
    }

    pub(super) fn post<H: Handler<T, Arc<Shared>>, T: 'static>(handler: H, operation: Operation) -> Methods {
        Methods::default().and_post(handler, operation)
    }

    pub(super) fn put<H: Handler<T, Arc<Shared>>, T: 'static>(handler: H, operation: Operation) -> Methods {
        Methods::default().and_put(handler, operation)
    }

    pub(super) fn delete<H: Handler<T, Arc<Shared>>, T: 'static>(
        handler: H,
        operation: Operation,
    ) -> Methods {
        Methods::default().and_delete(handler, operation)
    }

    pub(super) fn and_post<H: Handler<T, Arc<Shared>>, T: 'static>(
        self,
        handler: H,
        op: Operation,
    ) -> Methods {
        self.and(MethodFilter::POST, "post", handler, op)
    }

    pub(super) fn and_put<H: Handler<T, Arc<Shared>>, T: 'static>(
        self,
        handler: H,
        op: Operation,
    ) -> Methods {
        self.and(MethodFilter::PUT, "put", handler, op)
    }

    pub(super) fn and_delete<H: Handler<T, Arc<Shared>>, T: 'static>(
        self,
        handler: H,
        op: Operation,
    ) -> Methods {
        self.and(MethodFilter::DELETE, "delete", handler, op)
    }

    fn and<H, T>(mut self, filter: MethodFilter, method: &'static str, handler: H, op: Operation) -> Methods
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        let mut one = on(filter, handler);
        if op.keyed == Keyed::Window {
            one = one.route_layer(middleware::from_fn(once));
        }
        self.router = self.router.merge(one);
        self.operations.push(Operation { method, ..op });
        self
    }
}

async fn once(request: Request<Body>, next: Next) -> axum::response::Response {
    idempotency::once(request, next).await
}

/// What becomes of an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyed {
    /// It means nothing: the request changes nothing, or has another id.
    No,
    /// The node remembers for a while what it has answered.
    Window,
    /// What the request makes is named by the key, so that it is recognised at any node, as long as it is kept.
    Named,
}

/// The body of a request.
pub(super) struct BodyDoc {
    pub(super) required: bool,
    /// By media type.
    pub(super) content: Vec<(&'static str, SchemaOf)>,
    pub(super) example: Option<Value>,
}

/// A reply that is no problem.
pub(super) struct ReplyDoc {
    pub(super) status: u16,
    pub(super) says: &'static str,
    /// None: there is no body.
    pub(super) content: Option<(&'static str, SchemaOf)>,
}

/// What is said of one method at one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) id: String,
    pub(super) tag: &'static str,
    pub(super) summary: String,
    pub(super) description: &'static str,
    pub(super) open: bool,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<BodyDoc>,
    pub(super) replies: Vec<ReplyDoc>,
    /// The problems that only some requests have: not found, conflicts.
    pub(super) problems: Vec<u16>,
    pub(super) keyed: Keyed,
}

pub(super) const JSON: &str = "application/json";

/// An operation's id of a verb and the last part of a path: `list` and `target-types` give `listTargetTypes`.
pub(super) fn camel(verb: &str, plural: &str) -> String {
    let words = plural.split('-').map(|word| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    format!("{verb}{}", words.collect::<String>())
}

pub(super) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Operation {
    /// Something that is done; `id` names it in clients that are generated from the document.
    pub(super) fn new(id: impl Into<String>, tag: &'static str, summary: impl Into<String>) -> Operation {
        Operation {
            method: "",
            id: id.into(),
            tag,
            summary: summary.into(),
            description: "",
            open: false,
            query: None,
            body: None,
            replies: Vec::new(),
            problems: Vec::new(),
            keyed: Keyed::No,
        }
    }

    /// More about it.
    pub(super) fn says(self, description: &'static str) -> Operation {
        Operation { description, ..self }
    }

    /// It needs no token.
    pub(super) fn open(self) -> Operation {
        Operation { open: true, ..self }
    }

    /// Its parameters.
    pub(super) fn query<T: JsonSchema>(self) -> Operation {
        Operation { query: Some(T::json_schema), ..self }
    }

    /// Its body, in JSON.
    pub(super) fn body<T: JsonSchema>(self, example: Value) -> Operation {
        let content = vec![(JSON, schema_of::<T> as SchemaOf)];
        Operation { body: Some(BodyDoc { required: true, content, example: Some(example) }), ..self }
    }

    /// Its body, which may be left out.
    pub(super) fn optional_body<T: JsonSchema>(self, example: Value) -> Operation {
        let content = vec![(JSON, schema_of::<T> as SchemaOf)];
        Operation { body: Some(BodyDoc { required: false, content, example: Some(example) }), ..self }
    }

    /// Its body, in one of these media types.
    pub(super) fn bodies(self, content: Vec<(&'static str, SchemaOf)>) -> Operation {
        Operation { body: Some(BodyDoc { required: true, content, example: None }), ..self }
    }

    /// Its body, in whatever media type; none at all is as good.
    pub(super) fn any_body(self, content: Vec<(&'static str, SchemaOf)>) -> Operation {
        Operation { body: Some(BodyDoc { required: false, content, example: None }), ..self }
    }

    /// What it answers, in JSON.
    pub(super) fn reply<T: JsonSchema>(self, status: u16, says: &'static str) -> Operation {
        self.reply_in(status, says, JSON, schema_of::<T>)
    }

    /// What it answers, in another media type.
    pub(super) fn reply_in(
        mut self,
        status: u16,
        says: &'static str,
        media_type: &'static str,
        schema: SchemaOf,
    ) -> Operation {
        self.replies.push(ReplyDoc { status, says, content: Some((media_type, schema)) });
        self
    }

    /// What it answers, without a body.
    pub(super) fn done(mut self, status: u16, says: &'static str) -> Operation {
        self.replies.push(ReplyDoc { status, says, content: None });
        self
    }

    /// The problems that it may answer with, beyond those of every request.
    pub(super) fn problems(mut self, statuses: &[u16]) -> Operation {
        self.problems.extend(statuses);
        self
    }

    /// The node remembers its answer under an `Idempotency-Key`.
    pub(super) fn once(self) -> Operation {
        Operation { keyed: Keyed::Window, ..self }
    }

    /// What it makes is named by the `Idempotency-Key`.
    pub(super) fn named(self) -> Operation {
        Operation { keyed: Keyed::Named, ..self }
    }
}
