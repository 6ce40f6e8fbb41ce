//! The events of one response, across as many connections as needed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::StatusCode;

use crate::call::{Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, ParseError, Share, batch};
use crate::limits::{
    MAX_CALL_RATE, MAX_EMPTY_RESUMES, MAX_EVENT_FILLER, MAX_RESUMES, RECONNECT_MAX, WORK_QUANTUM,
};
use crate::transport::own_id::OwnId;
use crate::transport::pace::{Backoff, Rate, Turns};
use crate::transport::sse::{Event, Parser};
use crate::transport::streamable::Http;
use crate::transport::streamable::conversation::Conversation;
use crate::transport::streamable::request::connections::Repeat;
use crate::transport::streamable::request::exchange::{Exchange, overloaded};
use crate::transport::streamable::request::headers::Verb;
use crate::transport::streamable::request::ids::Answers;

/// Default wait before a stream is opened again.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// Bytes counted for a useless event in addition to its data.
const EVENT_COST: usize = 32;

/// The events of one response.
pub(crate) struct Events {
    http: Arc<Http>,
    exchange: Option<Exchange>,
    conversation: Option<Arc<Conversation>>,
    parser: Parser,
    /// The memory of the event that is being received.
    share: Option<Share>,
    /// The id of the call that this stream answers; `None` for the general stream.
    own: Option<OwnId>,
    /// An error response without an id, used as the answer if no better one arrives.
    unnamed: Option<Message>,
    /// The remaining messages of a batch.
    batch: VecDeque<Message>,
    pub(crate) last_id: Option<String>,
    pub(crate) retry: Duration,
    backoff: Backoff,
    rate: Rate,
    /// Received, but not given to the parser yet.
    unparsed: Bytes,
    turns: Turns,
    /// Resumptions since the last message.
    resumes: usize,
    /// Resumptions since the last event.
    empty: usize,
}

impl Events {
    /// Reads the response to the request with the id `own`.
    pub(crate) fn of_call(
        http: Arc<Http>,
        exchange: Exchange,
        conversation: Option<Arc<Conversation>>,
        own: OwnId,
    ) -> Self {
        Self {
            own: Some(own),
            ..Self::outside(http, exchange, conversation)
        }
    }

    /// Reads a stream that belongs to no call.
    pub(crate) fn outside(
        http: Arc<Http>,
        exchange: Exchange,
        conversation: Option<Arc<Conversation>>,
    ) -> Self {
        let parser = Parser::new(http.message_bytes);
        Self {
            http,
            exchange: Some(exchange),
            conversation,
            parser,
            share: None,
            own: None,
            unnamed: None,
            batch: VecDeque::new(),
            last_id: None,
            retry: RETRY,
            backoff: Backoff::default(),
            rate: Rate::new(MAX_CALL_RATE),
            unparsed: Bytes::new(),
            turns: Turns::default(),
            resumes: 0,
            empty: 0,
        }
    }

    /// Returns a ready reply if the response arrives first, otherwise a stream.
    pub(crate) async fn into_reply(mut self) -> Result<Reply> {
        let first = self.next_item().await?;
        if let ReplyItem::Response(response) = first {
            self.leave();
            return Ok(Reply::ready(response));
        }
        let rest = stream::unfold(Some(self), |events| async move {
            let mut events = events?;
            match events.next_item().await {
                Ok(ReplyItem::Response(message)) => {
                    events.leave();
                    Some((ReplyItem::Response(message), None))
                }
                Ok(item) => Some((item, Some(events))),
                Err(error) => Some((ReplyItem::Failed(error), None)),
            }
        });
        Ok(Reply::stream(stream::iter([first]).chain(rest).boxed()))
    }

    async fn next_item(&mut self) -> Result<ReplyItem> {
        loop {
            let message = self.next().await?;
            if message.is_response() {
                return Ok(ReplyItem::Response(message));
            }
            self.rate.pass().await;
            let size = message.bytes().len();
            match self.http.item(message, self.conversation.as_ref()) {
                Some(item) => return Ok(item),
                None => self.parser.wasted(size + EVENT_COST),
            }
        }
    }

