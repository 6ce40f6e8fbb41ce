//! Conversations with instances: framing, ids, progress, cancellation, eras. Crate-private.
//!
//! A [`Pipe`](pipe::Pipe) is one conversation over a byte stream that many callers share; an [`Http`](streamable::Http)
//! endpoint carries many conversations. Both take an [`Outgoing`] and answer a [`Reply`](crate::call::Reply) that
//! bears the caller's own id and progress token again.

pub(crate) mod era;
pub(crate) mod handshake;
mod http1;
mod lines;
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
use http::HeaderMap;
use tokio::sync::{mpsc, oneshot};

use crate::call::ServerRequest;
use crate::error::{Error, ErrorKind};
use crate::id::ServerId;
use crate::jsonrpc::{Message, Span, Splice, span_of};
use crate::protocol::Era;
use crate::runtime::{Exit, LogSource};

/// Whose call it is, as far as a shared conversation must tell callers apart.
pub(crate) type Party = u64;

/// One request on its way to an instance. It borrows all that is large: each step of its way would copy it.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    /// The caller's request, as it came.
    pub(crate) message: &'a Message,
    /// What is to change besides id and progress token.
    pub(crate) edits: &'a Splice,
    /// The own name of what it asks for, for the header that repeats it.
    pub(crate) name: Option<&'a str>,
    /// Headers that go with it over HTTP.
    pub(crate) headers: &'a HeaderMap,
    /// Whose it is.
    pub(crate) party: Party,
    /// The dialect that the caller speaks.
    pub(crate) era: Era,
    /// What a modern server is told of a legacy client.
    pub(crate) client: Option<Arc<ClientFacts>>,
}

/// For messages that go as they are.
static NO_EDITS: Splice = Splice::new();
static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

impl<'a> Outgoing<'a> {
    /// A message that goes as it is.
    pub(crate) fn plain(message: &'a Message, party: Party, era: Era) -> Self {
        Self {
            message,
            edits: &NO_EDITS,
            name: None,
            headers: &NO_HEADERS,
            party,
            era,
            client: None,
        }
    }

    /// The same, for the engine: a modern server is told of us.
    pub(crate) fn ours(message: &'a Message, party: Party) -> Self {
        Self {
            client: Some(Arc::new(ClientFacts::ours())),
            ..Self::plain(message, party, Era::Legacy)
        }
    }
}

/// What a legacy client said of itself at `initialize`, as raw JSON.
#[derive(Clone, Debug)]
pub(crate) struct ClientFacts {
    /// `clientInfo`.
    pub(crate) info: String,
    /// `capabilities`.
    pub(crate) capabilities: String,
    /// What `logging/setLevel` asked for.
    pub(crate) log_level: Option<String>,
}

impl ClientFacts {
    /// What we say of ourselves when we ask for lists.
    pub(crate) fn ours() -> Self {
        let profile = handshake::Profile::of_several();
        Self {
            info: profile.info,
            capabilities: profile.capabilities,
            log_level: None,
        }
    }
}

/// What an instance said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    /// In which dialect.
    pub(crate) era: Era,
    /// Which version was agreed on.
    pub(crate) version: String,
    /// The `result` of initialize or server/discover.
    pub(crate) result: Bytes,
}

/// What an instance says that belongs to no call.
#[derive(Debug)]
pub(crate) enum Unsolicited {
    /// A notification.
    Notification(Message),
    /// A request.
    Request(ServerRequest),
}

/// Where lines go that are no messages.
pub(crate) type Note = Arc<dyn Fn(LogSource, &str) + Send + Sync>;

/// Where unsolicited messages go; bounded, and never waited for.
pub(crate) type Inbox = mpsc::Sender<Unsolicited>;

/// A name for errors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The server.
    pub(crate) server: ServerId,
    /// The instance's public name.
    pub(crate) instance: Arc<str>,
}

/// The place and the text of a request's progress token.
pub(crate) fn progress_token(message: &Message) -> Option<(Span, Bytes)> {
    let meta = message.meta()?;
    // Every modern request has a `_meta`, and few have a token. A key may be written with escapes.
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

/// Ends with the first message of `receiver`, or never where the sender is gone.
pub(crate) async fn answered(receiver: oneshot::Receiver<Message>) -> Option<Message> {
    receiver.await.ok()
}

/// What a call is told whose instance has ended. The last lines of its standard error may be about the calls of others, so
/// that only who has the instance alone gets them.
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
