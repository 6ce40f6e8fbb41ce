//! A request of a client: its context, and its way to the server and back.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;

use crate::audit::Audit;
use crate::call::{Call, Reply};
use crate::error::Result;
use crate::jsonrpc::Message;
use crate::orchestrator::forward::start_progress::tell;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::audit_trail::Trail;
use crate::orchestrator::state::context::Context;
use crate::pool::Caller;
use crate::protocol::Era;
use crate::runtime::Progress;
use crate::transport::progress_token;

/// A request of a client.
#[derive(Clone)]
pub(crate) struct ClientRequest {
    pub(crate) context: Context,
    pub(crate) message: Message,
    headers: HeaderMap,
}

impl ClientRequest {
    /// Creates a request and begins its audit event.
    pub(crate) fn new(
        audit: &Audit,
        mut context: Context,
        message: Message,
        headers: HeaderMap,
    ) -> Self {
        context.trail = Trail::begin(audit, &context.principal.id, &context.gateway, &message);
        Self {
            context,
            message,
            headers,
        }
    }
}

impl Inner {
    /// Handles a request and reports progress while its instance starts, if its client asked for it.
    ///
    /// Takes a reference, because each step down to the server would copy the request.
    pub(crate) async fn dispatch_and_tell(
        self: &Arc<Self>,
        asked: &ClientRequest,
    ) -> Result<Reply> {
        let ClientRequest {
            context,
            message,
            headers,
        } = asked;
        let reply = match progress_token(message) {
            None => self.dispatch(context, message, headers).await,
            Some((_, token)) => Box::pin(self.dispatch_in_words(asked, token)).await,
        };
        match &context.trail {
            Some(trail) => Arc::clone(trail).follow(reply),
            None => reply,
        }
    }

    async fn dispatch_in_words(
        self: &Arc<Self>,
        asked: &ClientRequest,
        token: Bytes,
    ) -> Result<Reply> {
        let (progress, words) = Progress::channel();
        let (inner, mut asked) = (Arc::clone(self), asked.clone());
        asked.context.progress = Some(progress);
        let coming = async move {
            let asked = &asked;
            let sent = inner.dispatch(&asked.context, &asked.message, &asked.headers);
            sent.await
        };
        tell(coming.boxed(), words, token).await
    }

    /// Returns the context of a modern call, which belongs to a principal only.
    pub(crate) fn modern_context(&self, call: &Call) -> Context {
        let party = self.party_of(&call.principal.id);
        Context {
            principal: Arc::clone(&call.principal),
            gateway: call.gateway.clone(),
            session: None,
            caller: Caller {
                party,
                era: Era::Modern,
                client: None,
            },
            token: call.token.clone(),
            progress: None,
            waited: false,
            is_repeated: false,
            trail: None,
            is_operator: false,
            grant: None,
            as_of: Some(self.rights.now()),
            begun: None,
            series: OnceLock::new(),
        }
    }
}
