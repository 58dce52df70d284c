//! The requests at the HTTP door: how many, and how long each took.

use axum::http::{Method, StatusCode};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// By route (as it is written down, so that ids do not make a figure each), method and status.
type Labels = [(&'static str, String); 3];

/// The figures of the HTTP door.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        // From half a millisecond to 33 seconds.
        let buckets = || Histogram::new(exponential_buckets(0.0005, 4.0, 9));
        RequestMetrics { seconds: Family::new_with_constructor(buckets) }
    }
}

impl RequestMetrics {
    /// Makes them known to whoever asks for figures.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_request_seconds",
            "How long requests to the HTTP door took, by route, method and status",
            self.seconds.clone(),
        );
    }

    /// A request was answered. One that fits no route counts as `unmatched`, and so does a method that is none of HTTP's own.
    pub fn answered(&self, route: Option<&str>, method: &Method, status: StatusCode, seconds: f64) {
        let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH];
        let method = if known.contains(method) { method.as_str() } else { "other" };
        let labels = [
            ("route", route.unwrap_or("unmatched").to_owned()),
            ("method", method.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        self.seconds.get_or_create(&labels).observe(seconds);
    }
}
