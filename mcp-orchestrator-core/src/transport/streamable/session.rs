//! A session of the legacy era with an HTTP server.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Http;
use super::exchange::Exchange;
use super::general::{LISTEN_WAIT, general};
use super::guard::Guard;
use super::heads::{Lines, Verb};
use super::reply::Answer;
use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, notification, request};
use crate::protocol::{Era, header, method};
use crate::transport::handshake::{self, Profile};
use crate::transport::remap::Remap;
use crate::transport::{Hello, Inbox, Outgoing, era};

const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);

/// One session, opened at its first use and again when the server has lost it.
pub(crate) struct Session {
    http: Arc<Http>,
    profile: Profile,
    open: ArcSwapOption<Conversation>,
    /// One opens it for all who wait.
    opening: Mutex<()>,
    /// Several callers' requests go through it: their ids are replaced.
    shared: bool,
    next_id: AtomicU64,
    /// Where unsolicited messages go, once somebody listens.
    listening: AtomicBool,
    inbox: Inbox,
    streams: std::sync::Mutex<JoinSet<()>>,
}

/// A session that the server knows.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Whether the server gave it an id.
    named: bool,
    /// The fields of every request in it.
    lines: Lines,
    hello: Hello,
}

impl Conversation {
    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The same for a stream that goes on after this event.
    pub(super) fn lines_after(&self, event: &str) -> Lines {
        const LAST: HeaderName = HeaderName::from_static(header::LAST_EVENT_ID);
        let mut lines = self.lines.clone();
        if let Ok(event) = HeaderValue::from_str(event) {
            lines.push(&LAST, &event);
        }
        lines
    }
}

impl Session {
    /// A session that is not open yet.
    ///
    /// `shared` says that requests of several callers, who choose their ids by themselves, go through it.
    pub(crate) fn new(http: Arc<Http>, profile: Profile, inbox: Inbox, shared: bool) -> Self {
        Self {
            shared,
            next_id: AtomicU64::new(1),
            http,
            profile,
            open: ArcSwapOption::empty(),
            opening: Mutex::new(()),
            listening: AtomicBool::new(false),
            inbox,
            streams: std::sync::Mutex::default(),
        }
    }

    /// What the server said of itself.
    ///
    /// # Errors
    /// Where it cannot be reached, or speaks no legacy dialect.
    pub(crate) async fn hello(&self) -> Result<Hello> {
        Ok(self.conversation().await?.hello.clone())
    }

