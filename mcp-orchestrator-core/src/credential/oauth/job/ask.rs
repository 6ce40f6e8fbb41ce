//! The token requests of a renewal.

use super::{Found, Job};
use crate::credential::oauth::client::Client;
use crate::credential::oauth::discover::free;
use crate::credential::oauth::errors::{OAuthError, shortened};
use crate::credential::oauth::grant::Grant;
use crate::fetch::Trust;
use crate::oauth::{AuthMethod, Token, TokenEndpoint, same_issuer, token_answer};
use crate::secret_json::SecretText;
use crate::server::{OAuthClient, OAuthGrant, OAuthSpec};

impl Job {
    /// Obtains a new token, and returns it with its renewal data.
    pub(super) async fn ask(&self, found: &Found) -> Result<(Grant, Token), OAuthError> {
        let oauth = self.server.oauth.as_ref().ok_or(OAuthError::NoOAuth)?;
        match oauth.grant {
            OAuthGrant::AuthorizationCode => {
                let grant = found.as_ref().map(|(stored, _)| Grant::of(stored));
                let broken = |_| OAuthError::Refused("broken_grant".to_owned());
                let grant = grant.transpose().map_err(broken)?.flatten();
                self.refresh(oauth, grant.ok_or(OAuthError::NoOAuth)?).await
            }
            OAuthGrant::ClientCredentials => self.obtain(oauth).await,
        }
    }

    /// Uses the refresh token. It is sent only to the issuer that returned it, at that issuer's current token
    /// endpoint.
    async fn refresh(
        &self,
        oauth: &OAuthSpec,
        mut grant: Grant,
    ) -> Result<(Grant, Token), OAuthError> {
        if !grant.is_from(oauth) {
            return Err(OAuthError::IssuerChanged(shortened(&grant.issuer)));
        }
        let foreign = match self.refreshed(oauth, &mut grant).await {
            Ok(token) => return Ok((grant, token)),
            Err(error @ OAuthError::Foreign(_)) => error,
            Err(error) => return Err(error),
        };
        let found = self.room.discovered(&self.server, oauth).await;
        let found = found.ok().map(|found| found.issuer.clone());
        let moved = found.filter(|issuer| same_issuer(&issuer.issuer, &grant.issuer));
        let moved = moved.and_then(|issuer| issuer.token_endpoint);
        let Some(moved) = moved.filter(|place| *place != grant.token_endpoint) else {
            return Err(foreign);
        };
        grant.token_endpoint = moved;
        let token = self.refreshed(oauth, &mut grant).await?;
        Ok((grant, token))
    }

    async fn refreshed(&self, oauth: &OAuthSpec, grant: &mut Grant) -> Result<Token, OAuthError> {
        let none = || OAuthError::Refused("no_refresh_token".to_owned());
        let refresh = grant.refresh_token().ok_or_else(none)?;
        let mut parameters = vec![("grant_type", "refresh_token"), ("refresh_token", refresh)];
        if let Some(resource) = &grant.resource {
            parameters.push(("resource", resource));
        }
        let (token, method) = self.endpoint(oauth, grant, &parameters).await?;
        grant.client.auth_method = method;
        Ok(token)
    }

    /// Uses the client's own secret.
    async fn obtain(&self, oauth: &OAuthSpec) -> Result<(Grant, Token), OAuthError> {
        let found = self.room.discovered(&self.server, oauth).await?;
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
            issuer: found.issuer.issuer.clone(),
            redirect_uri: None,
            resource: found.resource.clone(),
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
        let (mut token, _) = self.endpoint(oauth, &grant, &parameters).await?;
        // This grant has no refresh tokens. If an issuer returns one nevertheless, the client secret is the simpler
        // way.
        token.refresh = None;
        Ok((grant, token))
    }

    async fn endpoint(
        &self,
        oauth: &OAuthSpec,
        grant: &Grant,
        parameters: &[(&str, &str)],
    ) -> Result<(Token, AuthMethod), OAuthError> {
        if oauth.has_secret() && !oauth.names_issuer() {
            return Err(OAuthError::SecretWithoutIssuer);
        }
        let free = free(&self.server, oauth);
        let mut client = grant.client.clone();
        if let OAuthClient::Registered { id, secret } = &oauth.client
            && *id == client.id
        {
            // The configured secret may have changed since. The grant is known to be from the configured issuer.
            client.secret = secret.clone().map(SecretText);
        }
        let endpoint = TokenEndpoint {
            fetcher: &self.room.fetcher,
            trust: Trust::Told(&free),
            place: &grant.token_endpoint,
            client: client.credentials(),
            configured: oauth.client_auth.map(AuthMethod::from),
            extra: &oauth.token_parameters,
        };
        Ok(endpoint.ask(parameters, token_answer).await?)
    }
}
