//! Builds the authorization URL.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The scope for a refresh token, at issuers that support it.
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// The parts of an authorization URL.
pub(crate) struct AuthorizationUrl<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) state: &'a str,
    /// The PKCE code verifier.
    pub(crate) verifier: &'a str,
    /// Binds an ID token to the sign-in.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) resource: Option<&'a str>,
    /// Configured parameters, which are added or replace ours.
    pub(crate) extra: &'a [(String, String)],
}

impl AuthorizationUrl<'_> {
    /// Returns the authorization URL. `None` if the endpoint is not a valid URL.
    pub(crate) fn build(&self, scopes: &[String]) -> Option<String> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier));
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("state", self.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let scope = scopes.join(" ");
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        if scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
            // OpenID Connect returns no refresh token without this.
            parameters.push(("prompt", "consent"));
        }
        parameters.extend(self.nonce.map(|nonce| ("nonce", nonce)));
        parameters.extend(self.resource.map(|resource| ("resource", resource)));
        parameters.retain(|(name, _)| !self.extra.iter().any(|(configured, _)| configured == name));
        let extra = self.extra.iter();
        parameters.extend(extra.map(|(name, value)| (name.as_str(), value.as_str())));
        with_query(self.endpoint, &parameters)
    }
}

/// Appends parameters to the query of a URL. `None` if it is not a valid URL.
fn with_query(place: &str, parameters: &[(&str, &str)]) -> Option<String> {
    let place = place.split('#').next()?;
    crate::fetch::Site::parse(place)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let separator = if place.contains('?') { '&' } else { '?' };
    Some(format!("{place}{separator}{}", query.finish()))
}
