//! Browser sign-in at an issuer (OpenID Connect, authorization code flow with PKCE): builds the URL that the browser
//! is sent to and verifies its return. The ID token is verified like the issuer's other tokens, with the client ID as
//! its audience.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::{Serializer, byte_serialize};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::fetch::{Fetcher, Metadata};
use super::token::Token;
use super::{Audience, JwtAuthenticator, JwtOptions};
use crate::auth::{Authenticator as _, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{ISSUER_METADATA_TTL, ISSUER_RETRY_INTERVAL};
use crate::outbound::Connector;
use crate::seal::random_text;

/// Signs users in at one issuer.
#[derive(Debug)]
pub struct SignIn {
    tokens: JwtAuthenticator,
    fetcher: Fetcher,
    client: String,
    secret: Option<SecretString>,
    /// The issuer's metadata or the last error, and when it was fetched. Without this cache every visit to the
    /// sign-in page would cause a request to the issuer.
    known: tokio::sync::Mutex<Option<(Instant, std::result::Result<Metadata, String>)>>,
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
    #[error("issuer {issuer} cannot be asked: {why}")]
    Issuer { issuer: String, why: String },
    #[error("this sign-in was not begun in this browser, or too long ago: begin it again")]
    State,
    #[error("another issuer than {0} answers: nobody is signed in")]
    OtherSender(String),
    #[error("issuer {issuer} signs nobody in: {code}")]
    Denied { issuer: String, code: String },
    #[error("issuer {0} answered without a code")]
    NoCode(String),
    #[error("issuer {issuer} gave no ID token for the code: {why}")]
    NoToken { issuer: String, why: String },
    #[error("the ID token of {0} is not of this sign-in")]
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

#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
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
            known: tokio::sync::Mutex::default(),
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
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier));
        let mut query = Serializer::new(String::new());
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client),
            ("redirect_uri", redirect_uri),
            ("scope", self.scope()),
            ("state", &flow.state),
            ("nonce", &flow.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let separator = if page.contains('?') { '&' } else { '?' };
        Ok((format!("{page}{separator}{}", query.finish()), flow))
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
                code: word(error),
            };
            return Err(denied.into());
        }
        let code = answer.code.ok_or_else(|| SignInError::NoCode(issuer()))?;
        let id_token = self.exchange(&metadata, flow, &code).await?;
        self.judged(flow, &id_token).await
    }

    /// Exchanges the authorization code for an ID token.
    async fn exchange(
        &self,
        metadata: &Metadata,
        flow: &SignInFlow,
        code: &SecretString,
    ) -> Result<SecretString> {
        let place = metadata.token_endpoint.as_deref();
        let place = place.ok_or_else(|| self.unusable("it names no token_endpoint"))?;
        let (form, proof) = self.form(metadata, flow, code)?;
        let answered = self.fetcher.post(place, &form, proof).await;
        let (status, body) = answered.map_err(|why| self.unusable(&why))?;
        let none = |why: String| {
            let issuer = self.issuer().to_owned();
            Error::from(SignInError::NoToken { issuer, why })
        };
        if status != StatusCode::OK {
            let refusal = serde_json::from_slice::<Refusal>(&body);
            let why = refusal.map_or_else(|_| status.to_string(), |refusal| word(&refusal.error));
            return Err(none(why));
        }
        let given = serde_json::from_slice::<Given>(&body).ok();
        let given = given.and_then(|given| given.id_token);
        given
            .map(SecretString::from)
            .ok_or_else(|| none("there is none in its answer".into()))
    }

    /// Returns the token request's form, and the `Authorization` header if the client authenticates by one.
    fn form(
        &self,
        metadata: &Metadata,
        flow: &SignInFlow,
        code: &SecretString,
    ) -> Result<(SecretString, Option<HeaderValue>)> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &flow.redirect_uri),
            ("code_verifier", &flow.verifier),
        ]);
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        let posts = methods.is_some_and(|methods| {
            let has = |name: &str| methods.iter().any(|method| method == name);
            has("client_secret_post") && !has("client_secret_basic")
        });
        let mut proof = None;
        match &self.secret {
            Some(secret) if posts => {
                form.append_pair("client_id", &self.client);
                form.append_pair("client_secret", secret.expose_secret());
            }
            Some(secret) => proof = Some(self.basic(secret)?),
            None => {
                form.append_pair("client_id", &self.client);
            }
        }
        Ok((SecretString::from(form.finish()), proof))
    }

    fn basic(&self, secret: &SecretString) -> Result<HeaderValue> {
        // The client ID and the secret are encoded separately before they are joined (RFC 6749, section 2.3.1).
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!(
            "{}:{}",
            encoded(&self.client),
            encoded(secret.expose_secret())
        );
        let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
        let mut value =
            value.map_err(|_| self.unusable("our client has no name that can be sent"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Returns the principal that the ID token names, if the token belongs to this flow.
    async fn judged(&self, flow: &SignInFlow, id_token: &SecretString) -> Result<Arc<Principal>> {
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

    async fn metadata(&self) -> Result<Metadata> {
        let mut known = self.known.lock().await;
        if let Some((at, said)) = &*known {
            let lasts = if said.is_ok() {
                ISSUER_METADATA_TTL
            } else {
                ISSUER_RETRY_INTERVAL
            };
            if at.elapsed() < lasts {
                return said.clone().map_err(|why| self.unusable(&why));
            }
        }
        // Concurrent callers wait on the lock and reuse this result.
        let said = self.fetcher.document().await;
        *known = Some((Instant::now(), said.clone()));
        said.map_err(|why| self.unusable(&why))
    }

    fn unusable(&self, why: &str) -> Error {
        let issuer = self.issuer().to_owned();
        let why = why.to_owned();
        SignInError::Issuer { issuer, why }.into()
    }

    /// Returns the scopes to request, depending on the claim that names the user.
    fn scope(&self) -> &'static str {
        match self.tokens.options().user_claim.as_str() {
            "sub" => "openid",
            "email" => "openid email",
            _ => "openid profile",
        }
    }
}

/// Shortens an error code of the issuer for a message and keeps only letters, digits and underscores.
fn word(code: &str) -> String {
    let plain = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_');
    plain.take(40).collect()
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
