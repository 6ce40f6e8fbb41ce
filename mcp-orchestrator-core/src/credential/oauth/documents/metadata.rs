//! Metadata of protected servers, and the URLs where it is published (RFC 9728).

use http::Uri;

use crate::fetch::Site;
use crate::oauth::{Members, origin, scopes};

/// Metadata of a protected server (RFC 9728).
#[derive(Debug)]
pub(crate) struct ResourceMetadata {
    /// The server's resource identifier, if declared.
    pub(crate) resource: Option<String>,
    pub(crate) authorization_servers: Vec<String>,
    pub(crate) scopes_supported: Vec<String>,
}

impl ResourceMetadata {
    /// Parses the metadata. Returns `None` if the response is something else.
    pub(crate) fn read(answer: &[u8]) -> Option<Self> {
        let members = Members::read(answer)?;
        let resource = members.text("resource");
        let servers = members.words("authorization_servers");
        if resource.is_none() && servers.is_none() {
            return None;
        }
        Some(Self {
            resource,
            authorization_servers: servers.unwrap_or_default(),
            scopes_supported: scopes(&members),
        })
    }
}

/// Returns the URLs where a server's metadata may be published: for its path, then for its origin.
pub(crate) fn resource_places(server: &Uri) -> Vec<String> {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let origin = origin(server);
    let path = server.path().trim_end_matches('/');
    let mut places = vec![format!("{origin}{WELL_KNOWN}{path}")];
    if !path.is_empty() {
        places.push(format!("{origin}{WELL_KNOWN}"));
    }
    places
}

/// Returns `true` if metadata about `resource` applies to `server`: the same site, and the server's path at or below
/// that of the resource.
pub(crate) fn covers(resource: &str, server: &Uri) -> bool {
    let Ok(uri) = resource.parse::<Uri>() else {
        return false;
    };
    let (Some(site), Some(own)) = (Site::of(&uri), Site::of(server)) else {
        return false;
    };
    let path = uri.path().trim_end_matches('/');
    let below = server.path().strip_prefix(path);
    site == own && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_urls_follow_the_standards() {
        let server: Uri = "https://a.example:8443/x/mcp?k=1".parse().unwrap();
        assert_eq!(
            resource_places(&server),
            [
                "https://a.example:8443/.well-known/oauth-protected-resource/x/mcp",
                "https://a.example:8443/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(
            resource_places(&"https://a.example".parse().unwrap()),
            ["https://a.example/.well-known/oauth-protected-resource"]
        );
    }

    #[test]
    fn metadata_covers_servers_at_or_below_its_resource() {
        let rows = [
            ("https://a.example/mcp", "https://a.example/mcp", true),
            ("https://a.example", "https://a.example/mcp", true),
            ("https://A.example:443/", "https://a.example/mcp", true),
            ("https://a.example/mcp/", "https://a.example/mcp/x", true),
            ("https://a.example/mcp", "https://a.example/mcpx", false),
            ("https://a.example/mcp", "https://a.example/", false),
            ("http://a.example/mcp", "https://a.example/mcp", false),
            ("https://a.example:1/mcp", "https://a.example/mcp", false),
            ("https://evil.example/mcp", "https://a.example/mcp", false),
            ("mcp", "https://a.example/mcp", false),
        ];
        for (resource, server, expected) in rows {
            assert_eq!(
                covers(resource, &server.parse().unwrap()),
                expected,
                "{resource} {server}"
            );
        }
    }
}
