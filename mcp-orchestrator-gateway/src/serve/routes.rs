//! What a listener serves: the endpoint, and routes beside it.

use std::net::{IpAddr, SocketAddr};
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
use crate::endpoint::Endpoint;
use crate::errors;
use crate::resource::well_known;

/// In the extensions of a request to a route: the address that it came from.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "pages"),
    expect(dead_code, reason = "only pages ask for it")
)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What is served: the endpoint, to which requests go straight, and routes beside it.
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
    /// The same, and these routes beside them.
    ///
    /// # Panics
    /// Where two routes have one path.
    #[must_use]
    pub fn beside(mut self, others: Router) -> Self {
        self.others = self.others.merge(others);
        self
    }

    /// The same, by TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn by_tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same, with these limits on connections. Those count with which a listener begins.
    #[must_use]
    pub fn limited(mut self, connections: ConnectionLimits) -> Self {
        self.connections = connections;
        self
    }

    /// Proxies whose word is believed.
    pub(super) fn trusted(&self) -> &[Network] {
        let endpoint = self.endpoint.as_ref();
        endpoint.map_or(&[], |endpoint| &endpoint.options().trusted_proxies)
    }

    /// Answers a request of this peer. A panic costs the request alone.
    ///
    /// The request comes in its parts, which are lent from here on: a connection moves this future, and all that is in it.
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

/// Routes that may become others while they are served. A request is answered by those of when it came.
#[derive(Clone, Debug)]
pub struct LiveRoutes(pub(super) Arc<ArcSwap<Routes>>);

impl LiveRoutes {
    /// From now on these. The listener's TLS stays the one that it began with.
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
