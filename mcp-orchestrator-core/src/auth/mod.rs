//! Principals, and the [`Authenticator`] seam that identifies them.

mod algorithm;
mod chain;
mod grant;
#[cfg(feature = "jwt")]
mod jwt;
mod local;
mod revision;
mod tokens;
mod unauthenticated;
mod with_directory;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use secrecy::SecretString;

pub use self::algorithm::Algorithm;
pub use self::chain::AuthenticatorChain;
pub use self::grant::{Grant, Standing};
#[cfg(all(feature = "jwt", feature = "test-util"))]
pub(crate) use self::jwt::fuzz as jwt_fuzz;
#[cfg(feature = "jwt")]
pub use self::jwt::{
    Audience, FetchLimits, JwtAuthenticator, JwtOptions, SignIn, SignInAnswer, SignInFlow,
};
pub use self::local::{LocalAuthenticator, LoopbackListener};
pub use self::revision::AccessRevision;
pub use self::tokens::{NewToken, TokenAuthenticator, TokenInfo};
pub use self::unauthenticated::unauthenticated;
pub use self::with_directory::WithDirectory;
use crate::error::Result;
use crate::id::GatewayId;
pub use crate::net::network::{InvalidNetwork, Network};
pub use crate::net::public_url::{InvalidPublicUrl, PublicUrl};
pub use crate::principal::{Directory, People, Principal, PrincipalKind, Team};

/// Team names that the tokens of an issuer may contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TeamNames {
    /// Any name. For a single issuer: its team names cannot collide with those of another one.
    #[default]
    Any,
    /// The listed names as they are. All other names get the issuer's prefix, or are ignored if it has none.
    Own(Vec<String>),
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
