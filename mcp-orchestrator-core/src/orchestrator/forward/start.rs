//! Waits for a start during which the credential may be replaced.

use std::sync::Arc;

use crate::credential::{Credential, CredentialRule};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_REPLACED_STARTS;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::{Lease, Spec};
use crate::runtime::Progress;

impl Inner {
    /// Starts an instance, or waits for its start. If the credential is replaced in the meantime, that start is
    /// abandoned and the instance with the current credential is awaited instead; the current credential is then
    /// returned with the lease.
    pub(crate) async fn started(
        self: &Arc<Self>,
        context: &Context,
        spec: &Arc<Spec>,
        rule: &CredentialRule,
        credential: &Arc<Credential>,
    ) -> Result<(Lease, Option<Arc<Credential>>)> {
        let (id, scope) = (&spec.server.id, context.scope(&spec.server));
        let progress = context.progress.clone();
        let progress = progress.unwrap_or_else(Progress::unheard);
        let mut now: Option<Arc<Credential>> = None;
        for _ in 0..MAX_REPLACED_STARTS {
            let credential = now.as_ref().unwrap_or(credential);
            let lease = self.pool.acquire(id, credential, scope.clone(), &progress);
            let error = match lease.await {
                Ok(lease) => return Ok((lease, now)),
                Err(error) => error,
            };
            if !matches!(
                error.kind(),
                ErrorKind::Unavailable | ErrorKind::StartFailed
            ) {
                return Err(error);
            }
            // No message has been sent yet, so another start is safe. If the credential is gone, the caller gets that
            // error.
            let other = self.credential(context, spec, rule, None).await?;
            if other.revision == credential.revision {
                return Err(error);
            }
            now = Some(other);
        }
        let text = format!("the credential of server {id} is replaced again and again");
        Err(Error::new(ErrorKind::Unavailable, text))
    }
}
