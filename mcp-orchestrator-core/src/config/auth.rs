//! Who calls and how the gateway stands on a network, as meant.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::cluster::Cluster;
use crate::auth::{
    Algorithm, Network, NewToken, PublicUrl, TeamNames, TokenAuthenticator, TokenInfo,
};
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::id::PrincipalId;
use crate::orchestrator::Limits;

/// Who may call, and how the gateway stands on a network.
#[derive(Clone, Debug, Default)]
pub struct AuthSettings {
    /// Whether a loopback listener takes whoever reaches it for its local user.
    pub local: bool,
    /// Whether tokens of our own are taken.
    pub tokens: bool,
    /// Where the token of a first admin goes, which is made at start where there is none.
    pub first_admin: Option<FirstAdmin>,
    /// Identity providers whose tokens are taken.
    pub issuers: Vec<IssuerSettings>,
    /// The address under which clients know the gateway.
    pub public_url: Option<PublicUrl>,
    /// Who may say for whom they forward.
    pub trusted_proxies: Vec<Network>,
    /// TLS of the listener.
    pub tls: Option<TlsSettings>,
    /// How much at once.
    pub limits: Limits,
    /// Connections of the listener.
    pub connections: ConnectionSettings,
    /// How long a call waits for its credential; `None`: as long as the orchestrator lets it.
    pub auth_wait: Option<Duration>,
}

/// Bounds on connections; `None`: the listener's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// At once.
    pub total: Option<NonZeroUsize>,
    /// At once from one address.
    pub per_address: Option<NonZeroUsize>,
}

impl AuthSettings {
    /// Whether something tells who calls from another machine.
    pub fn knows_others(&self) -> bool {
        self.tokens || !self.issuers.is_empty()
    }

    /// Whether all who can call are one person.
    pub fn is_single_principal(&self) -> bool {
        self.local && !self.knows_others()
    }

    /// All scopes that an issuer's tokens must have, each once.
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

/// An identity provider whose tokens are taken.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Its name, as its tokens write it.
    pub issuer: String,
    /// Whom its tokens must be for; empty: the public address of the gateway that is called.
    pub audience: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are, where that is not left to its metadata.
    pub jwks_url: Option<String>,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim that names the teams.
    pub teams_claim: Option<String>,
    /// Which teams its tokens can name.
    pub teams: TeamNames,
    /// What stands before the names of its users.
    pub prefix: String,
    /// Scopes that a token must have.
    pub scopes: Vec<String>,
    /// Our client there.
    pub client: Option<SignInClient>,
}

impl IssuerSettings {
    /// The claim that names the user if nothing else is said.
    pub const USER_CLAIM: &str = "sub";
}

/// The gateway's own client at an issuer.
#[derive(Clone, Debug)]
pub struct SignInClient {
    /// Its name there.
    pub id: String,
    /// Its secret; a public client has none.
    pub secret: Option<SecretString>,
}

/// The files of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where the token of a first admin goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstAdmin {
    /// Into a Secret of the cluster in which the gateway runs.
    Secret,
}

/// The name of the user whose token it is.
const USER: &str = "admin";

impl FirstAdmin {
    /// Makes the token of an admin where there is none, and hands it over. What is handed over stands there before it counts,
    /// so that no token is ever lost.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) where there is no such place; where it, or the store of tokens, cannot be written.
    pub(super) async fn see_to(self, cluster: &Cluster, tokens: &TokenAuthenticator) -> Result<()> {
        let now = SystemTime::now();
        let admins = |it: &TokenInfo| it.admin && it.gateway.is_none() && !it.is_over(now);
        if tokens.list().iter().any(admins) {
            return Ok(());
        }
        let Self::Secret = self;
        let invented: SecretString = TokenAuthenticator::invent();
        let (place, token) = cluster.offer_first_admin(invented).await?;
        let user = PrincipalId::new(USER).map_err(|error| {
            Error::new(ErrorKind::Internal, "the first admin's name is none").with_source(error)
        })?;
        let new = NewToken {
            subject: Owner::User(user),
            admin: true,
            gateway: None,
            expires_at: None,
        };
        match tokens.adopt(&token, new).await {
            // Another process has come to the same.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            adopted => drop(adopted?),
        }
        cluster.first_admin_counts().await?;
        tracing::info!(
            secret = place,
            "there was no admin: the token of one stands in this secret"
        );
        Ok(())
    }
}
