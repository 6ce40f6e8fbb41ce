//! Creates the token of the first admin.

use std::time::SystemTime;

use secrecy::SecretString;

use super::cluster::Cluster;
use crate::auth::{NewToken, TokenAuthenticator, TokenInfo};
use crate::config::FirstAdmin;
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::id::PrincipalId;

/// Name of the user that the first admin token belongs to.
const USER: &str = "admin";

/// Creates an admin token if one is configured and none exists, and hands it over. The token is stored at its
/// destination before it becomes valid, so that it can never be lost.
///
/// # Errors
/// [`Config`](ErrorKind::Config) if there is no such destination. Also fails if the destination or the token store
/// cannot be written.
pub(super) async fn ensure(
    first_admin: Option<FirstAdmin>,
    cluster: &Cluster,
    tokens: &TokenAuthenticator,
) -> Result<()> {
    let Some(FirstAdmin::Secret) = first_admin else {
        return Ok(());
    };
    let now = SystemTime::now();
    let admins = |it: &TokenInfo| it.admin && it.gateway.is_none() && !it.is_over(now);
    if tokens.list().iter().any(admins) {
        return Ok(());
    }
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
        // Another process created the same token.
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        adopted => drop(adopted?),
    }
    cluster.mark_first_admin_valid().await?;
    tracing::info!(
        secret = place,
        "no admin existed: the token of a new one is in this secret"
    );
    Ok(())
}
