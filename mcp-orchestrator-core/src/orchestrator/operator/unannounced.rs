//! Extensions that a gateway does not announce to its clients.

use std::sync::Arc;

use crate::auth::Principal;
use crate::error::Result;
use crate::id::GatewayId;
use crate::orchestrator::calls::extensions::{UnannouncedExtension, unannounced};
use crate::orchestrator::state::Orchestrator;
use crate::orchestrator::state::context::Context;

impl Orchestrator {
    /// Returns the extensions that servers of a gateway declare, as this principal sees them, and that the gateway does
    /// not announce. Reads only the list cache and starts no instance.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) for a gateway that the principal cannot see.
    pub async fn unannounced_extensions(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
    ) -> Result<Vec<UnannouncedExtension>> {
        let context = Context::nobodys(principal, gateway);
        let view = self.inner.view(&context)?;
        let known = self.inner.known(&context, &view).await;
        let known: Vec<_> = known.iter().flatten().collect();
        Ok(unannounced(&known))
    }
}
