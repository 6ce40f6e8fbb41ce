//! JSON-RPC batches, which only revision 2025-03-26 allows.
//!
//! Each member is a separate message. Requests run concurrently but begin in order, so that a notification that cancels
//! one of them finds it. The responses come as one array, or on one stream if anything precedes a response. Such a
//! stream combines several that could each be resumed; it has no event ids and cannot be resumed.

use std::future::ready;
use std::task::Poll;

use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use mcp_orchestrator_core::auth::Authenticated;
use mcp_orchestrator_core::call::{Call, CallEra, Notify, Reply};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::jsonrpc::{Kind, Message};
use mcp_orchestrator_core::protocol::{method, version};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use serde_json::value::RawValue;

use super::invalid::{no_session, not_a_message};
use super::respond::{self, ReplyFormat, Unread};
use crate::limits::MAX_BATCH_LEN;

/// The sender of a batch, its gateway and its session.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) who: Authenticated,
    pub(crate) gateway: GatewayId,
    pub(crate) session: Option<SessionId>,
}

/// Returns `true` if the body is a JSON array.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Runs all members and returns their answers.
///
/// # Errors
/// If the body is not a batch, or the session may not send one.
pub(crate) async fn answer(
    sender: Sender,
    body: Bytes,
    format: ReplyFormat,
    unread: Unread<'_>,
) -> Result<Response> {
    let members = members(&body)?;
    let session = sender.session.as_ref().ok_or_else(no_session)?;
    let spoken =
        sender
            .orchestrator
            .session_version(&sender.who.principal, &sender.gateway, session)?;
    if spoken != version::V2025_03_26 {
        return Err(refused("a JSON-RPC batch is not allowed here"));
    }
    let mut answers = Vec::new();
    for member in members {
        match Message::parse(member).map_err(not_a_message) {
            Ok(message) if message.kind() != Kind::Request => {
                // A sender does not wait for a notification, so a failed delivery is only logged.
                if let Err(error) = sender.notify(message).await {
                    tracing::debug!(%error, "a member of a batch was not taken");
                }
            }
            Ok(message) => {
                let id = message.id().unwrap_or("null").to_owned();
                let mut call = sender.call(message);
                answers.push(match futures_util::poll!(&mut call) {
                    Poll::Ready(answer) => (id, ready(answer).boxed()),
                    Poll::Pending => (id, call),
                });
            }
            Err(error) => answers.push(("null".into(), ready(Err(error)).boxed())),
        }
    }
    if answers.is_empty() {
        return Ok(respond::accepted());
    }
    let answers = answers
        .into_iter()
        .map(async |(id, answer)| (id, answer.await));
    respond::batch(join_all(answers).await, format, unread)
}

/// Splits a batch into its members without copying them.
fn members(body: &Bytes) -> Result<Vec<Bytes>> {
    let members: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| Error::new(ErrorKind::Parse, format!("not valid JSON: {error}")))?;
    if members.is_empty() {
        return Err(refused("a JSON-RPC batch must have a member"));
    }
    if members.len() > MAX_BATCH_LEN {
        let text = format!("a JSON-RPC batch may have {MAX_BATCH_LEN} members, this one has more");
        return Err(refused(text));
    }
    let slice = |member: &&RawValue| body.slice_ref(member.get().as_bytes());
    Ok(members.iter().map(slice).collect())
}

fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, text)
}

impl Sender {
    async fn notify(&self, message: Message) -> Result<()> {
        let notify = Notify {
            principal: self.who.principal.clone(),
            gateway: self.gateway.clone(),
            era: CallEra::Legacy(self.session.clone()),
            message,
        };
        self.orchestrator.notify(notify).await
    }

    fn call(&self, message: Message) -> BoxFuture<'static, Result<Reply>> {
        if message.method() == method::INITIALIZE {
            let refusal = refused("initialize must not be part of a batch");
            return ready(Err(refusal)).boxed();
        }
        let call = Call {
            principal: self.who.principal.clone(),
            gateway: self.gateway.clone(),
            era: CallEra::Legacy(self.session.clone()),
            message,
            headers: http::HeaderMap::new(),
            token: self.who.token.clone(),
        };
        let orchestrator = self.orchestrator.clone();
        Box::pin(async move { orchestrator.call(call).await })
    }
}
