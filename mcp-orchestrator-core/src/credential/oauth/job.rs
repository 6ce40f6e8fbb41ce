//! One renewal, from the claim to what is written down.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::Room;
use super::claim::{self, Asked, Claim, LEASE};
use super::client::{Client, forget};
use super::discover::{discover, free};
use super::errors::{AGAIN, OAuthError, shortened};
use super::grant::{Grant, ended, installed, renewed, union};
use super::renewals::with_grant;
use super::token::{Token, TokenEndpoint};
use crate::credential::{
    Generation, InstallationKey, Precondition, RecordKey, Renewed, Revision, StoreChange,
    StoredCredential, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::server::{OAuthClient, OAuthGrant, OAuthSpec, ServerSpec};

/// How often another process is waited for.
const ROUNDS: usize = 4;
/// What is left of the lease for writing down what was obtained.
const FOR_WRITING: Duration = Duration::from_secs(20);
/// Before a store is asked again to take what was obtained.
const WRITE_AGAIN: Duration = Duration::from_millis(500);
/// A client that was refused is not tried again at once.
const REFUSED: Duration = Duration::from_secs(30);

/// A renewal.
pub(super) struct Job {
    pub(super) room: Arc<Room>,
    pub(super) server: ServerSpec,
    pub(super) key: InstallationKey,
    /// What was seen of it.
    pub(super) seen: Option<(Revision, Generation)>,
}

type Found = Option<(StoredCredential, Version)>;

impl Job {
    pub(super) async fn run(&self) -> Result<Renewed> {
        let store = &**self.room.installations.store();
        for _ in 0..ROUNDS {
            let changes = store.watch();
            let found = self.room.installations.get(&self.key).await?;
            if let Some(answer) = self.settled(&found) {
                return Ok(answer);
            }
            let seen = self.seen.as_ref();
            let seen = seen.map(|(revision, generation)| (revision, *generation));
            match Claim::ask(store, &self.key, seen).await? {
                Asked::Theirs(left) => self.wait(changes, left).await,
                Asked::Ours(claim) => {
                    drop(changes);
                    return self.claimed(claim).await;
                }
            }
        }
        Ok(Renewed::NotNow {
            why: "another process renews it and does not come to an end".to_owned(),
            after: AGAIN,
        })
    }

    /// What is to be said without doing anything.
    fn settled(&self, found: &Found) -> Option<Renewed> {
        let Some((stored, _)) = found else {
            // It was taken away; or there is none yet, which is to be changed.
            return self.seen.is_some().then_some(Renewed::Newer);
        };
        let Some((revision, generation)) = &self.seen else {
            return Some(Renewed::Newer);
        };
        if stored.revision != *revision || stored.generation > *generation {
            return Some(Renewed::Newer);
        }
        match &stored.renewal {
            Some(renewal) if renewal.ended.is_none() => None,
            _ => Some(Renewed::Ended),
        }
    }

    /// Until whoever has the claim is done, or its lease is over.
    async fn wait(&self, mut changes: BoxStream<'static, Result<StoreChange>>, left: Duration) {
        let (own, claim) = (RecordKey::from(&self.key), claim::key(&self.key));
        let told = async {
            while let Some(Ok(StoreChange::Put(key) | StoreChange::Deleted(key))) =
                changes.next().await
            {
                if key == own || key == claim {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(left, told).await;
    }

    /// With the claim: looks once more, since somebody may have been done just before, and renews.
    async fn claimed(&self, claim: Claim) -> Result<Renewed> {
        let store = &**self.room.installations.store();
        let found = self.room.installations.get(&self.key).await;
        let answer = match found {
            Ok(found) => match self.settled(&found) {
                Some(answer) => Ok(answer),
                None => self.renew(&claim, found).await,
            },
            Err(error) => Err(error),
        };
        claim.done(store).await;
        answer
    }

    async fn renew(&self, claim: &Claim, found: Found) -> Result<Renewed> {
        let oauth = self.server.oauth.as_ref().ok_or(OAuthError::NoOAuth)?;
        let grant = match &found {
            Some((stored, _)) => Grant::of(stored)?,
            None => None,
        };
        let asked = async {
            match oauth.grant {
                OAuthGrant::AuthorizationCode => self.refresh(oauth, grant).await,
                OAuthGrant::ClientCredentials => self.obtain(oauth).await,
            }
        };
        let limit = LEASE.saturating_sub(FOR_WRITING);
        let asked = tokio::time::timeout(limit, Box::pin(asked)).await;
        let late = || OAuthError::NotNow {
            why: format!("it did not answer within {} s", limit.as_secs()),
            after: AGAIN,
        };
        let failed = match asked.unwrap_or_else(|_| Err(late())) {
            Ok((grant, token)) => return self.write_down(found, oauth, grant, token).await,
            Err(error) => error,
        };
        let server = &self.server.id;
        match failed {
            OAuthError::Refused(code) if oauth.grant == OAuthGrant::AuthorizationCode => {
                tracing::warn!(%server, owner = %self.key.owner, code, "a token cannot be renewed any more");
                self.give_up(claim, found, &code).await
            }
            error => {
                tracing::warn!(%server, owner = %self.key.owner, %error, "a token cannot be renewed now");
                let after = match &error {
                    OAuthError::NotNow { after, .. } => *after,
                    OAuthError::Refused(_) => REFUSED,
                    _ => AGAIN,
                };
                Ok(Renewed::NotNow {
                    why: error.to_string(),
                    after,
                })
            }
        }
    }

    async fn refresh(
        &self,
        oauth: &OAuthSpec,
        grant: Option<Grant>,
    ) -> Result<(Grant, Token), OAuthError> {
        let grant = grant.ok_or(OAuthError::NoOAuth)?;
        let none = || OAuthError::Refused("no_refresh_token".to_owned());
        let refresh = grant.refresh_token().ok_or_else(none)?;
        let mut parameters = vec![("grant_type", "refresh_token"), ("refresh_token", refresh)];
        if let Some(resource) = &grant.resource {
            parameters.push(("resource", resource));
        }
        let token = self.endpoint(oauth, &grant, &parameters).await?;
        Ok((grant, token))
    }

    /// By the client's own secret.
    async fn obtain(&self, oauth: &OAuthSpec) -> Result<(Grant, Token), OAuthError> {
        let found = discover(&self.room.fetcher, &self.server, oauth).await?;
        let OAuthClient::Registered { id, secret } = &oauth.client else {
            return Err(OAuthError::NoClient(shortened(&found.issuer.issuer)));
        };
        let scopes = if oauth.scopes.is_empty() {
            &found.scopes
        } else {
            &oauth.scopes
        };
        let lacks = || OAuthError::Lacks {
            issuer: shortened(&found.issuer.issuer),
            what: "token endpoint",
        };
        let grant = Grant {
            token_endpoint: found.issuer.token_endpoint.clone().ok_or_else(lacks)?,
            client: Client::registered(id, secret.as_ref(), &found.issuer),
            issuer: found.issuer.issuer,
            redirect_uri: None,
            resource: found.resource,
            refresh_token: None,
            asked: scopes.clone(),
            wanted: Vec::new(),
        };
        let scope = scopes.join(" ");
        let mut parameters = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        if let Some(resource) = &grant.resource {
            parameters.push(("resource", resource));
        }
        let mut token = self.endpoint(oauth, &grant, &parameters).await?;
        // There is none to be had; where an issuer gives one all the same, the secret is the shorter way.
        token.refresh = None;
        Ok((grant, token))
    }

    async fn endpoint(
        &self,
        oauth: &OAuthSpec,
        grant: &Grant,
        parameters: &[(&str, &str)],
    ) -> Result<Token, OAuthError> {
        let free = free(&self.server, oauth);
        let mut client = grant.client.clone();
        if let OAuthClient::Registered { id, secret } = &oauth.client
            && *id == client.id
        {
            // The configured secret may be another one by now.
            client.secret = secret.clone().map(crate::credential::json::SecretText);
        }
        let endpoint = TokenEndpoint {
            fetcher: &self.room.fetcher,
            free: &free,
            place: &grant.token_endpoint,
            client: &client,
        };
        endpoint.ask(parameters).await
    }

    /// Stores what was obtained. What the issuer gave may be the only refresh token that it still takes, so a store that
    /// fails is asked again for as long as the claim lasts.
    async fn write_down(
        &self,
        mut found: Found,
        oauth: &OAuthSpec,
        grant: Grant,
        token: Token,
    ) -> Result<Renewed> {
        let installations = &self.room.installations;
        let end = tokio::time::Instant::now() + FOR_WRITING;
        loop {
            let (next, precondition) = match &found {
                None => {
                    let new = installed(&oauth.slot, grant.clone(), &token, oauth.grant)?;
                    (new, Precondition::Absent)
                }
                Some((stored, version)) => {
                    // What a server wanted meanwhile is kept.
                    let noted = Grant::of(stored)?
                        .map(|grant| grant.wanted)
                        .unwrap_or_default();
                    let grant = Grant {
                        wanted: union([&grant.wanted[..], &noted[..]]),
                        ..grant.clone()
                    };
                    let next = renewed(stored, &oauth.slot, grant, &token)?;
                    (next, Precondition::Unchanged(version.clone()))
                }
            };
            let put = installations.put(&self.key, &next, precondition).await;
            let Err(error) = put else {
                return Ok(self.told(&next));
            };
            if tokio::time::Instant::now() >= end {
                let text = "the issuer gave a new token and the store did not take it: whoever installed it may have \
                            to sign in again";
                return Err(Error::new(ErrorKind::Internal, text).with_source(error));
            }
            if error.kind() == ErrorKind::Conflict {
                let now = installations.get(&self.key).await;
                if let Ok(now) = now {
                    if self.settled(&now).is_some() {
                        // It was installed anew, or taken away, while the issuer answered.
                        return Ok(Renewed::Newer);
                    }
                    found = now;
                    continue;
                }
            }
            tracing::warn!(server = %self.server.id, %error, "a renewed token cannot be stored yet");
            tokio::time::sleep(WRITE_AGAIN).await;
        }
    }

    fn told(&self, next: &StoredCredential) -> Renewed {
        let end = next.expires_at;
        let life = end.and_then(|end| end.duration_since(SystemTime::now()).ok());
        tracing::info!(
            server = %self.server.id,
            owner = %self.key.owner,
            generation = next.generation.0,
            life = life.map(|life| life.as_secs()),
            "token renewed"
        );
        Renewed::Newer
    }

    /// Remembers that only its owner can help.
    async fn give_up(&self, claim: &Claim, found: Found, code: &str) -> Result<Renewed> {
        let Some((stored, version)) = found else {
            return Ok(Renewed::Ended);
        };
        let why = if claim.was_broken_off(&stored.revision, stored.generation) {
            format!(
                "a process that renewed it ended between the issuer's answer and its writing down, and the issuer takes \
                 the token from before no more ({code})"
            )
        } else if code == "no_refresh_token" {
            "the issuer gave no refresh token".to_owned()
        } else {
            format!("the issuer does not renew it any more ({code})")
        };
        let mut next = ended(&stored, why);
        if let Some(mut grant) = Grant::of(&stored)? {
            if code == "invalid_client"
                && let Some(redirect_uri) = &grant.redirect_uri
            {
                forget(
                    &**self.room.installations.store(),
                    &grant.issuer,
                    redirect_uri,
                )
                .await?;
            }
            // It is of no use to anybody any more.
            grant.refresh_token = None;
            next = with_grant(next, &grant)?;
        }
        let put = self
            .room
            .installations
            .put(&self.key, &next, Precondition::Unchanged(version));
        match put.await {
            Ok(_) => Ok(Renewed::Ended),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Renewed::Newer),
            Err(error) => Err(error),
        }
    }
}
