//! The first admin of a gateway that nobody can reach otherwise.

use std::time::SystemTime;

use secrecy::SecretString;

use super::cluster::Cluster;
use crate::auth::{NewToken, TokenAuthenticator};
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::id::PrincipalId;

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
        let admins =
            |it: &crate::auth::TokenInfo| it.admin && it.gateway.is_none() && !it.is_over(now);
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
