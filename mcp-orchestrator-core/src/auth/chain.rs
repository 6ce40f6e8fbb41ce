//! Several authenticators, tried in order.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Authenticated, Authenticator, unauthenticated};
use crate::error::{Error, ErrorKind, Result};

/// Tries authenticators in order. If none recognizes the request, it is unauthenticated; a chain never returns
/// `Ok(None)`.
#[derive(Clone, Debug)]
pub struct AuthenticatorChain(Arc<[Arc<dyn Authenticator>]>);

impl AuthenticatorChain {
    /// Creates a chain that tries `authenticators` in this order.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if `authenticators` is empty, since every request would be rejected.
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

    /// Combines `authenticators` into one: a single authenticator is returned as it is, which saves each request a
    /// step, and several become a chain.
    ///
    /// # Errors
    /// Same as [`new`](Self::new).
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
        Err(unauthenticated(&parts.headers))
    }
}
