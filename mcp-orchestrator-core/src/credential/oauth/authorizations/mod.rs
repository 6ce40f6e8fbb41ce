//! Browser sign-in at an issuer: builds the authorization URL and verifies the response that the browser brings back.

mod types;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::{ExposeSecret as _, SecretString};

pub use self::types::{
    AuthorizationAnswer, Begun, Finished, NewAuthorization, PendingAuthorization,
};
use super::client::{Client, Clients, Wanted, forget, returned};
use super::discover::{Discovered, free};
use super::errors::{OAuthError, error_code, shortened};
use super::flow::{Flow, FlowPurpose};
use super::grant::{Grant, installed, is_from, union};
use super::{OAuthOptions, OAuthState};
use crate::credential::{InstallationKey, Installations};
use crate::error::Result;
use crate::fetch::Trust;
use crate::id::SlotName;
use crate::oauth::{
    AuthMethod, AuthorizationUrl, OFFLINE_ACCESS, Token, TokenEndpoint, token_answer,
};
use crate::seal::random_text;
use crate::secret_json::SecretText;
use crate::server::{OAuthGrant, OAuthSpec, ServerSpec};

/// Signs users in at the issuers of upstream servers.
#[derive(Clone)]
pub struct Authorizations(Arc<OAuthState>);

impl fmt::Debug for Authorizations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorizations").field(&self.0).finish()
    }
}

impl Authorizations {
    /// Creates sign-ins that are kept in the store of `installations`.
    pub fn new(installations: Installations, options: OAuthOptions) -> Self {
        Self(OAuthState::new(installations, options))
    }

    /// Returns the URI that issuers redirect browsers to: the gateway's callback page below its public URL. `None` if
    /// the gateway has no public URL.
    pub fn redirect_uri(&self) -> Option<String> {
        let url = self.0.options.public_url.as_ref()?;
        Some(url.at(super::client::CALLBACK))
    }

