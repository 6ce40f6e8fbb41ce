//! Parameters of requests that the orchestrator reads, and errors about them.

use super::state::context::Context;
use crate::call::{Reply, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Message, ParamsHead, response};
use crate::protocol::Era;

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

/// Converts the error for an unknown resource, which differs between the eras.
pub(super) fn no_resource(context: &Context, uri: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::NoRoute {
        return error;
    }
    let data = crate::jsonrpc::raw(&serde_json::json!({ "uri": uri }));
    let kind = if context.era() == Era::Legacy {
        ErrorKind::ResourceNotFound
    } else {
        ErrorKind::NoRoute
    };
    Error::new(kind, error.message().to_owned()).with_data(data)
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
