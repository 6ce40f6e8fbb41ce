//! Posts messages that need no response in a session.

use std::sync::Arc;

use crate::error::Result;
use crate::transport::Check;
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;
use crate::transport::streamable::request::connections::Repeat;
use crate::transport::streamable::request::headers::Verb;
use crate::transport::streamable::response::refusal::retry_after;

/// Sends a notification in a session.
pub(super) async fn tell(http: &Arc<Http>, conversation: &Conversation, body: &[u8]) -> Result<()> {
    post(http, conversation, body, None).await
}

/// Sends a notification in a session, if it may still be sent by then.
pub(super) async fn post(
    http: &Arc<Http>,
    conversation: &Conversation,
    body: &[u8],
    check: Check<'_>,
) -> Result<()> {
    let lines = conversation.lines();
    let sent = http.exchange(Verb::Post, body, lines, (Repeat::Harmless, check));
    let exchange = sent.await?;
    let status = exchange.head.status;
    if status.is_success() {
        exchange.drain().await;
        return Ok(());
    }
    let after = retry_after(&exchange.head);
    let body = exchange.explanation().await;
    Err(http.status(status, &body, after))
}
