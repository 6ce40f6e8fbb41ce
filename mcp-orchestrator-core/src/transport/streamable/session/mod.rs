//! A session of the legacy era with an HTTP server.

mod cancel_on_drop;
mod get_stream;
mod post;
mod recovery;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::get_stream::{LISTEN_WAIT, Opened, general};
use self::post::{post, tell};
use super::conversation::{Conversation, SESSION_ID};
use super::request::connections::Repeat;
use super::request::exchange::Exchange;
use super::request::headers::{Lines, Verb};
use super::request::ready::Ready;
use super::response::reply::Answer;
use super::{Http, repeat};
use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, notification, request};
use crate::limits::MAX_UPSTREAM_SESSION_ID;
use crate::protocol::{Era, header, method};
use crate::transport::handshake::{self, Profile};
use crate::transport::remap::Remap;
use crate::transport::{Check, Hello, Inbox, Outgoing, era};

const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);

/// A session that is opened on first use and reopened after the server has lost it.
pub(crate) struct Session {
    http: Arc<Http>,
    profile: Profile,
    open: ArcSwapOption<Conversation>,
    /// Held while the session is opened, so that concurrent callers open it once.
    opening: Mutex<()>,
    /// `true` once unsolicited messages are wanted; they are sent to `inbox`.
    listening: AtomicBool,
    inbox: Inbox,
    streams: parking_lot::Mutex<JoinSet<()>>,
}

impl Session {
    /// Creates a session that is not open yet.
    pub(crate) fn new(http: Arc<Http>, profile: Profile, inbox: Inbox) -> Self {
        Self {
            http,
            profile,
            open: ArcSwapOption::empty(),
            opening: Mutex::new(()),
            listening: AtomicBool::new(false),
            inbox,
            streams: parking_lot::Mutex::default(),
        }
    }

    /// Returns the server's `initialize` result.
    ///
    /// # Errors
    /// An error if the server cannot be reached or does not support the legacy era.
    pub(crate) async fn hello(&self) -> Result<Hello> {
        Ok(self.conversation().await?.hello.clone())
    }

