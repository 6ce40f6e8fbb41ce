//! Several authenticators in an order, and the word that closes the door.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Authenticated, Authenticator};
use crate::error::{Error, ErrorKind, Result};

/// Asks authenticators in their order. Where none knows the request, it is unauthenticated: this one never answers
/// "not mine".
#[derive(Clone, Debug)]
pub struct AuthenticatorChain(Arc<[Arc<dyn Authenticator>]>);

impl AuthenticatorChain {
    /// A chain in this order.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) where there is none: then nobody could ever come in.
    pub fn new(authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>) -> Result<Self> {
        let authenticators: Arc<[_]> = authenticators.into_iter().collect();
        if authenticators.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "no authenticator is configured",
            ));
        }
        Ok(Self(authenticators))
    }

    /// One that stands for all of these: the only one, else a chain. A chain of one would cost each request a step.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(
        authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>,
    ) -> Result<Arc<dyn Authenticator>> {
        let mut all: Vec<_> = authenticators.into_iter().collect();
        match all.pop() {
            Some(only) if all.is_empty() => Ok(only),
            last => Ok(Arc::new(Self::new(all.into_iter().chain(last))?)),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Authenticator for AuthenticatorChain {
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>> {
        for authenticator in &*self.0 {
            if let Some(who) = authenticator.authenticate(parts).await? {
                return Ok(Some(who));
            }
        }
        let text = if parts.headers.contains_key(http::header::AUTHORIZATION) {
            "invalid, expired or revoked token"
        } else {
            "authentication required: send `Authorization: Bearer TOKEN`"
        };
        Err(Error::new(ErrorKind::Unauthenticated, text))
    }
}
