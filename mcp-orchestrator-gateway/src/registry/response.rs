//! HTTP responses of the registry: caching, and access for browser pages.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, VARY,
};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

pub(super) const JSON: &str = "application/json";
pub(super) const CARD: &str = "application/mcp-server-card+json";
pub(super) const CATALOG: &str = "application/ai-catalog+json";

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const HEADERS: HeaderValue =
    HeaderValue::from_static("Accept, Authorization, Content-Type, If-None-Match");
const EXPOSED: HeaderValue = HeaderValue::from_static("ETag, WWW-Authenticate");
/// How long a browser may cache the preflight response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Returns a document, or 304 if the client has it.
pub(super) fn document(parts: &Parts, document: &Value, media_type: &'static str) -> Response {
    let body = document.to_string();
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let tag = format!("\"{:016x}\"", hash.finish());
    let mut response = if is_known(parts, &tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::from(body));
        let media_type = HeaderValue::from_static(media_type);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    };
    let headers = response.headers_mut();
    // What a caller may see changes with its rights, so no shared cache may keep it.
    let private = HeaderValue::from_static("private, max-age=60");
    headers.insert(CACHE_CONTROL, private);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

fn is_known(parts: &Parts, tag: &str) -> bool {
    let known = parts.headers.get_all(IF_NONE_MATCH).iter();
    known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().trim_start_matches("W/"))
        .any(|value| value == "*" || value == tag)
}

/// Returns the response to a preflight request.
pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    readable(response)
}

/// Lets pages of all origins read the response.
pub(super) fn readable(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(
        VARY,
        HeaderValue::from_static("Authorization, Host, Origin"),
    );
    response
}
