//! Metadata of issuers, and the URLs where it is published: RFC 8414 and OpenID Connect Discovery.

use http::Uri;

use super::members::Members;
use crate::fetch::{Ask, FetchError, Fetcher, Redirects, Trust, shown};
use crate::limits::MAX_SCOPE_LEN;

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
    pub(crate) jwks_uri: Option<String>,
    pub(crate) registration_endpoint: Option<String>,
    pub(crate) scopes_supported: Vec<String>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(crate) code_challenge_methods_supported: Vec<String>,
    pub(crate) client_id_metadata_document_supported: bool,
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl IssuerMetadata {
    /// Parses the metadata of an issuer of tokens. Returns `None` if the response names neither endpoint.
    pub(crate) fn read(answer: &[u8]) -> Option<Self> {
        let metadata = Self::of(&Members::read(answer)?);
        let issues = metadata.authorization_endpoint.is_some() || metadata.token_endpoint.is_some();
        issues.then_some(metadata)
    }

    /// Parses the metadata of an issuer whose tokens are verified. Returns `None` if the response names no issuer.
    pub(crate) fn read_named(answer: &[u8]) -> Option<Self> {
        let metadata = Self::of(&Members::read(answer)?);
        (!metadata.issuer.is_empty()).then_some(metadata)
    }

    fn of(members: &Members<'_>) -> Self {
        Self {
            issuer: members.text("issuer").unwrap_or_default(),
            own_name: None,
            is_nameless: false,
            authorization_endpoint: members.text("authorization_endpoint"),
            token_endpoint: members.text("token_endpoint"),
            jwks_uri: members.text("jwks_uri"),
            registration_endpoint: members.text("registration_endpoint"),
            scopes_supported: scopes(members),
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
        }
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
pub(crate) fn scopes(members: &Members<'_>) -> Vec<String> {
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

/// Why a document is not available.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("{place}: unexpected status {status}")]
    Status { place: String, status: u16 },
    #[error("{0}: the response is not metadata")]
    NoDocument(String),
}

/// Fetches a document. The content decides rather than the status: some HTML pages come with 200, and some documents
/// with 404.
pub(crate) async fn document<T>(
    fetcher: &Fetcher,
    place: &str,
    (trust, redirects): (Trust<'_>, Redirects),
    read: fn(&[u8]) -> Option<T>,
) -> Result<T, DocumentError> {
    let answer = fetcher.ask(Ask::get(place, trust, redirects)).await?;
    if let Some(document) = read(&answer.body) {
        return Ok(document);
    }
    let place = shown(place).to_owned();
    if answer.status.is_success() {
        return Err(DocumentError::NoDocument(place));
    }
    let status = answer.status.as_u16();
    Err(DocumentError::Status { place, status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_urls_follow_the_standards() {
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
}
