//! Calls, their replies, and messages that belong to no call.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use http::HeaderMap;
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::auth::Principal;
use crate::error::{Error, Result};
use crate::id::{GatewayId, SessionId};
use crate::jsonrpc::{Kind, Message};
use crate::runtime::InstanceKey;

/// The protocol era of a client's message, and its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEra {
    /// Legacy, in this session; `None` only for `initialize`, which creates the session.
    Legacy(Option<SessionId>),
    /// Modern: stateless requests.
    Modern,
}

/// One request of a client.
pub struct Call {
    /// The caller.
    pub principal: Arc<Principal>,
    /// The gateway that received the call.
    pub gateway: GatewayId,
    /// The era of the message, and its session.
    pub era: CallEra,
    /// The request as received.
    pub message: Message,
    /// Headers to forward upstream (`Mcp-Param-*`); usually empty.
    pub headers: HeaderMap,
    /// The caller's token. Only a resolver that exchanges it receives it.
    pub token: Option<SecretString>,
}

impl Call {
    /// A stateless request, for programs that call without an MCP client.
    pub fn modern(principal: Arc<Principal>, gateway: GatewayId, message: Message) -> Self {
        Self {
            principal,
            gateway,
            era: CallEra::Modern,
            message,
            headers: HeaderMap::new(),
            token: None,
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("principal", &self.principal.id)
            .field("gateway", &self.gateway)
            .field("era", &self.era)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// A notification or a response of a client, which gets no reply.
pub struct Notify {
    /// The sender.
    pub principal: Arc<Principal>,
    /// The gateway that received the message.
    pub gateway: GatewayId,
    /// The era of the message, and its session.
    pub era: CallEra,
    /// The message as received.
    pub message: Message,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("gateway", &self.gateway)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// Identifies an event of a session by its stream and its position there (0: before the first event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The stream.
    pub stream: u64,
    /// Position in the stream, from 1.
    pub seq: u64,
}

impl EventId {
    /// The stream of messages that belong to no call.
    pub(crate) const GENERAL: u64 = 0;

    /// Returns `true` for an event of the general stream.
    pub(crate) fn is_general(self) -> bool {
        self.stream == Self::GENERAL
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream, self.seq)
    }
}

impl FromStr for EventId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (stream, seq) = text.split_once('-').ok_or(())?;
        Ok(Self {
            stream: stream.parse().map_err(drop)?,
            seq: seq.parse().map_err(drop)?,
        })
    }
}

/// A subscription to messages that belong to no call: list changes, resource updates, logs, requests of a server.
#[derive(Debug)]
pub struct Listen {
    /// The subscriber.
    pub principal: Arc<Principal>,
    /// The gateway that received the request.
    pub gateway: GatewayId,
    /// The session, for a legacy client's GET stream; `None` for a modern `subscriptions/listen`.
    pub session: Option<SessionId>,
    /// The last event that a reconnecting legacy client received.
    pub resume: Option<EventId>,
    /// The modern `subscriptions/listen` request.
    pub request: Option<Message>,
}

/// One item of a [`Reply`].
#[derive(Debug)]
pub enum ReplyItem {
    /// A notification.
    Notification(Message),
    /// A request of the server. Its handle accepts one answer.
    Request(ServerRequest),
    /// The response, which is the last item.
    Response(Message),
    /// The call failed without a response. The last item.
    Failed(Error),
}

/// A request of a server to the client. The request is refused if this is dropped without an answer.
pub struct ServerRequest {
    /// The request, with an id that is unique for the client.
    pub message: Message,
    /// The requesting instance; `None` for a request of the orchestrator itself.
    pub(crate) origin: Option<InstanceKey>,
    answer: oneshot::Sender<Message>,
}

impl ServerRequest {
    /// Creates a request, and the receiver of its answer.
    pub fn new(message: Message) -> (Self, oneshot::Receiver<Message>) {
        let (answer, receiver) = oneshot::channel();
        let request = Self {
            message,
            origin: None,
            answer,
        };
        (request, receiver)
    }

    /// Forwards the client's response.
    pub fn answer(self, response: Message) {
        // The requester may be gone; then the answer is dropped.
        let _ = self.answer.send(response);
    }

    /// Answers with "method not found", as a client without the method does.
    pub(crate) fn refuse(self) {
        self.refuse_with(crate::protocol::code::METHOD_NOT_FOUND, "Method not found");
    }

