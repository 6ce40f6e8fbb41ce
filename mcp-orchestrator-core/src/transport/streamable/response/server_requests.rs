//! Requests of a server during a call or on its stream, and the answers to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::call::ServerRequest;
use crate::jsonrpc::{Message, response};
use crate::limits::MAX_SERVER_REQUESTS;
use crate::protocol::method;
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;
use crate::transport::streamable::request::connections::Repeat;
use crate::transport::streamable::request::headers::Verb;

/// Passes on a server's request, and posts the answer to its session. Returns `None` for a ping, which is answered here
/// because it concerns the connection, and if too many requests await an answer: it is refused.
pub(crate) fn ask(
    http: &Arc<Http>,
    conversation: Arc<Conversation>,
    message: Message,
) -> Option<ServerRequest> {
    let id = message.id_bytes().unwrap_or_default();
    let sender = Arc::clone(http);
    if message.method() == method::PING {
        http.janitor.short(async move {
            let id = String::from_utf8_lossy(&id);
            let pong = response(&id, "{}");
            post_answer(&sender, &conversation, &pong).await;
        });
        return None;
    }
    let asking = Asking::begin(&conversation);
    if asking.is_over_limit {
        tracing::debug!(server = %http.place.server, method = message.method(), "a request of the server was refused: too many wait for their answer");
        http.janitor.short(async move {
            post_answer(
                &sender,
                &conversation,
                &refused(&id, "too many requests wait for their answer"),
            )
            .await;
        });
        return None;
    }
    let (request, answer) = ServerRequest::new(message);
    http.janitor.long(async move {
        let body = match crate::transport::answered(answer).await {
            Some(answer) => answer.with_id(&id).into_bytes(),
            None => refused(&id, "the client did not answer"),
        };
        drop(asking);
        post_answer(&sender, &conversation, &body).await;
    });
    Some(request)
}

/// Counts a server's request while it awaits its answer.
struct Asking {
    conversation: Arc<Conversation>,
    is_over_limit: bool,
}

impl Asking {
    fn begin(conversation: &Arc<Conversation>) -> Self {
        let before = conversation.asking.fetch_add(1, Ordering::AcqRel);
        Self {
            conversation: Arc::clone(conversation),
            is_over_limit: before >= MAX_SERVER_REQUESTS,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.conversation.asking.fetch_sub(1, Ordering::AcqRel);
    }
}

fn refused(id: &Bytes, why: &str) -> Bytes {
    let id = String::from_utf8_lossy(id);
    let code = i64::from(crate::protocol::code::METHOD_NOT_FOUND);
    crate::jsonrpc::error_response(&id, code, why, None)
}

async fn post_answer(http: &Http, conversation: &Conversation, body: &[u8]) {
    let sent = http.exchange(
        Verb::Post,
        body,
        conversation.lines(),
        (Repeat::Never, None),
    );
    match sent.await {
        Ok(exchange) => exchange.drain().await,
        Err(error) => tracing::debug!(%error, "an answer did not reach its server"),
    }
}
