//! Interprets error responses, and decides whether they mean that the server has lost the session.

use http::StatusCode;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use crate::call::Reply;
use crate::challenge::Challenge;
use crate::error::{Error, ErrorKind, Result};
use crate::header_value;
use crate::jsonrpc::{Kind, Members, Message, text};
use crate::limits::MAX_RETRY_AFTER;
use crate::protocol::code;
use crate::transport::http1::Head;
use crate::transport::quoted::quoted;
use crate::transport::streamable::Http;
use crate::transport::streamable::request::exchange::Exchange;
use crate::transport::streamable::request::ids::Answers;

/// A request that the server refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) loss: Loss,
    outcome: Result<Message>,
}

/// Whether a refusal means that the server no longer knows the session.
///
/// The protocol uses 404 for this. Deployed servers also use other statuses, or an error under status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    No,
    /// Possibly; trying a new session decides.
    Suspected,
    Certain,
}

impl Refusal {
    pub(crate) fn new(loss: Loss, outcome: Result<Message>) -> Self {
        Self { loss, outcome }
    }

    /// Returns what the caller gets.
    pub(crate) fn outcome(self) -> Result<Reply> {
        self.outcome.map(Reply::ready)
    }
}

impl Http {
    /// Reads a response with a status that is not a success.
    pub(crate) async fn refusal(&self, mut exchange: Exchange, own: &[u8]) -> Result<Refusal> {
        let status = exchange.head.status;
        let challenged = exchange.head.field(&WWW_AUTHENTICATE);
        let challenge = challenged
            .as_ref()
            .and_then(|field| Challenge::parse(field.to_str().ok()));
        if status == StatusCode::FORBIDDEN
            && let Some(challenge) = challenge.filter(Challenge::is_insufficient_scope)
        {
            exchange.drain().await;
            return Ok(Refusal::new(Loss::No, Err(self.insufficient(challenge))));
        }
        let after = retry_after(&exchange.head);
        let (body, read) = if exchange.is_json() {
            let body = exchange.whole(self.message_bytes, &self.memory).await;
            let (body, _) = body.map_err(|error| self.placed(error))?;
            (body, Some(exchange))
        } else {
            (exchange.explanation().await, None)
        };
        let (answer, foreign) = self.find_error(&body, own);
        if let Some(mut exchange) = read.filter(|_| !foreign) {
            exchange.release();
        }
        // A response to another request must not be quoted.
        let body = if foreign { bytes::Bytes::new() } else { body };
        let loss = loss(status, challenged.is_some(), answer.as_ref(), &body);
        let outcome = match answer {
            Some((_, message)) if status != StatusCode::UNAUTHORIZED => Ok(message),
            _ => Err(self.status(status, &body, after)),
        };
        Ok(Refusal::new(loss, outcome))
    }

    /// Returns the JSON-RPC response to this request in the body of a refusal, and whether the body holds a response to
    /// another request.
    fn find_error(&self, body: &bytes::Bytes, own: &[u8]) -> (Option<(Answers, Message)>, bool) {
        let (mut found, mut foreign) = (None, false);
        for message in Message::received_all(body).unwrap_or_default() {
            if !message.is_response() {
                continue;
            }
            match self.ids.judge(&message, own, true) {
                Answers::Other => foreign = true,
                answers if found.is_none() => found = Some((answers, message)),
                _ => {}
            }
        }
        (found, foreign)
    }

