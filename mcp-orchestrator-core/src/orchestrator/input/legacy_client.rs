//! Requests of modern servers to legacy clients.
//!
//! A modern server ends a call with the result `input_required`. Its requests are sent to the client on the stream of
//! the client's call. When all are answered, the call is sent again with the answers and the server's own
//! `requestState`, until the result is complete.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use memchr::memmem::Finder;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::requests::{InputRequest, InputRequired, answered_call, missing_capability};
use crate::call::{Reply, ReplyItem, ServerRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Kind, Members, Message, ResultHead, text};
use crate::limits::MAX_INPUT_ROUNDS;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::ParkingPlace;
use crate::orchestrator::state::context::Context;
use crate::pool::Handle;
use crate::protocol::{Era, method};
use crate::runtime::InstanceKey;

/// Pause before a call is repeated for a server that only returned a state.
const STATE_ONLY_PAUSE: Duration = Duration::from_millis(200);

impl Inner {
    /// Returns the reply to a legacy client's call, with the requests that a modern server makes of it.
    pub(crate) fn with_input(
        self: &Arc<Self>,
        context: &Context,
        (message, headers): (&Message, &HeaderMap),
        handle: &Arc<Handle>,
        reply: Reply,
    ) -> Reply {
        if context.era() == Era::Modern
            || context.is_repeated
            || !handle.link.is_modern(&context.caller)
        {
            return reply;
        }
        let reply = match reply.into_ready() {
            Ok(response) if !requires_input(&response) => return Reply::ready(response),
            Ok(response) => stream::iter([ReplyItem::Response(response)]).boxed(),
            Err(stream) => stream.boxed(),
        };
        let call = InputCall {
            inner: Arc::clone(self),
            context: Context {
                begun: None,
                progress: None,
                is_repeated: true,
                ..context.clone()
            },
            message: message.clone(),
            headers: headers.clone(),
            origin: handle.key.clone(),
            round: 0,
        };
        let state = Some((call, Step::Forward(reply)));
        let items = stream::unfold(state, |state| async move {
            let (call, step) = state?;
            call.next(step).await
        });
        Reply::stream(items.boxed())
    }
}

/// Returns `true` for the result `input_required`. Nearly no result contains this text.
fn requires_input(response: &Message) -> bool {
    static INPUT_REQUIRED: LazyLock<Finder<'_>> =
        LazyLock::new(|| Finder::new("\"input_required\""));
    response.kind() == Kind::Response
        && INPUT_REQUIRED.find(response.bytes()).is_some()
        && ResultHead::read(response.body()).requires_input()
}

/// A legacy client's call of a modern server.
struct InputCall {
    inner: Arc<Inner>,
    context: Context,
    message: Message,
    headers: HeaderMap,
    /// The instance that the call was sent to.
    origin: InstanceKey,
    round: usize,
}

type Items = stream::BoxStream<'static, ReplyItem>;
type Next = Option<(ReplyItem, Option<(InputCall, Step)>)>;

enum Step {
    /// The items of the server's reply go to the client.
    Forward(Items),
    /// The requests of this result have to be sent to the client.
    Ask {
        unsent: Vec<ServerRequest>,
        answers: Vec<(String, String, oneshot::Receiver<Message>)>,
        state: Option<String>,
        place: ParkingPlace,
    },
}

impl InputCall {
    /// Returns the next item for the client, and what follows it.
    async fn next(mut self, mut step: Step) -> Next {
        loop {
            step = match step {
                Step::Forward(mut items) => match items.next().await? {
                    ReplyItem::Response(response) if requires_input(&response) => {
                        match self.ask(&response) {
                            Ok(step) => step,
                            Err(error) => return Some((ReplyItem::Failed(error), None)),
                        }
                    }
                    item @ (ReplyItem::Response(_) | ReplyItem::Failed(_)) => {
                        return Some((item, None));
                    }
                    item => return Some((item, Some((self, Step::Forward(items))))),
                },
                Step::Ask {
                    mut unsent,
                    answers,
                    state,
                    place,
                } => {
                    if let Some(request) = unsent.pop() {
                        let step = Step::Ask {
                            unsent,
                            answers,
                            state,
                            place,
                        };
                        return Some((ReplyItem::Request(request), Some((self, step))));
                    }
                    let repeated = self.repeat(answers, state.as_deref()).await;
                    drop(place);
                    match repeated {
                        Ok(reply) => Step::Forward(reply.boxed()),
                        Err(error) => return Some((ReplyItem::Failed(error), None)),
                    }
                }
            };
        }
    }

