//! Several resolvers, tried in order; the first answer wins.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{Credential, CredentialChange, CredentialRequest, CredentialResolver, InForce, Owner};
use crate::error::Result;
use crate::server::ServerSpec;

/// Tries resolvers in order. An error ends the chain: later resolvers are not tried.
#[derive(Clone, Debug, Default)]
pub struct ChainResolver(Arc<[Arc<dyn CredentialResolver>]>);

impl ChainResolver {
    /// Creates a chain that tries `resolvers` in this order. An empty chain resolves nothing.
    pub fn new(resolvers: impl IntoIterator<Item = Arc<dyn CredentialResolver>>) -> Self {
        Self(resolvers.into_iter().collect())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CredentialResolver for ChainResolver {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        for resolver in &*self.0 {
            if let Some(credential) = resolver.resolve(request).await? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn covers(&self, request: &CredentialRequest<'_>) -> bool {
        self.0.iter().any(|resolver| resolver.covers(request))
    }

    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        stream::select_all(self.0.iter().map(|resolver| resolver.changes())).boxed()
    }

    async fn in_force(&self, server: &ServerSpec, owner: &Owner) -> InForce {
        let mut found = InForce::Nothing;
        for resolver in &*self.0 {
            match resolver.in_force(server, owner).await {
                InForce::Revision(revision) => return InForce::Revision(revision),
                InForce::Unknown => found = InForce::Unknown,
                InForce::Nothing => {}
            }
        }
        found
    }

    async fn wanted(
        &self,
        server: &ServerSpec,
        credential: &Credential,
        scopes: &[String],
    ) -> Result<Option<bool>> {
        for resolver in &*self.0 {
            let known = resolver.wanted(server, credential, scopes).await?;
            if known.is_some() {
                return Ok(known);
            }
        }
        Ok(None)
    }

    fn explain(&self, request: CredentialRequest<'_>) -> Vec<String> {
        self.0
            .iter()
            .flat_map(|resolver| resolver.explain(request))
            .collect()
    }
}