    /// Begins a sign-in for an installation of this server: discovers the issuer, obtains a client there, and builds
    /// the authorization URL.
    ///
    /// # Errors
    /// The reason why no issuer was found, or why it may not be used.
    ///
    /// # Cancel safety
    /// Dropping the future begins no sign-in; a client that was registered in the meantime may be kept.
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
        if oauth.grant == OAuthGrant::ClientCredentials {
            return Err(OAuthError::NoPerson.into());
        }
        let room = &*self.0;
        let found = room.discovered(server, oauth).await?;
        let state = random_text(32);
        room.quota.begin(new.for_whom, &state)?;
        let url = self.begun(server, oauth, &new, (&found, &state)).await;
        let url = url.inspect_err(|_| room.quota.end(new.for_whom, &state))?;
        Ok(Begun { url, state })
    }

    /// Stores the flow under its state and returns the authorization URL.
    async fn begun(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        new: &NewAuthorization<'_>,
        (found, state): (&Discovered, &str),
    ) -> Result<String> {
        let room = &*self.0;
        let store = &**room.installations.store();
        let issuer = &found.issuer;
        let lacks = |what| OAuthError::Lacks {
            issuer: shortened(&issuer.issuer),
            what,
        };
        let page = issuer.authorization_endpoint.as_deref();
        let page = page.ok_or_else(|| lacks("authorization endpoint"))?;
        let token_endpoint = issuer.token_endpoint.clone();
        let token_endpoint = token_endpoint.ok_or_else(|| lacks("token endpoint"))?;
        let (client, scopes) = self.client(server, oauth, new, found).await?;
        let verifier = random_text(32);
        let url = AuthorizationUrl {
            endpoint: page,
            client_id: &client.id,
            redirect_uri: new.redirect_uri,
            state,
            verifier: &verifier,
            nonce: None,
            resource: found.resource.as_deref(),
            extra: &oauth.authorization_parameters,
        };
        let url = url
            .build(&scopes)
            .ok_or_else(|| lacks("authorization endpoint"))?;
        let about = FlowPurpose {
            key: new.key,
            for_whom: new.for_whom,
            redirect_uri: new.redirect_uri,
            verifier: SecretText(verifier.into()),
            values: secret(&new.values),
        };
        let flow = Flow {
            own_name: issuer.own_name.clone(),
            is_nameless: issuer.is_nameless,
            names_itself: issuer.authorization_response_iss_parameter_supported,
            token_endpoint,
            resource: found.resource.clone(),
            scopes,
            ..Flow::new(about, client, issuer.issuer.clone())
        };
        flow.keep(store, state).await?;
        Ok(url)
    }

    /// Returns the client at the issuer, and the scopes to request with it.
    async fn client(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        new: &NewAuthorization<'_>,
        found: &Discovered,
    ) -> Result<(Client, Vec<String>)> {
        let room = &*self.0;
        let free = free(server, oauth);
        let clients = Clients {
            fetcher: &room.fetcher,
            free: &free,
            store: &**room.installations.store(),
            options: &room.options,
            quota: &room.quota,
        };
        let scopes = self.scopes(oauth, new.key, found).await?;
        let wanted = Wanted {
            configured: &oauth.client,
            issuer: &found.issuer,
            redirect_uri: new.redirect_uri,
            scopes: &scopes,
            for_whom: new.for_whom,
        };
        clients.client(&wanted).await
    }

    /// Returns the scopes to request: the configured ones or else those the server asks for; scopes the server asked
    /// for since the last sign-in, with those requested then; and `offline_access` if the issuer supports it.
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
            .any(|scope| scope == OFFLINE_ACCESS);
        if offline && !scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        Ok(scopes)
    }

    /// Returns what a pending sign-in is for and who began it, without using it up.
    ///
    /// # Errors
    /// [`InvalidParams`](crate::ErrorKind::InvalidParams) if no sign-in with this state exists, or if it has expired.
    pub async fn pending(&self, state: &str) -> Result<PendingAuthorization> {
        let (flow, _) = Flow::find(&**self.0.installations.store(), state).await?;
        Ok(PendingAuthorization {
            key: flow.key()?,
            for_whom: flow.for_whom,
            issuer: flow.issuer,
        })
    }

    /// Completes a sign-in: exchanges the code for a token. This uses up the sign-in even if it fails, except when
    /// another caller tries to complete it.
    ///
    /// # Errors
    /// [`InvalidParams`](crate::ErrorKind::InvalidParams) if no sign-in with this state exists or if it has expired;
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if another caller began it, if the response comes from another
    /// issuer, or if the issuer or the user refused; otherwise the reason why the issuer returned no token.
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

    /// Exchanges the code for a token.
    async fn exchange(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        flow: &Flow,
        code: &SecretString,
    ) -> Result<(Token, Client)> {
        let room = &*self.0;
        if !is_from(oauth, &flow.issuer, &flow.token_endpoint) {
            return Err(OAuthError::IssuerChanged(shortened(&flow.issuer)).into());
        }
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
            trust: Trust::Told(&free),
            place: &flow.token_endpoint,
            client: flow.client.credentials(),
            configured: oauth.client_auth.map(AuthMethod::from),
            extra: &oauth.token_parameters,
        };
        let token = endpoint.ask(&parameters, token_answer).await;
        let token = token.map_err(OAuthError::from);
        let store = &**room.installations.store();
        match &token {
            Err(OAuthError::Refused(code)) if is_unknown_client(code) => {
                forget(store, &flow.issuer, &flow.redirect_uri).await?;
            }
            Err(_) => {}
            Ok(_) => self.returned(flow).await,
        }
        let (token, method) = token?;
        Ok((token, flow.client.authenticating_by(method)))
    }

    /// Records that the issuer knows the client of this sign-in.
    async fn returned(&self, flow: &Flow) {
        let store = &**self.0.installations.store();
        let of = (flow.issuer.as_str(), flow.redirect_uri.as_str());
        if let Err(error) = returned(store, of, &flow.client.id).await {
            // The cost is one additional registration.
            tracing::debug!(%error, "cannot record that the issuer knows the client");
        }
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
        room.quota.end(for_whom, state);
        let sent_by_issuer = match &answer.issuer {
            Some(issuer) => flow.is_issuer(issuer),
            None => !flow.names_itself,
        };
        if !sent_by_issuer {
            return Err(OAuthError::OtherSender(shortened(&flow.issuer)).into());
        }
        if let Some(error) = &answer.error {
            if is_unknown_client(error) {
                forget(store, &flow.issuer, &flow.redirect_uri).await?;
            } else {
                self.returned(&flow).await;
            }
            return Err(OAuthError::Denied(error_code(error)).into());
        }
        let code = answer.code.ok_or(OAuthError::NoCode)?;
        let (token, client) = self.exchange(server, oauth, &flow, &code).await?;
        room.discoveries.forget(&server.id);
        let scopes = token.scopes.clone();
        let grant = Grant {
            asked: union([&flow.scopes[..], &scopes.unwrap_or_default()[..]]),
            issuer: flow.issuer,
            token_endpoint: flow.token_endpoint,
            client,
            redirect_uri: Some(flow.redirect_uri),
            resource: flow.resource,
            refresh_token: None,
            wanted: Vec::new(),
        };
        let mut credential =
            installed(&oauth.slot, grant, (&token, SystemTime::now()), oauth.grant)?;
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

/// Returns `true` if an error code means that the issuer does not know the client, or no longer does.
fn is_unknown_client(code: &str) -> bool {
    matches!(code, "invalid_client" | "unauthorized_client")
}

fn secret(values: &BTreeMap<SlotName, SecretString>) -> BTreeMap<SlotName, SecretText> {
    let values = values.iter();
    values
        .map(|(slot, value)| (slot.clone(), SecretText(value.clone())))
        .collect()
}
