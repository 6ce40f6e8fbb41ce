//! OAuth tokens for upstream servers: discovers the issuer, signs users in, and renews the tokens.
//!
//! The token requests are implemented here rather than taken from a crate: existing crates bring more (a URL type, a
//! clock, an HTTP client, their own randomness) than the two forms that are sent, and none implements what MCP
//! servers need: RFC 9728, RFC 8707, RFC 9207 and client ID metadata documents.

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
mod quota;
mod renewals;
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

/// Options for OAuth towards upstream servers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OAuthOptions {
    /// The public URL of the gateway, if it has one.
    pub public_url: Option<PublicUrl>,
    /// The addresses that may be contacted when a server or an issuer names them.
    pub guard: AddressGuard,
    /// Timeout of one request to an issuer. Default: 10 s.
    pub timeout: Duration,
    /// How long metadata of a server and its issuer is cached.
    pub discovery_ttl: Duration,
    /// How issuers and servers are connected to.
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

/// State shared by sign-ins and renewals.
struct OAuthState {
    installations: Installations,
    fetcher: Fetcher,
    options: OAuthOptions,
    quota: Quota,
    discoveries: Discoveries,
    unstored: Unstored,
}

impl OAuthState {
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

    /// Discovers the issuer of a server, once for all callers that ask at about the same time.
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

impl fmt::Debug for OAuthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("installations", &self.installations)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
