//! Whether the gateway lives and is ready, and its metrics, which never stand on the public listener.

use axum::Router;
use axum::routing::get;
use mcp_orchestrator_core::Orchestrator;

/// `/healthz` and `/readyz`.
pub(crate) fn health_router() -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ready\n" }))
}

/// `/metrics`, for a listener of its own.
pub fn metrics_router(orchestrator: Orchestrator) -> Router {
    let metrics = move || {
        let text = orchestrator.metrics().text();
        async move {
            (
                [(
                    "content-type",
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                )],
                text,
            )
        }
    };
    health_router().route("/metrics", get(metrics))
}
