//! Input and results of a sign-in.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use crate::credential::{InstallationKey, StoredCredential};
use crate::id::SlotName;

/// Parameters of a new sign-in.
#[derive(Debug)]
pub struct NewAuthorization<'a> {
    /// The installation that the sign-in is for.
    pub key: &'a InstallationKey,
    /// The URI that the issuer redirects the browser to.
    pub redirect_uri: &'a str,
    /// The only caller that may complete the sign-in.
    pub for_whom: &'a str,
    /// Values of the server's other slots.
    pub values: BTreeMap<SlotName, SecretString>,
}

/// A sign-in that has begun.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Begun {
    /// The URL to send the browser to.
    pub url: String,
    /// The `state` that the response will carry. It identifies this sign-in and must not be shown to anyone else.
    pub state: String,
}

/// A sign-in in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingAuthorization {
    /// The installation that the sign-in is for.
    pub key: InstallationKey,
    /// The caller that began it, as named then.
    pub for_whom: String,
    /// The identifier of the issuer that the user signs in at.
    pub issuer: String,
}

/// The query parameters that the browser brings back to the redirect URI.
#[derive(Default)]
pub struct AuthorizationAnswer {
    /// `code`: the authorization code.
    pub code: Option<SecretString>,
    /// `iss`: the issuer of the response (RFC 9207).
    pub issuer: Option<String>,
    /// `error`: why no code was issued.
    pub error: Option<String>,
}

/// The result of a completed sign-in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// The installation that the credential is for.
    pub key: InstallationKey,
    /// The caller that began the sign-in.
    pub for_whom: String,
    /// The token with its renewal data, as a new revision. It is not stored yet.
    pub credential: StoredCredential,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("url", &crate::fetch::shown(&self.url))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthorizationAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationAnswer")
            .field("code", &self.code)
            .field("issuer", &self.issuer)
            .field("error", &self.error)
            .finish()
    }
}
