//! From a response to a [`Reply`]: JSON at once, a stream by its events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

use super::Http;
use super::exchange::Exchange;
use super::heads::Verb;
use super::session::Conversation;
use crate::call::{Reply, ReplyItem, ServerRequest};
use crate::challenge::Challenge;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Message};
use crate::transport::sse::Parser;

/// How long to wait before a stream is resumed, where the server does not say.
const RETRY: Duration = Duration::from_secs(1);
/// The longest wait that a server can ask for.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Resumptions in a row that bring nothing.
const RESUMES: u32 = 5;

/// What a response turned out to be.
pub(super) enum Answer {
    Reply(Reply),
    /// HTTP 404 without a JSON-RPC answer, or to a session.
    NotFound(Option<Message>),
}

impl Http {
    /// Reads the answer to a request. `conversation` is the legacy session that it belongs to.
    ///
    /// The exchange is borrowed, so that it does not stand in the future of each call twice.
    pub(super) async fn answer(
        self: &Arc<Self>,
        exchange: &mut Option<Exchange>,
        conversation: Option<&Arc<Conversation>>,
    ) -> Result<Answer> {
        let Some(response) = exchange else {
            return Err(Error::new(ErrorKind::Internal, "an answer was read twice"));
        };
        let status = response.head.status;
        if !response.is_json() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            return Box::pin(self.other_answer(exchange.take(), conversation)).await;
        }
        let message = self.message(response).await?;
        self.answered(status, message)
    }

    /// What is no plain JSON: a stream of events, a demand for another credential, nothing at all.
    async fn other_answer(
        self: &Arc<Self>,
        exchange: Option<Exchange>,
        conversation: Option<&Arc<Conversation>>,
    ) -> Result<Answer> {
        let Some(mut exchange) = exchange else {
            return Err(Error::new(ErrorKind::Internal, "an answer was read twice"));
        };
        let status = exchange.head.status;
        if status.is_success() && exchange.is_events() {
            let events = Events::new(Arc::clone(self), exchange, conversation.cloned());
            return Ok(Answer::Reply(events.into_reply().await?));
        }
        if status == StatusCode::UNAUTHORIZED {
            exchange.drain().await;
            return Err(self.status(status));
        }
        if status == StatusCode::FORBIDDEN
            && let Some(challenge) = demanded(&exchange)
        {
            exchange.drain().await;
            return Err(self.insufficient(challenge));
        }
        if !exchange.is_json() {
            exchange.drain().await;
            return self.answered(status, None);
        }
        let message = self.message(&mut exchange).await?;
        self.answered(status, message)
    }

    /// The response that a JSON body is; none where it is something else.
    async fn message(&self, exchange: &mut Exchange) -> Result<Option<Message>> {
        let body = exchange.whole(self.message_bytes).await;
        let body = body.map_err(|error| self.placed(error))?;
        Ok(Message::parse(body).ok().filter(Message::is_response))
    }

    /// What a whole body means.
    fn answered(&self, status: StatusCode, message: Option<Message>) -> Result<Answer> {
        match message {
            _ if status == StatusCode::NOT_FOUND => Ok(Answer::NotFound(message)),
            Some(response) => Ok(Answer::Reply(Reply::ready(response))),
            None if status.is_success() => {
                let text = format!(
                    "server {} answered a request with no JSON-RPC response",
                    self.place.server
                );
                Err(self.placed(Error::new(ErrorKind::Protocol, text)))
            }
            None => Err(self.status(status)),
        }
    }
}

/// What a server demands that took the token and wants one that allows more.
fn demanded(exchange: &Exchange) -> Option<Challenge> {
    let field = exchange.head.field(&WWW_AUTHENTICATE)?;
    let challenge = Challenge::parse(field.to_str().ok())?;
    challenge.is_insufficient_scope().then_some(challenge)
}

/// The events of one response, over as many connections as it takes.
pub(super) struct Events {
    http: Arc<Http>,
    exchange: Option<Exchange>,
    conversation: Option<Arc<Conversation>>,
    parser: Parser,
    last_id: Option<String>,
    retry: Duration,
    fruitless: u32,
}

