//! Adds the teams of a directory to the principals of an authenticator.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Authenticated, Authenticator, Directory};
use crate::error::Result;

/// Wraps an authenticator and adds teams and administrative access from a directory.
#[derive(Clone, Debug)]
pub struct WithDirectory<A> {
    inner: A,
    directory: Arc<Directory>,
}

impl<A: Authenticator> WithDirectory<A> {
    /// Wraps `inner`.
    pub fn new(inner: A, directory: Arc<Directory>) -> Self {
        Self { inner, directory }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<A: Authenticator> Authenticator for WithDirectory<A> {
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>> {
        let Some(mut who) = self.inner.authenticate(parts).await? else {
            return Ok(None);
        };
        let (principal, is_admin) = self.directory.known(who.principal);
        who.principal = principal;
        who.admin = who.admin || is_admin;
        Ok(Some(who))
    }
}
