//! Settings of authentication and of the gateway's network position.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::auth::{Algorithm, Network, PublicUrl, TeamNames};
use crate::orchestrator::Limits;

/// Settings of authentication and of the gateway's network position.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuthSettings {
    /// `true` if every caller on a loopback listener is the local user.
    pub local: bool,
    /// `true` if tokens issued by the gateway itself are accepted.
    pub tokens: bool,
    /// Where to put the token of a first admin, which is created at start if no admin token exists.
    pub first_admin: Option<FirstAdmin>,
    /// Identity providers with accepted tokens.
    pub issuers: Vec<IssuerSettings>,
    /// The URL under which clients reach the gateway.
    pub public_url: Option<PublicUrl>,
    /// Networks of trusted proxies, which may set forwarding headers.
    pub trusted_proxies: Vec<Network>,
    /// TLS of the listener.
    pub tls: Option<TlsSettings>,
    /// Concurrency limits.
    pub limits: Limits,
    /// Connection limits of the listener.
    pub connections: ConnectionSettings,
    /// How long a call waits for its credential; `None` means the default of the orchestrator.
    pub auth_wait: Option<Duration>,
    /// How long a call waits for its client to answer the server's requests; `None` means the default of the
    /// orchestrator.
    pub input_wait: Option<Duration>,
}

/// Connection limits; `None` means the default of the listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// Maximum number of connections.
    pub total: Option<NonZeroUsize>,
    /// Maximum number of connections from one address.
    pub per_address: Option<NonZeroUsize>,
}

impl AuthSettings {
    /// Returns `true` if callers from other machines can be authenticated.
    pub fn knows_others(&self) -> bool {
        self.tokens || !self.issuers.is_empty()
    }

    /// Returns `true` if all possible callers are the same person.
    pub fn is_single_principal(&self) -> bool {
        self.local && !self.knows_others()
    }

    /// Returns the scopes required by any issuer, without duplicates.
    pub fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for scope in self.issuers.iter().flat_map(|issuer| &issuer.scopes) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }
}

/// An identity provider with accepted tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuerSettings {
    /// Its identifier, as in the `iss` claim of its tokens.
    pub issuer: String,
    /// Audiences of which a token must name one; empty means the public URL of the gateway that is called.
    pub audience: Vec<String>,
    /// Accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// URL of its keys, if they are not taken from its metadata.
    pub jwks_url: Option<String>,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim that names the teams.
    pub teams_claim: Option<String>,
    /// The teams that its tokens may name.
    pub teams: TeamNames,
    /// Prefix of the names of its users.
    pub prefix: String,
    /// Scopes that a token must have.
    pub scopes: Vec<String>,
    /// The gateway's client at the issuer.
    pub client: Option<SignInClient>,
}

impl IssuerSettings {
    /// The claim that names the user by default.
    pub const USER_CLAIM: &str = "sub";
}

/// The gateway's own client at an issuer.
#[derive(Clone, Debug)]
pub struct SignInClient {
    /// The client id.
    pub id: String,
    /// The client secret; `None` for a public client.
    pub secret: Option<SecretString>,
}

/// The files of the listener's TLS certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Where the token of a first admin is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstAdmin {
    /// A Secret in the cluster in which the gateway runs.
    Secret,
}
