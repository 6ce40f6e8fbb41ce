//! Begins a call, in a legacy session or without one.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::request::ClientRequest;
use super::session_call::SessionCall;
use crate::call::{Call, CallEra, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::orchestrator::input::modern_client::ModernCall;
use crate::orchestrator::state::Inner;
use crate::protocol::method;

/// A call in progress.
pub(crate) enum CallInProgress<'a> {
    Session(SessionCall<'a>),
    Other(BoxFuture<'a, Result<Reply>>),
}

impl Inner {
    /// Begins a call. This is not async, so that the call's data is moved into its box only once.
    pub(crate) fn begin(self: &Arc<Self>, call: Call) -> Result<CallInProgress<'_>> {
        Ok(match &call.era {
            CallEra::Legacy(None) if call.message.method() == method::INITIALIZE => {
                CallInProgress::Other(Box::pin(self.initialize(call)))
            }
            CallEra::Legacy(None) => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    "the header Mcp-Session-Id is missing: send initialize first",
                ));
            }
            CallEra::Legacy(Some(id)) => {
                let session = self.session(id, &call.principal, &call.gateway)?;
                session.sent(&call.principal, call.token.as_ref());
                CallInProgress::Session(self.session_call(session, call)?)
            }
            CallEra::Modern => CallInProgress::Other(Box::pin(self.modern_call(call))),
        })
    }

    async fn modern_call(self: &Arc<Self>, call: Call) -> Result<Reply> {
        let mut context = self.modern_context(&call);
        let message = match self.continued(&context, call.message).await? {
            ModernCall::Continued(rest) => return Ok(rest),
            ModernCall::New { message, waited } => {
                context.waited = waited;
                message
            }
        };
        let asked = ClientRequest::new(&self.audit.load(), context, message, call.headers);
        let reply = self.dispatch_and_tell(&asked).await?;
        Ok(self.crossing(&asked.context, &asked.message, reply))
    }
}
