//! What a listener serves: the endpoint, and additional routes.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Request, StatusCode};
use mcp_orchestrator_core::auth::Network;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::protocol::Era;
use mcp_orchestrator_core::{Error, ErrorKind};
use tower::ServiceExt as _;

use super::ConnectionLimits;
use super::body::{BusyBody, TimedBody, panicked};
use super::connections::Busy;
use super::stalls::Stalls;
use crate::errors;
use crate::mcp::endpoint::Endpoint;
use crate::registry::registry;
use crate::request::connection::Peer;
use crate::request::protected_resource::well_known;

/// What a listener serves: the endpoint, which receives its requests directly, and additional routes.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    endpoint: Option<Endpoint>,
    others: Router,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::Tls>,
    pub(super) connections: ConnectionLimits,
}

impl From<Router> for Routes {
    fn from(others: Router) -> Self {
        Self {
            others,
            ..Self::default()
        }
    }
}

impl From<Endpoint> for Routes {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            others: endpoint
                .router()
                .merge(well_known(endpoint.options()))
                .merge(registry(&endpoint)),
            endpoint: Some(endpoint),
            ..Self::default()
        }
    }
}

impl Routes {
    /// Adds routes.
    ///
    /// # Panics
    /// If two routes have the same path.
    #[must_use]
    pub fn beside(mut self, others: Router) -> Self {
        self.others = self.others.merge(others);
        self
    }

    /// Serves these routes over TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn by_tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the limits on connections. A listener uses the limits that it starts with.
    #[must_use]
    pub fn limited(mut self, connections: ConnectionLimits) -> Self {
        self.connections = connections;
        self
    }

    /// The networks of trusted proxies.
    pub(super) fn trusted(&self) -> &[Network] {
        let endpoint = self.endpoint.as_ref();
        endpoint.map_or(&[], |endpoint| &endpoint.options().trusted_proxies)
    }

    /// Returns the endpoint and the gateway of a path, if it is a path of the endpoint.
    fn gateway(&self, path: &str) -> Option<(&Endpoint, GatewayId)> {
        let endpoint = self.endpoint.as_ref()?;
        Some((endpoint, endpoint.gateway(path)?))
    }

    /// Answers a request from this peer. A panic fails only this request.
    ///
    /// A connection moves this future, so what it is made of is captured and borrowed: each function below that took
    /// the request by value would enlarge the future by a copy of it.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn stores each of its arguments twice"
    )]
    pub(super) fn answer(
        self: Arc<Self>,
        (parts, mut body): (Parts, TimedBody),
        peer: SocketAddr,
        (mut busy, stalls): (Busy, Option<Arc<Stalls>>),
    ) -> impl Future<Output = Result<http::Response<BusyBody>, Infallible>> + Send {
        async move {
            let response = if let Some((endpoint, gateway)) = self.gateway(parts.uri.path()) {
                // Pinned here, because a wrapper that takes the future by value moves it.
                let answer = std::pin::pin!(endpoint.answer(gateway, &parts, &mut body));
                let answer = AssertUnwindSafe(answer).catch_unwind().await;
                answer.unwrap_or_else(endpoint_panicked)
            } else {
                Box::pin(self.other(parts, body, peer)).await
            };
            busy.answered();
            Ok(response.map(|body| BusyBody::new(body, busy, stalls)))
        }
    }

    /// Answers a request that is not for the endpoint.
    async fn other(&self, parts: Parts, body: TimedBody, peer: SocketAddr) -> Response {
        let others = self.others.clone();
        let mut request = Request::from_parts(parts, Body::new(body));
        request.extensions_mut().insert(Peer(peer.ip()));
        let answer = AssertUnwindSafe(others.oneshot(request));
        match answer.catch_unwind().await {
            Ok(answer) => answer.unwrap_or_else(|never| match never {}),
            Err(panic) => {
                let text = format!("{}\n", panicked(panic));
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }
}

/// Returns the response of the endpoint to a request that panicked.
fn endpoint_panicked(panic: Box<dyn Any + Send>) -> Response {
    let error = Error::new(ErrorKind::Internal, panicked(panic));
    let mut response = errors::response(&error, None, Era::Legacy);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Routes that can be replaced while they are served. A request is answered by the routes at its arrival.
#[derive(Clone, Debug)]
pub struct LiveRoutes(pub(super) Arc<ArcSwap<Routes>>);

impl LiveRoutes {
    /// Replaces the routes. The listener keeps the TLS configuration that it started with.
    pub fn replace(&self, routes: impl Into<Routes>) {
        self.0.store(Arc::new(routes.into()));
    }
}

impl From<Routes> for LiveRoutes {
    fn from(routes: Routes) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(routes)))
    }
}

impl From<Router> for LiveRoutes {
    fn from(routes: Router) -> Self {
        Routes::from(routes).into()
    }
}

impl From<Endpoint> for LiveRoutes {
    fn from(endpoint: Endpoint) -> Self {
        Routes::from(endpoint).into()
    }
}
