//! Liveness, readiness and metrics. Metrics are never served on the public listener.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use mcp_orchestrator_core::Orchestrator;

/// Reports whether a gateway is ready for calls. The default is always ready.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Readiness {
    /// Creates a check that calls `ready` each time; an error says what the gateway is waiting for.
    pub fn new(ready: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ready))
    }
}

impl Readiness {
    /// Hides the reason, because anyone may query a public listener.
    #[must_use]
    pub fn without_reason(self) -> Self {
        Self::new(move || (self.0)().map_err(|_| "not ready".to_owned()))
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new(|| Ok(()))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&(self.0)()).finish()
    }
}

/// Serves `/healthz` and `/readyz`. If the gateway is not ready, `/readyz` answers 503 with the reason.
pub fn health_router(ready: Readiness) -> Router {
    let readyz = move || {
        let answer = match (ready.0)() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting: {why}\n")),
        };
        async move { answer }
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
}

/// Serves `/metrics` and the routes of [`health_router`], for a separate listener.
pub fn metrics_router(orchestrator: Orchestrator, ready: Readiness) -> Router {
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
    health_router(ready).route("/metrics", get(metrics))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn waiting_gateway_is_alive_but_not_ready() {
        let waits = || Err("held by another".to_owned());
        let router = health_router(Readiness::new(waits));
        for (path, status, body) in [
            ("/healthz", StatusCode::OK, "ok\n"),
            (
                "/readyz",
                StatusCode::SERVICE_UNAVAILABLE,
                "waiting: held by another\n",
            ),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), status);
            let told = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(told, body);
        }
    }
}
