//! Parameters of requests that the orchestrator reads, and errors about them.

use crate::call::{Reply, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Message, ParamsHead, response};

/// Checks that a message is a request.
pub(super) fn expect_request(message: &Message) -> Result<()> {
    if message.kind() == Kind::Request {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        "a request was expected",
    ))
}

/// Rejects parameters that a server could read differently from this gateway.
pub(super) fn ambiguous(message: &Message) -> Error {
    let text = format!(
        "params of {}: a member by which requests are judged occurs twice, or in another spelling",
        message.method()
    );
    Error::new(ErrorKind::InvalidParams, text)
}

/// Parses the parameters that routing needs.
pub(super) fn params(message: &Message) -> Result<ParamsHead<'_>> {
    if message.is_ambiguous() {
        return Err(ambiguous(message));
    }
    ParamsHead::read(message.body()).map_err(|error| {
        Error::new(
            ErrorKind::InvalidParams,
            format!("params of {}: {error}", message.method()),
        )
    })
}

pub(super) fn missing(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidParams,
        format!("params.{what} is missing, or not of its type"),
    )
}

/// Returns an empty result.
pub(super) fn empty(message: &Message) -> Reply {
    Reply::ready(own(response(message.id().unwrap_or("null"), "{}")))
}
