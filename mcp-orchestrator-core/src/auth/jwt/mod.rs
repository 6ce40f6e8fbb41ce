//! Authenticates tokens of an OpenID Connect issuer: signed by one of its listed keys, issued for this gateway, not
//! expired.
//!
//! Keys are located through the issuer's metadata, cached, and fetched again when they age or when a token names an
//! unknown key. A verified token is remembered until it expires or until a key of the issuer is removed; meanwhile a
//! call costs one hash and one look-up. An unreachable issuer does not prevent startup: its tokens are rejected with
//! the reason until it answers, and tokens signed with cached keys are still accepted.

mod claims;
mod errors;
mod fetch;
#[cfg(feature = "test-util")]
pub(crate) mod fuzz;
mod keys;
mod options;
mod remembered;
mod sign_in;
mod source;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use http::request::Parts;
use secrecy::SecretString;

use self::errors::JwtError;
use self::fetch::Fetcher;
use self::keys::Signed;
pub use self::options::{Audience, FetchLimits, JwtOptions};
use self::remembered::{Checked, Remembered, TokenHash, hash};
pub use self::sign_in::{SignIn, SignInAnswer, SignInFlow};
use self::source::KeySource;
use self::token::Token;
use super::{Authenticated, Authenticator};
use crate::error::Result;
use crate::outbound::Connector;

/// Authenticates callers by the tokens of one issuer.
///
/// A request without a bearer token, with one that is not a JWT, or with one of another issuer is "not mine". A token
/// of this issuer is either accepted or ends the request with the reason.
#[derive(Debug)]
pub struct JwtAuthenticator {
    options: JwtOptions,
    keys: KeySource,
    remembered: Arc<Remembered>,
}

impl JwtAuthenticator {
    /// Creates an authenticator for this issuer. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the issuer is not a URL, or if no token could ever be accepted.
    pub fn new(options: JwtOptions) -> Result<Self> {
        Self::with_connector(options, Connector::default())
    }

    /// Same as [`new`](Self::new), but reaches the issuer through `connector`.
    ///
    /// # Errors
    /// Same as [`new`](Self::new).
    pub fn with_connector(options: JwtOptions, connector: Connector) -> Result<Self> {
        check(&options)?;
        let remembered = Arc::new(Remembered::new(options.remembered));
        let fetcher = Fetcher::new(
            options.issuer.clone(),
            options.jwks_url.clone(),
            options.fetch.timeout,
            connector,
        );
        let keys = KeySource::new(
            options.issuer.clone(),
            fetcher,
            options.fetch,
            Arc::clone(&remembered),
        );
        Ok(Self {
            options,
            keys,
            remembered,
        })
    }

    /// Returns the requirements for this issuer's tokens.
    pub fn options(&self) -> &JwtOptions {
        &self.options
    }

    /// Fetches the issuer's keys ahead of the first token.
    ///
    /// # Errors
    /// [`CallerUnknowable`](crate::ErrorKind::CallerUnknowable) with the reason; the next token triggers another
    /// attempt.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request unless other callers wait for it.
    pub async fn fetch(&self) -> Result<()> {
        Ok(self.keys.fetch().await?)
    }

    async fn checked(
        &self,
        hash: TokenHash,
        token: Token<'_>,
        now: u64,
    ) -> Result<Arc<Checked>, JwtError> {
        let signature = token.signature(&self.options.algorithms)?;
        let key = signature.key.as_deref();
        let era = self.remembered.era(&hash);
        let keys = self.keys.keys(key, signature.algorithm).await?;
        if !keys.has(key, signature.algorithm) {
            return Err(JwtError::UnknownKey);
        }
        let signed = Signed {
            key,
            algorithm: signature.algorithm,
            message: token.message.as_bytes(),
            signature: &signature.bytes,
        };
        if !keys.verifies(&signed) {
            return Err(JwtError::Signature);
        }
        let end = claims::end(&token.claims, now)?;
        claims::scopes(&token.claims, &self.options.scopes)?;
        let checked = Arc::new(Checked {
            principal: Arc::new(claims::principal(&token.claims, &self.options)?),
            audience: claims::audience(&token.claims),
            end,
        });
        self.remembered.keep(hash, era, Arc::clone(&checked));
        Ok(checked)
    }
}

fn check(options: &JwtOptions) -> Result<(), JwtError> {
    let wrong = |why: &str| JwtError::Config {
        issuer: options.issuer.clone(),
        why: why.to_owned(),
    };
    let uri = options.issuer.parse::<http::Uri>().ok();
    let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
    if !matches!(scheme, Some("https" | "http")) {
        return Err(wrong("its name is no address as https://idp.example.com"));
    }
    if options.algorithms.is_empty() {
        return Err(wrong("no algorithm is allowed, so no token could be taken"));
    }
    if options.audience == Audience::OneOf(Vec::new()) {
        return Err(wrong("no audience is allowed, so no token could be taken"));
    }
    Ok(())
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, parts: &Parts) -> Result<Option<Authenticated>> {
        let Some(text) = token::bearer(parts) else {
            return Ok(None);
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        self.keys.renew();
        let hash = hash(text);
        let checked = match self.remembered.find(&hash, now) {
            Some(checked) => checked,
            None => {
                let Some(token) = Token::parse(text) else {
                    return Ok(None);
                };
                if token.issuer() != Some(&self.options.issuer) {
                    return Ok(None);
                }
                Box::pin(self.checked(hash, token, now)).await?
            }
        };
        if !self
            .options
            .audience
            .admits(&checked.audience, parts.uri.path())
        {
            return Err(JwtError::Audience.into());
        }
        let mut who = Authenticated::new(Arc::clone(&checked.principal));
        who.expires_at = UNIX_EPOCH.checked_add(Duration::from_secs(checked.end));
        Ok(Some(who.with_token(SecretString::from(text))))
    }
}

#[cfg(test)]
mod tests;
