//! What servers and issuers say of themselves, and where: RFC 9728, RFC 8414, OIDC discovery.

use http::Uri;
use serde::Deserialize;

use crate::fetch::Site;

/// A protected server's own words.
#[derive(Debug, Deserialize)]
pub(super) struct ResourceMetadata {
    pub(super) resource: String,
    #[serde(default)]
    pub(super) authorization_servers: Vec<String>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
}

/// An issuer's own words.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct IssuerMetadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(super) client_id_metadata_document_supported: bool,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl IssuerMetadata {
    /// What a server of 2025-03-26 means that has no metadata.
    pub(super) fn by_convention(origin: &str) -> Self {
        let at = |path: &str| Some(format!("{origin}{path}"));
        Self {
            issuer: origin.to_owned(),
            authorization_endpoint: at("/authorize"),
            token_endpoint: at("/token"),
            registration_endpoint: at("/register"),
            code_challenge_methods_supported: vec!["S256".to_owned()],
            ..Self::default()
        }
    }

    pub(super) fn knows_pkce(&self) -> bool {
        let methods = &self.code_challenge_methods_supported;
        methods.iter().any(|method| method == "S256")
    }
}

/// Where a server's metadata may be: for its path, then for its host.
pub(super) fn resource_places(server: &Uri) -> Vec<String> {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let origin = origin(server);
    let path = server.path().trim_end_matches('/');
    let mut places = vec![format!("{origin}{WELL_KNOWN}{path}")];
    if !path.is_empty() {
        places.push(format!("{origin}{WELL_KNOWN}"));
    }
    places
}

/// Where an issuer's metadata may be, in the order in which it is looked for.
pub(super) fn issuer_places(issuer: &str) -> Vec<String> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OIDC: &str = "/.well-known/openid-configuration";
    let Ok(uri) = issuer.parse::<Uri>() else {
        return Vec::new();
    };
    let origin = origin(&uri);
    let path = uri.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}{OAUTH}{path}"),
        format!("{origin}{OIDC}{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}{OIDC}"));
    }
    places
}

/// Scheme, host and port, as they were written.
pub(super) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    format!("{scheme}://{authority}")
}

/// Whether metadata about this resource is about that server: the same site, and the server's path at or below it.
pub(super) fn covers(resource: &str, server: &Uri) -> bool {
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
    fn metadata_stands_where_the_standards_say() {
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
        assert_eq!(
            issuer_places("https://i.example/t1"),
            [
                "https://i.example/.well-known/oauth-authorization-server/t1",
                "https://i.example/.well-known/openid-configuration/t1",
                "https://i.example/t1/.well-known/openid-configuration"
            ]
        );
        assert_eq!(issuer_places("https://i.example/").len(), 2);
        assert!(issuer_places("no address").is_empty());
    }

    #[test]
    fn metadata_is_about_a_server_at_or_below_its_resource() {
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
