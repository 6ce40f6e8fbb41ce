//! Principals, and the [`Authenticator`] seam that identifies them.

mod algorithm;
mod chain;
mod directory;
mod grant;
#[cfg(feature = "jwt")]
mod jwt;
mod local;
mod network;
mod public_url;
mod revision;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use secrecy::SecretString;

pub use self::algorithm::Algorithm;
pub use self::chain::AuthenticatorChain;
pub use self::directory::{Directory, People, Team, WithDirectory};
pub use self::grant::{Grant, Standing};
#[cfg(all(feature = "jwt", feature = "test-util"))]
pub(crate) use self::jwt::fuzz as jwt_fuzz;
#[cfg(feature = "jwt")]
pub use self::jwt::{
    Audience, FetchLimits, JwtAuthenticator, JwtOptions, SignIn, SignInAnswer, SignInFlow,
};
pub use self::local::{LocalAuthenticator, LoopbackListener};
pub use self::network::{InvalidNetwork, Network};
pub use self::public_url::{InvalidPublicUrl, PublicUrl};
pub use self::revision::AccessRevision;
pub use self::tokens::{NewToken, TokenAuthenticator, TokenInfo};
use crate::error::Result;
use crate::id::{GatewayId, PrincipalId, TeamId};

/// The caller. It has no field for a token, so that a client's token cannot be forwarded upstream by accident.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Name, unique among principals of every kind.
    pub id: PrincipalId,
    /// User, team or organization.
    pub kind: PrincipalKind,
    /// Teams of the user, in the directory's order.
    pub teams: Vec<TeamId>,
    /// Authentication method, for example `local` or `jwt`.
    pub method: &'static str,
}

const TEAM: &str = "team/";
const ORGANIZATION: &str = "organization";

/// Team names that the tokens of an issuer may contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TeamNames {
    /// Any name. For a single issuer: its team names cannot collide with those of another one.
    #[default]
    Any,
    /// The listed names as they are. All other names get the issuer's prefix, or are ignored if it has none.
    Own(Vec<String>),
}

/// Kind of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person or an agent.
    User,
    /// The token of a team, which is its only team.
    Team,
    /// The token of the organization.
    Organization,
}

impl Principal {
    /// Creates a user without teams.
    pub fn user(id: PrincipalId, method: &'static str) -> Self {
        Self {
            id,
            kind: PrincipalKind::User,
            teams: Vec::new(),
            method,
        }
    }

    /// Creates the principal of a team's token.
    ///
    /// # Panics
    /// Never: the length of a team name is limited.
    pub fn team(team: &TeamId, method: &'static str) -> Self {
        let id = PrincipalId::new(format!("{TEAM}{team}"));
        Self {
            id: id.expect("a team's name with its kind is a name"),
            kind: PrincipalKind::Team,
            teams: vec![team.clone()],
            method,
        }
    }

    /// Creates the principal of the organization's token.
    ///
    /// # Panics
    /// Never: the fixed name is valid.
    pub fn organization(method: &'static str) -> Self {
        Self {
            id: PrincipalId::new(ORGANIZATION).expect("the word is a name"),
            kind: PrincipalKind::Organization,
            teams: Vec::new(),
            method,
        }
    }

    /// Returns `true` if the name matches the kind: no user is called `organization` or `team/…`. Gateways reject other
    /// principals, because they could be mistaken for someone else.
    pub fn is_well_named(&self) -> bool {
        let team = self.id.as_str().strip_prefix(TEAM);
        match self.kind {
            PrincipalKind::User => team.is_none() && self.id.as_str() != ORGANIZATION,
            PrincipalKind::Team => {
                matches!(&self.teams[..], [only] if Some(only.as_str()) == team)
            }
            PrincipalKind::Organization => self.id.as_str() == ORGANIZATION,
        }
    }
}

/// A principal and the token that identified it.
#[non_exhaustive]
pub struct Authenticated {
    /// The caller.
    pub principal: Arc<Principal>,
    /// The token. Only a resolver that exchanges it receives it.
    pub token: Option<SecretString>,
    /// Grants administrative access, in addition to what the directory grants.
    pub admin: bool,
    /// The only gateway that the principal may use; `None`: every gateway that is open to it.
    pub gateway: Option<GatewayId>,
    /// Expiry of the token. Open streams end at this time.
    pub expires_at: Option<SystemTime>,
}

impl Authenticated {
    /// An authenticated principal without an exchangeable token, gateway restriction or expiry.
    pub fn new(principal: Arc<Principal>) -> Self {
        Self {
            principal,
            token: None,
            admin: false,
            gateway: None,
            expires_at: None,
        }
    }

    /// Adds the token.
    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// Identifies the caller of a request.
///
/// # Contract
/// `Ok(None)` means that the request carries no credential for this authenticator, so the next one is asked. `Err`
/// means that it carries one that is invalid; the request is rejected. An implementation runs
/// [`crate::testing::auth`]'s suite.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Returns the caller of this request.
    ///
    /// # Errors
    /// [`Unauthenticated`](crate::ErrorKind::Unauthenticated),
    /// [`InsufficientScope`](crate::ErrorKind::InsufficientScope), or
    /// [`CallerUnknowable`](crate::ErrorKind::CallerUnknowable) if the caller cannot be determined now.
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>>;
}
