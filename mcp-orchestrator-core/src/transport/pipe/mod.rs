//! One conversation over a byte stream, shared by many callers.
//!
//! A writer task and a reader task own the two ends. Each request gets an id (and progress token) of the pipe, and its
//! response gets the caller's id back. When a caller leaves, the instance receives a cancellation.

mod ending;
mod incoming;
mod options;
mod pending;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::options::{Ask, Options};
use self::pending::{First, Pending};
use self::writer::Command;
use super::handshake::Shaken;
use super::own_id::OwnId;
use super::remap::renumbered;
use super::{Check, Hello, Inbox, Note, Outgoing, Place, era, handshake};
use crate::call::{Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, MessageMemory, error_response, keeping};
use crate::limits::{MAX_QUEUED_LINES, MAX_RIGHTS_CHECKS, UNCOUNTED_MESSAGE_LEN};
use crate::protocol::{Era, method};

/// A request that will not be answered.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Its id in this conversation.
    pub(crate) id: u64,
    /// Why it failed.
    pub(crate) error: Error,
}

/// Outcome of opening a conversation.
pub(crate) enum Opened {
    /// The conversation is open.
    Open(Pipe),
    /// The program ran before and rejects a second handshake, and no record of the first exists. Contains the
    /// rejection.
    Unknown(Error),
}

/// One conversation over a byte stream.
pub(crate) struct Pipe {
    shared: Arc<Shared>,
    outbox: mpsc::Sender<Command>,
    hello: Hello,
    /// The reader and writer tasks, aborted on drop.
    _tasks: JoinSet<()>,
    /// Tasks that carry the lines to the instance, aborted on drop.
    _carriers: Option<JoinSet<()>>,
}

/// State shared between callers' guards and the two tasks.
struct Shared {
    place: Place,
    pending: Pending,
    ask: Ask,
    /// `true` if the program ran before.
    joined: bool,
    note: Note,
    inbox: Inbox,
    /// The memory of the instance's messages.
    memory: Arc<MessageMemory>,
    /// Ids of calls that their callers abandoned; the writer sends a cancellation for each. Dropped if the instance
    /// does not read.
    abandoned: mpsc::Sender<u64>,
    /// Cancelled when the input stream ends; the reason is determined afterwards.
    ending: CancellationToken,
    /// Cancelled when the conversation ends, so that both ends of the stream are released.
    over: CancellationToken,
    /// Cancelled when the reading and the writing end of the stream have been dropped.
    released: [CancellationToken; 2],
}

impl Pipe {
    /// Opens a conversation: starts the tasks and performs the handshake. The caller limits the time.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future ends the conversation.
    pub(crate) async fn open(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        options: Options,
    ) -> Result<Opened> {
        let (outbox, commands) = mpsc::channel(MAX_QUEUED_LINES);
        let (abandoned, left) = mpsc::channel(MAX_QUEUED_LINES);
        let first_id = options.joined.as_ref().map_or(1, |_| random_start());
        let shared = Arc::new(Shared {
            place: options.place,
            pending: Pending::new(first_id, options.in_flight),
            ask: options.ask,
            joined: options.joined.is_some(),
            note: options.note,
            inbox: options.inbox,
            memory: Arc::default(),
            abandoned,
            ending: CancellationToken::new(),
            over: CancellationToken::new(),
            released: Default::default(),
        });
        let mut tasks = JoinSet::new();
        let (place, over) = (shared.place.clone(), shared.over.clone());
        let [reading, writing] = shared.released.clone().map(CancellationToken::drop_guard);
        tasks.spawn(async move {
            // Dropped after the stream.
            let _writing = writing;
            writer::run(writer, commands, left, place, over).await;
        });
        if let Some(failed) = options.failed {
            tasks.spawn(fail(failed, Arc::clone(&shared)));
        }
        let incoming = incoming::Incoming::new(Arc::clone(&shared), outbox.downgrade());
        tasks.spawn(async move {
            let _reading = reading;
            let (most, exited) = (options.message_bytes, options.exited);
            incoming.run(reader, most, exited).await;
        });
        let unknown = Hello {
            era: Era::Legacy,
            version: String::new(),
            result: Bytes::new(),
        };
        let mut pipe = Self {
            shared,
            outbox,
            hello: unknown,
            _tasks: tasks,
            _carriers: None,
        };
        let joined = options.joined.as_ref();
        if joined.is_some() {
            pipe.line(Bytes::from_static(b"\n"), None).await?;
        }
        match handshake::shake(&pipe, options.era, &options.profile, joined).await? {
            Shaken::Hello(hello) => pipe.hello = hello,
            Shaken::Unknown(refused) => return Ok(Opened::Unknown(refused)),
        }
        Ok(Opened::Open(pipe))
    }

