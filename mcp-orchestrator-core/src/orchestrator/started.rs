//! A start whose credential may be replaced while it is waited for.

use std::sync::Arc;

use super::Inner;
use super::context::Context;
use crate::credential::{Credential, CredentialRule};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{Lease, Spec};
use crate::runtime::Progress;

/// Starts of one call, each with the credential that has taken the place of the one before.
const REPLACEMENTS: usize = 4;

impl Inner {
    /// Starts an instance, or waits for its start. Where its credential was replaced meanwhile, that start ends, and the
    /// instance with the credential of now is waited for: it is answered beside the lease.
    pub(super) async fn started(
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
        for _ in 0..REPLACEMENTS {
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
            // Nothing was sent yet. Where there is none any more, that is what the caller is to know.
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