impl Events {
    pub(super) fn new(
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
            last_id: None,
            retry: RETRY,
            fruitless: 0,
        }
    }

    /// A reply that is ready where the response comes first.
    async fn into_reply(mut self) -> Result<Reply> {
        let first = self.next().await?;
        if first.is_response() {
            self.leave();
            return Ok(Reply::ready(first));
        }
        let first = self.item(first);
        let rest = stream::unfold(Some(self), |events| async move {
            let mut events = events?;
            match events.next().await {
                Ok(message) if message.is_response() => {
                    events.leave();
                    Some((ReplyItem::Response(message), None))
                }
                Ok(message) => {
                    let item = events.item(message);
                    Some((item, Some(events)))
                }
                Err(error) => Some((ReplyItem::Failed(error), None)),
            }
        });
        Ok(Reply::stream(stream::iter([first]).chain(rest).boxed()))
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message> {
        loop {
            while let Some(event) = self
                .parser
                .next()
                .map_err(|error| self.broken(&error.to_string()))?
            {
                self.fruitless = 0;
                if event.id.is_some() {
                    self.last_id = event.id;
                }
                if let Some(ms) = event.retry {
                    self.retry = Duration::from_millis(ms).min(RETRY_MAX);
                }
                if !event.data.is_empty() && matches!(&event.name[..], "" | "message") {
                    return Message::parse(event.data)
                        .map_err(|error| self.broken(&error.to_string()));
                }
            }
            let Some(exchange) = &mut self.exchange else {
                self.resume().await?;
                continue;
            };
            match exchange.chunk().await {
                Ok(Some(chunk)) => self.parser.push(chunk),
                Ok(None) => self.exchange = None,
                Err(error) => {
                    tracing::debug!(server = %self.http.place.server, %error, "a stream broke off");
                    self.exchange = None;
                }
            }
        }
    }

    /// The last event's id, where events have ids.
    pub(super) fn last_id(&self) -> Option<String> {
        self.last_id.clone()
    }

    /// How long to wait before the stream is opened again.
    pub(super) fn retry(&self) -> Duration {
        self.retry
    }

    /// Goes on where the stream ended, as far as the server can.
    async fn resume(&mut self) -> Result<()> {
        let (Some(conversation), Some(last_id)) = (&self.conversation, &self.last_id) else {
            return Err(self.broken("the stream ended before the response"));
        };
        if self.fruitless >= RESUMES {
            return Err(self.broken("the stream ended before the response, again and again"));
        }
        self.fruitless += 1;
        tokio::time::sleep(self.retry).await;
        let more = conversation.lines_after(last_id);
        let exchange = self.http.exchange(Verb::Get, &[], &more).await?;
        if !exchange.head.status.is_success() || !exchange.is_events() {
            return Err(self.broken("the stream ended before the response and cannot be resumed"));
        }
        self.parser = Parser::new(self.http.message_bytes);
        self.exchange = Some(exchange);
        Ok(())
    }

    fn item(&self, message: Message) -> ReplyItem {
        if message.kind() == Kind::Notification {
            return ReplyItem::Notification(message);
        }
        let Some(conversation) = self.conversation.clone() else {
            // Dropped by whoever gets it; a modern server must not ask this way.
            return ReplyItem::Request(ServerRequest::new(message).0);
        };
        ReplyItem::Request(ask(&self.http, conversation, message))
    }

    fn broken(&self, text: &str) -> Error {
        let text = format!("server {}: {text}", self.http.place.server);
        self.http.placed(Error::new(ErrorKind::Unavailable, text))
    }

    /// Reads the rest elsewhere, so that the connection serves the next request.
    fn leave(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.http.janitor.short(exchange.drain());
        }
    }
}

/// A server's request whose answer is posted to its session.
pub(super) fn ask(
    http: &Arc<Http>,
    conversation: Arc<Conversation>,
    message: Message,
) -> ServerRequest {
    let id = message.id_bytes().unwrap_or_default();
    let (request, answer) = ServerRequest::new(message);
    let sender = Arc::clone(http);
    http.janitor.long(async move {
        let body = match crate::transport::answered(answer).await {
            Some(answer) => answer.with_id(id).into_bytes(),
            None => {
                let id = String::from_utf8_lossy(&id);
                let code = i64::from(crate::protocol::code::METHOD_NOT_FOUND);
                crate::jsonrpc::error_response(&id, code, "the client did not answer", None)
            }
        };
        match sender
            .exchange(Verb::Post, &body, conversation.lines())
            .await
        {
            Ok(exchange) => exchange.drain().await,
            Err(error) => tracing::debug!(%error, "an answer did not reach its server"),
        }
    });
    request
}
