//! What a listener serves: the endpoint, and additional routes.

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
use mcp_orchestrator_core::protocol::Era;
use mcp_orchestrator_core::{Error, ErrorKind};
use tower::ServiceExt as _;

use super::ConnectionLimits;
use super::body::{TimedBody, panicked};
use crate::errors;
use crate::mcp::endpoint::Endpoint;
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
            others: endpoint.router().merge(well_known(endpoint.options())),
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

    /// Answers a request from this peer. A panic fails only this request.
    ///
    /// The request is passed in parts that are borrowed from here on, because a connection moves this future and
    /// everything in it.
    pub(super) async fn answer(
        self: Arc<Self>,
        (parts, mut body): (Parts, TimedBody),
        peer: SocketAddr,
    ) -> Response {
        if let Some(endpoint) = &self.endpoint
            && let Some(gateway) = endpoint.gateway(parts.uri.path())
        {
            let answer = endpoint.answer(gateway, &parts, &mut body);
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            return answer.unwrap_or_else(|panic| {
                let error = Error::new(ErrorKind::Internal, panicked(panic));
                let mut response = errors::response(&error, None, Era::Legacy);
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            });
        }
        let others = self.others.clone();
        let mut request = Request::from_parts(parts, Body::new(body));
        request.extensions_mut().insert(Peer(peer.ip()));
        let answer = AssertUnwindSafe(Box::pin(others.oneshot(request)));
        match answer.catch_unwind().await {
            Ok(answer) => answer.unwrap_or_else(|never| match never {}),
            Err(panic) => {
                let text = format!("{}\n", panicked(panic));
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }
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
