//! `/livez`, `/readyz` and `/metrics`.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the health door knows.
#[derive(Clone)]
pub struct Health {
    /// Every metric of the program.
    pub registry: Arc<Registry>,
    /// Whether the program is ready for its work.
    pub ready: Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
}

/// Answers until `stop`.
///
/// # Errors
///
/// The listener's, when it can no longer accept.
pub fn serve(
    listener: TcpListener,
    health: Health,
    stop: CancellationToken,
) -> impl Future<Output = std::io::Result<()>> + Send {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .into_future()
}

async fn readyz(State(health): State<Health>) -> Response {
    match (health.ready)() {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {why}\n"),
        )
            .into_response(),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &health.registry) {
        Ok(()) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
