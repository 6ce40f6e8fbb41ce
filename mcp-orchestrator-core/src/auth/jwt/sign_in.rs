//! Browser sign-in at an issuer (OpenID Connect, authorization code flow with PKCE): builds the URL that the browser
//! is sent to and verifies its return. The ID token is verified like the issuer's other tokens, with the client ID as
//! its audience.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::fetch::{Fetcher, TRUST};
use super::token::Token;
use super::{Audience, JwtAuthenticator, JwtOptions};
use crate::auth::{Authenticator as _, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{ISSUER_METADATA_TTL, ISSUER_RETRY_INTERVAL};
use crate::oauth::{
    AuthMethod, AuthorizationUrl, ClientCredentials, IssuerMetadata, Recent, TokenEndpoint,
    TokenError, error_code, id_token_answer,
};
use crate::outbound::Connector;
use crate::seal::random_text;

/// Signs users in at one issuer.
#[derive(Debug)]
pub struct SignIn {
    tokens: JwtAuthenticator,
    fetcher: Fetcher,
    client: String,
    secret: Option<SecretString>,
    /// The issuer's metadata or the last error. Without this cache every visit to the sign-in page would cause a request
    /// to the issuer.
    metadata: Recent<Arc<IssuerMetadata>, String>,
}

/// A sign-in in progress, compared with the response that the browser brings back. Only that browser holds it,
/// sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignInFlow {
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
}

/// The query parameters that the browser brings back to the redirect URI.
#[derive(Default)]
pub struct SignInAnswer {
    /// `code`: the authorization code.
    pub code: Option<SecretString>,
    /// `state`: must equal the state of the flow.
    pub state: Option<String>,
    /// `iss`: the issuer of the response (RFC 9207).
    pub issuer: Option<String>,
    /// `error`: why no code was issued.
    pub error: Option<String>,
}

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
enum SignInError {
    #[error("issuer {issuer} is unavailable: {why}")]
    Issuer { issuer: String, why: String },
    #[error("this sign-in was not begun in this browser, or too long ago: begin it again")]
    State,
    #[error("another issuer than {0} answers: nobody is signed in")]
    OtherSender(String),
    #[error("issuer {issuer} rejected the sign-in: {code}")]
    Denied { issuer: String, code: String },
    #[error("issuer {0} returned no code")]
    NoCode(String),
    #[error("issuer {issuer} returned no ID token for the code: {why}")]
    NoToken { issuer: String, why: String },
    #[error("the ID token of {0} does not belong to this sign-in")]
    OtherToken(String),
}

impl From<SignInError> for Error {
    fn from(error: SignInError) -> Self {
        let kind = match error {
            SignInError::Issuer { .. } => ErrorKind::CallerUnknowable,
            _ => ErrorKind::Forbidden,
        };
        Self::new(kind, error.to_string())
    }
}

impl SignIn {
    /// Signs users in at the issuer of `options`, as the client `client`. The scopes and the audience in `options`
    /// apply to access tokens and are ignored here.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the options are not usable.
    pub fn new(
        mut options: JwtOptions,
        client: String,
        secret: Option<SecretString>,
        connector: Connector,
    ) -> Result<Self> {
        options.audience = Audience::OneOf(vec![client.clone()]);
        options.scopes.clear();
        // Each ID token is used only once.
        options.remembered = 16;
        let fetcher = Fetcher::new(
            options.issuer.clone(),
            None,
            options.fetch.timeout,
            connector.clone(),
        );
        Ok(Self {
            tokens: JwtAuthenticator::with_connector(options, connector)?,
            fetcher,
            client,
            secret,
            metadata: Recent::default(),
        })
    }

