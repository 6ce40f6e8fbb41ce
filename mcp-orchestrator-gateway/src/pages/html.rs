//! The common layout of all pages, and their response headers.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use mcp_orchestrator_core::{Error, ErrorKind};
use sha2::{Digest as _, Sha256};

use crate::errors;

const STYLE: &str = include_str!("style.css");

/// Allows only the one style sheet, and forms that submit to the gateway.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy).expect("a policy is visible ASCII")
});

/// A page, and the cookies that it sets.
pub(super) struct Page<'p> {
    pub(super) status: StatusCode,
    pub(super) title: &'p str,
    pub(super) body: Markup,
    /// Content of the page header, such as who is signed in.
    pub(super) top: Markup,
    pub(super) cookies: Vec<String>,
}

impl<'p> Page<'p> {
    /// Creates a page without additional header content.
    pub(super) fn new(title: &'p str, body: Markup) -> Self {
        Self {
            status: StatusCode::OK,
            title,
            body,
            top: html! {},
            cookies: Vec::new(),
        }
    }

    /// Sets the status.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Renders the page as a response.
    pub(super) fn response(self) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title { (self.title) " – MCP Orchestrator" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header { span.name { "MCP Orchestrator" } (self.top) }
                    main { h1 { (self.title) } (self.body) }
                }
            }
        };
        let mut response = Response::new(Body::from(page.into_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
        finish(&mut response, &self.cookies);
        response
    }
}

/// Returns a page with a single message.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    let body = html! { p { (text) } };
    Page::new(title, body).with_status(status).response()
}

/// Renders an error as a page.
pub(super) fn refused(error: &Error) -> Response {
    let status = match error.kind() {
        ErrorKind::NoRoute => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        // People read this page, and a failed step of theirs is not a failure of the gateway.
        ErrorKind::InvalidParams | ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
        _ => errors::control_status(error.kind()),
    };
    message(status, "This did not work", &error.to_string())
}

/// Redirects the browser.
pub(super) fn go(to: &str, cookies: &[String]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    match HeaderValue::from_str(to) {
        Ok(to) => response.headers_mut().insert(LOCATION, to),
        Err(_) => {
            return message(
                StatusCode::BAD_REQUEST,
                "This did not work",
                "there is no such address",
            );
        }
    };
    finish(&mut response, cookies);
    response
}

/// Sets the headers of every response. The referrer policy is not `no-referrer` because browsers would then not state a
/// form's origin.
fn finish(response: &mut Response, cookies: &[String]) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
}
