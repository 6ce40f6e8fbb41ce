//! The reader task: each line is a response, a notification, a request of the instance, or noise.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, mpsc};

use super::pending::Nobody;
use super::writer::Command;
use super::{Ask, Shared};
use crate::call::{ReplyItem, ServerRequest};
use crate::error::{Error, ErrorKind};
use crate::jsonrpc::{
    Full, Kind, Members, Message, Outline, ParseError, Share, Splice, batch, response, whole_number,
};
use crate::limits::{MAX_SERVER_REQUESTS, MAX_UNSOLICITED_RATE, OUTPUT_DRAIN_TIMEOUT};
use crate::protocol::method;
use crate::runtime::{Exit, LogSource};
use crate::transport::lines::{Line, Lines};
use crate::transport::pace::Rate;
use crate::transport::{Unsolicited, answered};

/// Maximum wait for the exit of a program after the end of its output.
pub(super) const EXIT_WAIT: Duration = Duration::from_secs(2);
/// When a call may be repeated that failed because of the memory for its server's messages.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Maximum number of bytes kept of a line that is not a message.
const NOISE: usize = 300;

pub(super) struct Incoming {
    shared: Arc<Shared>,
    outbox: mpsc::WeakSender<Command>,
    /// Limits requests of the instance that await an answer.
    asking: Arc<Semaphore>,
    unsolicited: Rate,
}

impl Incoming {
    pub(super) fn new(shared: Arc<Shared>, outbox: mpsc::WeakSender<Command>) -> Self {
        Self {
            shared,
            outbox,
            asking: Arc::new(Semaphore::new(MAX_SERVER_REQUESTS)),
            unsolicited: Rate::new(MAX_UNSOLICITED_RATE),
        }
    }

