//! The MCP endpoint: `/mcp` for the default gateway, `/mcp/{gateway}` for the others; for HTTP+SSE clients `/sse` and
//! `/sse/{gateway}`.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode};
use mcp_orchestrator_core::auth::{Authenticator, AuthenticatorChain, PublicUrl};
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::{Orchestrator, Result};

use super::admission::Admission;
use super::handler::Gate;
use crate::errors;
use crate::mcp::sse::MESSAGES;
use crate::options::Options;

/// The MCP endpoint: `/mcp` and `/mcp/{gateway}`, and for clients of the HTTP+SSE transport `/sse` and
/// `/sse/{gateway}`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Gate>);

impl Endpoint {
    /// Creates an endpoint for this orchestrator. The authenticators are tried in order.
    ///
    /// # Errors
    /// If there is no authenticator.
    pub fn new(
        orchestrator: Orchestrator,
        authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>,
        options: Options,
    ) -> Result<Self> {
        let authenticator = AuthenticatorChain::of(authenticators)?;
        orchestrator.follow(&options.revision);
        let admission = Admission::new(options.revision.clone(), Arc::clone(&authenticator));
        Ok(Self::admitting(
            orchestrator,
            authenticator,
            (options, admission),
        ))
    }

    /// Creates an endpoint with an admission that checks its open streams.
    pub(crate) fn admitting(
        orchestrator: Orchestrator,
        authenticator: Arc<dyn Authenticator>,
        (options, admission): (Options, Admission),
    ) -> Self {
        Self(Arc::new(Gate {
            orchestrator,
            authenticator,
            admission,
            options,
            default: GatewayId::default_gateway(),
            since: SystemTime::now(),
        }))
    }

    /// Returns an axum router, which may be nested under any prefix. A slash at the end of a path is ignored.
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        for prefix in self.prefixes() {
            router = router
                .route(&format!("{prefix}/mcp"), any(default_gateway))
                .route(&format!("{prefix}/mcp/"), any(default_gateway))
                .route(&format!("{prefix}/mcp/{{gateway}}"), any(named_gateway))
                .route(&format!("{prefix}/mcp/{{gateway}}/"), any(named_gateway))
                .route(&format!("{prefix}/sse"), any(default_sse))
                .route(&format!("{prefix}/sse/"), any(default_sse))
                .route(&format!("{prefix}/sse/{{gateway}}"), any(named_sse))
                .route(&format!("{prefix}/sse/{{gateway}}/"), any(named_sse))
                .route(&format!("{prefix}{MESSAGES}/{{id}}"), any(sse_message));
        }
        router.with_state(self.clone())
    }

    /// Returns the prefixes of its paths: the root, and the path of the public address.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        let url = self.0.options.public_url.as_ref();
        let own = url.map(PublicUrl::prefix).filter(|own| !own.is_empty());
        std::iter::once("").chain(own)
    }

    /// Returns what its requests depend on.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0
    }

    /// Returns the options.
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Returns the gateway of a path, if it is a path of the endpoint.
    pub(crate) fn gateway(&self, path: &str) -> Option<GatewayId> {
        let below = |prefix| path.strip_prefix(prefix)?.strip_prefix("/mcp");
        match self.prefixes().find_map(below)? {
            "" | "/" => Some(self.0.default.clone()),
            // Names with escapes are left to the router.
            rest => {
                let name = rest.strip_prefix('/')?;
                let name = name.strip_suffix('/').unwrap_or(name);
                // The card of the default gateway has its own route.
                (name != GatewayId::RESERVED).then(|| GatewayId::new(name).ok())?
            }
        }
    }

    /// Answers a request to a gateway.
    pub(crate) fn answer<B>(
        &self,
        gateway: GatewayId,
        parts: &Parts,
        body: B,
    ) -> impl Future<Output = Response> + Send
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        self.0.answer(gateway, parts, body)
    }
}

/// Returns the MCP endpoint as an axum router: `/mcp` and `/mcp/{gateway}`. It may be nested under any prefix.
///
/// # Errors
/// If there is no authenticator.
pub fn router(
    orchestrator: Orchestrator,
    authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>,
    options: Options,
) -> Result<Router> {
    Ok(Endpoint::new(orchestrator, authenticators, options)?.router())
}

async fn default_gateway(State(endpoint): State<Endpoint>, request: Request<Body>) -> Response {
    let gateway = endpoint.0.default.clone();
    let (parts, body) = request.into_parts();
    endpoint.answer(gateway, &parts, body).await
}

async fn named_gateway(
    State(endpoint): State<Endpoint>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    match GatewayId::new(&name) {
        Ok(gateway) => {
            let (parts, body) = request.into_parts();
            endpoint.answer(gateway, &parts, body).await
        }
        Err(_) => errors::status(StatusCode::NOT_FOUND),
    }
}

async fn default_sse(State(endpoint): State<Endpoint>, request: Request<Body>) -> Response {
    let gateway = endpoint.0.default.clone();
    let (parts, _) = request.into_parts();
    endpoint.0.sse(gateway, &parts).await
}

async fn named_sse(
    State(endpoint): State<Endpoint>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    match GatewayId::new(&name) {
        Ok(gateway) => endpoint.0.sse(gateway, &parts).await,
        Err(_) => errors::status(StatusCode::NOT_FOUND),
    }
}

async fn sse_message(
    State(endpoint): State<Endpoint>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    endpoint.0.sse_message(&id, &parts, body).await
}