    /// Attaches the tasks that carry the lines.
    pub(crate) fn carried_by(mut self, carriers: JoinSet<()>) -> Self {
        self._carriers = Some(carriers);
        self
    }

    /// Returns the result of the handshake.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Sends a request and waits for its response or the first message before it.
    ///
    /// # Cancel safety
    /// Dropping the future or the reply cancels the request at the instance.
    pub(crate) async fn request(&self, outgoing: &Outgoing<'_>) -> Result<Reply> {
        let reply = self.send(outgoing).await?;
        Ok(era::reply(
            reply,
            self.hello.era,
            outgoing.era,
            outgoing.message.method(),
        ))
    }

    /// Sends a request without translation between eras of its reply.
    async fn send(&self, outgoing: &Outgoing<'_>) -> Result<Reply> {
        let (line, first, guard) = self.prepare(outgoing)?;
        if let Err(refused) = self.line(line, outgoing.check).await {
            guard.disarm();
            return Err(refused);
        }
        self.first(first, guard).await
    }

    /// Prepares a request: its line, the receiver of its response, and the guard that cancels it.
    fn prepare(&self, outgoing: &Outgoing<'_>) -> Result<(Bytes, oneshot::Receiver<First>, Guard)> {
        let message = outgoing.message;
        let client_id = message
            .id_bytes()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a request without an id"))?;
        let token = super::progress_token(message);
        let token_text = token.as_ref().map(|(_, text)| text.clone());
        let mut edits = Cow::Borrowed(outgoing.edits);
        era::request(outgoing, &mut edits, self.hello.era, &self.hello.version)?;
        let inserted = self
            .shared
            .pending
            .insert(client_id, token_text, outgoing.party);
        let (id, first) = inserted.map_err(|error| self.shared.placed(error))?;
        if message.method() == method::LISTEN {
            self.shared.pending.listens(id);
        }
        let guard = Guard {
            shared: Arc::clone(&self.shared),
            id,
            armed: true,
        };
        let line = renumbered(
            (message, &OwnId::from(id)),
            token.map(|(span, _)| span),
            |more| edits.apply_line_with(message.bytes(), more),
        );
        // A large request counts towards its sender's memory until its line is written, even if the call is cancelled.
        let line = match line.len() > UNCOUNTED_MESSAGE_LEN {
            true => keeping(line, message.bytes().clone()),
            false => line,
        };
        Ok((line, first, guard))
    }

    async fn first(&self, first: oneshot::Receiver<First>, mut guard: Guard) -> Result<Reply> {
        match first.await {
            Ok(First::Response(response)) => {
                guard.armed = false;
                response.map(Reply::ready)
            }
            Ok(First::Stream { items, response }) => Ok(Reply::stream(Box::pin(Items {
                items,
                response: Some(response),
                guard,
            }))),
            Err(_) => Err(self
                .shared
                .pending
                .closed()
                .unwrap_or_else(|| self.shared.gone())),
        }
    }

    /// Sends a notification, if it may still be sent once the queue has room. It is queued for writing when this
    /// returns.
    pub(crate) async fn notify(&self, notification: &Message, check: Check<'_>) -> Result<()> {
        let line = crate::jsonrpc::Splice::new().apply_line(notification.bytes());
        self.line(line, check).await
    }

