//! The address under which clients know a gateway: what its links, metadata and audiences are made of.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::id::GatewayId;

/// An address as `https://mcp.example.com` or `https://example.com/tools`: scheme, host, perhaps a port and a path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicUrl {
    text: String,
    /// Where the path begins, or the end.
    path: usize,
}

/// Why a text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the public address must be as https://mcp.example.com or https://example.com/tools, without a query, a fragment or \
     a user"
)]
pub struct InvalidPublicUrl;

impl PublicUrl {
    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: what a browser calls the origin.
    pub fn origin(&self) -> &str {
        &self.text[..self.path]
    }

    /// The host and its port, as they stand in a request's `Host`.
    pub fn authority(&self) -> &str {
        let origin = self.origin();
        origin.split_once("://").map_or(origin, |(_, rest)| rest)
    }

    /// The path below which everything of the gateway stands; empty where there is none.
    pub fn prefix(&self) -> &str {
        &self.text[self.path..]
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https://")
    }

    /// The address of something at this path, which begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The address of a gateway: the resource that a token is for.
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
    fn it_is_taken_apart_and_put_together() {
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
    fn what_is_no_public_address_is_refused() {
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
