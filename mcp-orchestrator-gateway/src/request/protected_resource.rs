//! The endpoint as an OAuth-protected resource (RFC 9728): refers clients without a token to the servers that issue
//! them.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use mcp_orchestrator_core::auth::PublicUrl;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::{Error, ErrorKind};
use serde_json::json;

use super::connection::OverTls;
use super::forwarded::Forwarded;
use super::head::Head;
use super::{cors, validate};
use crate::errors;
use crate::options::Options;

/// The path of the metadata.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Serves the metadata of every gateway, below `/.well-known/oauth-protected-resource`. It requires no token.
///
/// Merge this router at the root of an application, even if the endpoint is nested. With a path in `public_url`, the
/// metadata is also served below that path. Without [`Options::protected`], no metadata is served.
pub fn well_known(options: &Options) -> Router {
    let router = documents::<Arc<Options>>(options);
    if options.protected.is_none() {
        return router.with_state(Arc::new(options.clone()));
    }
    let prefix = options.public_url.as_ref().map_or("", PublicUrl::prefix);
    let mut router = router;
    let mut places = vec![WELL_KNOWN.to_owned()];
    if !prefix.is_empty() {
        places.push(format!("{prefix}{WELL_KNOWN}"));
    }
    for place in places {
        router = router
            .route(&place, any(metadata))
            .route(&format!("{place}/{{*resource}}"), any(metadata));
    }
    router.with_state(Arc::new(options.clone()))
}

/// The client metadata document, which identifies a gateway to issuers of upstream servers that can reach it.
#[cfg(feature = "program")]
fn documents<S: Clone + Send + Sync + 'static>(options: &Options) -> Router<S> {
    let Some(url) = options.public_url.as_ref().filter(|url| url.is_https()) else {
        return Router::new();
    };
    let document = mcp_orchestrator_core::credential::client_document(url);
    let place = format!("{}/oauth/client.json", url.prefix());
    let told = move || std::future::ready(json(&document));
    Router::new().route(&place, axum::routing::get(told))
}

#[cfg(not(feature = "program"))]
fn documents<S: Clone + Send + Sync + 'static>(_: &Options) -> Router<S> {
    Router::new()
}

async fn metadata(State(options): State<Arc<Options>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(error) = validate::origin(&Head::of(&parts), &options) {
        return errors::plain(&error);
    }
    if let Some(preflight) = cors::preflight(&parts) {
        return preflight;
    }
    let mut response = match (&parts.method, gateway_of(parts.uri.path(), &options)) {
        (&Method::GET | &Method::HEAD, Some(gateway)) => {
            json(&document(&options, &parts, &gateway))
        }
        (&Method::GET | &Method::HEAD, None) => errors::status(StatusCode::NOT_FOUND),
        _ => errors::status(StatusCode::METHOD_NOT_ALLOWED),
    };
    cors::allow(parts.headers.get(ORIGIN), &mut response);
    response
}

fn json(document: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(document.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// Returns the gateway that a metadata path refers to, without revealing whether it exists.
fn gateway_of(path: &str, options: &Options) -> Option<GatewayId> {
    let (_, resource) = path.split_once(WELL_KNOWN)?;
    let prefix = options.public_url.as_ref().map_or("", PublicUrl::prefix);
    let resource = resource.strip_prefix(prefix).unwrap_or(resource);
    match resource.strip_suffix('/').unwrap_or(resource) {
        // Metadata of the whole host describes its default gateway.
        "" | "/mcp" => Some(GatewayId::default_gateway()),
        named => GatewayId::new(named.strip_prefix("/mcp/")?).ok(),
    }
}

fn document(options: &Options, parts: &Parts, gateway: &GatewayId) -> serde_json::Value {
    let protected = options.protected.clone().unwrap_or_default();
    let mut document = json!({
        "resource": resource(options, parts, gateway),
        "authorization_servers": protected.authorization_servers,
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP Orchestrator",
    });
    if !protected.scopes.is_empty() {
        document["scopes_supported"] = json!(protected.scopes);
    }
    document
}

/// Returns the address of a gateway as clients know it.
fn resource(options: &Options, parts: &Parts, gateway: &GatewayId) -> String {
    match base(options, parts) {
        Some(url) => url.gateway(gateway),
        None => String::new(),
    }
}

/// Returns the configured address, else the requested one.
pub(crate) fn base(options: &Options, parts: &Parts) -> Option<PublicUrl> {
    if let Some(url) = &options.public_url {
        return Some(url.clone());
    }
    let forwarded = parts.extensions.get::<Forwarded>();
    let host = forwarded.and_then(|forwarded| forwarded.host.as_deref());
    let host = host.or_else(|| parts.headers.get(HOST)?.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))?;
    let https = parts.extensions.get::<OverTls>().is_some()
        || forwarded.is_some_and(|forwarded| forwarded.https);
    let scheme = if https { "https" } else { "http" };
    format!("{scheme}://{host}").parse().ok()
}

/// Adds a challenge to a refusal: where to get a token, and what the client's own token lacks.
pub(crate) fn challenge(
    response: &mut Response,
    error: &Error,
    (options, parts, gateway): (&Options, &Parts, &GatewayId),
) {
    let had_token = parts.headers.contains_key(http::header::AUTHORIZATION);
    let code = match error.kind() {
        ErrorKind::InsufficientScope => Some("insufficient_scope"),
        ErrorKind::Unauthenticated if had_token => Some("invalid_token"),
        ErrorKind::Unauthenticated => None,
        _ => return,
    };
    let mut text = "Bearer".to_owned();
    let mut separator = ' ';
    let mut parameter = |name: &str, value: &str| {
        // Characters that would end the quotes or are not allowed in a header are left out.
        let plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        let value: String = value.chars().filter(plain).collect();
        let _ = write!(text, "{separator}{name}=\"{value}\"");
        separator = ',';
    };
    if let Some(protected) = &options.protected {
        if let Some(url) = base(options, parts) {
            let path = url.gateway(gateway);
            let path = path.strip_prefix(url.as_str()).unwrap_or_default();
            parameter("resource_metadata", &format!("{url}{WELL_KNOWN}{path}"));
        }
        if !protected.scopes.is_empty() {
            parameter("scope", &protected.scopes.join(" "));
        }
    }
    if let Some(code) = code {
        parameter("error", code);
        parameter("error_description", error.message());
    }
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
}
