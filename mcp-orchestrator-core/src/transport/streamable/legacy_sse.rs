//! HTTP+SSE of 2024-11-05: a stream of events from the server, and a URL from its first event for messages to it.
//!
//! Other modules see a pipe: each event becomes a line, and each line is posted. The end of the stream ends the
//! session.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Http;
use super::request::connections::Repeat;
use super::request::exchange::Exchange;
use super::request::headers::{Lines, Verb};
use super::request::origin;
use super::response::refusal::retry_after;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Message, whole_number};
use crate::limits::{MAX_EVENT_FILLER, MAX_QUEUED_FAILURES};
use crate::runtime::Exit;
use crate::transport::pipe::Failed;
use crate::transport::sse::{Event, Parser};

/// Size of the buffer between pipe and stream, in bytes.
const BUFFER: usize = 64 * 1024;

/// An open stream: the two halves of its pipe, and its end.
pub(crate) struct LegacySse {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) ended: oneshot::Receiver<Exit>,
    /// Requests that will get no response.
    pub(crate) failed: mpsc::Receiver<Failed>,
    /// The tasks that copy between pipe and stream. They end with the pipe.
    pub(crate) tasks: JoinSet<()>,
}

/// A stream, and the URL for messages to the server from its first event.
pub(crate) struct OpenedSse {
    events: Events,
    address: Bytes,
}

impl OpenedSse {
    /// Reads the first event of a stream; `None` if it names no URL.
    pub(super) async fn begin(stream: Exchange, message_bytes: usize) -> Option<Self> {
        let parser = Parser::new(message_bytes);
        let mut events = Events { stream, parser };
        loop {
            match events.next().await {
                Ok(Some(Came::Event(event))) if event.name == "endpoint" => {
                    let address = event.data;
                    return Some(Self { events, address });
                }
                Ok(Some(Came::Event(event))) if event.data.is_empty() => {}
                _ => return None,
            }
        }
    }
}

impl Http {
    /// Opens the stream and waits for the server to name the URL for messages. Without a timeout; the caller sets one.
    ///
    /// # Errors
    /// If the server cannot be reached, offers no such stream, or names a URL of another origin.
    pub(crate) async fn legacy_sse(self) -> Result<LegacySse> {
        let none = Lines::default();
        let sent = self.exchange(Verb::Get, &[], &none, (Repeat::Harmless, None));
        let stream = sent.await?;
        let status = stream.head.status;
        if !status.is_success() {
            let after = retry_after(&stream.head);
            let body = stream.explanation().await;
            return Err(self.status(status, &body, after));
        }
        if !stream.is_events() {
            stream.drain().await;
            let text = format!(
                "server {} offers no event stream (HTTP {})",
                self.place.server,
                status.as_u16()
            );
            return Err(self.placed(Error::new(ErrorKind::Protocol, text)));
        }
        let mut events = Events {
            stream,
            parser: Parser::new(self.message_bytes),
        };
        let address = loop {
            match events.next().await {
                Ok(Some(Came::Event(event))) if event.name == "endpoint" => break event.data,
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Err(self.no_address("ended its stream before it named an address"));
                }
                Err(error) => return Err(self.placed(error)),
            }
        };
        self.legacy_sse_over(OpenedSse { events, address })
    }

    /// Uses a stream that is already open.
    ///
    /// # Errors
    /// If the server has named a URL of another origin.
    pub(crate) fn legacy_sse_over(self, opened: OpenedSse) -> Result<LegacySse> {
        let OpenedSse { events, address } = opened;
        let target = std::str::from_utf8(&address)
            .ok()
            .and_then(|named| origin::resolve(&self.uri, named))
            .ok_or_else(|| self.no_address("names an address of another origin"))?;
        let heads = self.heads.at(&target);
        let back = Arc::new(Self { heads, ..self });
        Ok(carry(events, back))
    }

    fn no_address(&self, what: &str) -> Error {
        let text = format!("server {} {what} for messages", self.place.server);
        self.placed(Error::new(ErrorKind::Protocol, text))
    }
}

fn carry(events: Events, back: Arc<Http>) -> LegacySse {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (reader, writer) = tokio::io::split(ours);
    let (from_pipe, to_pipe) = tokio::io::split(theirs);
    let (ending, ended) = oneshot::channel();
    let (failing, failed) = mpsc::channel(MAX_QUEUED_FAILURES);
    let mut tasks = JoinSet::new();
    tasks.spawn(read(
        events,
        to_pipe,
        Arc::clone(&back),
        failing.clone(),
        ending,
    ));
    tasks.spawn(write(from_pipe, back, failing));
    LegacySse {
        reader: Box::new(reader),
        writer: Box::new(writer),
        ended,
        failed,
        tasks,
    }
}

