//! The reading end: each line is a response, a notification or a request of the instance, or noise.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use super::pending::Nobody;
use super::writer::Command;
use super::{Ask, Shared};
use crate::call::{ReplyItem, ServerRequest};
use crate::error::{Error, ErrorKind};
use crate::jsonrpc::{Kind, Members, Message, Splice, response};
use crate::protocol::method;
use crate::runtime::{Exit, LogSource};
use crate::transport::lines::{Line, Lines};
use crate::transport::{Unsolicited, answered};

/// How long the end of a program may come after the end of its output.
pub(super) const EXIT_WAIT: Duration = Duration::from_secs(2);
/// How much of a line that is no message is kept.
const NOISE: usize = 300;

pub(super) struct Incoming {
    shared: Arc<Shared>,
    outbox: mpsc::WeakSender<Command>,
}

impl Incoming {
    pub(super) fn new(shared: Arc<Shared>, outbox: mpsc::WeakSender<Command>) -> Self {
        Self { shared, outbox }
    }

    pub(super) async fn run(
        self,
        reader: impl AsyncRead + Unpin,
        message_bytes: usize,
        exited: BoxFuture<'static, Exit>,
    ) {
        let mut lines = Lines::new(reader, message_bytes);
        let cut = loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => self.line(&line),
                Ok(Some(Line::Over { head, tail, length })) => {
                    self.over(&head, &tail, length, message_bytes);
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.shared.ending.cancel();
        let exit = tokio::time::timeout(EXIT_WAIT, exited).await.ok();
        self.shared.pending.close(&self.ended(exit, cut));
        self.shared.over.cancel();
    }

    fn ended(&self, exit: Option<Exit>, cut: Option<std::io::Error>) -> Error {
        let place = &self.shared.place;
        let text = match (exit, cut) {
            (Some(exit), _) => {
                // What has only begun has written nothing about anybody's calls.
                let is_new = !self.shared.joined && !self.shared.pending.has_served();
                let is_own = is_new || self.shared.ask != Ask::Nobody;
                return super::super::ended(place, &exit, is_own);
            }
            (None, Some(error)) => format!(
                "the connection to server {} was lost: {error}; the server may have done what it was asked, its answer did not arrive",
                place.server
            ),
            (None, None) => format!(
                "server {} has closed its output and goes on running",
                place.server
            ),
        };
        self.shared.placed(Error::new(ErrorKind::Unavailable, text))
    }

    fn line(&self, line: &Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match Message::parse(line.clone()) {
            Ok(message) if message.is_response() => self.response(&message),
            Ok(message) if message.kind() == Kind::Notification => self.notification(message),
            Ok(message) => self.request(message),
            Err(error) => {
                let text = String::from_utf8_lossy(&line[..line.len().min(NOISE)]);
                (self.shared.note)(LogSource::Stdout, &text);
                tracing::debug!(instance = %self.shared.place.instance, %error, "a line that is no message");
            }
        }
    }

    fn response(&self, message: &Message) {
        let Some(id) = message.id().and_then(|id| id.parse().ok()) else {
            if let Some(error) = message.body() {
                let text = format!(
                    "error without a request: {}",
                    &error[..error.floor_char_boundary(NOISE)]
                );
                (self.shared.note)(LogSource::Stdout, &text);
            }
            return;
        };
        if !self.shared.pending.respond(id, message) {
            tracing::debug!(instance = %self.shared.place.instance, id, "an answer that nobody waits for");
        }
    }

    fn notification(&self, message: Message) {
        match message.method() {
            method::PROGRESS => self.progress(&message),
            method::CANCELLED => self.cancelled(&message),
            method::LOG_MESSAGE => self.log(message),
            _ => self.unsolicited(Unsolicited::Notification(message)),
        }
    }

    /// A log message goes to the call in flight, where only one caller has any and callers can be told apart.
    fn log(&self, message: Message) {
        if self.shared.ask != Ask::Nobody
            && let Ok(call) = self.shared.pending.only_party()
        {
            self.shared
                .pending
                .push(call, ReplyItem::Notification(message));
        } else {
            self.unsolicited(Unsolicited::Notification(message));
        }
    }

    /// Progress goes to the call whose token it bears, under the caller's own token.
    fn progress(&self, message: &Message) {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let Some(id) = members
            .get("progressToken")
            .and_then(|token| token.parse().ok())
        else {
            return;
        };
        let Some(token) = self.shared.pending.token(id) else {
            return;
        };
        let mut splice = Splice::new();
        splice.member(message.bytes(), &members, "progressToken", token);
        let message = message.spliced(&splice);
        if !self
            .shared
            .pending
            .push(id, ReplyItem::Notification(message))
        {
            tracing::debug!(instance = %self.shared.place.instance, id, "progress dropped: its caller is slow");
        }
    }

    /// The instance takes one of its own requests back, or (modern) ends a subscription.
    fn cancelled(&self, message: &Message) {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        if let Some(id) = members.get("requestId").and_then(|id| id.parse().ok()) {
            let text = "the server has cancelled this request";
            self.shared.pending.fail(
                id,
                self.shared.placed(Error::new(ErrorKind::Cancelled, text)),
            );
        }
    }

    fn unsolicited(&self, message: Unsolicited) {
        if self.shared.inbox.try_send(message).is_err() {
            tracing::debug!(instance = %self.shared.place.instance, "unsolicited message dropped: too many at once");
        }
    }

    fn request(&self, message: Message) {
        let Some(id) = message.id_bytes() else { return };
        let id_text = String::from_utf8_lossy(&id).into_owned();
        if message.method() == method::PING {
            return self.answer_now(&response(&id_text, "{}"));
        }
        let call = match (self.shared.ask, self.shared.pending.only_party()) {
            (Ask::Nobody, _) => {
                Err("this instance is shared: set isolation to principal or session")
            }
            (_, Ok(call)) => Ok(Some(call)),
            (Ask::TheCaller, Err(Nobody::Idle)) => Ok(None),
            (_, Err(Nobody::Idle)) => {
                Err("no call is in flight that could be asked: set isolation to session")
            }
            (_, Err(Nobody::Several)) => {
                Err("calls of several sessions are in flight: set isolation to session")
            }
        };
        let call = match call {
            Ok(call) => call,
            Err(why) => {
                let server = &self.shared.place.server;
                tracing::warn!(%server, method = message.method(), why, "a request of the server was refused");
                (self.shared.note)(
                    LogSource::Orchestrator,
                    &format!("{} refused: {why}", message.method()),
                );
                return self.answer_now(&Shared::refuse(&id_text, why));
            }
        };
        self.ask(message, id, call);
    }

    fn ask(&self, message: Message, id: Bytes, call: Option<u64>) {
        let (request, receiver) = ServerRequest::new(message);
        let refused = Shared::refuse(&String::from_utf8_lossy(&id), "the client did not answer");
        let answer = async move {
            answered(receiver)
                .await
                .map_or(refused, |answer| answer.with_id(id).into_bytes())
        };
        // Queued before the request is handed on, so that its answer always finds its place.
        let Some(outbox) = self.outbox.upgrade() else {
            return;
        };
        if outbox.try_send(Command::Later(Box::pin(answer))).is_err() {
            return;
        }
        match call {
            Some(call) => drop(self.shared.pending.push(call, ReplyItem::Request(request))),
            None => self.unsolicited(Unsolicited::Request(request)),
        }
    }

    fn answer_now(&self, answer: &[u8]) {
        let mut line = answer.to_vec();
        line.push(b'\n');
        if let Some(outbox) = self.outbox.upgrade() {
            // A full queue means that the instance does not read; then it does not miss the answer either.
            let _ = outbox.try_send(Command::Line(line.into()));
        }
    }

    /// A line over the limit ends its own call, where the id can be found near one of its ends; else all calls.
    fn over(&self, head: &[u8], tail: &[u8], length: usize, limit: usize) {
        let place = &self.shared.place;
        let text = format!(
            "server {} sent a message of {length} bytes; the limit is {limit}",
            place.server
        );
        tracing::warn!(server = %place.server, length, limit, "a message over the limit was dropped");
        (self.shared.note)(LogSource::Orchestrator, &text);
        let error = self.shared.placed(Error::new(ErrorKind::Protocol, text));
        let id = id_near(head).or_else(|| id_near(tail));
        if !id.is_some_and(|id| self.shared.pending.fail(id, error.duplicate())) {
            self.shared.pending.fail_all(&error);
        }
    }
}

/// The number after `"id":`.
fn id_near(part: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(part, b"\"id\"")? + 4;
    let rest = part[at..]
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start();
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
