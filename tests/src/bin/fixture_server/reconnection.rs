//! `test_reconnection` as its scenario requires: the stream of the call ends after the event with the retry delay, and
//! the response waits for a GET with `Last-Event-ID`. rmcp's handlers cannot end their own stream, so this middleware
//! ends it.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use serde_json::Value;

/// The largest request body.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// The only version in which clients get a retry delay.
const VERSION: &str = "2025-11-25";

/// Passes every exchange on, but ends the stream of a `test_reconnection` call after its first event.
pub(crate) async fn end_stream(request: Request, next: Next) -> Response {
    if request.method() != Method::POST || version(request.headers()) != Some(VERSION) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let ends = is_reconnection(&body);
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !ends || !is_stream(response.headers()) {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take(1)))
}

fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get("mcp-protocol-version")?.to_str().ok()
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

fn is_reconnection(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|message| {
        message["method"] == "tools/call" && message["params"]["name"] == "test_reconnection"
    })
}
