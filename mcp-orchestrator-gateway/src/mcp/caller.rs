//! Authentication of callers, and the end of everything that a request opened when its caller loses access.

use std::sync::Arc;
use std::time::SystemTime;

use axum::response::Response;
use mcp_orchestrator_core::auth::{Authenticated, Principal};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};

use super::admission::is_same;
use super::handler::Gate;
use super::respond;
use crate::request::head::Head;
use crate::request::validate;

impl Gate {
    /// Returns the caller if it may use the gateway. For all others the gateway does not exist.
    pub(crate) async fn who(&self, gateway: &GatewayId, head: &Head<'_>) -> Result<Authenticated> {
        let found = self.authenticator.authenticate(head).await?;
        self.known(gateway, head, found)
    }

    /// Authenticates an admitted request again, with the current authenticators, which a reload may have replaced.
    pub(crate) async fn who_now(
        &self,
        gateway: &GatewayId,
        head: &Head<'_>,
    ) -> Result<Authenticated> {
        let found = self.admission.authenticate(head).await?;
        self.known(gateway, head, found)
    }

    fn known(
        &self,
        gateway: &GatewayId,
        head: &Head<'_>,
        found: Option<Authenticated>,
    ) -> Result<Authenticated> {
        let who = found.ok_or_else(|| validate::nobody(head))?;
        validate::page_of_local_user(head, &self.options, &who.principal)?;
        admitted(&self.orchestrator, gateway, who)
    }

    /// Returns the response; a streamed one ends when the caller loses access.
    pub(crate) fn held(
        &self,
        response: Response,
        (gateway, head): (&GatewayId, &Head<'_>),
        principal: &Arc<Principal>,
    ) -> Response {
        if !respond::is_stream(&response) {
            return response;
        }
        let (orchestrator, gateway) = (self.orchestrator.clone(), gateway.clone());
        let opener = Arc::clone(principal);
        self.admission
            .guard(response, (head, principal), move |found| {
                let gone = || {
                    Error::new(
                        ErrorKind::Unauthenticated,
                        "the caller is not known any more",
                    )
                };
                let who = admitted(&orchestrator, &gateway, found.ok_or_else(gone)?)?;
                if !is_same(&who.principal, &opener) {
                    return Err(gone());
                }
                Ok(who)
            })
    }

    /// Binds a session to the grant of this request. The session ends when the grant is lost.
    pub(super) fn bind(
        &self,
        gateway: &GatewayId,
        head: &Head<'_>,
        who: (&Arc<Principal>, Option<SystemTime>),
        session: &SessionId,
    ) {
        let authorization = head.authorization;
        let grant = || self.admission.grant(head, gateway, who);
        // The next step rejects an unknown session.
        let _ = self
            .orchestrator
            .bind(who.0, gateway, session, authorization, grant);
    }

    /// Polls a call while its caller has access. `seen` is the change count at which it was admitted.
    pub(super) async fn during<F: Future<Output: Send> + Send + Unpin>(
        &self,
        seen: u64,
        call: &mut F,
        (gateway, head, principal): (&GatewayId, &Head<'_>, &Arc<Principal>),
    ) -> Result<F::Output> {
        let mut seen = seen;
        loop {
            match self.admission.until_change(seen, call).await {
                Ok(output) => return Ok(output),
                Err(now) => seen = now,
            }
            let who = self.who_now(gateway, head).await?;
            if !is_same(&who.principal, principal) {
                return Err(validate::nobody(head));
            }
        }
    }
}

/// Returns the caller if it may use the gateway. For all others the gateway does not exist.
fn admitted(
    orchestrator: &Orchestrator,
    gateway: &GatewayId,
    who: Authenticated,
) -> Result<Authenticated> {
    if !who.principal.is_well_named() {
        // Otherwise it could be mistaken for another kind of principal.
        let text = format!(
            "{} is no name for who calls: it is reserved",
            who.principal.id
        );
        return Err(Error::new(ErrorKind::Unauthenticated, text));
    }
    let bound = who.gateway.as_ref().is_some_and(|only| only != gateway);
    if bound || !orchestrator.admits(&who.principal, gateway) {
        let text = format!("unknown gateway {gateway}");
        return Err(Error::new(ErrorKind::GatewayNotFound, text));
    }
    Ok(who)
}