    /// Builds the error for a failure status without a JSON-RPC response; quotes `body`.
    pub(crate) fn status(
        &self,
        status: StatusCode,
        body: &[u8],
        after: Option<std::time::Duration>,
    ) -> Error {
        let server = &self.place.server;
        let (kind, mut text) = match status {
            StatusCode::UNAUTHORIZED => (
                ErrorKind::CredentialRejected,
                format!("server {server} did not accept the credential (HTTP 401)"),
            ),
            StatusCode::FORBIDDEN => (
                ErrorKind::Unavailable,
                format!(
                    "server {server} does not allow this with the credential it got (HTTP 403)"
                ),
            ),
            StatusCode::TOO_MANY_REQUESTS => (
                ErrorKind::Unavailable,
                format!("server {server} limits its callers (HTTP 429)"),
            ),
            status if status.is_server_error() => (
                ErrorKind::Unavailable,
                format!("server {server} answered HTTP {}", status.as_u16()),
            ),
            status => (
                ErrorKind::Protocol,
                format!("server {server} answered HTTP {}", status.as_u16()),
            ),
        };
        let quote = quoted(body, &self.heads.credential(), self.heads.query());
        if !quote.is_empty() {
            text = format!("{text}: {quote}");
        }
        let error = self.placed(Error::new(kind, text));
        match after {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }

    /// Builds the error for a valid credential with insufficient scope.
    fn insufficient(&self, challenge: Challenge) -> Error {
        let text = format!(
            "server {} wants a credential that allows more (scope {})",
            self.place.server,
            challenge.scopes.join(" ")
        );
        let error = Error::new(ErrorKind::CredentialInsufficient, text);
        self.placed(error.with_wanted_scopes(challenge.scopes))
    }
}

/// Returns the time in `Retry-After`, at most [`MAX_RETRY_AFTER`].
pub(crate) fn retry_after(head: &Head) -> Option<std::time::Duration> {
    let field = head.field(&RETRY_AFTER)?;
    header_value::retry_after(&field).map(|after| after.min(MAX_RETRY_AFTER))
}

fn loss(
    status: StatusCode,
    challenged: bool,
    answer: Option<&(Answers, Message)>,
    body: &[u8],
) -> Loss {
    let own = matches!(answer, Some((Answers::This, _)));
    let text = match answer {
        Some((_, message)) => of_error(message).1,
        None => String::from_utf8_lossy(&body[..body.len().min(1024)]).into_owned(),
    };
    let unknown_method =
        answer.is_some_and(|(_, message)| of_error(message).0 == Some(code::METHOD_NOT_FOUND));
    match (status.as_u16(), speaks_of_a_lost_session(&text)) {
        (404, _) if own && unknown_method => Loss::No,
        (404 | 410, _) => Loss::Certain,
        (_, true) if own || challenged => Loss::Suspected,
        (_, true) => Loss::Certain,
        (401, false) if !challenged => Loss::Suspected,
        (400, false) if !own => Loss::Suspected,
        _ => Loss::No,
    }
}

/// Returns whether a JSON-RPC error under a success status means that the session is lost.
pub(crate) fn loss_under_success(error: &Message) -> Loss {
    if error.kind() != Kind::Error {
        return Loss::No;
    }
    match of_error(error) {
        // The error may concern a session of the tool itself, so only trying a new session decides.
        (Some(-32600 | -32001 | -32000), text) if speaks_of_a_lost_session(&text) => {
            Loss::Suspected
        }
        _ => Loss::No,
    }
}

/// Returns the code and message of an error.
fn of_error(message: &Message) -> (Option<i32>, String) {
    let error = message.body().and_then(Members::read).unwrap_or_default();
    let code = error.get("code").and_then(|code| code.parse().ok());
    let said = error.get("message").and_then(text).unwrap_or_default();
    (code, said.chars().take(1024).collect())
}

fn speaks_of_a_lost_session(said: &str) -> bool {
    const STATES: [&str; 22] = [
        "not found",
        "no valid",
        "not valid",
        "invalid",
        "expired",
        "unknown",
        "terminated",
        "missing",
        "required",
        "not exist",
        "n't exist",
        "no such",
        "no session",
        "no active",
        "not active",
        "closed",
        "lost",
        "recogni",
        "no longer",
        "stale",
        "no transport",
        "ended",
    ];
    let said = said.to_ascii_lowercase();
    let session = said.contains("session") && STATES.iter().any(|state| said.contains(state));
    session
        || [
            "not initialized",
            "not been initialized",
            "uninitialized",
            "not initialised",
        ]
        .iter()
        .any(|state| said.contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, id: Option<&str>, code: i32, said: &str) -> Loss {
        let status = StatusCode::from_u16(status).unwrap();
        let Some(id) = id else {
            return loss(status, false, None, said.as_bytes());
        };
        let error = crate::jsonrpc::error_response(id, code.into(), said, None);
        let answers = if id == "7" {
            Answers::This
        } else {
            Answers::Unnamed
        };
        loss(
            status,
            false,
            Some(&(answers, crate::call::own(error))),
            b"",
        )
    }

    #[test]
    fn lost_session_is_recognized_in_every_known_wording() {
        for (status, id, code, said) in [
            (404, None, 0, ""),
            (410, None, 0, "Gone"),
            (404, Some("7"), -32001, "Session not found"),
            (
                400,
                Some("null"),
                -32000,
                "Bad Request: No valid session ID provided",
            ),
            (400, Some("\"server-error\""), -32600, "Session terminated"),
            (400, None, 0, "invalid session ID"),
            (
                400,
                Some("null"),
                -32000,
                "Bad Request: Server not initialized",
            ),
            (500, None, 0, "{\"error\":\"unknown session\"}"),
            (409, None, 0, "session expired"),
        ] {
            assert_eq!(of(status, id, code, said), Loss::Certain, "{status} {said}");
        }
        for (status, id, code, said) in [
            (400, None, 0, ""),
            (401, None, 0, "who are you?"),
            (400, Some("null"), -32602, "refused"),
            (400, Some("7"), -32001, "Session not found"),
        ] {
            assert_eq!(
                of(status, id, code, said),
                Loss::Suspected,
                "{status} {said}"
            );
        }
        for (status, id, code, said) in [
            (400, Some("7"), -32602, "no such argument"),
            (404, Some("7"), -32601, "Method not found"),
            (403, None, 0, "forbidden"),
            (500, None, 0, "internal error"),
            (429, None, 0, "slow down"),
        ] {
            assert_eq!(of(status, id, code, said), Loss::No, "{status} {said}");
        }
    }

    #[test]
    fn error_with_status_200_may_indicate_a_lost_session() {
        let says = |code: i64, said: &str| {
            loss_under_success(&crate::call::own(crate::jsonrpc::error_response(
                "7", code, said, None,
            )))
        };
        assert_eq!(says(-32001, "Session not found"), Loss::Suspected);
        assert_eq!(says(-32001, "Request timed out"), Loss::No);
        assert_eq!(says(-32603, "browser session not found"), Loss::No);
    }
}