    /// Returns the issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.tokens.options().issuer
    }

    /// Begins a sign-in. Returns the URL to send the browser to, and the flow to keep until it returns to
    /// `redirect_uri`.
    ///
    /// # Errors
    /// [`CallerUnknowable`](ErrorKind::CallerUnknowable) if the issuer's metadata is unavailable or names no
    /// authorization endpoint.
    pub async fn begin(&self, redirect_uri: &str) -> Result<(String, SignInFlow)> {
        let metadata = self.metadata().await?;
        let page = metadata.authorization_endpoint.as_deref();
        let page = page.ok_or_else(|| self.unusable("it names no authorization_endpoint"))?;
        let flow = SignInFlow {
            state: random_text(32),
            nonce: random_text(32),
            verifier: random_text(32),
            redirect_uri: redirect_uri.to_owned(),
        };
        let url = AuthorizationUrl {
            endpoint: page,
            client_id: &self.client,
            redirect_uri,
            state: &flow.state,
            verifier: &flow.verifier,
            nonce: Some(&flow.nonce),
            resource: None,
            extra: &[],
        };
        let scopes = self.scopes().iter().map(|scope| (*scope).to_owned());
        let scopes: Vec<String> = scopes.collect();
        let url = url.build(&scopes);
        let url = url.ok_or_else(|| self.unusable("its authorization_endpoint is not a URL"))?;
        Ok((url, flow))
    }

    /// Completes a sign-in and returns the user's principal. Its teams are those named in the ID token.
    ///
    /// # Errors
    /// [`Forbidden`](ErrorKind::Forbidden) if the response does not belong to this flow or the issuer denied the
    /// sign-in; [`Unauthenticated`](ErrorKind::Unauthenticated) if the ID token is not valid;
    /// [`CallerUnknowable`](ErrorKind::CallerUnknowable) if the issuer is unreachable.
    pub async fn finish(&self, flow: &SignInFlow, answer: SignInAnswer) -> Result<Arc<Principal>> {
        if answer.state.as_deref() != Some(&flow.state) {
            return Err(SignInError::State.into());
        }
        let metadata = self.metadata().await?;
        let named = metadata.authorization_response_iss_parameter_supported;
        let sent_by_issuer = match &answer.issuer {
            Some(issuer) => issuer == self.issuer(),
            None => !named,
        };
        if !sent_by_issuer {
            return Err(SignInError::OtherSender(self.issuer().to_owned()).into());
        }
        let issuer = || self.issuer().to_owned();
        if let Some(error) = &answer.error {
            let denied = SignInError::Denied {
                issuer: issuer(),
                code: error_code(error),
            };
            return Err(denied.into());
        }
        let code = answer.code.ok_or_else(|| SignInError::NoCode(issuer()))?;
        let id_token = self.exchange(&metadata, flow, &code).await?;
        self.verify(flow, &id_token).await
    }

    /// Exchanges the authorization code for an ID token.
    async fn exchange(
        &self,
        metadata: &IssuerMetadata,
        flow: &SignInFlow,
        code: &SecretString,
    ) -> Result<SecretString> {
        let place = metadata.token_endpoint.as_deref();
        let place = place.ok_or_else(|| self.unusable("it names no token_endpoint"))?;
        let endpoint = TokenEndpoint {
            fetcher: self.fetcher.client(),
            trust: TRUST,
            place,
            client: self.credentials(metadata),
            configured: None,
            extra: &[],
        };
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &flow.redirect_uri),
            ("code_verifier", &flow.verifier),
        ];
        let answer = endpoint.ask(&parameters, id_token_answer).await;
        answer
            .map(|(id_token, _)| id_token)
            .map_err(|error| match error {
                TokenError::Fetch(error) => self.unusable(&error.to_string()),
                error => {
                    let (issuer, why) = (self.issuer().to_owned(), error.to_string());
                    SignInError::NoToken { issuer, why }.into()
                }
            })
    }

    fn credentials(&self, metadata: &IssuerMetadata) -> ClientCredentials<'_> {
        ClientCredentials {
            id: &self.client,
            secret: self.secret.as_ref(),
            method: match &self.secret {
                None => AuthMethod::None,
                Some(_) => AuthMethod::choose(metadata, &[AuthMethod::Basic, AuthMethod::Post]),
            },
        }
    }

    /// Returns the principal that the ID token names, if the token belongs to this flow.
    async fn verify(&self, flow: &SignInFlow, id_token: &SecretString) -> Result<Arc<Principal>> {
        let other = || Error::from(SignInError::OtherToken(self.issuer().to_owned()));
        let text = id_token.expose_secret();
        let token = Token::parse(text).ok_or_else(other)?;
        let claim = |name: &str| token.claims.get(name).and_then(serde_json::Value::as_str);
        let authorized = claim("azp").is_none_or(|party| party == self.client);
        if claim("nonce") != Some(&flow.nonce) || !authorized {
            return Err(other());
        }
        let mut parts = http::Request::new(()).into_parts().0;
        let value = HeaderValue::from_str(&format!("Bearer {text}"));
        parts
            .headers
            .insert(AUTHORIZATION, value.map_err(|_| other())?);
        // Claims are trusted only after this call, which verifies signature, issuer, audience and expiry.
        let found = self.tokens.authenticate(&parts).await?;
        found.map(|who| who.principal).ok_or_else(other)
    }

    async fn metadata(&self) -> Result<Arc<IssuerMetadata>> {
        let ttl = (ISSUER_METADATA_TTL, ISSUER_RETRY_INTERVAL);
        let ask = async || self.fetcher.metadata().await.map(Arc::new);
        let metadata = self.metadata.get(ttl, ask).await;
        metadata.map_err(|why| self.unusable(&why))
    }

    fn unusable(&self, why: &str) -> Error {
        let issuer = self.issuer().to_owned();
        let why = why.to_owned();
        SignInError::Issuer { issuer, why }.into()
    }

    /// Returns the scopes to request, depending on the claim that names the user.
    fn scopes(&self) -> &'static [&'static str] {
        match self.tokens.options().user_claim.as_str() {
            "sub" => &["openid"],
            "email" => &["openid", "email"],
            _ => &["openid", "profile"],
        }
    }
}

impl fmt::Debug for SignInFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInFlow")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignInAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInAnswer")
            .field("issuer", &self.issuer)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