    /// Returns the next message that belongs to the call or to no call.
    pub(crate) async fn next(&mut self) -> Result<Message> {
        loop {
            while let Some(message) = self.batch.pop_front() {
                if let Some(message) = self.accept(message) {
                    return Ok(message);
                }
            }
            match self.parser.next() {
                Ok(Some(event)) => {
                    if let Some(message) = self.take(event) {
                        return Ok(message);
                    }
                    continue;
                }
                Ok(None) if !self.parser.is_over() => {}
                Ok(None) => return Err(self.too_long()),
                Err(error) => return Err(self.protocol(&error.to_string())),
            }
            if self.parser.filler() > MAX_EVENT_FILLER {
                return Err(self.broken(&format!(
                    "its stream brought {MAX_EVENT_FILLER} bytes without a message"
                )));
            }
            if !self.unparsed.is_empty() {
                // A chunk can hold half a megabyte.
                let piece = self.unparsed.len().min(WORK_QUANTUM);
                self.parser.push(self.unparsed.split_to(piece));
                let grown = self.http.memory.grow(&mut self.share, self.parser.size());
                grown.map_err(|full| self.http.placed(overloaded(full)))?;
                self.turns.spend(piece, self.parser.filler()).await;
                continue;
            }
            let Some(exchange) = &mut self.exchange else {
                if let Some(answer) = self.unnamed.take() {
                    return Ok(answer);
                }
                self.resume().await?;
                continue;
            };
            match exchange.chunk().await {
                Ok(Some(chunk)) => self.unparsed = chunk,
                Ok(None) => {
                    exchange.release();
                    self.exchange = None;
                    if let Some(message) = self.last() {
                        return Ok(message);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Protocol => {
                    return Err(self.http.placed(error));
                }
                Err(error) => {
                    tracing::debug!(server = %self.http.place.server, %error, "a stream broke off");
                    self.exchange = None;
                }
            }
        }
    }

    /// Returns the message of an event whose empty line is missing at the end of the stream. A cut event is skipped, and
    /// its id is not used, so that the stream can be resumed before it.
    fn last(&mut self) -> Option<Message> {
        let event = self.parser.end()?;
        Message::received_all(&event.data).ok()?;
        self.take(event)
    }

    /// Returns the message of an event. Events that are not messages are skipped.
    fn take(&mut self, event: Event) -> Option<Message> {
        self.empty = 0;
        if event.id.is_some() {
            self.last_id = event.id;
        }
        if let Some(ms) = event.retry {
            self.retry = Duration::from_millis(ms);
        }
        let size = event.data.len();
        if size > 0 && matches!(&event.name[..], "" | "message") {
            match Message::received(event.data.clone()) {
                Ok(message) => {
                    let share = self.share.take().map(Arc::new);
                    return self.accept(message.holding(share));
                }
                Err(ParseError::Batch) => self.batch.extend(batch(&event.data)),
                Err(error) => {
                    tracing::debug!(server = %self.http.place.server, %error, "an event that is no message was passed over");
                }
            }
        }
        self.parser.wasted(size + EVENT_COST);
        None
    }

    /// Returns the message if it is meant for the reader of this stream.
    fn accept(&mut self, message: Message) -> Option<Message> {
        if message.is_response() {
            let answers = match &self.own {
                Some(own) => self.http.ids.judge(&message, own, false),
                None => Answers::Other,
            };
            if answers != Answers::This {
                self.parser.wasted(message.bytes().len() + EVENT_COST);
                if answers == Answers::Unnamed {
                    self.unnamed.get_or_insert(message);
                } else {
                    tracing::debug!(server = %self.http.place.server, "skipped a response to another request");
                }
                return None;
            }
        }
        self.parser.fed();
        (self.resumes, self.empty) = (0, 0);
        self.backoff.reset();
        Some(message)
    }

    /// Resumes an interrupted stream after the last event, if the server supports that.
    async fn resume(&mut self) -> Result<()> {
        let (Some(conversation), Some(last_id), Some(_)) =
            (&self.conversation, &self.last_id, &self.own)
        else {
            return Err(self.broken("the stream ended before the response"));
        };
        if self.resumes >= MAX_RESUMES || self.empty >= MAX_EMPTY_RESUMES {
            return Err(self.broken("the stream ended before the response, again and again"));
        }
        self.resumes += 1;
        self.empty += 1;
        tokio::time::sleep(self.backoff.next(self.retry, RECONNECT_MAX)).await;
        let more = conversation.lines_after(last_id);
        let opened = self
            .http
            .exchange(Verb::Get, &[], &more, (Repeat::Harmless, None));
        let exchange = match opened.await {
            Ok(exchange) => exchange,
            // The server may be restarting.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::debug!(server = %self.http.place.server, %error, "a stream cannot be resumed yet");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let status = exchange.head.status;
        if status.is_success() && exchange.is_events() {
            self.parser = Parser::new(self.http.message_bytes);
            self.unparsed = Bytes::new();
            self.exchange = Some(exchange);
            return Ok(());
        }
        exchange.drain().await;
        if may_pass(status) {
            return Ok(());
        }
        Err(self.broken(&format!(
            "the stream ended before the response and cannot be resumed (HTTP {})",
            status.as_u16()
        )))
    }

    fn too_long(&self) -> Error {
        let limit = self.http.message_bytes;
        self.protocol(&format!(
            "an event of the stream is larger than {limit} bytes"
        ))
    }

    fn protocol(&self, text: &str) -> Error {
        let text = format!("server {}: {text}", self.http.place.server);
        self.http.placed(Error::new(ErrorKind::Protocol, text))
    }

    fn broken(&self, text: &str) -> Error {
        let text = format!("server {}: {text}", self.http.place.server);
        self.http.placed(Error::new(ErrorKind::Unavailable, text))
    }

    /// Drains the stream in the background, so that the connection can be reused.
    fn leave(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.http.janitor.short(exchange.drain());
        }
    }
}

/// Returns `true` if an error status may be temporary: from a load balancer, or while a server starts.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}
