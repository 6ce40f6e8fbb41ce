//! A request and its response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use secrecy::zeroize::Zeroizing;

use super::site::Site;

/// A request.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) place: &'a str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) trust: Trust<'a>,
    pub(crate) redirects: Redirects,
}

/// Who named the address of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// The configuration, or a party that it trusts: the address is not guarded.
    #[cfg_attr(
        not(feature = "jwt"),
        expect(dead_code, reason = "JWT's issuers are of the configuration")
    )]
    Configured,
    /// Another party: the address is guarded, except for these sites, which the configuration names.
    #[cfg_attr(
        not(feature = "oauth"),
        expect(dead_code, reason = "others name addresses in OAuth alone")
    )]
    Told(&'a [Site]),
}

/// Whether redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// A redirect is returned as the response.
    Answer,
    /// Redirects are followed a few times. Each address is guarded, and a redirect from `https` to `http` is an
    /// error.
    Follow,
}

/// A response. The body may hold secrets, so it is wiped on drop.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why there is no response. The address is quoted without its query and fragment, which may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0}: this is no http or https address")]
    Address(String),
    #[error(
        "{place}: {why}, and another party supplied it: list it under `network.allow_private` to allow it"
    )]
    Guarded { place: String, why: String },
    #[error("{place}: {why}")]
    Failed { place: String, why: String },
    #[error("{place}: no response within {after:?}")]
    Late { place: String, after: Duration },
    #[error("{0}: it redirects too often, or to where it may not")]
    Redirect(String),
}

impl<'a> Ask<'a> {
    /// Creates a GET request for a JSON document.
    pub(crate) fn get(place: &'a str, trust: Trust<'a>, redirects: Redirects) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            method: Method::GET,
            place,
            headers: vec![(http::header::ACCEPT, json)],
            body: Bytes::new(),
            trust,
            redirects,
        }
    }
}
