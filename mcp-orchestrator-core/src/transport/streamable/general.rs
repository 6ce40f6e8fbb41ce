//! The stream of what belongs to no call: a session's GET.

use std::sync::Arc;
use std::time::Duration;

use super::Http;
use super::exchange::Exchange;
use super::heads::Verb;
use super::reply::{Events, ask};
use super::session::Conversation;
use crate::error::Result;
use crate::jsonrpc::Kind;
use crate::transport::{Inbox, Unsolicited};

/// How long the head of the stream of what belongs to no call is waited for.
pub(super) const LISTEN_WAIT: Duration = Duration::from_secs(5);
/// Before that stream is opened again.
const REOPEN: Duration = Duration::from_secs(1);

impl Http {
    /// Opens the stream of what belongs to no call; `None` where the server offers none.
    pub(super) async fn general_stream(
        &self,
        conversation: &Conversation,
        last: Option<&str>,
    ) -> Result<Option<Exchange>> {
        let resumed;
        let lines = match last {
            Some(last) => {
                resumed = conversation.lines_after(last);
                &resumed
            }
            None => conversation.lines(),
        };
        let exchange = self.exchange(Verb::Get, &[], lines).await?;
        if exchange.head.status.is_success() && exchange.is_events() {
            return Ok(Some(exchange));
        }
        // 405: the server offers none; 404: the session is lost, which the next request finds.
        exchange.drain().await;
        Ok(None)
    }
}

/// Reads the stream, and opens it again when it ends, until the server offers none.
pub(super) async fn general(
    http: Arc<Http>,
    conversation: Arc<Conversation>,
    mut opened: Option<Exchange>,
    inbox: Inbox,
) {
    let mut last: Option<String> = None;
    loop {
        let exchange = match opened.take() {
            Some(exchange) => exchange,
            None => match http.general_stream(&conversation, last.as_deref()).await {
                Ok(Some(exchange)) => exchange,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(server = %http.place.server, %error, "the server's stream cannot be opened");
                    tokio::time::sleep(REOPEN).await;
                    continue;
                }
            },
        };
        let mut events = Events::new(Arc::clone(&http), exchange, Some(Arc::clone(&conversation)));
        while let Ok(message) = events.next().await {
            let unsolicited = match message.kind() {
                Kind::Notification => Unsolicited::Notification(message),
                Kind::Request => {
                    Unsolicited::Request(ask(&http, Arc::clone(&conversation), message))
                }
                Kind::Response | Kind::Error => continue,
            };
            if inbox.try_send(unsolicited).is_err() {
                tracing::debug!(server = %http.place.server, "unsolicited message dropped");
            }
        }
        last = events.last_id();
        tokio::time::sleep(events.retry()).await;
    }
}
