//! Metadata of servers and issuers, and the URLs where it is published: RFC 9728, RFC 8414 and OpenID Connect
//! Discovery.

use http::Uri;

use super::Members;
use crate::fetch::Site;
use crate::limits::MAX_SCOPE_LEN;

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

/// Metadata of an issuer (RFC 8414).
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuerMetadata {
    /// The name under which its clients and tokens are kept: the configured name, or else the declared one.
    pub(crate) issuer: String,
    /// The name that the issuer declares, if it differs.
    pub(crate) own_name: Option<String>,
    /// Whether the issuer's declared name is unknown because only its endpoints are configured.
    pub(crate) is_nameless: bool,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
    pub(crate) registration_endpoint: Option<String>,
    pub(crate) scopes_supported: Vec<String>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(crate) code_challenge_methods_supported: Vec<String>,
    pub(crate) client_id_metadata_document_supported: bool,
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl IssuerMetadata {
    /// Parses the metadata. Returns `None` if the response is something else.
    pub(crate) fn read(answer: &[u8]) -> Option<Self> {
        let members = Members::read(answer)?;
        let issuer = members.text("issuer");
        let (page, tokens) = (
            members.text("authorization_endpoint"),
            members.text("token_endpoint"),
        );
        if page.is_none() && tokens.is_none() {
            return None;
        }
        Some(Self {
            issuer: issuer.unwrap_or_default(),
            own_name: None,
            is_nameless: false,
            authorization_endpoint: page,
            token_endpoint: tokens,
            registration_endpoint: members.text("registration_endpoint"),
            scopes_supported: scopes(&members),
            token_endpoint_auth_methods_supported: members
                .words("token_endpoint_auth_methods_supported")
                .filter(|methods| !methods.is_empty()),
            code_challenge_methods_supported: members
                .words("code_challenge_methods_supported")
                .unwrap_or_default(),
            client_id_metadata_document_supported: members
                .flag("client_id_metadata_document_supported"),
            authorization_response_iss_parameter_supported: members
                .flag("authorization_response_iss_parameter_supported"),
        })
    }

    /// Returns the defaults of revision 2025-03-26 for a server without metadata.
    pub(crate) fn by_convention(origin: &str) -> Self {
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

    pub(crate) fn knows_pkce(&self) -> bool {
        let methods = &self.code_challenge_methods_supported;
        methods.iter().any(|method| method == "S256")
    }

    /// Accepts the metadata if it declares the expected name or none; otherwise returns the declared name as the
    /// error.
    pub(crate) fn called(self, expected: &str) -> Result<Self, String> {
        if self.issuer.is_empty() {
            return Ok(self.named(expected));
        }
        if same_issuer(&self.issuer, expected) {
            return Ok(self);
        }
        Err(self.issuer)
    }

    /// Returns the metadata under the configured name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            own_name: Some(self.issuer).filter(|own| !own.is_empty() && own != name),
            issuer: name.to_owned(),
            ..self
        }
    }
}

/// Returns the supported scopes, except any that a request cannot hold.
fn scopes(members: &Members<'_>) -> Vec<String> {
    let is_scope = |word: &String| {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        word.bytes().all(fits) && word.len() <= MAX_SCOPE_LEN
    };
    let words = members.words("scopes_supported").unwrap_or_default();
    words.into_iter().filter(is_scope).collect()
}

/// Returns `true` if both texts name the same issuer. They are compared as text (RFC 8414), except for a trailing
/// slash, which some issuers include and others omit.
pub(crate) fn same_issuer(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
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

/// Returns the URLs where an issuer's metadata may be published, in the order in which they are tried.
pub(crate) fn issuer_places(issuer: &str) -> Vec<String> {
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

/// Returns scheme, host and port exactly as written.
pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    format!("{scheme}://{authority}")
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
