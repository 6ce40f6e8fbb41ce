//! Requests of a modern server on their way to a legacy client, and its answers.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::requests::{InputRequest, InputRequired, missing_capability};
use crate::call::ServerRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Kind, Members, Message, text};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::ParkingPlace;
use crate::orchestrator::state::context::Context;
use crate::protocol::method;
use crate::runtime::InstanceKey;

/// Maximum length of a client's error message that is quoted.
const MAX_QUOTED: usize = 300;

/// The requests of one result.
pub(crate) struct ClientRequests {
    /// What was not sent yet, in reverse.
    unsent: Vec<ServerRequest>,
    open: Vec<OpenRequest>,
    server: ServerId,
    _place: ParkingPlace,
}

struct OpenRequest {
    key: String,
    method: String,
    answer: oneshot::Receiver<Message>,
}

impl Inner {
    /// Prepares the requests of a result of this instance.
    ///
    /// # Errors
    /// [`MissingCapability`](ErrorKind::MissingCapability) if the client does not declare one of them,
    /// [`Overloaded`](ErrorKind::Overloaded) if too many calls wait for their clients.
    pub(crate) fn client_requests(
        &self,
        context: &Context,
        origin: &InstanceKey,
        input: &InputRequired<'_>,
    ) -> Result<ClientRequests> {
        let (server, session) = (origin.server(), context.session.as_ref());
        for InputRequest { method, params, .. } in &input.requests {
            if !session.is_some_and(|session| session.kinds.allow(method, *params)) {
                return Err(missing_capability(method, *params).with_server(server));
            }
        }
        let place = self.parked_calls.parking.enter(&context.principal.id);
        let place = place.ok_or_else(|| {
            let text = format!(
                "server {server} requires input, and too many calls wait for their clients"
            );
            Error::new(ErrorKind::Overloaded, text).with_retry_after(Duration::from_secs(1))
        })?;
        let (mut unsent, mut open) = (Vec::new(), Vec::new());
        for asked in &input.requests {
            let (mut request, answer) = ServerRequest::new(asked.for_legacy_client());
            request.origin = Some(origin.clone());
            unsent.push(request);
            open.push(OpenRequest {
                key: asked.key.clone(),
                method: asked.method.clone(),
                answer,
            });
        }
        unsent.reverse();
        Ok(ClientRequests {
            unsent,
            open,
            server: server.clone(),
            _place: place,
        })
    }
}

impl ClientRequests {
    /// Returns the next request to send to the client.
    pub(crate) fn next_unsent(&mut self) -> Option<ServerRequest> {
        self.unsent.pop()
    }

    /// Waits for all answers. Returns the members of `inputResponses`.
    ///
    /// # Errors
    /// If a request is not answered in time, or with an error that has no equivalent there.
    pub(crate) async fn answers(self, wait: Duration) -> Result<Vec<(String, String)>> {
        let (until, server) = (Instant::now() + wait, &self.server);
        let open = self.open.into_iter();
        let answers = try_join_all(open.map(|open| async move {
            let answer = match tokio::time::timeout_at(until, open.answer).await {
                Ok(Ok(answer)) => answer_of(&open.method, &answer),
                // The request could not be delivered, or the client has left.
                Ok(Err(_)) => Err("could not be delivered to the client".to_owned()),
                Err(_) => Err("was not answered in time".to_owned()),
            };
            let answer = answer.map_err(|why| {
                let text = format!("the request {} of server {server} {why}", open.method);
                Error::new(ErrorKind::Cancelled, text).with_server(server)
            })?;
            Ok((open.key, answer))
        }));
        answers.await
    }
}

/// Returns a client's answer as a member of `inputResponses`.
///
/// # Errors
/// Describes the client's error. Only an elicitation has a result that says that there is no answer.
fn answer_of(asked: &str, answer: &Message) -> Result<String, String> {
    let body = answer.body().unwrap_or("{}");
    if answer.kind() != Kind::Error {
        return Ok(body.to_owned());
    }
    if asked == method::ELICITATION {
        return Ok(r#"{"action":"cancel"}"#.to_owned());
    }
    let error = Members::read(body).unwrap_or_default();
    let words = error.get("message").and_then(text).unwrap_or_default();
    let end = words.floor_char_boundary(MAX_QUOTED);
    Err(format!("was answered with an error: {}", &words[..end]))
}
