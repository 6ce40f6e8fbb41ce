//! Whether what is installed works: asked as a call would ask, so that what can be renewed is.

use std::sync::Arc;

use super::{Actor, Installer, nothing};
use crate::credential::{
    Credential, CredentialRequest, CredentialResolver as _, CredentialRule, InstallationKey,
};
use crate::error::{ErrorKind, Result};
use crate::server::ServerSpec;

impl Installer {
    /// Tries what is installed, and answers how many tools the server lists with it. What is over, or refused, is renewed
    /// first where it can be. What runs with it is asked.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) where nothing is installed, [`Forbidden`](ErrorKind::Forbidden) where it is not
    /// theirs to look after; else why it does not work.
    pub async fn test(&self, actor: &Actor, key: &InstallationKey) -> Result<usize> {
        let spec = self.allowed(actor, key)?;
        if self.installed.installations().get(key).await?.is_none() {
            return Err(nothing(key));
        }
        let (orchestrator, principal) = (&self.orchestrator, &actor.principal);
        let credential = self.current(actor, &spec, key, None).await?;
        let tried = orchestrator.test_credential(principal, &key.server, &credential);
        match tried.await {
            Err(refused) if refused.kind() == ErrorKind::CredentialRejected => {
                let newer = match self.current(actor, &spec, key, Some(&credential)).await {
                    Ok(newer) => newer,
                    // Only its owner can help.
                    Err(over) if over.kind() == ErrorKind::CredentialExpired => return Err(over),
                    Err(_) => return Err(refused),
                };
                let tried = orchestrator.test_credential(principal, &key.server, &newer);
                tried.await
            }
            tools => tools,
        }
    }

    /// What an owner has, as a call would get it; where it was refused, something newer.
    async fn current(
        &self,
        actor: &Actor,
        spec: &ServerSpec,
        key: &InstallationKey,
        rejected: Option<&Credential>,
    ) -> Result<Arc<Credential>> {
        let request = CredentialRequest {
            principal: &actor.principal,
            server: spec,
            rule: &CredentialRule::Pinned(key.owner.clone()),
            rejected: rejected.map(|credential| (&credential.revision, credential.generation)),
            token: None,
        };
        let found = self.installed.resolve(request).await?;
        found.ok_or_else(|| nothing(key))
    }
}
