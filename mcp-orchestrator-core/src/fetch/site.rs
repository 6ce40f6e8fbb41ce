//! Whom an address asks: scheme, host and port.

use http::Uri;

use super::guard::origin_of;

/// Scheme, host and port of an address, compared without regard to how they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// In one way of writing.
    pub(super) origin: String,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) https: bool,
}

impl Site {
    /// That of an address; `None` where it is no http or https address, or holds a user.
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

    /// That of an address as text.
    #[cfg(feature = "oauth")]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::of(&text.parse().ok()?)
    }
}
