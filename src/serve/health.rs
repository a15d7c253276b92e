//! `/livez`, `/readyz` and `/metrics`.
//!
//! Every Pod of a cluster may reach this port, so it is driven as the door for events is: few connections, little time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serve::accept;
use crate::serve::http1::{self, ConnectionLimits, HeadFault, Progress, Respond};

/// What it is called in the log.
const NAME: &str = "the health port";
/// Probes and a few scrapers. A newcomer takes the place of the one that has waited longest.
const CONNECTIONS: usize = 64;

/// Whether the program is ready for its work, or why it is not.
pub type Readiness = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// What the health door knows.
#[derive(Clone)]
pub struct Health {
    /// Every metric of the program.
    pub registry: Arc<Registry>,
    /// Whether the program is ready for its work.
    pub ready: Readiness,
    /// What is wrong though it may be ready: a line each.
    pub troubles: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// Answers until `stop`, then what is under way. Whoever stops the process need not wait for that.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) {
    let limits = ConnectionLimits {
        connections: accept::within_descriptors(CONNECTIONS, 16),
        head: Duration::from_secs(5),
        whole: Duration::from_secs(10),
        // Thousands of series, over a slow link.
        write: Duration::from_secs(10),
        // Longer than the time between two scrapes.
        idle: Duration::from_secs(90),
        linger: Duration::from_secs(1),
    };
    http1::serve(NAME, listener, Arc::new(health), None, limits, stop).await;
}

impl Respond for Health {
    type Body = Full<Bytes>;

    fn respond<'a>(
        &'a self,
        request: Request<Incoming>,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Response<Full<Bytes>>> {
        progress.requested();
        let has_body = !request.body().is_end_stream();
        let mut response = self.answer(&request.into_parts().0);
        if has_body {
            let close = HeaderValue::from_static("close");
            response
                .headers_mut()
                .insert(http::header::CONNECTION, close);
        }
        Box::pin(ready(response))
    }

    fn no_request(&self, fault: HeadFault) -> Response<Full<Bytes>> {
        match fault {
            HeadFault::TooSlow => {
                text(StatusCode::SERVICE_UNAVAILABLE, "no request came in time\n")
            }
            HeadFault::TooLarge => text(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head is too large\n",
            ),
            HeadFault::Malformed => text(StatusCode::BAD_REQUEST, "this is no HTTP/1.1 request\n"),
        }
    }
}

impl Health {
    fn answer(&self, head: &Parts) -> Response<Full<Bytes>> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            let ways = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, ways);
            return response;
        }
        match head.uri.path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let (status, mut words) = match (self.ready)() {
                    Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                    Err(why) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        format!("not ready: {why}\n"),
                    ),
                };
                for line in (self.troubles)() {
                    words.push_str(&line);
                    words.push('\n');
                }
                text(status, words)
            }
            "/metrics" => self.metrics(),
            _ => text(
                StatusCode::NOT_FOUND,
                "here are /livez, /readyz and /metrics\n",
            ),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut metrics = String::new();
        let Ok(()) = encode(&mut metrics, &self.registry) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "no metrics\n");
        };
        let mut response = text(StatusCode::OK, metrics);
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let content_type = HeaderValue::from_static(content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

/// The answer to a probe of a load balancer at another port: that of this port, the reason left out. `None` for what is
/// no probe.
pub(super) fn probed(head: &Parts, ready: &Readiness) -> Option<Response<Full<Bytes>>> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    match head.uri.path() {
        "/livez" => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" if ready().is_ok() => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" => Some(text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")),
        _ => None,
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