    /// Returns `true` if the session is open as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load().is_some()
    }

    /// Returns the open conversation, as far as is known.
    pub(crate) fn current(&self) -> Option<Arc<Conversation>> {
        self.open.load_full()
    }

    /// Opens the session if it is not open.
    ///
    /// # Errors
    /// An error if the server cannot be reached or does not support the legacy era.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.conversation().await.map(drop)
    }

    /// Sends a request and waits for its response or the first message before it.
    ///
    /// # Cancel safety
    /// Dropping the future or the reply cancels the request at the server.
    pub(crate) async fn request(&self, outgoing: &Outgoing<'_>) -> Result<Reply> {
        let conversation = self.conversation().await?;
        self.request_in(conversation, outgoing).await
    }

    /// Like [`request`](Self::request), in the [current](Self::current) conversation.
    pub(crate) async fn request_in(
        &self,
        conversation: Arc<Conversation>,
        outgoing: &Outgoing<'_>,
    ) -> Result<Reply> {
        let (ready, remap) = self.prepare(outgoing)?;
        let reply = self.post(conversation, &ready).await?;
        Ok(era::reply(
            remap.reply(reply),
            Era::Legacy,
            outgoing.era,
            outgoing.message.method(),
        ))
    }

    /// Prepares a request under an id of ours, with the mapping back to the caller's id.
    fn prepare<'a>(&self, outgoing: &Outgoing<'a>) -> Result<(Ready<'a>, Remap)> {
        let message = outgoing.message;
        let id = self.http.ids.take();
        let remap = Remap::begin(message, id);
        let mut edits = Cow::Borrowed(outgoing.edits);
        era::request(outgoing, &mut edits, Era::Legacy, "")?;
        let ready = Ready {
            body: remap.apply(message, &edits),
            id,
            repeat: repeat(message.method()),
            check: outgoing.check,
            trace: outgoing.trace,
        };
        Ok((ready, remap))
    }

    pub(super) fn http(&self) -> &Arc<Http> {
        &self.http
    }

    /// Sends a notification, if it may still be sent by then.
    pub(crate) async fn notify(&self, notification: &Message, check: Check<'_>) -> Result<()> {
        let conversation = self.conversation().await?;
        post(&self.http, &conversation, notification.bytes(), check).await
    }

    /// Starts to pass on messages that belong to no call. Messages that the server sends after this returns are
    /// received, if it offers such a stream.
    pub(crate) async fn listen(&self) -> Result<()> {
        let conversation = self.conversation().await?;
        if self.listening.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let opened = self.http.general_stream(&conversation, None);
        match tokio::time::timeout(LISTEN_WAIT, opened).await {
            Ok(Ok(Opened::Never)) => {}
            Ok(Ok(Opened::Stream(exchange))) => self.stream(conversation, Some(exchange)),
            // Not available now, or the head arrives only with the first event.
            Ok(Ok(Opened::NotNow(..)) | Err(_)) | Err(_) => self.stream(conversation, None),
        }
        Ok(())
    }

    /// Ends the session at the server.
    pub(crate) fn close(&self) {
        let Some(conversation) = self.open.swap(None) else {
            return;
        };
        self.streams.lock().abort_all();
        self.end(conversation);
    }

    /// Ends a conversation at the server.
    pub(super) fn end(&self, conversation: Arc<Conversation>) {
        conversation.over.cancel();
        if !conversation.named {
            return;
        }
        let http = Arc::clone(&self.http);
        self.http.janitor.short(async move {
            let lines = conversation.lines();
            let sent = http.exchange(Verb::Delete, &[], lines, (Repeat::Harmless, None));
            if let Ok(exchange) = sent.await {
                exchange.drain().await;
            }
        });
    }

    /// Marks this conversation as lost. The next use opens another one.
    pub(super) fn lost(&self, conversation: &Arc<Conversation>) {
        conversation.over.cancel();
        let current = self.open.load();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, conversation))
        {
            self.open.compare_and_swap(&*current, None);
        }
    }

    /// Replaces a lost conversation by a new one.
    pub(super) fn replace(&self, old: &Arc<Conversation>, new: Arc<Conversation>) {
        let current = self.open.load();
        if !current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, old))
        {
            // Another caller opened one in the meantime; this call continues in its own.
            return;
        }
        self.open
            .compare_and_swap(&*current, Some(Arc::clone(&new)));
        old.over.cancel();
        if self.listening.load(Ordering::Acquire) {
            self.stream(new, None);
        }
    }

    pub(super) async fn conversation(&self) -> Result<Arc<Conversation>> {
        if let Some(open) = &*self.open.load() {
            return Ok(Arc::clone(open));
        }
        // Once per session, so boxed: its future must not enlarge that of every call.
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

    pub(super) async fn initialize(&self) -> Result<Conversation> {
        let params = handshake::initialize_params(&self.profile);
        let own = self.http.ids.take();
        let body = request(own.as_str(), method::INITIALIZE, Some(&params));
        let none = Lines::default();
        let sent = self
            .http
            .exchange(Verb::Post, &body, &none, (Repeat::Harmless, None));
        let exchange = sent.await?;
        let id = exchange.head.field(&SESSION_ID);
        let id = id.filter(|id| !id.is_empty());
        let response = match self.http.answer(&mut Some(exchange), own, None).await? {
            Answer::Reply(reply) => reply.response().await?,
            Answer::Refused(refusal) => refusal.outcome()?.response().await?,
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
        if id
            .as_ref()
            .is_some_and(|id| id.len() > MAX_UPSTREAM_SESSION_ID)
        {
            let text =
                format!("the server's session id is longer than {MAX_UPSTREAM_SESSION_ID} bytes");
            return Err(self.http.placed(Error::new(ErrorKind::Protocol, text)));
        }
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
            over: CancellationToken::new(),
            asking: AtomicUsize::new(0),
            probed: parking_lot::Mutex::new(None),
        };
        tell(
            &self.http,
            &conversation,
            &notification(method::INITIALIZED, None),
        )
        .await?;
        Ok(conversation)
    }

    /// Reads the general stream until the session ends.
    fn stream(&self, conversation: Arc<Conversation>, opened: Option<Exchange>) {
        let (http, inbox) = (Arc::clone(&self.http), self.inbox.clone());
        let mut streams = self.streams.lock();
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
