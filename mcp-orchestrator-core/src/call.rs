//! A call, its reply, and what belongs to no call.

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

/// How the client speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Legacy, in this session; `None` only for `initialize`, which makes one.
    Legacy(Option<SessionId>),
    /// Modern: every request stands alone.
    Modern,
}

/// One request of a client.
pub struct Call {
    /// Who calls.
    pub principal: Arc<Principal>,
    /// Through which gateway.
    pub gateway: GatewayId,
    /// In which dialect.
    pub dialect: Dialect,
    /// The request, as it came.
    pub message: Message,
    /// Headers that go with it upstream (`Mcp-Param-*`); usually none.
    pub headers: HeaderMap,
    /// The caller's token; it reaches nobody but a resolver that exchanges it.
    pub token: Option<SecretString>,
}

impl Call {
    /// A request that stands alone, as a program makes one that calls without a client in between.
    pub fn modern(principal: Arc<Principal>, gateway: GatewayId, message: Message) -> Self {
        Self {
            principal,
            gateway,
            dialect: Dialect::Modern,
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
            .field("dialect", &self.dialect)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// A notification or a response of a client: no answer is owed.
pub struct Notify {
    /// Who sends it.
    pub principal: Arc<Principal>,
    /// Through which gateway.
    pub gateway: GatewayId,
    /// In which dialect.
    pub dialect: Dialect,
    /// The message, as it came.
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

/// Names an event of a session: its stream, and its place there (0: before the first).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// Which stream.
    pub stream: u64,
    /// Which event of it, from 1.
    pub seq: u64,
}

impl EventId {
    /// The stream of what belongs to no call.
    pub(crate) const GENERAL: u64 = 0;

    /// Whether it is of the stream of what belongs to no call.
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

/// A wish to hear what belongs to no call: list changes, resource updates, logs, requests of a server.
#[derive(Debug)]
pub struct Listen {
    /// Who listens.
    pub principal: Arc<Principal>,
    /// Through which gateway.
    pub gateway: GatewayId,
    /// The session, for a legacy client's GET stream; `None` for a modern `subscriptions/listen`.
    pub session: Option<SessionId>,
    /// Where a legacy client's stream broke.
    pub resume: Option<EventId>,
    /// The modern request.
    pub request: Option<Message>,
}

/// One item on the way to the client.
#[derive(Debug)]
pub enum ReplyItem {
    /// A notification.
    Notification(Message),
    /// A request of the server; the handle answers it once.
    Request(ServerRequest),
    /// The one response: the last item.
    Response(Message),
    /// There will be no response: the last item.
    Failed(Error),
}

/// A request of a server to the client. Dropped without an answer, it is refused.
pub struct ServerRequest {
    /// The request, with an id that is unique for the client.
    pub message: Message,
    /// The instance that asks; `None` for a request of our own.
    pub(crate) origin: Option<InstanceKey>,
    answer: oneshot::Sender<Message>,
}

impl ServerRequest {
    /// A request and where its answer is awaited.
    pub fn new(message: Message) -> (Self, oneshot::Receiver<Message>) {
        let (answer, receiver) = oneshot::channel();
        let request = Self {
            message,
            origin: None,
            answer,
        };
        (request, receiver)
    }

    /// Passes the client's response on.
    pub fn answer(self, response: Message) {
        // Who asked may be gone by now; then nobody misses the answer.
        let _ = self.answer.send(response);
    }

    /// Answers as a client does that lacks the method.
    pub(crate) fn refuse(self) {
        let code = i64::from(crate::protocol::code::METHOD_NOT_FOUND);
        let id = self.message.id().unwrap_or("null").to_owned();
        let refusal = crate::jsonrpc::error_response(&id, code, "Method not found", None);
        self.answer(own(refusal));
    }

    /// The request and the place where its answer goes.
    pub fn into_parts(self) -> (Message, oneshot::Sender<Message>) {
        (self.message, self.answer)
    }
}

impl fmt::Debug for ServerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerRequest").field(&self.message).finish()
    }
}

/// What a call answers: at most one response, at the end, and before it whatever the server says to this call.
///
/// Dropping it before the end cancels the call upstream.
pub struct Reply {
    /// The session that `initialize` made.
    pub session: Option<SessionId>,
    /// The last event that was read, or where the stream begins: for streams of a legacy session, whose events can be
    /// read again from any of them.
    pub after: Option<EventId>,
    /// The client expects such a stream to begin with an empty event (2025-11-25).
    pub primed: bool,
    items: Items,
}

enum Items {
    One(Option<Message>),
    Many(BoxStream<'static, ReplyItem>),
    /// Each with its place; some may be missing where the client reads slowly.
    Placed(BoxStream<'static, (EventId, ReplyItem)>),
}

impl Reply {
    /// A reply that is there already.
    pub fn ready(response: Message) -> Self {
        Self {
            session: None,
            after: None,
            primed: false,
            items: Items::One(Some(response)),
        }
    }

    /// A reply that comes in parts. The stream ends with its response.
    pub fn stream(items: BoxStream<'static, ReplyItem>) -> Self {
        Self {
            session: None,
            after: None,
            primed: false,
            items: Items::Many(items),
        }
    }

    /// A stream of a legacy session, from after this event.
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

    /// The response, where nothing comes before it; else the reply as it was.
    ///
    /// # Errors
    /// The reply itself, when it comes in parts.
    pub fn into_ready(self) -> Result<Message, Self> {
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

    /// Whether it is there already, and is an error.
    pub(crate) fn is_error(&self) -> bool {
        matches!(&self.items, Items::One(Some(message)) if message.kind() == Kind::Error)
    }

    /// The response, whatever comes before it; requests of the server are refused.
    ///
    /// # Errors
    /// Where the reply ends without one.
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
            Items::One(message) => Poll::Ready(message.take().map(ReplyItem::Response)),
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

/// A message of our own making, from bytes that `jsonrpc` wrote.
///
/// # Panics
/// Never for bytes that `jsonrpc`'s own writers made.
pub(crate) fn own(bytes: Bytes) -> Message {
    Message::parse(bytes).expect("what we write is a message")
}
