//! A person signs in: where the browser is sent, and what its coming back is worth.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::client::Clients;
use super::discover::{Discovered, discover, free};
use super::errors::{OAuthError, code, shortened};
use super::flow::{About, Flow};
use super::grant::{Grant, installed, union};
use super::page::{OFFLINE, Page};
use super::token::{Token, TokenEndpoint};
use super::{OAuthOptions, Room};
use crate::credential::json::SecretText;
use crate::credential::{InstallationKey, Installations, StoredCredential};
use crate::error::Result;
use crate::id::SlotName;
use crate::seal::random_text;
use crate::server::{OAuthGrant, OAuthSpec, ServerSpec};

/// Signs people in at the issuers of upstream servers.
#[derive(Clone)]
pub struct Authorizations(Arc<Room>);

/// What somebody signs in for.
#[derive(Debug)]
pub struct NewAuthorization<'a> {
    /// What it shall install.
    pub key: &'a InstallationKey,
    /// Where the issuer sends the browser back to.
    pub redirect_uri: &'a str,
    /// Who may finish it.
    pub for_whom: &'a str,
    /// Values of the server's other slots.
    pub values: BTreeMap<SlotName, SecretString>,
}

/// A sign-in that began.
#[derive(Clone, PartialEq, Eq)]
pub struct Begun {
    /// Where the browser is to go.
    pub url: String,
    /// What its answer will carry: it belongs to this sign-in alone, and is nobody else's business.
    pub state: String,
}

/// A sign-in on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAuthorization {
    /// What it will install.
    pub key: InstallationKey,
    /// Who began it, as they were named then.
    pub for_whom: String,
    /// The issuer.
    pub issuer: String,
}

/// What the browser brought back in the query of the redirect.
#[derive(Default)]
pub struct AuthorizationAnswer {
    /// `code`.
    pub code: Option<SecretString>,
    /// `iss`: who answers (RFC 9207).
    pub issuer: Option<String>,
    /// `error`: why there is no code.
    pub error: Option<String>,
}

/// A sign-in that ended with a token.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What is to be installed.
    pub key: InstallationKey,
    /// Who began it.
    pub for_whom: String,
    /// The token, and what renews it: a new revision. It is not stored yet.
    pub credential: StoredCredential,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("url", &crate::fetch::shown(&self.url))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthorizationAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationAnswer")
            .field("code", &self.code)
            .field("issuer", &self.issuer)
            .field("error", &self.error)
            .finish()
    }
}

impl fmt::Debug for Authorizations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorizations").field(&self.0).finish()
    }
}

impl Authorizations {
    /// Sign-ins that are kept in the store of these installations.
    pub fn new(installations: Installations, options: OAuthOptions) -> Self {
        Self(Room::new(installations, options))
    }

    /// Where issuers send browsers back to: the gateway's page below its public address; `None` where it has no such
    /// address.
    pub fn redirect_uri(&self) -> Option<String> {
        let url = self.0.options.public_url.as_ref()?;
        Some(url.at(super::client::CALLBACK))
    }

    /// Begins a sign-in for an installation of this server: finds out who gives tokens for it, who we are there, and where
    /// the browser has to go.
    ///
    /// # Errors
    /// Why there is nobody who gives tokens for it, or nobody that this program may ask.
    ///
    /// # Cancel safety
    /// Dropping the future begins nothing; a client that was registered meanwhile may be kept.
    pub async fn begin(&self, server: &ServerSpec, new: NewAuthorization<'_>) -> Result<Begun> {
        let about = |error: crate::Error| error.with_server(&server.id);
        let oauth = server.oauth.as_ref().ok_or(OAuthError::NoOAuth);
        let oauth = oauth.map_err(|error| about(error.into()))?;
        self.begin_with(server, oauth, new).await.map_err(about)
    }

    async fn begin_with(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        new: NewAuthorization<'_>,
    ) -> Result<Begun> {
        let redirect_uri = new.redirect_uri;
        if oauth.grant == OAuthGrant::ClientCredentials {
            return Err(OAuthError::NoPerson.into());
        }
        let room = &*self.0;
        let store = &**room.installations.store();
        let found = discover(&room.fetcher, server, oauth).await?;
        let issuer = &found.issuer;
        let lacks = |what| OAuthError::Lacks {
            issuer: shortened(&issuer.issuer),
            what,
        };
        let page = issuer.authorization_endpoint.as_deref();
        let page = page.ok_or_else(|| lacks("authorization endpoint"))?;
        let token_endpoint = issuer.token_endpoint.clone();
        let token_endpoint = token_endpoint.ok_or_else(|| lacks("token endpoint"))?;
        let free = free(server, oauth);
        let clients = Clients {
            fetcher: &room.fetcher,
            free: &free,
            store,
            options: &room.options,
        };
        let client = clients.client(&oauth.client, issuer, redirect_uri).await?;
        let (state, verifier) = (random_text(32), random_text(32));
        let scopes = self.scopes(oauth, new.key, &found).await?;
        let page = Page {
            address: page,
            client: &client.id,
            redirect_uri,
            state: &state,
            verifier: &verifier,
            resource: found.resource.as_deref(),
        };
        let url = page
            .url(&scopes)
            .ok_or_else(|| lacks("authorization endpoint"))?;
        let about = About {
            key: new.key,
            for_whom: new.for_whom,
            redirect_uri,
            verifier: SecretText(verifier.into()),
            values: secret(new.values),
        };
        let flow = Flow {
            names_itself: issuer.authorization_response_iss_parameter_supported,
            token_endpoint,
            resource: found.resource.clone(),
            scopes,
            ..Flow::new(about, client, issuer.issuer.clone())
        };
        flow.keep(store, &state).await?;
        Ok(Begun { url, state })
    }

