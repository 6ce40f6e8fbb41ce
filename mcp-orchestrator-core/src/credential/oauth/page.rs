//! Builds the authorization URL.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The scope for a refresh token, at issuers that support it.
pub(super) const OFFLINE: &str = "offline_access";

/// The parts of an authorization URL.
pub(super) struct Page<'a> {
    pub(super) address: &'a str,
    pub(super) client: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) verifier: &'a str,
    pub(super) resource: Option<&'a str>,
    /// Configured parameters, which are added or replace ours.
    pub(super) more: &'a [(String, String)],
}

impl Page<'_> {
    /// Returns the authorization URL. `None` if the endpoint is not a valid URL.
    pub(super) fn url(&self, scopes: &[String]) -> Option<String> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier));
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.client),
            ("redirect_uri", self.redirect_uri),
            ("state", self.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let scope = scopes.join(" ");
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        if scopes.iter().any(|scope| scope == OFFLINE) {
            // OpenID Connect returns no refresh token without this.
            parameters.push(("prompt", "consent"));
        }
        parameters.extend(self.resource.map(|resource| ("resource", resource)));
        parameters.retain(|(name, _)| !self.more.iter().any(|(configured, _)| configured == name));
        let more = self.more.iter();
        parameters.extend(more.map(|(name, value)| (name.as_str(), value.as_str())));
        with_query(self.address, &parameters)
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
