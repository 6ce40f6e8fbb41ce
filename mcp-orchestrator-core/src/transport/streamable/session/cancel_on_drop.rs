//! Cancels requests after their callers have left.

use std::sync::Arc;

use futures_util::StreamExt as _;

use super::post::tell;
use crate::call::{Reply, ReplyItem};
use crate::jsonrpc::notification;
use crate::protocol::method;
use crate::transport::own_id::OwnId;
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;

/// Sends a cancellation to the server if it is dropped before the request was answered.
pub(crate) struct Guard {
    pub(crate) http: Arc<Http>,
    pub(crate) conversation: Arc<Conversation>,
    /// The request's id; `None` once no cancellation is needed.
    pub(crate) id: Option<OwnId>,
}

impl Guard {
    /// Disarms the guard: the request was answered.
    pub(crate) fn disarm(mut self) {
        self.id = None;
    }

    /// Keeps the guard armed until a streamed reply has its response.
    pub(crate) fn watch(self, reply: Reply) -> Reply {
        let stream = match reply.into_ready() {
            Ok(response) => {
                self.disarm();
                return Reply::ready(response);
            }
            Err(stream) => stream,
        };
        let mut guard = Some(self);
        let watched = stream.inspect(move |item| {
            if matches!(item, ReplyItem::Response(_) | ReplyItem::Failed(_))
                && let Some(guard) = guard.take()
            {
                guard.disarm();
            }
        });
        Reply::stream(watched.boxed())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let params = format!(
            "{{\"requestId\":{},\"reason\":\"the caller left\"}}",
            id.as_str()
        );
        let body = notification(method::CANCELLED, Some(&params));
        let (http, conversation) = (Arc::clone(&self.http), Arc::clone(&self.conversation));
        self.http.janitor.short(async move {
            if let Err(error) = tell(&http, &conversation, &body).await {
                tracing::debug!(%error, "a cancellation did not reach its server");
            }
        });
    }
}
