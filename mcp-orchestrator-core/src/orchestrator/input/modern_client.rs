//! Requests of legacy servers to modern clients.
//!
//! A legacy server sends a request during a call and waits for the response. A modern client receives it in the result
//! of its call (`input_required`) and calls again with the answer. The first call is parked, with its remaining reply
//! unread, until then. Its reply then becomes the reply to the new call.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::crossing::Crossing;
use super::request_state::{Continuation, IssuedState, refused};
use super::requests::{is_of_a_retry, kinds};
use super::url_elicitation::accepted;
use crate::call::{Reply, ReplyItem, own};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Kind, Members, Message, Splice, response};
use crate::orchestrator::authority::Right;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::parked_calls::{CrossingReply, NotParked};
use crate::transport::progress_token;

/// What a modern request turns out to be.
pub(crate) enum ModernCall {
    /// It continues a parked call. This is the remaining reply.
    Continued(Reply),
    /// A call, without what only the gateway needs of it.
    New {
        message: Message,
        /// Its client was asked for the missing credential.
        waited: bool,
    },
}

impl Inner {
    /// Continues a parked call, if that is what a modern request asks for.
    pub(crate) async fn continued(
        self: &Arc<Self>,
        context: &Context,
        message: Message,
    ) -> Result<ModernCall> {
        let Some(state) = self.issued_state(context, &message)? else {
            return Ok(ModernCall::New {
                message,
                waited: false,
            });
        };
        if state.continuation == Continuation::Parked {
            let resumed = Box::pin(self.resume(context, message, &state));
            return Ok(ModernCall::Continued(resumed.await?));
        }
        let members = message.body().and_then(Members::read).unwrap_or_default();
        if state.continuation == Continuation::AfterUrl {
            accepted(&members)?;
        }
        let mut splice = Splice::new();
        splice.remove_members(message.bytes(), &members, is_of_a_retry);
        Ok(ModernCall::New {
            message: message.spliced(&splice),
            waited: state.continuation == Continuation::AfterCredential,
        })
    }

    async fn resume(
        self: &Arc<Self>,
        context: &Context,
        message: Message,
        state: &IssuedState,
    ) -> Result<Reply> {
        let params = message.body().and_then(Members::read).unwrap_or_default();
        // Without an answer the client gets the requests again.
        let answers = params.get("inputResponses").and_then(Members::read);
        let answers = answers.unwrap_or_default();
        let taken = self
            .parked_calls
            .take(&state.id, |_| all_are_objects(&answers));
        let call = taken.map_err(|why| match why {
            NotParked::Ended => ended(),
            NotParked::Refused(error) => error,
        })?;
        for (_, request) in &call.requests {
            let Some(key) = &request.origin else { continue };
            match self.right_to(context, key).await {
                Right::Holds(_) => {}
                Right::Lost => return Err(ended()),
                Right::Unknown => {
                    let server = key.server().clone();
                    self.parked_calls.insert(state.id.clone(), call);
                    return Err(unverified(&server));
                }
            }
        }
        let mut open = Vec::new();
        for (key, request) in call.requests {
            match answers.get(&key) {
                Some(answer) => {
                    let id = request.message.id().unwrap_or("null").to_owned();
                    let answer = own(response(&id, answer));
                    let principal = &context.principal.id;
                    let answer = match &request.origin {
                        Some(key) => self.unseal_related(principal, None, key, answer),
                        None => answer,
                    };
                    request.answer(answer);
                }
                None => open.push(request),
            }
        }
        let mut rest = call.rest;
        rest.kinds = kinds(&message);
        rest.token = progress_token(&message).map(|(_, token)| token);
        rest.call = message.clone();
        Ok(Crossing::new(rest, open, Arc::clone(self)).into_reply())
    }

    /// Wraps a modern call's reply, so that a legacy server's requests reach the client.
    pub(crate) fn crossing(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        reply: Reply,
    ) -> Reply {
        let rest = match reply.into_ready() {
            Ok(response) if response.kind() != Kind::Error => return Reply::ready(response),
            Ok(error) => return reply_of(self.url_elicitation(context, message, *error)),
            Err(rest) => rest,
        };
        let token = progress_token(message).map(|(_, token)| token);
        let rest = CrossingReply {
            context: context.clone(),
            kinds: kinds(message),
            rest,
            first_token: token.clone(),
            call: message.clone(),
            token,
            refused: None,
            rounds: 0,
        };
        Crossing::new(rest, Vec::new(), Arc::clone(self)).into_reply()
    }
}

fn ended() -> Error {
    refused("belongs to a call that has ended or was answered: call again without it")
}

/// Returns the error for a call that remains parked, because nothing may be sent for it now.
fn unverified(server: &ServerId) -> Error {
    let text = format!(
        "the credential for server {server} cannot be verified now: repeat this request with the same requestState"
    );
    Error::new(ErrorKind::Unavailable, text).with_server(server)
}

fn all_are_objects(answers: &Members<'_>) -> Result<()> {
    let mut answers = answers.0.iter();
    match answers.find(|(_, answer)| !answer.get().starts_with('{')) {
        None => Ok(()),
        Some((key, _)) => {
            let text = format!("params.inputResponses.{key} is not an object");
            Err(Error::new(ErrorKind::InvalidParams, text))
        }
    }
}

fn reply_of(item: ReplyItem) -> Reply {
    match item {
        ReplyItem::Response(response) => Reply::ready(response),
        other => Reply::stream(stream::iter([other]).boxed()),
    }
}
