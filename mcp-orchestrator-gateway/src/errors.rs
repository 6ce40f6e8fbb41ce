//! The only mapping from error kinds to HTTP statuses and JSON-RPC codes.

use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use mcp_orchestrator_core::jsonrpc::error_response;
use mcp_orchestrator_core::protocol::{Era, code};
use mcp_orchestrator_core::{Error, ErrorKind};
use serde_json::Value;

/// The gateway's own codes, outside the range that JSON-RPC reserves.
mod own {
    pub(super) const OVERLOADED: i32 = 1001;
    pub(super) const START_FAILED: i32 = 1002;
    pub(super) const UNAVAILABLE: i32 = 1003;
    pub(super) const TIMED_OUT: i32 = 1004;
    pub(super) const PROTOCOL: i32 = 1005;
    pub(super) const CREDENTIAL: i32 = 1006;
    pub(super) const CANCELLED: i32 = 1007;
}

/// Returns the HTTP status and the JSON-RPC code of a kind.
fn table(kind: ErrorKind, era: Era) -> (StatusCode, i32) {
    use ErrorKind as K;
    match kind {
        K::Parse => (StatusCode::BAD_REQUEST, code::PARSE),
        K::InvalidRequest => (StatusCode::BAD_REQUEST, code::INVALID_REQUEST),
        K::InvalidParams if era == Era::Modern => (StatusCode::BAD_REQUEST, code::INVALID_PARAMS),
        K::InvalidParams | K::NoRoute => (StatusCode::OK, code::INVALID_PARAMS),
        K::ResourceNotFound => (StatusCode::OK, code::RESOURCE_NOT_FOUND),
        K::HeaderMismatch => (StatusCode::BAD_REQUEST, code::HEADER_MISMATCH),
        K::UnsupportedVersion => (StatusCode::BAD_REQUEST, code::UNSUPPORTED_VERSION),
        K::MissingCapability => (StatusCode::BAD_REQUEST, code::MISSING_CAPABILITY),
        K::Unauthenticated => (StatusCode::UNAUTHORIZED, code::INVALID_REQUEST),
        K::CallerUnknowable => (StatusCode::SERVICE_UNAVAILABLE, own::UNAVAILABLE),
        K::Forbidden | K::InsufficientScope => (StatusCode::FORBIDDEN, code::INVALID_REQUEST),
        K::SessionNotFound => (StatusCode::NOT_FOUND, code::SESSION_NOT_FOUND),
        K::GatewayNotFound => (StatusCode::NOT_FOUND, code::INVALID_REQUEST),
        K::MethodNotFound if era == Era::Modern => (StatusCode::NOT_FOUND, code::METHOD_NOT_FOUND),
        K::MethodNotFound => (StatusCode::OK, code::METHOD_NOT_FOUND),
        K::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, code::INVALID_REQUEST),
        K::SlowRequest => (StatusCode::REQUEST_TIMEOUT, code::INVALID_REQUEST),
        K::UnsupportedMedia => (StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID_REQUEST),
        K::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, code::INVALID_REQUEST),
        K::Overloaded => (StatusCode::TOO_MANY_REQUESTS, own::OVERLOADED),
        K::StartFailed => (StatusCode::OK, own::START_FAILED),
        K::Unavailable => (StatusCode::OK, own::UNAVAILABLE),
        K::TimedOut => (StatusCode::OK, own::TIMED_OUT),
        K::Protocol => (StatusCode::OK, own::PROTOCOL),
        K::CredentialMissing
        | K::CredentialExpired
        | K::CredentialRejected
        | K::CredentialInsufficient => (StatusCode::OK, own::CREDENTIAL),
        K::Cancelled => (StatusCode::OK, own::CANCELLED),
        _ => (StatusCode::OK, code::INTERNAL),
    }
}

/// Returns the status of a kind for the control endpoint and the pages, where the protocol does not require 200.
#[cfg(any(feature = "program", feature = "pages"))]
pub(crate) fn control_status(kind: ErrorKind) -> StatusCode {
    use ErrorKind as K;
    match kind {
        K::NoRoute | K::ResourceNotFound => StatusCode::NOT_FOUND,
        K::Conflict => StatusCode::CONFLICT,
        K::Config | K::InvalidParams => StatusCode::BAD_REQUEST,
        K::StartFailed | K::Unavailable | K::Protocol => StatusCode::BAD_GATEWAY,
        K::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => match table(kind, Era::Modern).0 {
            StatusCode::OK => StatusCode::INTERNAL_SERVER_ERROR,
            status => status,
        },
    }
}

/// Encodes an error as a JSON-RPC error response with this id.
pub(crate) fn json(error: &Error, id: &str, era: Era) -> Bytes {
    let (_, code) = table(error.kind(), era);
    let data = data(error);
    error_response(id, i64::from(code), &error.to_string(), data.as_deref())
}

/// Returns the error's own data, extended with the server that failed and the party at fault.
fn data(error: &Error) -> Option<String> {
    let own = error.data().map(serde_json::value::RawValue::get);
    let Some(server) = error.server() else {
        return own.map(str::to_owned);
    };
    let mut data = serde_json::json!({
        "server": server.as_str(),
        "instance": error.instance(),
        "fault": error.fault().as_str(),
        "retryAfterMs": error.retry_after().and_then(|after| u64::try_from(after.as_millis()).ok()),
    });
    if let (Value::Object(members), Some(own)) = (&mut data, own) {
        match serde_json::from_str(own) {
            Ok(Value::Object(own)) => members.extend(own),
            // Data that is not an object, or holds a number that cannot be represented, is passed on unchanged.
            _ => return Some(own.to_owned()),
        }
    }
    Some(data.to_string())
}

/// Returns a plain-text response, for requests that are not JSON-RPC.
pub(crate) fn plain(error: &Error) -> Response {
    let mut response = Response::new(axum::body::Body::from(format!("{error}\n")));
    *response.status_mut() = table(error.kind(), Era::Modern).0;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// Returns a JSON object with the error, for requests that are not JSON-RPC.
pub(crate) fn object(error: &Error) -> Response {
    let text = serde_json::json!({ "error": error.to_string() });
    let mut response = Response::new(axum::body::Body::from(text.to_string()));
    *response.status_mut() = table(error.kind(), Era::Modern).0;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Returns an empty response.
pub(crate) fn status(status: StatusCode) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = status;
    response
}

/// Returns a JSON-RPC error response with the matching HTTP status and headers.
pub(crate) fn response(error: &Error, id: Option<&str>, era: Era) -> Response {
    let (status, _) = table(error.kind(), era);
    let body = json(error, id.unwrap_or("null"), era);
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let later = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if later.contains(&status) {
        let seconds = error
            .retry_after()
            .map_or(1, |after| after.as_secs().max(1));
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
