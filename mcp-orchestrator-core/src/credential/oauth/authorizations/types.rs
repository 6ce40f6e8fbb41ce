//! What a sign-in is begun with, and what comes of it.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use crate::credential::{InstallationKey, StoredCredential};
use crate::id::SlotName;

/// What somebody signs in for.
#[derive(Debug)]
pub struct NewAuthorization<'a> {
    /// What it shall install.
    pub key: &'a InstallationKey,
    /// Where the issuer sends the browser back to.
    pub redirect_uri: &'a str,
    /// Who may finish it.
    pub for_whom: &'a str,
    /// Values of the server's other slots.
    pub values: BTreeMap<SlotName, SecretString>,
}

/// A sign-in that began.
#[derive(Clone, PartialEq, Eq)]
pub struct Begun {
    /// Where the browser is to go.
    pub url: String,
    /// What its answer will carry: it belongs to this sign-in alone, and is nobody else's business.
    pub state: String,
}

/// A sign-in on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAuthorization {
    /// What it will install.
    pub key: InstallationKey,
    /// Who began it, as they were named then.
    pub for_whom: String,
    /// The issuer.
    pub issuer: String,
}

/// What the browser brought back in the query of the redirect.
#[derive(Default)]
pub struct AuthorizationAnswer {
    /// `code`.
    pub code: Option<SecretString>,
    /// `iss`: who answers (RFC 9207).
    pub issuer: Option<String>,
    /// `error`: why there is no code.
    pub error: Option<String>,
}

/// A sign-in that ended with a token.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What is to be installed.
    pub key: InstallationKey,
    /// Who began it.
    pub for_whom: String,
    /// The token, and what renews it: a new revision. It is not stored yet.
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