    /// Answers with this error.
    pub(crate) fn refuse_with(self, code: i32, why: &str) {
        let id = self.message.id().unwrap_or("null").to_owned();
        let refusal = crate::jsonrpc::error_response(&id, i64::from(code), why, None);
        self.answer(own(refusal));
    }

    /// Splits it into the request and the sender for its answer.
    pub fn into_parts(self) -> (Message, oneshot::Sender<Message>) {
        (self.message, self.answer)
    }
}

impl fmt::Debug for ServerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerRequest").field(&self.message).finish()
    }
}

/// Reply to a call: the server's messages that belong to the call, then at most one response, which is the last item.
///
/// Dropping it before the end cancels the call upstream.
pub struct Reply {
    /// The session that `initialize` created.
    pub session: Option<SessionId>,
    /// The event that was yielded last, or the position at which the stream begins. Set for streams of a legacy
    /// session, which can be resumed after any event.
    pub after: Option<EventId>,
    /// The client expects the stream to begin with an empty event (2025-11-25).
    pub primed: bool,
    items: Items,
}

enum Items {
    /// In a box: each step on the way back moves the reply, and a message is large.
    One(Option<Box<Message>>),
    Many(BoxStream<'static, ReplyItem>),
    /// Items with their event ids. Some may be missing if the client reads slowly.
    Placed(BoxStream<'static, (EventId, ReplyItem)>),
}

impl Reply {
    /// A reply that consists of its response only.
    pub fn ready(response: impl Into<Box<Message>>) -> Self {
        Self {
            session: None,
            after: None,
            primed: false,
            items: Items::One(Some(response.into())),
        }
    }

    /// A streamed reply. The stream must end with the response.
    pub fn stream(items: BoxStream<'static, ReplyItem>) -> Self {
        Self {
            session: None,
            after: None,
            primed: false,
            items: Items::Many(items),
        }
    }

    /// A stream of a legacy session that continues after the event `after`.
    pub(crate) fn resumable(
        items: BoxStream<'static, (EventId, ReplyItem)>,
        after: EventId,
        primed: bool,
    ) -> Self {
        Self {
            session: None,
            after: Some(after),
            primed,
            items: Items::Placed(items),
        }
    }

    /// Returns the response if the reply consists of nothing else.
    ///
    /// # Errors
    /// The unchanged reply if it is a stream.
    pub fn into_ready(self) -> Result<Box<Message>, Self> {
        match self.items {
            Items::One(Some(message)) => Ok(message),
            items => Err(Self {
                session: self.session,
                after: self.after,
                primed: self.primed,
                items,
            }),
        }
    }

    /// Returns `true` if the reply is a ready error response.
    pub(crate) fn is_error(&self) -> bool {
        matches!(&self.items, Items::One(Some(message)) if message.kind() == Kind::Error)
    }

    /// Returns the response and discards the items before it; requests of the server are refused.
    ///
    /// # Errors
    /// If the reply fails or ends without a response.
    pub async fn response(mut self) -> Result<Message> {
        use futures_util::StreamExt as _;
        while let Some(item) = self.next().await {
            match item {
                ReplyItem::Response(message) => return Ok(message),
                ReplyItem::Failed(error) => return Err(error),
                ReplyItem::Notification(_) | ReplyItem::Request(_) => {}
            }
        }
        Err(Error::new(
            crate::ErrorKind::Unavailable,
            "the reply ended without a response",
        ))
    }
}

impl Stream for Reply {
    type Item = ReplyItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReplyItem>> {
        match &mut self.items {
            Items::One(message) => {
                let response = message.take().map(|message| ReplyItem::Response(*message));
                Poll::Ready(response)
            }
            Items::Many(stream) => stream.as_mut().poll_next(cx),
            Items::Placed(stream) => {
                let Some((place, item)) = std::task::ready!(stream.as_mut().poll_next(cx)) else {
                    return Poll::Ready(None);
                };
                self.after = Some(place);
                Poll::Ready(Some(item))
            }
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Parses a message that this crate wrote.
///
/// # Panics
/// Never for bytes from the writers in `jsonrpc`.
pub(crate) fn own(bytes: Bytes) -> Message {
    Message::parse(bytes).expect("what we write is a message")
}