    async fn line(&self, line: Bytes, check: Check<'_>) -> Result<()> {
        for _ in 0..MAX_RIGHTS_CHECKS {
            let Ok(room) = self.outbox.reserve().await else {
                return Err(self.why_closed().await);
            };
            match check {
                // Without the place in the queue, because a credential store may take long to answer.
                Some(check) if check.is_stale() => {
                    drop(room);
                    check.judge().await?;
                }
                _ => {
                    room.send(Command::Line(line));
                    return Ok(());
                }
            }
        }
        let text = "rights changed too often while the call waited: try again";
        Err(self.shared.placed(Error::new(ErrorKind::Unavailable, text)))
    }

    /// Returns why the instance takes no more input. The reader determines the reason shortly afterwards.
    async fn why_closed(&self) -> Error {
        let over = self.shared.over.cancelled();
        let told = tokio::time::timeout(incoming::EXIT_WAIT, over).await;
        let why = self.shared.pending.closed().filter(|_| told.is_ok());
        why.unwrap_or_else(|| self.shared.gone())
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("place", &self.shared.place)
            .field("hello", &self.hello.version)
            .finish()
    }
}

impl handshake::Wire for Pipe {
    async fn exchange(&self, message: Message) -> Result<Message> {
        let outgoing = Outgoing::plain(&message, 0, self.hello.era);
        self.send(&outgoing).await?.response().await
    }

    async fn tell(&self, notification: Message) -> Result<()> {
        self.notify(&notification, None).await
    }
}

impl Shared {
    fn gone(&self) -> Error {
        let text = format!("server {} takes no more input", self.place.server);
        self.placed(Error::new(ErrorKind::Unavailable, text))
    }

    fn placed(&self, error: Error) -> Error {
        error
            .with_server(&self.place.server)
            .with_instance(&self.place.instance)
    }

    fn refuse(id: &str, why: &str) -> Bytes {
        error_response(
            id,
            i64::from(crate::protocol::code::METHOD_NOT_FOUND),
            why,
            None,
        )
    }
}

/// Fails the calls that did not reach the instance.
async fn fail(mut failed: mpsc::Receiver<Failed>, shared: Arc<Shared>) {
    while let Some(Failed { id, error }) = failed.recv().await {
        shared.pending.fail(id, error);
    }
}

/// Cancels a request on drop if it was not answered.
struct Guard {
    shared: Arc<Shared>,
    id: u64,
    armed: bool,
}

impl Guard {
    /// Forgets a request that was not sent, so that it needs no cancellation.
    fn disarm(mut self) {
        self.armed = false;
        self.shared.pending.forget(self.id);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed && self.shared.pending.forget(self.id) {
            // A closed pipe needs no cancellation, and an instance that does not read would not see it.
            let _ = self.shared.abandoned.try_send(self.id);
        }
    }
}

/// The items of one call, ending with its response.
struct Items {
    items: mpsc::Receiver<ReplyItem>,
    response: Option<oneshot::Receiver<Result<Box<Message>>>>,
    guard: Guard,
}

impl Stream for Items {
    type Item = ReplyItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReplyItem>> {
        if let Poll::Ready(Some(item)) = self.items.poll_recv(cx) {
            return Poll::Ready(Some(item));
        }
        let Some(response) = &mut self.response else {
            return Poll::Ready(None);
        };
        let Poll::Ready(response) = Pin::new(response).poll(cx) else {
            return Poll::Pending;
        };
        self.response = None;
        self.guard.armed = false;
        let gone = || Err(self.guard.shared.gone());
        Poll::Ready(Some(match response.unwrap_or_else(|_| gone()) {
            Ok(message) => ReplyItem::Response(*message),
            Err(error) => ReplyItem::Failed(error),
        }))
    }
}

/// Returns a random number in the lower half of the integers that every JSON parser represents exactly.
fn random_start() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    (u64::from_be_bytes(bytes) >> 12) | 1
}