    /// Whether the server knows it, as far as we were told.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load().is_some()
    }

    /// Opens the session, where it is not open.
    ///
    /// # Errors
    /// Where the server cannot be reached, or speaks no legacy dialect.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.conversation().await.map(drop)
    }

    /// Sends a request and waits for the first that comes back.
    ///
    /// # Cancel safety
    /// Dropping the future, or the reply, cancels the request at the server.
    pub(crate) async fn request(&self, outgoing: &Outgoing<'_>) -> Result<Reply> {
        let (body, id, remap) = self.prepare(outgoing);
        let mut reply = self.post(body, id).await?;
        if let Some(remap) = remap {
            reply = remap.reply(reply);
        }
        Ok(era::reply(
            reply,
            Era::Legacy,
            outgoing.era,
            outgoing.message.method(),
            &self.http.place,
        ))
    }

    /// The body of a request, its id in there, and what its caller called it where that is another.
    fn prepare(&self, outgoing: &Outgoing<'_>) -> (Bytes, Bytes, Option<Remap>) {
        let (message, mut edits) = (outgoing.message, Cow::Borrowed(outgoing.edits));
        let (id, remap) = if self.shared {
            let own = Bytes::from(self.next_id.fetch_add(1, Ordering::Relaxed).to_string());
            let remap = Remap::begin(message, edits.to_mut(), &own);
            (own, Some(remap))
        } else {
            (message.id_bytes().unwrap_or_default(), None)
        };
        era::request(outgoing, &mut edits, Era::Legacy, "");
        (edits.apply(message.bytes()), id, remap)
    }

    async fn post(&self, body: Bytes, id: Bytes) -> Result<Reply> {
        let mut again = false;
        loop {
            let conversation = self.conversation().await?;
            let guard = Guard {
                http: Arc::clone(&self.http),
                conversation: Arc::clone(&conversation),
                id: id.clone(),
            };
            let sent = self.http.exchange(Verb::Post, &body, conversation.lines());
            let answer = match sent.await {
                Ok(exchange) => {
                    let mut exchange = Some(exchange);
                    self.http.answer(&mut exchange, Some(&conversation)).await
                }
                Err(error) => Err(error),
            };
            if let Ok(Answer::Reply(reply)) = answer {
                return Ok(guard.watch(reply));
            }
            guard.disarm();
            match answer? {
                Answer::Reply(reply) => return Ok(reply),
                Answer::NotFound(_) if conversation.named && !again => {
                    tracing::info!(server = %self.http.place.server, "the server has lost the session; opening it again");
                    self.lost(&conversation);
                    again = true;
                }
                Answer::NotFound(Some(response)) => return Ok(Reply::ready(response)),
                Answer::NotFound(None) => {
                    return Err(self.http.status(http::StatusCode::NOT_FOUND));
                }
            }
        }
    }

    /// Sends a notification.
    pub(crate) async fn notify(&self, notification: &Message) -> Result<()> {
        let conversation = self.conversation().await?;
        tell(&self.http, &conversation, notification.bytes()).await
    }

    /// From now on messages that belong to no call are passed on: what the server says after this returns is heard, as
    /// far as it offers such a stream.
    pub(crate) async fn listen(&self) -> Result<()> {
        let conversation = self.conversation().await?;
        if self.listening.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let opened = self.http.general_stream(&conversation, None);
        let opened = tokio::time::timeout(LISTEN_WAIT, opened).await;
        if let Ok(Ok(Some(exchange))) = opened {
            self.stream(conversation, Some(exchange));
        }
        Ok(())
    }

    /// Ends the session at the server.
    pub(crate) fn close(&self) {
        let Some(conversation) = self.open.swap(None) else {
            return;
        };
        self.streams
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .abort_all();
        if conversation.named {
            let http = Arc::clone(&self.http);
            self.http.janitor.short(async move {
                if let Ok(exchange) = http.exchange(Verb::Delete, &[], conversation.lines()).await {
                    exchange.drain().await;
                }
            });
        }
    }

    fn lost(&self, conversation: &Arc<Conversation>) {
        let current = self.open.load();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, conversation))
        {
            self.open.compare_and_swap(&*current, None);
        }
    }

    async fn conversation(&self) -> Result<Arc<Conversation>> {
        if let Some(open) = &*self.open.load() {
            return Ok(Arc::clone(open));
        }
        // Once per session: its future must not make that of every call larger.
        Box::pin(self.opened()).await
    }

    async fn opened(&self) -> Result<Arc<Conversation>> {
        let _opening = self.opening.lock().await;
        if let Some(open) = &*self.open.load() {
            return Ok(Arc::clone(open));
        }
        let conversation = Arc::new(self.initialize().await?);
        self.open.store(Some(Arc::clone(&conversation)));
        if self.listening.load(Ordering::Acquire) {
            self.stream(Arc::clone(&conversation), None);
        }
        Ok(conversation)
    }

    async fn initialize(&self) -> Result<Conversation> {
        let params = handshake::initialize_params(&self.profile);
        let body = request("0", method::INITIALIZE, Some(&params));
        let none = Lines::default();
        let exchange = self.http.exchange(Verb::Post, &body, &none).await?;
        let id = exchange.head.field(&SESSION_ID);
        let status = exchange.head.status;
        let response = match self.http.answer(&mut Some(exchange), None).await? {
            Answer::Reply(reply) => reply.response().await?,
            Answer::NotFound(Some(response)) => response,
            Answer::NotFound(None) => return Err(self.http.status(status)),
        };
        let result = handshake::result_of(&response, method::INITIALIZE)
            .map_err(|error| self.http.placed(error))?;
        let version = handshake::version_of(&result).map_err(|error| self.http.placed(error))?;
        let value = HeaderValue::try_from(&version).map_err(|_| {
            self.http.placed(Error::new(
                ErrorKind::Protocol,
                "the server's protocolVersion is no header value",
            ))
        })?;
        let hello = Hello {
            era: Era::Legacy,
            version,
            result,
        };
        let mut lines = Lines::default();
        lines.push(&VERSION, &value);
        if let Some(id) = &id {
            lines.push(&SESSION_ID, id);
        }
        let conversation = Conversation {
            named: id.is_some(),
            lines,
            hello,
        };
        tell(
            &self.http,
            &conversation,
            &notification(method::INITIALIZED, None),
        )
        .await?;
        Ok(conversation)
    }

    /// Reads the stream of what belongs to no call, until the session ends.
    fn stream(&self, conversation: Arc<Conversation>, opened: Option<Exchange>) {
        let (http, inbox) = (Arc::clone(&self.http), self.inbox.clone());
        let mut streams = self
            .streams
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        streams.spawn(general(http, conversation, opened, inbox));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("place", &self.http.place)
            .finish_non_exhaustive()
    }
}

pub(super) async fn tell(http: &Arc<Http>, conversation: &Conversation, body: &[u8]) -> Result<()> {
    let exchange = http
        .exchange(Verb::Post, body, conversation.lines())
        .await?;
    let status = exchange.head.status;
    exchange.drain().await;
    if status.is_success() {
        Ok(())
    } else {
        Err(http.status(status))
    }
}
