//! Renewal of installed credentials that have expired, were rejected, or expire soon.

use std::sync::Arc;

use super::index::{Entry, Held, Renewing};
use super::look::CredentialLookup;
use super::{InstalledResolver, expired};
use crate::credential::{
    Credential, CredentialRequest, InstallationKey, Owner, Protection, Renewed, StoredCredential,
};
use crate::error::{Error, ErrorKind, Result};
use crate::server::{OAuthGrant, OAuthSpec, ServerSpec};

impl InstalledResolver {
    /// Returns a usable credential: the one found, a renewed one, or one that is obtained without a user; otherwise the
    /// error that explains what is missing.
    pub(super) async fn settled(
        &self,
        request: &CredentialRequest<'_>,
        look: CredentialLookup,
    ) -> Result<Option<Arc<Credential>>> {
        let held = match look {
            CredentialLookup::Good(held) => return Ok(Some(held.credential)),
            CredentialLookup::Nothing => {
                self.refused(request).await?;
                return self.obtained(request).await;
            }
            CredentialLookup::Bad(held) => held,
        };
        let server = request.server;
        if !held.is_rejected(request) && !matches!(held.renewal, Renewing::Due(_)) {
            return Err(over(request, &held));
        }
        // Another process may have written a newer one; its notification may not have arrived yet.
        self.seen(&held.key(server)).await?;
        let held = match self.look(request)? {
            CredentialLookup::Nothing => return Ok(None),
            CredentialLookup::Good(held) => return Ok(Some(held.credential)),
            CredentialLookup::Bad(held) => held,
        };
        let (Some(renewal), Renewing::Due(_)) = (&self.renewal, &held.renewal) else {
            return Err(over(request, &held));
        };
        let (key, credential) = (held.key(server), &held.credential);
        let seen = Some((&credential.revision, credential.generation));
        let renewed = renewal.renew(server, &key, seen).await;
        self.failures.note(&key, credential, &renewed);
        self.after(request, &key, renewed?).await
    }

    /// Handles a server with an entry that does not say whether it requires a token: it does once it has refused a call
    /// without one and names an issuer.
    async fn refused(&self, request: &CredentialRequest<'_>) -> Result<()> {
        let server = request.server;
        let Some(refusals) = server.oauth.as_ref().and_then(OAuthSpec::refusals) else {
            return Ok(());
        };
        if request.rejected.is_some()
            && let Some(renewal) = &self.renewal
        {
            match renewal.protection(server).await {
                Protection::SignIn => refusals.note(),
                Protection::Obstacle(why) => refusals.note_obstacle(why),
                Protection::Unknown => {}
            }
        }
        if refusals.is_recent() && request.rule.owners(request.principal).next().is_some() {
            let text = format!(
                "server {} requires an OAuth token, and nobody has signed in for it",
                server.id
            );
            return Err(Error::new(ErrorKind::CredentialMissing, text).with_server(&server.id));
        }
        Ok(())
    }

    /// Obtains the token of a server with the client credentials grant on first use.
    async fn obtained(&self, request: &CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        let oauth = request.server.oauth.as_ref();
        let alone = oauth.is_some_and(|oauth| oauth.grant == OAuthGrant::ClientCredentials);
        let mut owners = request.rule.owners(request.principal);
        let Some(renewal) = self.renewal.as_ref().filter(|_| alone) else {
            return Ok(None);
        };
        if !owners.any(|owner| owner == Owner::Organization) {
            return Ok(None);
        }
        let key = InstallationKey {
            server: request.server.id.clone(),
            owner: Owner::Organization,
        };
        let renewed = renewal.renew(request.server, &key, None).await?;
        self.after(request, &key, renewed).await
    }

    async fn after(
        &self,
        request: &CredentialRequest<'_>,
        key: &InstallationKey,
        renewed: Renewed,
    ) -> Result<Option<Arc<Credential>>> {
        match renewed {
            Renewed::NotNow { why, after } => {
                let text = format!(
                    "the token of {} for server {} cannot be renewed now: {why}",
                    key.owner, key.server
                );
                let error = Error::new(ErrorKind::Unavailable, text).with_server(&key.server);
                return Err(error.with_retry_after(after));
            }
            Renewed::Stuck { why, .. } => {
                let text = format!(
                    "the token of {} for server {} cannot be renewed, {why}: sign in again",
                    key.owner, key.server
                );
                return Err(Error::new(ErrorKind::CredentialExpired, text).with_server(&key.server));
            }
            Renewed::Unstored(stored) => self.unstored(key, &stored),
            Renewed::Newer | Renewed::Ended => self.seen(key).await?,
        }
        match self.look(request)? {
            CredentialLookup::Nothing => Ok(None),
            CredentialLookup::Good(held) => Ok(Some(held.credential)),
            CredentialLookup::Bad(held) => Err(over(request, &held)),
        }
    }

    /// Renews a credential that expires soon in the background, while it remains in use.
    pub(super) fn renew_ahead(&self, server: &ServerSpec, held: &Held) {
        let Some(renewal) = self.renewal.as_ref().filter(|_| held.is_due()) else {
            return;
        };
        let key = held.key(server);
        let mut ahead = self.ahead.lock();
        if !ahead.insert(key.clone()) {
            return;
        }
        let (own, renewal, server) = (self.own.clone(), Arc::clone(renewal), server.clone());
        let credential = Arc::clone(&held.credential);
        self.tasks.spawn(async move {
            let seen = Some((&credential.revision, credential.generation));
            let renewed = renewal.renew(&server, &key, seen).await;
            let Some(resolver) = own.upgrade() else {
                return;
            };
            resolver.failures.note(&key, &credential, &renewed);
            match renewed {
                Ok(Renewed::NotNow { after, .. } | Renewed::Stuck { after, .. }) => {
                    tokio::time::sleep(after).await;
                }
                Ok(Renewed::Unstored(stored)) => resolver.unstored(&key, &stored),
                Ok(Renewed::Newer | Renewed::Ended) => resolver.seen_or_told(&key).await,
                Err(error) => {
                    tracing::warn!(server = %key.server, %error, "a token was not renewed ahead of its end");
                    tokio::time::sleep(super::RETRY_INTERVAL).await;
                }
            }
            let mut ahead = resolver.ahead.lock();
            ahead.remove(&key);
        });
    }

    /// Uses a token that the store does not hold yet.
    fn unstored(&self, key: &InstallationKey, stored: &StoredCredential) {
        let entry = Entry::whole(key, stored.clone());
        self.index.set(key, Some(&entry));
    }

    async fn seen_or_told(&self, key: &InstallationKey) {
        if let Err(error) = self.seen(key).await {
            tracing::warn!(server = %key.server, %error, "a renewed token was not taken over");
        }
    }
}

/// Returns the error for a credential that cannot be used.
fn over(request: &CredentialRequest<'_>, held: &Held) -> Error {
    let (server, owner) = (&request.server.id, &held.credential.owner);
    let rejected = held.is_rejected(request);
    let (kind, text) = match &held.renewal {
        Renewing::Ended(why) => (
            ErrorKind::CredentialExpired,
            format!("the sign-in of {owner} for server {server} is over, {why}: sign in again"),
        ),
        _ if rejected => (
            ErrorKind::CredentialRejected,
            format!("server {server} refused the credential of {owner}: install it again"),
        ),
        _ => return expired(request.server, owner),
    };
    Error::new(kind, text).with_server(server)
}
