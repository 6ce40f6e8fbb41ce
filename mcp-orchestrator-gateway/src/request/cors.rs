//! CORS for browser pages of allowed origins. Cookies are never accepted, so credentials are not allowed.
//!
//! The guard decides which origins are allowed; requests reach this module only after passing it.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::errors;

/// Headers that a page may send.
const HEADERS: [&str; 9] = [
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
];
/// The prefix of headers that carry a tool's arguments.
const ARGUMENT: &str = "mcp-param-";
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
/// How long a browser may cache the preflight response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Answers a request with the method OPTIONS: a preflight request, or one with a method that is not allowed.
pub(crate) fn options(parts: &Parts) -> Response {
    preflight(parts).unwrap_or_else(|| errors::status(StatusCode::METHOD_NOT_ALLOWED))
}

/// Answers a preflight request; returns `None` for any other request.
pub(crate) fn preflight(parts: &Parts) -> Option<Response> {
    let asks = parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    allow(parts.headers.get(ORIGIN), &mut response);
    let wanted = parts
        .headers
        .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase());
    let allowed: Vec<String> = wanted
        .filter(|name| HEADERS.contains(&name.as_str()) || name.starts_with(ARGUMENT))
        .collect();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    Some(response)
}

/// Lets the requesting page read the response.
pub(crate) fn allow(origin: Option<&HeaderValue>, response: &mut Response) {
    let Some(origin) = origin else {
        return;
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn preflight_allows_only_the_headers_of_the_protocol() {
        let asked = parts(
            Method::OPTIONS,
            &[
                ("origin", "https://app.example"),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "Authorization, mcp-session-id,Mcp-Param-Path, x-other, cookie",
                ),
            ],
        );
        let answer = preflight(&asked).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("access-control-allow-origin"), "https://app.example");
        assert_eq!(
            header("access-control-allow-headers"),
            "authorization, mcp-session-id, mcp-param-path"
        );
        assert!(header("access-control-allow-methods").contains("DELETE"));
        assert_eq!(header("vary"), "Origin");
        assert!(
            !answer
                .headers()
                .contains_key("access-control-allow-credentials")
        );
    }

    #[test]
    fn other_requests_are_not_answered_as_preflight() {
        let origin = ("origin", "https://app.example");
        let method = ("access-control-request-method", "POST");
        for asked in [
            parts(Method::POST, &[origin, method]),
            parts(Method::OPTIONS, &[origin]),
            parts(Method::OPTIONS, &[method]),
        ] {
            assert!(preflight(&asked).is_none());
        }
        let mut response = Response::new(Body::empty());
        allow(None, &mut response);
        assert!(response.headers().is_empty());
    }
}