/// Copies from the stream to the pipe.
async fn read(
    mut events: Events,
    mut to_pipe: tokio::io::WriteHalf<DuplexStream>,
    back: Arc<Http>,
    failing: mpsc::Sender<Failed>,
    ending: oneshot::Sender<Exit>,
) {
    let reason = loop {
        match events.next().await {
            Ok(Some(Came::Event(event))) if matches!(&event.name[..], "" | "message") => {
                if event.data.is_empty() {
                    continue;
                }
                events.parser.fed();
                if write_line(&mut to_pipe, &event.data).await.is_err() {
                    break "the conversation has ended".to_owned();
                }
            }
            Ok(Some(Came::TooLong(answers, text))) => {
                tracing::warn!(server = %back.place.server, text, "an event was dropped");
                if let Some(id) = answers.as_deref().and_then(whole_number) {
                    let text = format!("server {}: {text}", back.place.server);
                    let error = back.placed(Error::new(ErrorKind::Protocol, text));
                    let _ = failing.send(Failed { id, error }).await;
                }
            }
            Ok(Some(Came::Event(_))) => {}
            Ok(None) => break "its event stream ended".to_owned(),
            Err(error) => break format!("its event stream broke off: {error}"),
        }
    };
    // The receiver is gone if the pipe was closed first.
    let _ = ending.send(Exit {
        reason,
        ..Exit::default()
    });
    // Dropping this half alone would not be noticed, because the other half stays open, and calls in flight must end.
    let _ = to_pipe.shutdown().await;
}

/// Copies from the pipe to the URL for messages. A message that the server rejects fails its call.
async fn write(
    from_pipe: tokio::io::ReadHalf<DuplexStream>,
    back: Arc<Http>,
    failing: mpsc::Sender<Failed>,
) {
    let mut lines = BufReader::new(from_pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let Err(error) = back.send(&line).await else {
            continue;
        };
        tracing::warn!(server = %back.place.server, %error, "a message was not taken");
        let message = Message::parse(line.into()).ok();
        let request = message.filter(|message| message.kind() == Kind::Request);
        if let Some(id) = request
            .as_ref()
            .and_then(Message::id)
            .and_then(whole_number)
        {
            // Fails only if the connection has ended, and its calls with it.
            let _ = failing.send(Failed { id, error }).await;
        }
    }
}

impl Http {
    async fn send(&self, line: &[u8]) -> Result<()> {
        let none = Lines::default();
        let sent = self.exchange(Verb::Post, line, &none, (Repeat::Never, None));
        let exchange = sent.await?;
        let status = exchange.head.status;
        if status.is_success() {
            exchange.drain().await;
            return Ok(());
        }
        let after = retry_after(&exchange.head);
        let body = exchange.explanation().await;
        Err(self.status(status, &body, after))
    }
}

async fn write_line(
    pipe: &mut tokio::io::WriteHalf<DuplexStream>,
    data: &Bytes,
) -> std::io::Result<()> {
    // Line breaks in JSON are white space between tokens.
    let mut line = data.to_vec();
    line.iter_mut()
        .filter(|b| matches!(b, b'\n' | b'\r'))
        .for_each(|b| *b = b' ');
    line.push(b'\n');
    pipe.write_all(&line).await
}

struct Events {
    stream: Exchange,
    parser: Parser,
}

enum Came {
    Event(Event),
    /// An event over the size limit was skipped: the id that it answers, as JSON, and an error text.
    TooLong(Option<String>, String),
}

impl Events {
    async fn next(&mut self) -> Result<Option<Came>> {
        loop {
            match self.parser.next() {
                Ok(Some(event)) => return Ok(Some(Came::Event(event))),
                Ok(None) => {}
                Err(error) => {
                    let text = error.to_string();
                    return Ok(Some(Came::TooLong(error.answers, text)));
                }
            }
            if self.parser.filler() > MAX_EVENT_FILLER {
                let text = format!("it brought {MAX_EVENT_FILLER} bytes without a message");
                return Err(Error::new(ErrorKind::Protocol, text));
            }
            match self.stream.chunk().await? {
                Some(chunk) => self.parser.push(chunk),
                None => return Ok(None),
            }
        }
    }
}
