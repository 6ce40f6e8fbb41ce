//! Turns a response into a [`Reply`]: JSON at once, an event stream item by item.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::CONTENT_TYPE;

use super::events::Events;
use super::refusal::{Loss, Refusal, loss_under_success};
use super::server_requests::ask;
use crate::call::{Reply, ReplyItem, ServerRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Message, Share};
use crate::protocol::method;
use crate::transport::own_id::OwnId;
use crate::transport::quoted::quoted;
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;
use crate::transport::streamable::request::exchange::Exchange;
use crate::transport::streamable::request::ids::Answers;

/// Outcome of reading a response.
pub(crate) enum Answer {
    Reply(Reply),
    Refused(Box<Refusal>),
}

impl Http {
    /// Reads the response to the request with the id `own`. `conversation` is the legacy session that it belongs to.
    ///
    /// The exchange is borrowed, so that the future of each call does not hold it twice.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        exchange: &mut Option<Exchange>,
        own: OwnId,
        conversation: Option<&Arc<Conversation>>,
    ) -> Result<Answer> {
        let Some(response) = exchange else {
            return Err(Error::new(ErrorKind::Internal, "a response was read twice"));
        };
        if !response.is_json() || !response.head.status.is_success() {
            return Box::pin(self.other_answer(exchange.take(), own, conversation)).await;
        }
        let body = response.whole(self.message_bytes, &self.memory).await;
        let (body, share) = body.map_err(|error| self.placed(error))?;
        match Message::parse(body.clone()) {
            // The common case: one message with exactly our id.
            Ok(message)
                if message.is_response()
                    && message.id().is_some_and(|id| *id.as_bytes() == *own) =>
            {
                response.release();
                let message = message.holding(share.map(Arc::new));
                Ok(answered(Vec::new(), message))
            }
            _ => self.sorted(response, (&body, share), own, conversation),
        }
    }

    /// Handles every response that is not plain JSON under a success status.
    async fn other_answer(
        self: &Arc<Self>,
        exchange: Option<Exchange>,
        own: OwnId,
        conversation: Option<&Arc<Conversation>>,
    ) -> Result<Answer> {
        let Some(mut exchange) = exchange else {
            return Err(Error::new(ErrorKind::Internal, "a response was read twice"));
        };
        let status = exchange.head.status;
        if status.is_success() && exchange.is_events() {
            let events = Events::of_call(Arc::clone(self), exchange, conversation.cloned(), own);
            return Ok(match Box::pin(events.into_reply()).await?.into_ready() {
                Ok(message) => answered(Vec::new(), *message),
                Err(stream) => Answer::Reply(stream),
            });
        }
        if !status.is_success() {
            return Ok(Answer::Refused(Box::new(
                self.refusal(exchange, &own).await?,
            )));
        }
        let body = exchange.whole(self.message_bytes, &self.memory).await;
        let (body, share) = body.map_err(|error| self.placed(error))?;
        self.sorted(&mut exchange, (&body, share), own, conversation)
    }

    /// Finds the response in a body that holds more than that. A connection that delivered a response to another
    /// request is not used again.
    fn sorted(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        (body, share): (&Bytes, Option<Share>),
        own: OwnId,
        conversation: Option<&Arc<Conversation>>,
    ) -> Result<Answer> {
        let (mut before, mut unnamed, mut foreign) = (Vec::new(), None, false);
        let share = share.map(Arc::new);
        for message in Message::received_all(body).unwrap_or_default() {
            let message = message.holding(share.clone());
            if !message.is_response() {
                before.extend(self.item(message, conversation));
                continue;
            }
            match self.ids.judge(&message, &own, false) {
                Answers::This => {
                    if !foreign {
                        exchange.release();
                    }
                    return Ok(answered(before, message));
                }
                Answers::Unnamed => unnamed = Some(message),
                Answers::Other => foreign = true,
            }
        }
        let server = &self.place.server;
        let text = match unnamed {
            Some(message) if !foreign => {
                exchange.release();
                return Ok(answered(before, message));
            }
            _ if foreign => format!(
                "server {server} answered with the id of another request; the answer was dropped and the connection closed"
            ),
            _ => {
                let kind = exchange.head.field(&CONTENT_TYPE);
                let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
                let quote = quoted(body, &self.heads.credential(), self.heads.query());
                exchange.release();
                format!(
                    "server {server} answered a request with no JSON-RPC response (HTTP {}, {}){}{quote}",
                    exchange.head.status.as_u16(),
                    kind.map_or_else(
                        || "no content type".to_owned(),
                        |kind| quoted(kind.as_bytes(), &http::HeaderMap::new(), None)
                    ),
                    if quote.is_empty() { "" } else { ": " },
                )
            }
        };
        Err(self.placed(Error::new(ErrorKind::Protocol, text)))
    }

    /// Returns a notification or a request of the server as an item, or `None` for a request that is refused here.
    pub(crate) fn item(
        self: &Arc<Self>,
        message: Message,
        conversation: Option<&Arc<Conversation>>,
    ) -> Option<ReplyItem> {
        if message.kind() == Kind::Notification {
            // It names a request of the server by an id that the client does not know. The client may know that id from
            // a request of another server.
            let is_foreign = message.method() == method::CANCELLED;
            return (!is_foreign).then_some(ReplyItem::Notification(message));
        }
        match conversation {
            Some(conversation) => {
                ask(self, Arc::clone(conversation), message).map(ReplyItem::Request)
            }
            // The recipient drops it: a modern server must not send requests this way.
            None => Some(ReplyItem::Request(ServerRequest::new(message).0)),
        }
    }
}

/// Returns a response after the items that came before it.
fn answered(before: Vec<ReplyItem>, message: Message) -> Answer {
    match loss_under_success(&message) {
        Loss::No => {}
        loss => return Answer::Refused(Box::new(Refusal::new(loss, Ok(message)))),
    }
    if before.is_empty() {
        return Answer::Reply(Reply::ready(message));
    }
    let items = before.into_iter().chain([ReplyItem::Response(message)]);
    Answer::Reply(Reply::stream(stream::iter(items).boxed()))
}
