//! The site of a URL: scheme, host and port.

use http::Uri;

use super::guard::origin_of;

/// Scheme, host and port of a URL, normalized for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The normalized origin.
    pub(super) origin: String,
    /// The host, without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) https: bool,
}

impl Site {
    /// Returns the site of a URL. `None` if it is not an http or https URL, or contains user information.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let origin = origin_of(uri)?;
        let https = origin.starts_with("https:");
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self {
            host: host.to_ascii_lowercase(),
            port,
            https,
            origin,
        })
    }

    /// Parses a URL and returns its site.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::of(&text.parse().ok()?)
    }
}
