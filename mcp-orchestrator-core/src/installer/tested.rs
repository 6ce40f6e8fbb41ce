//! Tests whether an installed credential works. It is resolved as for a call, so that it is renewed if necessary.

use std::sync::Arc;

use super::{Actor, Installer, nothing};
use crate::credential::{
    Credential, CredentialRequest, CredentialResolver as _, CredentialRule, InstallationKey,
};
use crate::error::{ErrorKind, Result};
use crate::server::ServerSpec;

impl Installer {
    /// Tests an installed credential and returns how many tools the server lists with it. An expired or rejected
    /// credential is renewed first if possible. A running instance is used if there is one.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) if nothing is installed; [`Forbidden`](ErrorKind::Forbidden) if the caller may
    /// not manage the owner's credentials; otherwise the reason why it does not work.
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
                    // Only a new sign-in by the owner helps.
                    Err(over) if over.kind() == ErrorKind::CredentialExpired => return Err(over),
                    Err(_) => return Err(refused),
                };
                let tried = orchestrator.test_credential(principal, &key.server, &newer);
                tried.await
            }
            tools => tools,
        }
    }

    /// Resolves the owner's credential as for a call, excluding one that was rejected.
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