    /// Reads until the output or the instance ends.
    ///
    /// The output may stay open after the instance has exited, because a process that it left behind can hold it.
    pub(super) async fn run(
        mut self,
        reader: impl AsyncRead + Unpin,
        message_bytes: usize,
        mut exited: BoxFuture<'static, Exit>,
    ) {
        let (ending, over) = (self.shared.ending.clone(), self.shared.over.clone());
        let (exit, cut) = {
            let mut reading = pin!(self.read(reader, message_bytes));
            tokio::select! {
                cut = &mut reading => {
                    ending.cancel();
                    (tokio::time::timeout(EXIT_WAIT, exited).await.ok(), cut)
                }
                exit = &mut exited => {
                    ending.cancel();
                    // Output written just before the exit may still be in transit.
                    let cut = tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, reading).await;
                    (Some(exit), cut.unwrap_or_default())
                }
            }
        };
        self.shared.pending.close(&self.ended(exit, cut));
        over.cancel();
    }

    /// Reads to the end of the output. Returns the error that cut it off, if any.
    async fn read(
        &mut self,
        reader: impl AsyncRead + Unpin,
        message_bytes: usize,
    ) -> Option<std::io::Error> {
        let mut lines = Lines::new(reader, message_bytes);
        loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => self.line(&line),
                Ok(Some(Line::Over { answers, length })) => {
                    self.over(answers.as_deref(), length, message_bytes);
                }
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    }

    fn ended(&self, exit: Option<Exit>, cut: Option<std::io::Error>) -> Error {
        let place = &self.shared.place;
        let text = match (exit, cut) {
            (Some(exit), _) => {
                // If the program has just started, its output cannot contain data of a caller's call.
                let is_new = !self.shared.joined && !self.shared.pending.has_served();
                let is_own = is_new || self.shared.ask != Ask::Nobody;
                return super::super::ended(place, &exit, is_own);
            }
            (None, Some(error)) => format!(
                "the connection to server {} was lost: {error}; the server may have done what it was asked, its answer did not arrive",
                place.server
            ),
            (None, None) => format!(
                "server {} goes on running, but its output has ended: it closed the output, or the connection to it was lost; \
                 it may have done what it was asked, its answer did not arrive",
                place.server
            ),
        };
        self.shared.placed(Error::new(ErrorKind::Unavailable, text))
    }

    fn line(&mut self, line: &Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let share = self.shared.memory.share(line.len());
        let messages = match Message::received(line.clone()) {
            Ok(message) => return self.counted(message, &share),
            Err(ParseError::Batch) => batch(line),
            Err(error) => return self.noise(line, &error),
        };
        for message in messages {
            self.counted(message, &share);
        }
    }

    /// Handles a message with its share of the instance's memory. Without one, its call fails.
    fn counted(&mut self, message: Message, share: &Result<Option<Arc<Share>>, Full>) {
        let full = match share {
            Ok(share) => return self.message(message.holding(share.clone())),
            Err(full) => full,
        };
        let id = message.id().unwrap_or("null");
        match message.kind() {
            Kind::Response | Kind::Error => {
                let error = Error::new(ErrorKind::Overloaded, full.to_string());
                let error = self.shared.placed(error.with_retry_after(RETRY_AFTER));
                if let Some(call) = whole_number(id) {
                    self.shared.pending.fail(call, error);
                }
            }
            Kind::Request => self.answer_now(&Shared::refuse(id, "too many large messages wait")),
            Kind::Notification => {
                tracing::debug!(instance = %self.shared.place.instance, "a large notification was dropped: others were not delivered yet");
            }
        }
    }

    fn message(&mut self, message: Message) {
        match message.kind() {
            Kind::Response | Kind::Error => self.response(message),
            Kind::Notification => self.notification(message),
            Kind::Request => self.request(message),
        }
    }

    /// Logs a line that is not a message. If it was meant as the response to a call, that call fails.
    fn noise(&self, line: &Bytes, error: &ParseError) {
        let text = String::from_utf8_lossy(&line[..line.len().min(NOISE)]);
        (self.shared.note)(LogSource::Stdout, &text);
        tracing::debug!(instance = %self.shared.place.instance, %error, "a line that is no message");
        let mut outline = Outline::default();
        outline.push(line);
        if let Some(id) = outline.answered().and_then(whole_number) {
            let text = format!(
                "server {} sent an answer that is {error}",
                self.shared.place.server
            );
            let error = self.shared.placed(Error::new(ErrorKind::Protocol, text));
            self.shared.pending.fail(id, error);
        }
    }

    fn response(&self, message: Message) {
        let Some(id) = message.id().and_then(whole_number) else {
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

    fn notification(&mut self, message: Message) {
        match message.method() {
            method::PROGRESS => self.progress(&message),
            method::CANCELLED => self.cancelled(&message),
            method::LOG_MESSAGE => self.log(message),
            _ => self.unsolicited(Unsolicited::Notification(message)),
        }
    }

    /// Delivers a log message to the call in flight if only one caller has calls in flight and callers can be
    /// distinguished.
    fn log(&mut self, message: Message) {
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

    /// Delivers progress to the call with this token, under the caller's own token.
    fn progress(&self, message: &Message) {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let Some(id) = members.get("progressToken").and_then(whole_number) else {
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

    /// A modern instance ends a subscription. A legacy one cancels a request of its own, which may have the same number
    /// as one of ours.
    fn cancelled(&self, message: &Message) {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        if let Some(id) = members.get("requestId").and_then(whole_number) {
            let error = Error::new(
                ErrorKind::Cancelled,
                "the server has ended the subscription",
            );
            self.shared
                .pending
                .end_listen(id, self.shared.placed(error));
        }
    }

    fn unsolicited(&mut self, message: Unsolicited) {
        if !self.unsolicited.passes() {
            tracing::debug!(instance = %self.shared.place.instance, "unsolicited message dropped: too many in a second");
            return;
        }
        if self.shared.inbox.try_send(message).is_err() {
            tracing::debug!(instance = %self.shared.place.instance, "unsolicited message dropped: too many at once");
        }
    }

    fn request(&mut self, message: Message) {
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

    fn ask(&mut self, message: Message, id: Bytes, call: Option<u64>) {
        let Ok(asking) = Arc::clone(&self.asking).try_acquire_owned() else {
            let why = "too many requests wait for their answer";
            return self.answer_now(&Shared::refuse(&String::from_utf8_lossy(&id), why));
        };
        let (request, receiver) = ServerRequest::new(message);
        let refused = Shared::refuse(&String::from_utf8_lossy(&id), "the client did not answer");
        let answer = async move {
            let answer = answered(receiver).await;
            drop(asking);
            answer.map_or(refused, |answer| answer.with_id(&id).into_bytes())
        };
        // Queued before the request is passed on, so that its answer always finds its place.
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
            // A full queue means that the instance does not read its input, so it does not miss the answer.
            let _ = outbox.try_send(Command::Line(line.into()));
        }
    }

    /// Reports a line over the limit and fails the call that it certainly answers. If that call is unknown, no call
    /// fails; the call that waits for this line ends with its own timeout.
    fn over(&self, answers: Option<&str>, length: usize, limit: usize) {
        let place = &self.shared.place;
        let text = format!(
            "server {} sent a message of {length} bytes; the limit is {limit}",
            place.server
        );
        let error = self
            .shared
            .placed(Error::new(ErrorKind::Protocol, text.clone()));
        let call = answers.and_then(whole_number);
        let told = call.is_some_and(|id| self.shared.pending.fail(id, error));
        tracing::warn!(server = %place.server, length, limit, told, "a message over the limit was dropped");
        let note = if told {
            text
        } else {
            format!("{text}; it was dropped, and whoever waits for it waits for the timeout")
        };
        (self.shared.note)(LogSource::Orchestrator, &note);
    }
}
