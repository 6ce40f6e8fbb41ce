//! Binds the session of an HTTP+SSE client to the requests that may use it.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::request::Parts;
use mcp_orchestrator_core::auth::{Authenticated, Grant, Principal, Standing};
use mcp_orchestrator_core::call::{Call, Reply};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};

use super::Channel;
use crate::mcp::admission::Admission;
use crate::mcp::handler::Gate;

/// The admission of a message, which also depends on that of its stream.
#[derive(Debug)]
struct OnStream {
    stream: Arc<dyn Grant>,
    message: Arc<dyn Grant>,
}

#[async_trait]
impl Grant for OnStream {
    async fn standing(&self) -> Standing {
        match (self.stream.standing().await, self.message.standing().await) {
            (Standing::Lost, _) | (_, Standing::Lost) => Standing::Lost,
            (Standing::Expired, _) | (_, Standing::Expired) => Standing::Expired,
            (Standing::Unknown, _) | (_, Standing::Unknown) => Standing::Unknown,
            (Standing::Holds, Standing::Holds) => Standing::Holds,
        }
    }
}

/// A message that was admitted to a stream.
pub(super) struct AdmittedMessage {
    orchestrator: Orchestrator,
    admission: Admission,
    principal: Arc<Principal>,
    gateway: GatewayId,
    parts: Parts,
    expires_at: Option<SystemTime>,
    grant: Arc<dyn Grant>,
    /// Count of changes of access at the admission.
    seen: u64,
}

impl Gate {
    /// Records that a message was admitted to a stream, when `seen` changes of access had been counted.
    pub(super) fn sent(
        &self,
        channel: &Channel,
        parts: Parts,
        who: &Authenticated,
        seen: u64,
    ) -> AdmittedMessage {
        let by = (&who.principal, who.expires_at);
        let grant = OnStream {
            stream: Arc::clone(&channel.grant),
            message: self.admission.grant(&parts, &channel.gateway, by),
        };
        AdmittedMessage {
            orchestrator: self.orchestrator.clone(),
            admission: self.admission.clone(),
            principal: Arc::clone(&who.principal),
            gateway: channel.gateway.clone(),
            parts,
            expires_at: who.expires_at,
            grant: Arc::new(grant),
            seen,
        }
    }
}

impl AdmittedMessage {
    /// Binds the session to this message, and thereby to its stream.
    pub(super) fn bind(&self, session: &SessionId) {
        let authorization = self.parts.headers.get(AUTHORIZATION);
        let grant = || Arc::clone(&self.grant);
        // The next step rejects an unknown session.
        let _ = self.orchestrator.bind(
            &self.principal,
            &self.gateway,
            session,
            authorization,
            grant,
        );
    }

    /// Makes the call. It may have waited behind others, so it is admitted again if access may have changed.
    pub(super) async fn call(self, mut call: Call) -> Result<Reply> {
        let has_expired = self.expires_at.is_some_and(|at| at <= SystemTime::now());
        let seen = self.admission.count();
        if seen != self.seen || has_expired {
            call.principal = self.admitted_now().await?;
        }
        let reply = self.orchestrator.call(call).await?;
        if let Some(session) = &reply.session {
            self.bind(session);
            if self.admission.count() != seen {
                // Access may have been lost while the session was opened.
                self.orchestrator.check_access();
            }
        }
        Ok(reply)
    }

    async fn admitted_now(&self) -> Result<Arc<Principal>> {
        let lost = || {
            let text = "the caller lost access while the message waited";
            Error::new(ErrorKind::Unauthenticated, text)
        };
        if matches!(
            self.grant.standing().await,
            Standing::Lost | Standing::Expired
        ) {
            return Err(lost());
        }
        let found = self.admission.authenticate(&self.parts).await;
        match found {
            Ok(found) => found.map(|who| who.principal).ok_or_else(lost),
            // An unreachable issuer does not revoke access.
            Err(error) if error.kind() == ErrorKind::CallerUnknowable => {
                Ok(Arc::clone(&self.principal))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::testing::auth::grant;

    use super::*;
    use crate::mcp::admission::tests::admitted;

    #[tokio::test]
    async fn stream_grant_upholds_the_grant_contract_for_either_part() {
        for part in 0..2 {
            let ((stream, of_stream), (message, of_message)) = (admitted(), admitted());
            let revoked = [of_stream, of_message];
            let both = OnStream { stream, message };
            grant(&both, async || revoked[part].revoke()).await;
        }
    }
}
