//! Who calls: the principal, and the seam of those who can tell.

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

/// Who calls. It has no field for a token, so that a client's token cannot travel upstream by accident.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Its name, unique among principals of every kind.
    pub id: PrincipalId,
    /// A person, or a token that stands for a team or for all.
    pub kind: PrincipalKind,
    /// The teams of a user, in the directory's order.
    pub teams: Vec<TeamId>,
    /// How it was told, as `local` or `jwt`.
    pub method: &'static str,
}

const TEAM: &str = "team/";
const ORGANIZATION: &str = "organization";

/// Which teams the tokens of an issuer can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TeamNames {
    /// Any: it is the only issuer, so a team of this name is the one that it means.
    #[default]
    Any,
    /// These as they are, and else its own alone: those after its prefix. Without a prefix it has none.
    Own(Vec<String>),
}

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person or an agent of their own.
    User,
    /// A team's token; its only team is that one.
    Team,
    /// The organization's token.
    Organization,
}

impl Principal {
    /// A user without teams.
    pub fn user(id: PrincipalId, method: &'static str) -> Self {
        Self {
            id,
            kind: PrincipalKind::User,
            teams: Vec::new(),
            method,
        }
    }

    /// Who calls for a team.
    ///
    /// # Panics
    /// Never: a team's name is short enough.
    pub fn team(team: &TeamId, method: &'static str) -> Self {
        let id = PrincipalId::new(format!("{TEAM}{team}"));
        Self {
            id: id.expect("a team's name with its kind is a name"),
            kind: PrincipalKind::Team,
            teams: vec![team.clone()],
            method,
        }
    }

    /// Who calls for the organization.
    ///
    /// # Panics
    /// Never: its name is one.
    pub fn organization(method: &'static str) -> Self {
        Self {
            id: PrincipalId::new(ORGANIZATION).expect("the word is a name"),
            kind: PrincipalKind::Organization,
            teams: Vec::new(),
            method,
        }
    }

    /// Whether its name is of its kind. One that is not could be taken for somebody else, so a gateway refuses it: no user
    /// is called `organization` or `team/…`.
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

/// A principal, and the token by which it was told.
#[non_exhaustive]
pub struct Authenticated {
    /// Who calls.
    pub principal: Arc<Principal>,
    /// The token; it reaches nobody but a resolver that exchanges it.
    pub token: Option<SecretString>,
    /// Whether it may administer, besides what the directory says of its principal.
    pub admin: bool,
    /// The only gateway that it may use; `None`: any that is its principal's.
    pub gateway: Option<GatewayId>,
    /// When the token expires; open streams end then.
    pub expires_at: Option<SystemTime>,
}

impl Authenticated {
    /// This principal, for every gateway of its own, without a token that could be exchanged.
    pub fn new(principal: Arc<Principal>) -> Self {
        Self {
            principal,
            token: None,
            admin: false,
            gateway: None,
            expires_at: None,
        }
    }

    /// The same, told by this token.
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

/// Tells who calls.
///
/// # Contract
/// `Ok(None)` means "nothing of mine in this request, ask the next one"; `Err` means that it carries something of mine
/// which does not hold, and the request ends there. An implementation runs [`crate::testing::auth`]'s suite.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Who sends this request.
    ///
    /// # Errors
    /// [`Unauthenticated`](crate::ErrorKind::Unauthenticated), [`InsufficientScope`](crate::ErrorKind::InsufficientScope),
    /// or [`CallerUnknowable`](crate::ErrorKind::CallerUnknowable) where it cannot be told now.
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>>;
}
