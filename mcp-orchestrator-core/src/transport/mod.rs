//! Connections to instances: framing, ids, progress, cancellation, eras. Crate-private.
//!
//! A [`Pipe`](pipe::Pipe) is one connection over a byte stream that many callers share; an [`Http`](streamable::Http)
//! endpoint carries many sessions. Both take an [`Outgoing`] and return a [`Reply`](crate::call::Reply) with the
//! caller's own id and progress token.

pub(crate) mod era;
pub(crate) mod handshake;
mod http1;
mod lines;
mod own_id;
mod pace;
pub(crate) mod pipe;
#[cfg(feature = "test-util")]
pub(crate) mod probes;
mod quoted;
mod remap;
mod sse;
pub(crate) mod streamable;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use tokio::sync::{mpsc, oneshot};

use crate::call::ServerRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Message, Span, Splice, span_of};
use crate::protocol::Era;
use crate::runtime::{Exit, InstanceKey, LogSource};
use crate::trace_context::TraceContext;

/// Identifies a caller on a connection that several callers share.
pub(crate) type Party = u64;

/// Authorizes a request again right before it is written.
///
/// A request may wait inside a connection: for a session to be opened again, for a connection, for a queue. Its caller
/// may lose the right to it meanwhile.
pub(crate) trait Recheck: Send + Sync {
    /// Returns `true` if rights have changed since the request was authorized. Called for each request, so it must be
    /// cheap.
    fn is_stale(&self) -> bool;

    /// Authorizes the request again.
    fn judge(&self) -> BoxFuture<'_, Result<()>>;
}

/// The check before a request is written; `None` for requests of the engine itself.
pub(crate) type Check<'a> = Option<&'a dyn Recheck>;

/// Authorizes a request again if rights have changed.
///
/// # Errors
/// If the request may not be sent any more.
pub(crate) async fn allowed(check: Check<'_>) -> Result<()> {
    match check {
        Some(check) if check.is_stale() => check.judge().await,
        _ => Ok(()),
    }
}

/// A request to an instance. Borrows its large parts, because each step towards the server would copy them.
pub(crate) struct Outgoing<'a> {
    /// The caller's request as received.
    pub(crate) message: &'a Message,
    /// Edits other than those of id and progress token.
    pub(crate) edits: &'a Splice,
    /// Name of the requested item at the server, for the HTTP header that repeats it.
    pub(crate) name: Option<&'a str>,
    /// Headers to send over HTTP.
    pub(crate) headers: &'a HeaderMap,
    /// The trace that the request belongs to, for its `_meta`; `None`: its own context passes through.
    pub(crate) trace: Option<&'a TraceContext>,
    /// The caller.
    pub(crate) party: Party,
    /// Era of the caller.
    pub(crate) era: Era,
    /// What is declared about a legacy client to a modern server.
    pub(crate) client: Option<&'a ClientFacts>,
    /// Whether it may still be sent.
    pub(crate) check: Check<'a>,
}

/// For messages without changes.
static NO_EDITS: Splice = Splice::new();
static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
/// What the orchestrator declares about itself.
static OURS: LazyLock<ClientFacts> = LazyLock::new(ClientFacts::ours);

impl<'a> Outgoing<'a> {
    /// A message that is sent without changes.
    pub(crate) fn plain(message: &'a Message, party: Party, era: Era) -> Self {
        Self {
            message,
            edits: &NO_EDITS,
            name: None,
            headers: &NO_HEADERS,
            trace: None,
            party,
            era,
            client: None,
            check: None,
        }
    }

    /// Like [`plain`](Self::plain), for requests of the engine: declares the orchestrator itself to a modern server.
    pub(crate) fn ours(message: &'a Message, party: Party) -> Self {
        Self {
            client: Some(&OURS),
            ..Self::plain(message, party, Era::Legacy)
        }
    }
}

/// What a legacy client declared at `initialize`, as raw JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFacts {
    /// `clientInfo`.
    pub(crate) info: String,
    /// `capabilities`.
    pub(crate) capabilities: String,
    /// The level of the last `logging/setLevel`.
    pub(crate) log_level: Option<String>,
}

impl ClientFacts {
    /// What the orchestrator declares about itself to fetch lists.
    pub(crate) fn ours() -> Self {
        let profile = handshake::Profile::of_several();
        Self {
            info: profile.info,
            capabilities: profile.capabilities,
            log_level: None,
        }
    }
}

/// An instance's description of itself.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    /// The era of the handshake.
    pub(crate) era: Era,
    /// The negotiated version.
    pub(crate) version: String,
    /// The `result` of initialize or server/discover.
    pub(crate) result: Bytes,
}

/// A message of an instance that belongs to no call.
#[derive(Debug)]
pub(crate) enum Unsolicited {
    /// A notification.
    Notification(Message),
    /// A request.
    Request(ServerRequest),
}

/// Receives lines that are not messages.
pub(crate) type Note = Arc<dyn Fn(LogSource, &str) + Send + Sync>;

/// Receives unsolicited messages. Bounded, and never waited for.
pub(crate) type Inbox = mpsc::Sender<Unsolicited>;

/// Identifies an instance in errors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The server.
    pub(crate) server: ServerId,
    /// Public name of the instance.
    pub(crate) instance: Arc<str>,
}

impl From<&InstanceKey> for Place {
    fn from(key: &InstanceKey) -> Self {
        Self {
            server: key.server().clone(),
            instance: key.name().into(),
        }
    }
}

/// Returns the range and the text of a request's progress token.
pub(crate) fn progress_token(message: &Message) -> Option<(Span, Bytes)> {
    let meta = message.meta()?;
    // Every modern request has a `_meta`, but few have a token. The key may be written with escapes.
    let bytes = meta.as_bytes();
    if memchr::memmem::find(bytes, b"progressToken").is_none()
        && memchr::memchr(b'\\', bytes).is_none()
    {
        return None;
    }
    let token = crate::jsonrpc::Members::read(meta)?.get("progressToken")?;
    let span = span_of(message.bytes(), token);
    Some((span.clone(), message.bytes().slice(span)))
}

/// Returns the message; `None` if the sender is gone.
pub(crate) async fn answered(receiver: oneshot::Receiver<Message>) -> Option<Message> {
    receiver.await.ok()
}

/// Returns the error of a call to an instance that has ended. The last lines of standard error are included only for
/// callers that have the instance to themselves, because they may be about the calls of others.
pub(crate) fn ended(place: &Place, exit: &Exit, is_own: bool) -> Error {
    let mut text = format!("server {} ended: {}", place.server, exit.reason);
    let mut data = serde_json::json!({ "exit": exit.reason, "code": exit.code });
    if is_own {
        data["stderr"] = serde_json::json!(exit.tail);
    } else {
        text.push_str("; its log says more");
    }
    Error::new(ErrorKind::Unavailable, text)
        .with_server(&place.server)
        .with_instance(&place.instance)
        .with_data(crate::jsonrpc::raw(&data))
}