    /// What is asked for: what is configured, else what the server wants; what it wanted since the last sign-in and what
    /// that one had; and what brings a refresh token.
    async fn scopes(
        &self,
        oauth: &OAuthSpec,
        key: &InstallationKey,
        found: &Discovered,
    ) -> Result<Vec<String>> {
        let first = if oauth.scopes.is_empty() {
            &found.scopes
        } else {
            &oauth.scopes
        };
        let before = match self.0.installations.get(key).await? {
            Some((stored, _)) => Grant::of(&stored)?,
            None => None,
        };
        let grown = before.filter(|grant| !grant.wanted.is_empty());
        let (asked, wanted) = grown.map(|grant| (grant.asked, grant.wanted)).unzip();
        let (asked, wanted) = (asked.unwrap_or_default(), wanted.unwrap_or_default());
        let mut scopes = union([&first[..], &asked[..], &wanted[..]]);
        let offline = found
            .issuer
            .scopes_supported
            .iter()
            .any(|scope| scope == OFFLINE);
        if offline && !scopes.iter().any(|scope| scope == OFFLINE) {
            scopes.push(OFFLINE.to_owned());
        }
        Ok(scopes)
    }

    /// For what and whom a sign-in is that is on its way. It is not used up.
    ///
    /// # Errors
    /// [`InvalidParams`](crate::ErrorKind::InvalidParams) where there is none of this state, or none any more.
    pub async fn pending(&self, state: &str) -> Result<PendingAuthorization> {
        let (flow, _) = Flow::find(&**self.0.installations.store(), state).await?;
        Ok(PendingAuthorization {
            key: flow.key()?,
            for_whom: flow.for_whom,
            issuer: flow.issuer,
        })
    }

    /// Ends a sign-in with what the browser brought back: the code becomes a token. Whoever answers it, a sign-in is used
    /// up by this; only somebody else than who began it leaves it as it is.
    ///
    /// # Errors
    /// [`InvalidParams`](crate::ErrorKind::InvalidParams) where there is no sign-in of this state, or none any more;
    /// [`Forbidden`](crate::ErrorKind::Forbidden) where somebody else began it, where another issuer answers, and where the
    /// issuer or the person refused; else why the issuer gave no token.
    pub async fn finish(
        &self,
        server: &ServerSpec,
        state: &str,
        answer: AuthorizationAnswer,
        for_whom: &str,
    ) -> Result<Finished> {
        let finished = self.finish_with(server, state, answer, for_whom);
        finished
            .await
            .map_err(|error| error.with_server(&server.id))
    }

    /// The code becomes a token.
    async fn exchange(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        flow: &Flow,
        code: &SecretString,
    ) -> Result<Token> {
        let room = &*self.0;
        let mut parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", flow.redirect_uri.as_str()),
            ("code_verifier", flow.verifier.0.expose_secret()),
        ];
        if let Some(resource) = &flow.resource {
            parameters.push(("resource", resource));
        }
        let free = free(server, oauth);
        let endpoint = TokenEndpoint {
            fetcher: &room.fetcher,
            free: &free,
            place: &flow.token_endpoint,
            client: &flow.client,
        };
        let token = endpoint.ask(&parameters).await;
        if let Err(OAuthError::Refused(code)) = &token
            && code == "invalid_client"
        {
            let store = &**room.installations.store();
            super::client::forget(store, &flow.issuer, &flow.redirect_uri).await?;
        }
        Ok(token?)
    }

    async fn finish_with(
        &self,
        server: &ServerSpec,
        state: &str,
        answer: AuthorizationAnswer,
        for_whom: &str,
    ) -> Result<Finished> {
        let room = &*self.0;
        let store = &**room.installations.store();
        let (flow, version) = Flow::find(store, state).await?;
        let key = flow.key()?;
        let oauth = server.oauth.as_ref().filter(|_| key.server == server.id);
        let oauth = oauth.ok_or(OAuthError::NoOAuth)?;
        if flow.for_whom != for_whom {
            return Err(OAuthError::OtherPerson.into());
        }
        Flow::take(store, state, version).await?;
        let sent_by_issuer = match &answer.issuer {
            // Compared as text: a name that only means the same is another one.
            Some(issuer) => *issuer == flow.issuer,
            None => !flow.names_itself,
        };
        if !sent_by_issuer {
            return Err(OAuthError::OtherSender(shortened(&flow.issuer)).into());
        }
        if let Some(error) = &answer.error {
            return Err(OAuthError::Denied(code(error)).into());
        }
        let code = answer.code.ok_or(OAuthError::NoCode)?;
        let token = self.exchange(server, oauth, &flow, &code).await?;
        let scopes = token.scopes.clone();
        let grant = Grant {
            asked: union([&flow.scopes[..], &scopes.unwrap_or_default()[..]]),
            issuer: flow.issuer,
            token_endpoint: flow.token_endpoint,
            client: flow.client,
            redirect_uri: Some(flow.redirect_uri),
            resource: flow.resource,
            refresh_token: None,
            wanted: Vec::new(),
        };
        let mut credential = installed(&oauth.slot, grant, &token, oauth.grant)?;
        for (slot, value) in flow.values {
            credential.values.entry(slot).or_insert(value.0);
        }
        Ok(Finished {
            key,
            for_whom: flow.for_whom,
            credential,
        })
    }
}

fn secret(values: BTreeMap<SlotName, SecretString>) -> BTreeMap<SlotName, SecretText> {
    let values = values.into_iter();
    values
        .map(|(slot, value)| (slot, SecretText(value)))
        .collect()
}