    fn server(&self) -> &ServerId {
        self.origin.server()
    }

    fn protocol_error(&self, what: impl std::fmt::Display) -> Error {
        let text = format!("server {} requires input, but {what}", self.server());
        Error::new(ErrorKind::Protocol, text).with_server(self.server())
    }

    /// Prepares the requests of a result.
    fn ask(&mut self, response: &Message) -> Result<Step> {
        let result = response.body().and_then(Members::read).unwrap_or_default();
        let input = InputRequired::read(&result).map_err(|why| self.protocol_error(why))?;
        self.round += 1;
        if self.round > MAX_INPUT_ROUNDS {
            return Err(self.protocol_error(format_args!(
                "it has done so {MAX_INPUT_ROUNDS} times during this call, the most that is allowed"
            )));
        }
        let session = self.context.session.as_ref();
        for InputRequest { method, params, .. } in &input.requests {
            if !session.is_some_and(|session| session.kinds().allow(method, *params)) {
                return Err(missing_capability(method, *params).with_server(self.server()));
            }
        }
        let principal = &self.context.principal.id;
        let place = self.inner.parked_calls.parking.enter(principal);
        let place = place.ok_or_else(|| {
            let text = format!(
                "server {} requires input, and too many calls wait for their clients",
                self.server()
            );
            Error::new(ErrorKind::Overloaded, text).with_retry_after(Duration::from_secs(1))
        })?;
        let (mut unsent, mut answers) = (Vec::new(), Vec::new());
        for asked in &input.requests {
            let (mut request, answer) = ServerRequest::new(asked.for_legacy_client());
            request.origin = Some(self.origin.clone());
            unsent.push(request);
            answers.push((asked.key.clone(), asked.method.clone(), answer));
        }
        unsent.reverse();
        Ok(Step::Ask {
            unsent,
            answers,
            state: input.state.map(str::to_owned),
            place,
        })
    }

    /// Waits for the answers and sends the call again.
    async fn repeat(
        &mut self,
        answers: Vec<(String, String, oneshot::Receiver<Message>)>,
        state: Option<&str>,
    ) -> Result<Reply> {
        if answers.is_empty() {
            tokio::time::sleep(STATE_ONLY_PAUSE).await;
        }
        let until = Instant::now() + self.inner.input_wait;
        let received = join_all(answers.into_iter().map(|(key, asked, answer)| async move {
            let answer = tokio::time::timeout_at(until, answer).await;
            (key, asked, answer)
        }));
        let mut answers = Vec::new();
        for (key, asked, answer) in received.await {
            let answer = match answer {
                Ok(Ok(answer)) => answer_of(&asked, &answer),
                // The request could not be delivered, or the client has left.
                Ok(Err(_)) => Err("could not be delivered to the client".to_owned()),
                Err(_) => Err("was not answered in time".to_owned()),
            };
            let answer = answer.map_err(|why| {
                let text = format!("the request {asked} of server {} {why}", self.server());
                Error::new(ErrorKind::Cancelled, text).with_server(self.server())
            })?;
            answers.push((key, answer));
        }
        let again = answered_call(&self.message, &answers, state);
        Box::pin(self.inner.by_method(&self.context, &again, &self.headers)).await
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
    let end = words.floor_char_boundary(300);
    Err(format!("was answered with an error: {}", &words[..end]))
}
