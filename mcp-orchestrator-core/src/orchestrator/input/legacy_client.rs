//! Requests of modern servers to legacy clients.
//!
//! A modern server ends a call with the result `input_required`. Its requests are sent to the client on the stream of
//! the client's call. When all are answered, the call is sent again with the answers and the server's own
//! `requestState`, until the result is complete.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use memchr::memmem::Finder;

use super::client_requests::ClientRequests;
use super::requests::{InputRequired, answered_call};
use crate::call::{Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Kind, Members, Message, ResultHead};
use crate::limits::MAX_INPUT_ROUNDS;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::Handle;
use crate::protocol::Era;
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
            Ok(response) => stream::iter([ReplyItem::Response(*response)]).boxed(),
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
    /// The requests of this result have to be sent to the client, and answered.
    Ask {
        requests: ClientRequests,
        state: Option<String>,
        /// Before the call is repeated.
        pause: Option<Duration>,
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
                    mut requests,
                    state,
                    pause,
                } => {
                    if let Some(request) = requests.next_unsent() {
                        let step = Step::Ask {
                            requests,
                            state,
                            pause,
                        };
                        return Some((ReplyItem::Request(request), Some((self, step))));
                    }
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                    match self.repeat(requests, state.as_deref()).await {
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
        let requests = self
            .inner
            .client_requests(&self.context, &self.origin, &input)?;
        let has_state_only = input.requests.is_empty();
        Ok(Step::Ask {
            requests,
            state: input.state.map(str::to_owned),
            pause: has_state_only.then_some(STATE_ONLY_PAUSE),
        })
    }

    /// Waits for the answers and sends the call again.
    async fn repeat(&self, requests: ClientRequests, state: Option<&str>) -> Result<Reply> {
        let answers = requests.answers(self.inner.input_wait).await?;
        let again = answered_call(&self.message, &answers, state);
        Box::pin(self.inner.by_method(&self.context, &again, &self.headers)).await
    }
}
