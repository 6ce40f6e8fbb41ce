//! The gateways as an MCP registry lists them: the read part of the registry API (v0.1), a server card for each gateway,
//! and a catalog of the cards.
//!
//! A caller gets the gateways that it may use, determined as at the MCP endpoint. Without a token, these are the gateways
//! that need none and those in [`Options::public_gateways`](crate::Options::public_gateways). No document contains a
//! credential, or what a server runs.

mod documents;
mod entries;
mod name;
mod query;
mod response;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{Method, StatusCode};
use mcp_orchestrator_core::auth::PublicUrl;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use self::entries::Entry;
use self::query::Query;
use crate::errors;
use crate::mcp::endpoint::Endpoint;
use crate::request::head::Head;
use crate::request::protected_resource::{base, challenge};
use crate::request::validate;

const SERVERS: &str = "/v0.1/servers";
/// Where clients look for the card of a host's only server.
const CARD_OF_HOST: &str = "/.well-known/mcp/server-card.json";
const CATALOGS: [&str; 2] = [
    "/.well-known/ai-catalog.json",
    "/.well-known/mcp/catalog.json",
];

/// Serves the registry API (`/v0.1/servers`), the server card of each gateway (`/mcp/server-card`,
/// `/mcp/{gateway}/server-card`) and a catalog of the cards (`/.well-known/ai-catalog.json`).
///
/// Merge this router at the root of an application, even if the endpoint is nested. With a path in `public_url`, the
/// documents are also served below that path.
pub fn registry(endpoint: &Endpoint) -> Router {
    let mut router = Router::new();
    for prefix in endpoint.prefixes() {
        router = router
            .route(&format!("{prefix}{SERVERS}"), any(list))
            .route(&format!("{prefix}{SERVERS}/"), any(list))
            .route(&format!("{prefix}{SERVERS}/{{*name}}"), any(one))
            .route(&format!("{prefix}/mcp/server-card"), any(default_card))
            .route(&format!("{prefix}{CARD_OF_HOST}"), any(default_card))
            .route(&format!("{prefix}/mcp/{{gateway}}/server-card"), any(card));
        for catalog in CATALOGS {
            router = router.route(&format!("{prefix}{catalog}"), any(self::catalog));
        }
    }
    router.with_state(endpoint.clone())
}

async fn list(State(endpoint): State<Endpoint>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let document = async |url: &PublicUrl| {
        let query = Query::read(parts.uri.query().unwrap_or_default())?;
        let entries = entries::all(endpoint.gate(), &parts, url).await?;
        Ok(documents::page(&query.apply(entries)))
    };
    answer(&endpoint, &parts, None, response::JSON, document).await
}

async fn one(
    State(endpoint): State<Endpoint>,
    Path(path): Path<String>,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    let document = async |url: &PublicUrl| {
        let entries = entries::all(endpoint.gate(), &parts, url).await?;
        // The slash in the name is usually encoded. Both spellings arrive decoded.
        let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let [namespace, name, "versions", version @ ..] = &path[..] else {
            return Err(unknown());
        };
        let name = format!("{namespace}/{name}");
        let entry = entries.into_iter().find(|entry| entry.name == name);
        let entry: Entry = entry.ok_or_else(unknown)?;
        match version {
            [] => Ok(documents::page(&query::Page::of(entry))),
            ["latest" | entries::VERSION] => Ok(documents::listed(&entry)),
            _ => Err(unknown()),
        }
    };
    answer(&endpoint, &parts, None, response::JSON, document).await
}

async fn default_card(State(endpoint): State<Endpoint>, request: Request<Body>) -> Response {
    let gateway = GatewayId::default_gateway();
    card_of(&endpoint, &gateway, &request.into_parts().0).await
}

async fn card(
    State(endpoint): State<Endpoint>,
    Path(gateway): Path<String>,
    request: Request<Body>,
) -> Response {
    match GatewayId::new(&gateway) {
        Ok(gateway) => card_of(&endpoint, &gateway, &request.into_parts().0).await,
        Err(_) => errors::status(StatusCode::NOT_FOUND),
    }
}

async fn card_of(endpoint: &Endpoint, gateway: &GatewayId, parts: &Parts) -> Response {
    let document = async |url: &PublicUrl| {
        let entry = entries::one(endpoint.gate(), parts, (gateway, url)).await?;
        Ok(documents::card(&entry))
    };
    answer(endpoint, parts, Some(gateway), response::CARD, document).await
}

async fn catalog(State(endpoint): State<Endpoint>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let is_ai_catalog = parts.uri.path().ends_with(CATALOGS[0]);
    let document = async |url: &PublicUrl| {
        let entries = entries::all(endpoint.gate(), &parts, url).await?;
        Ok(documents::catalog(&entries, url, is_ai_catalog))
    };
    let media_type = if is_ai_catalog {
        response::CATALOG
    } else {
        response::JSON
    };
    answer(&endpoint, &parts, None, media_type, document).await
}

/// Answers a request for a document. Pages of any origin may read it with a token: there are no cookies. A page that
/// would act as the local user is rejected when its caller is authenticated.
async fn answer(
    endpoint: &Endpoint,
    parts: &Parts,
    gateway: Option<&GatewayId>,
    media_type: &'static str,
    document: impl AsyncFnOnce(&PublicUrl) -> Result<serde_json::Value>,
) -> Response {
    let options = endpoint.options();
    if let Err(error) = validate::host(&Head::of(parts), options) {
        return response::readable(errors::object(&error));
    }
    match parts.method {
        Method::OPTIONS => return response::preflight(),
        Method::GET | Method::HEAD => {}
        _ => return response::readable(errors::status(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let written = match base(options, parts) {
        Some(url) => document(&url).await,
        None => Err(Error::new(
            ErrorKind::InvalidRequest,
            "the request names no host",
        )),
    };
    response::readable(match written {
        Ok(document) => response::document(parts, &document, media_type),
        Err(error) => {
            let mut response = errors::object(&error);
            let default = GatewayId::default_gateway();
            let asked = (options, parts, gateway.unwrap_or(&default));
            challenge(&mut response, &error, asked);
            response
        }
    })
}

/// The error for a server that does not exist, or not for this caller.
fn unknown() -> Error {
    Error::new(ErrorKind::GatewayNotFound, "server not found")
}
