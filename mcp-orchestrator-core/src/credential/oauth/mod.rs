//! Tokens for upstream servers by OAuth: who gives them is found out, somebody signs in, and from then on they are renewed.
//!
//! The token requests are written here and not taken from a crate: what the known ones bring (a URL type, a clock, an
//! HTTP client, randomness of their own) is larger than the two forms that are sent, and none knows the server's side of
//! it: RFC 9728, 8707, 9207, client metadata documents.

mod authorizations;
mod claim;
mod client;
mod discover;
mod discoveries;
mod documents;
mod errors;
mod flow;
#[cfg(feature = "test-util")]
pub(crate) mod fuzz;
mod grant;
mod job;
mod page;
mod proof;
mod quota;
mod renewals;
mod token;
mod unstored;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::authorizations::{
    AuthorizationAnswer, Authorizations, Begun, Finished, NewAuthorization, PendingAuthorization,
};
pub use self::client::client_document;
use self::discover::{Discovered, discover};
use self::discoveries::Discoveries;
use self::errors::OAuthError;
use self::quota::Quota;
pub use self::renewals::Renewals;
use self::unstored::Unstored;
use crate::auth::PublicUrl;
use crate::credential::Installations;
use crate::fetch::{AddressGuard, Fetcher};
use crate::limits::DISCOVERY_TTL;
use crate::outbound::Connector;
use crate::server::{OAuthSpec, ServerSpec};

/// How OAuth is spoken here.
#[derive(Clone, Debug)]
pub struct OAuthOptions {
    /// The address under which browsers and issuers know this gateway, where it has one.
    pub public_url: Option<PublicUrl>,
    /// Which addresses may be asked that a server or an issuer names.
    pub guard: AddressGuard,
    /// How long an issuer has for one answer.
    pub timeout: Duration,
    /// How long what a server and its issuer say of themselves is used again.
    pub discovery_ttl: Duration,
    /// How issuers and servers are reached.
    pub connector: Connector,
}

impl Default for OAuthOptions {
    fn default() -> Self {
        Self {
            public_url: None,
            guard: AddressGuard::default(),
            timeout: Duration::from_secs(10),
            discovery_ttl: DISCOVERY_TTL,
            connector: Connector::default(),
        }
    }
}

/// What both halves need: the sign-ins and the renewals.
struct Room {
    installations: Installations,
    fetcher: Fetcher,
    options: OAuthOptions,
    quota: Quota,
    discoveries: Discoveries,
    unstored: Unstored,
}

impl Room {
    fn new(installations: Installations, options: OAuthOptions) -> Arc<Self> {
        Arc::new(Self {
            installations,
            quota: Quota::default(),
            discoveries: Discoveries::default(),
            unstored: Unstored::default(),
            fetcher: Fetcher::new(
                options.guard.clone(),
                options.timeout,
                options.connector.clone(),
            ),
            options,
        })
    }

    /// Who gives tokens for a server, asked once for all who want to know it at about the same time.
    async fn discovered(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
    ) -> Result<Arc<Discovered>, OAuthError> {
        let ttl = self.options.discovery_ttl;
        let asked = || discover(&self.fetcher, server, oauth);
        self.discoveries.get((server, oauth), ttl, asked).await
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("installations", &self.installations)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
