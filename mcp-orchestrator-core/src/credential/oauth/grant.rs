//! Renewal data stored with an access token: the refresh token, and where and how to use it.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::errors::OAuthError;
use crate::credential::{Generation, Renewable, Revision, StoredCredential};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;
use crate::oauth::{Token, same_issuer};
use crate::seal::random_text;
use crate::secret_json::{SecretText, from_secret, to_secret};
use crate::server::{OAuthGrant, OAuthSpec};

/// How long before it expires a token is renewed; at most a quarter of its lifetime.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_mins(1);

/// The renewal data of a token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    pub(super) client: Client,
    /// The redirect URI that the client is registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) redirect_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<SecretText>,
    /// The scopes that were requested at sign-in.
    #[serde(default)]
    pub(super) asked: Vec<String>,
    /// Further scopes that the server has asked for since.
    #[serde(default)]
    pub(super) wanted: Vec<String>,
}

impl Grant {
    /// Returns the renewal data of a stored credential. `None` if it was installed by hand.
    pub(super) fn of(stored: &StoredCredential) -> Result<Option<Self>> {
        let Some(renewable) = &stored.renewal else {
            return Ok(None);
        };
        let grant = from_secret(&renewable.grant);
        grant.map(Some).map_err(|place| {
            let text = format!("what renews a stored credential is broken at {place}");
            Error::new(ErrorKind::Internal, text)
        })
    }

    /// Returns `true` unless the configuration names a different issuer.
    pub(super) fn is_from(&self, oauth: &OAuthSpec) -> bool {
        is_from(oauth, &self.issuer, &self.token_endpoint)
    }

    /// Encodes the renewal data for storage.
    pub(super) fn kept(&self) -> Result<SecretString> {
        to_secret(self).map_err(|_| Error::new(ErrorKind::Internal, "a grant cannot be written"))
    }

    /// Takes over a new refresh token, if the issuer returned one.
    fn take(&mut self, token: &Token) {
        if let Some(refresh) = &token.refresh {
            self.refresh_token = Some(SecretText(refresh.clone()));
        }
    }

    /// Exposes the refresh token for sending.
    pub(super) fn refresh_token(&self) -> Option<&str> {
        self.refresh_token
            .as_ref()
            .map(|text| text.0.expose_secret())
    }
}

/// Returns `true` if the configuration allows sending tokens of this issuer to this endpoint.
pub(super) fn is_from(oauth: &OAuthSpec, issuer: &str, token_endpoint: &str) -> bool {
    let endpoints = &oauth.endpoints;
    let mut names = [&oauth.issuer, &endpoints.metadata].into_iter().flatten();
    !oauth.names_issuer()
        || names.any(|name| same_issuer(name, issuer))
        || endpoints.token.as_deref() == Some(token_endpoint)
}

/// Returns a credential of a new revision that holds this token. `at` is when the token was obtained.
pub(super) fn installed(
    slot: &SlotName,
    mut grant: Grant,
    (token, at): (&Token, SystemTime),
    kind: OAuthGrant,
) -> Result<StoredCredential> {
    grant.take(token);
    // With client credentials the client's own secret obtains the next token; otherwise a refresh token is required.
    let ended = kind == OAuthGrant::AuthorizationCode && grant.refresh_token.is_none();
    let (expires_at, due) = times(token, at);
    Ok(StoredCredential {
        revision: Revision::new(format!("r{}", random_text(9))),
        generation: Generation::default(),
        values: [(slot.clone(), token.access.clone())].into(),
        settings: [].into(),
        expires_at,
        renewal: Some(Renewable {
            due: due.filter(|_| !ended),
            ended: ended.then(|| "the issuer returned no refresh token".to_owned()),
            grant: grant.kept()?,
        }),
    })
}

/// Returns the next generation of an installation, with a renewed token. `at` is when the token was obtained.
pub(super) fn renewed(
    stored: &StoredCredential,
    slot: &SlotName,
    mut grant: Grant,
    (token, at): (&Token, SystemTime),
) -> Result<StoredCredential> {
    grant.take(token);
    let (expires_at, due) = times(token, at);
    let mut next = StoredCredential {
        generation: Generation(stored.generation.0 + 1),
        expires_at,
        renewal: Some(Renewable {
            due,
            ended: None,
            grant: grant.kept()?,
        }),
        ..stored.clone()
    };
    next.values.insert(slot.clone(), token.access.clone());
    Ok(next)
}

/// Returns the installation marked as no longer renewable. Revision and generation are unchanged.
pub(super) fn ended(stored: &StoredCredential, why: String) -> StoredCredential {
    let mut next = stored.clone();
    if let Some(renewal) = &mut next.renewal {
        renewal.due = None;
        renewal.ended = Some(why);
    }
    next
}

/// Returns when a token expires, and when it should be renewed.
fn times(token: &Token, now: SystemTime) -> (Option<SystemTime>, Option<SystemTime>) {
    let Some(life) = token.life else {
        return (None, None);
    };
    let end = now.checked_add(life);
    let due = life.saturating_sub(RENEW_BEFORE_EXPIRY.min(life / 4));
    (end, end.and(now.checked_add(due)))
}

/// Merges scopes in order and without duplicates.
pub(super) fn union<'s>(parts: impl IntoIterator<Item = &'s [String]>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for scope in parts.into_iter().flatten() {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}

/// Returns the grant with further scopes that the server wants. Fails if all of them were requested already.
pub(super) fn wanting(grant: &Grant, scopes: &[String]) -> Result<Grant, OAuthError> {
    if scopes.iter().all(|scope| grant.asked.contains(scope)) {
        return Err(OAuthError::ScopesInVain(scopes.join(" ")));
    }
    Ok(Grant {
        wanted: union([&grant.wanted[..], scopes]),
        ..grant.clone()
    })
}

/// Returns the installation with another grant.
pub(super) fn with_grant(mut stored: StoredCredential, grant: &Grant) -> Result<StoredCredential> {
    let before = stored.renewal.take();
    stored.renewal = Some(Renewable {
        due: before.as_ref().and_then(|before| before.due),
        ended: before.and_then(|before| before.ended),
        grant: grant.kept()?,
    });
    Ok(stored)
}
