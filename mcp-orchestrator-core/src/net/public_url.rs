//! The public URL of the gateway process, from which its links, metadata and audiences are built.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::id::GatewayId;

/// A URL such as `https://mcp.example.com` or `https://example.com/tools`: scheme, host, optional port and optional
/// path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicUrl {
    text: String,
    /// Offset of the path, or the length of the text if there is no path.
    path: usize,
}

/// The error for a text that is not a valid public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the public address must be as https://mcp.example.com or https://example.com/tools, without a query, a fragment or \
     a user"
)]
pub struct InvalidPublicUrl;

impl PublicUrl {
    /// Returns the URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns scheme, host and port, which is the origin in browser terms.
    pub fn origin(&self) -> &str {
        &self.text[..self.path]
    }

    /// Returns the host and port as in a `Host` header.
    pub fn authority(&self) -> &str {
        let origin = self.origin();
        origin.split_once("://").map_or(origin, |(_, rest)| rest)
    }

    /// Returns the path under which all endpoints are served, or an empty string.
    pub fn prefix(&self) -> &str {
        &self.text[self.path..]
    }

    /// Returns `true` if the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https://")
    }

    /// Returns the URL of `path`, which must begin with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Returns the URL of a gateway, which is the resource that tokens are issued for.
    pub fn gateway(&self, gateway: &GatewayId) -> String {
        if *gateway == GatewayId::default_gateway() {
            self.at("/mcp")
        } else {
            self.at(&format!("/mcp/{gateway}"))
        }
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let text = text.trim().trim_end_matches('/');
        let uri: Uri = text.parse().map_err(|_| InvalidPublicUrl)?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "https" | "http"));
        let authority = uri
            .authority()
            .filter(|found| !found.host().is_empty() && !found.as_str().contains('@'));
        let (Some(scheme), Some(authority)) = (scheme, authority) else {
            return Err(InvalidPublicUrl);
        };
        if uri.query().is_some() || text.contains('#') {
            return Err(InvalidPublicUrl);
        }
        let origin = format!("{scheme}://{}", authority.as_str().to_ascii_lowercase());
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            path: origin.len(),
            text: format!("{origin}{path}"),
        })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_url_is_parsed_and_gateway_urls_are_built() {
        let plain: PublicUrl = "https://MCP.example.com/".parse().unwrap();
        assert_eq!(plain.as_str(), "https://mcp.example.com");
        assert_eq!((plain.prefix(), plain.authority()), ("", "mcp.example.com"));
        let below: PublicUrl = "http://127.0.0.1:8080/a/b/".parse().unwrap();
        assert_eq!(below.origin(), "http://127.0.0.1:8080");
        assert_eq!(below.prefix(), "/a/b");
        let gateway = |name: &str| below.gateway(&GatewayId::new(name).unwrap());
        assert_eq!(gateway("default"), "http://127.0.0.1:8080/a/b/mcp");
        assert_eq!(gateway("ops"), "http://127.0.0.1:8080/a/b/mcp/ops");
    }

    #[test]
    fn invalid_public_urls_are_rejected() {
        for text in [
            "",
            "mcp.example.com",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example?x=1",
            "https://a.example/#x",
            "/mcp",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
