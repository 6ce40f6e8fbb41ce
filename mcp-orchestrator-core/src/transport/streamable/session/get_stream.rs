//! The general stream of a session, opened with GET, for messages that belong to no call.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::jsonrpc::Kind;
use crate::limits::{MAX_RETRY_AFTER, MAX_UNSOLICITED_RATE, RECONNECT_MAX};
use crate::transport::pace::{Backoff, Rate};
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;
use crate::transport::streamable::request::connections::Repeat;
use crate::transport::streamable::request::exchange::Exchange;
use crate::transport::streamable::request::headers::Verb;
use crate::transport::streamable::response::events::{Events, RETRY, may_pass};
use crate::transport::streamable::response::refusal::retry_after;
use crate::transport::streamable::response::server_requests::ask;
use crate::transport::{Inbox, Unsolicited};

/// Maximum wait for the response head of the general stream.
pub(crate) const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// A server's answer to the request for its general stream.
pub(crate) enum Opened {
    Stream(Exchange),
    /// The server offers no such stream.
    Never,
    /// Not available now: the wait that the server asked for, and the upper bound of the backoff.
    NotNow(Duration, Duration),
}

impl Http {
    /// Opens the general stream, resuming after the event `last`.
    pub(crate) async fn general_stream(
        &self,
        conversation: &Conversation,
        last: Option<&str>,
    ) -> Result<Opened> {
        let resumed;
        let lines = match last {
            Some(last) => {
                resumed = conversation.lines_after(last);
                &resumed
            }
            None => conversation.lines(),
        };
        let exchange = self
            .exchange(Verb::Get, &[], lines, (Repeat::Harmless, None))
            .await?;
        let status = exchange.head.status;
        if status.is_success() && exchange.is_events() {
            return Ok(Opened::Stream(exchange));
        }
        let wish = retry_after(&exchange.head).unwrap_or(RETRY);
        exchange.drain().await;
        Ok(match status.as_u16() {
            // 405: the server offers no stream. 404: the session is lost; the next request detects and repairs that.
            _ if status.is_success() => Opened::Never,
            404 | 405 | 501 => Opened::Never,
            _ if may_pass(status) => Opened::NotNow(wish, RECONNECT_MAX.max(wish)),
            _ => Opened::NotNow(wish, MAX_RETRY_AFTER),
        })
    }
}

/// Reads the general stream and opens it again when it ends, until the server offers none or the session ends.
pub(crate) async fn general(
    http: Arc<Http>,
    conversation: Arc<Conversation>,
    opened: Option<Exchange>,
    inbox: Inbox,
) {
    let over = conversation.over.clone();
    tokio::select! {
        () = read(http, conversation, opened, inbox) => {}
        () = over.cancelled() => {}
    }
}

async fn read(
    http: Arc<Http>,
    conversation: Arc<Conversation>,
    mut opened: Option<Exchange>,
    inbox: Inbox,
) {
    let (mut last, mut rate, mut backoff) = (
        None::<String>,
        Rate::new(MAX_UNSOLICITED_RATE),
        Backoff::default(),
    );
    loop {
        let stream = match opened.take() {
            Some(exchange) => Ok(Opened::Stream(exchange)),
            None => http.general_stream(&conversation, last.as_deref()).await,
        };
        let wait = match stream {
            Ok(Opened::Stream(exchange)) => {
                let shared = Some(Arc::clone(&conversation));
                let mut events = Events::outside(Arc::clone(&http), exchange, shared);
                events.last_id.clone_from(&last);
                if pass_on(&http, &conversation, &mut events, &inbox, &mut rate).await {
                    backoff.reset();
                }
                last = events.last_id;
                backoff.next(events.retry, RECONNECT_MAX)
            }
            Ok(Opened::Never) => return,
            Ok(Opened::NotNow(wish, longest)) => backoff.next(wish, longest).max(wish),
            Err(error) => {
                tracing::debug!(server = %http.place.server, %error, "the server's stream cannot be opened");
                backoff.next(RETRY, RECONNECT_MAX)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Passes messages on until the stream ends. Returns `true` if the stream delivered a message.
async fn pass_on(
    http: &Arc<Http>,
    conversation: &Arc<Conversation>,
    events: &mut Events,
    inbox: &Inbox,
    rate: &mut Rate,
) -> bool {
    let mut brought = false;
    loop {
        let message = match events.next().await {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(server = %http.place.server, %error, "the server's stream ended");
                return brought;
            }
        };
        brought = true;
        // Backpressure: a server above the rate is not read until the current second has passed.
        rate.pass().await;
        let unsolicited = match message.kind() {
            Kind::Notification => Some(Unsolicited::Notification(message)),
            Kind::Request => ask(http, Arc::clone(conversation), message).map(Unsolicited::Request),
            Kind::Response | Kind::Error => None,
        };
        if let Some(unsolicited) = unsolicited
            && inbox.send(unsolicited).await.is_err()
        {
            return brought;
        }
    }
}
