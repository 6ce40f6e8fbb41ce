//! Requests of legacy servers to modern clients.
//!
//! A legacy server sends a request during a call and waits for the answer. A modern client receives it as the result of
//! its call (`input_required`) and answers with its next call. The first call is therefore kept, unread, until its
//! principal calls again with the answer. The server then gets the answer, and its reply becomes the reply to that
//! call.

use std::sync::{Arc, LazyLock};

use futures_util::StreamExt as _;
use futures_util::stream;
use memchr::memmem::Finder;
use tokio::time::Instant;

use crate::call::{Reply, ReplyItem, ServerRequest, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, Splice, quote, response, text};
use crate::limits::QUESTION_TIMEOUT;
use crate::orchestrator::authority::Right;
use crate::orchestrator::params::missing;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::ParkingPlace;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::questions::{KeptReply, Question};
use crate::protocol::{meta, method};
use crate::session::Able;
use crate::transport::progress_token;

/// Key of the request in `inputRequests` and `inputResponses`.
const QUESTION: &str = "ask";
/// Purpose of a sealed `requestState`.
const STATE: &str = "question state";

impl Inner {
    /// Wraps a modern call's reply, so that the server may send requests.
    pub(crate) fn asking(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        reply: Reply,
    ) -> Reply {
        let rest = match reply.into_ready() {
            Ok(response) => return Reply::ready(response),
            Err(rest) => rest,
        };
        let token = progress_token(message).map(|(_, token)| token);
        let leg = KeptReply {
            context: context.clone(),
            able: able(message),
            rest,
            first_token: token.clone(),
            id: message.id_bytes().unwrap_or_default(),
            token,
        };
        leg.into_reply(Arc::clone(self))
    }

    /// Returns the remaining reply of a kept call if this call answers its question.
    pub(crate) async fn resumed(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
    ) -> Option<Result<Reply>> {
        static STATES: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"requestState\""));
        STATES.find(message.bytes())?;
        let params = message.body().and_then(Members::read)?;
        let state = params.get("requestState").and_then(text)?;
        let bound = context.principal.id.as_str().as_bytes();
        let id = self.key.open(STATE, bound, &state)?;
        let id = String::from_utf8(id).ok()?;
        Some(Box::pin(self.go_on(context, message, &params, &id)).await)
    }

    async fn go_on(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        params: &Members<'_>,
        id: &str,
    ) -> Result<Reply> {
        let answers = params.get("inputResponses").and_then(Members::read);
        let answer = answers
            .as_ref()
            .and_then(|answers| answers.get(QUESTION))
            .ok_or_else(|| missing("inputResponses.ask"))?;
        let ended = || {
            let text = "the call that this answers has ended: call again without requestState";
            Error::new(ErrorKind::InvalidParams, text)
        };
        let found = self.questions.take(id, &context.gateway);
        let Question {
            request, mut leg, ..
        } = found.ok_or_else(ended)?;
        if let Some(key) = &request.origin
            && matches!(self.right_to(context, key).await, Right::Lost)
        {
            return Err(ended());
        }
        let asked = request.message.id().unwrap_or("null").to_owned();
        let answer = own(response(&asked, answer));
        let answer = match &request.origin {
            Some(key) => self.unseal_related(&context.principal.id, None, key, answer),
            None => answer,
        };
        request.answer(answer);
        leg.able = able(message);
        leg.id = message.id_bytes().unwrap_or_default();
        leg.token = progress_token(message).map(|(_, token)| token);
        Ok(leg.into_reply(Arc::clone(self)))
    }
}

/// Returns what the client of a modern request can be asked.
fn able(message: &Message) -> Able {
    let meta = message.meta().and_then(Members::read).unwrap_or_default();
    Able::of(meta.get(meta::CLIENT_CAPABILITIES).unwrap_or("{}"))
}

impl KeptReply {
    fn into_reply(self, inner: Arc<Inner>) -> Reply {
        let items = stream::unfold(Some((self, inner)), |state| async move {
            let (mut leg, inner) = state?;
            loop {
                match leg.rest.next().await? {
                    ReplyItem::Request(request) => match leg.place(&inner, &request) {
                        Some(place) => return Some((leg.park(&inner, request, place), None)),
                        None => request.refuse(),
                    },
                    ReplyItem::Notification(message) => {
                        if let Some(message) = leg.renamed(message) {
                            return Some((ReplyItem::Notification(message), Some((leg, inner))));
                        }
                    }
                    ReplyItem::Response(message) => {
                        let message = message.with_id(&leg.id);
                        return Some((ReplyItem::Response(message), None));
                    }
                    failed @ ReplyItem::Failed(_) => return Some((failed, None)),
                }
            }
        });
        Reply::stream(items.boxed())
    }

    /// Reserves a place for the call if its client can be asked this.
    fn place(&self, inner: &Inner, request: &ServerRequest) -> Option<ParkingPlace> {
        let asked = request.message.method();
        let is_question = [method::SAMPLING, method::ELICITATION, method::ROOTS_LIST];
        if !is_question.contains(&asked) || !self.able.may(asked) {
            tracing::info!(
                method = asked,
                "a server asks for what the client did not declare"
            );
            return None;
        }
        let (questions, principal) = (&inner.questions, &self.context.principal.id);
        questions.sweep();
        let place = questions.parking.enter(principal);
        if place.is_none() {
            tracing::warn!(%principal, method = asked, "a server's question is refused: too many wait for their answer");
        }
        place
    }

    /// Keeps the call and returns the result that asks its client.
    fn park(self, inner: &Inner, request: ServerRequest, place: ParkingPlace) -> ReplyItem {
        let principal = self.context.principal.id.clone();
        let id = crate::seal::random_text(16);
        let state = inner
            .key
            .seal(STATE, principal.as_str().as_bytes(), id.as_bytes());
        // Some clients cannot parse a request without params.
        let params = request.message.body().unwrap_or("{}");
        let result = format!(
            r#"{{"resultType":"input_required","inputRequests":{{"{QUESTION}":{{"method":{method},"params":{params}}}}},"requestState":{state}}}"#,
            method = quote(request.message.method()),
            state = quote(&state),
        );
        let caller = String::from_utf8_lossy(&self.id).into_owned();
        let question = Question {
            request,
            gateway: self.context.gateway.clone(),
            until: Instant::now() + QUESTION_TIMEOUT,
            leg: self,
            _place: place,
        };
        inner.questions.insert(id, question);
        ReplyItem::Response(own(response(&caller, &result)))
    }

    /// Adapts a notification to the client's current call: progress gets the token of that call.
    fn renamed(&self, message: Message) -> Option<Message> {
        if message.method() != method::PROGRESS || self.token == self.first_token {
            return Some(message);
        }
        let token = self.token.clone()?;
        let members = message.body().and_then(Members::read)?;
        let mut splice = Splice::new();
        splice.member(message.bytes(), &members, "progressToken", token);
        Some(message.spliced(&splice))
    }
}
