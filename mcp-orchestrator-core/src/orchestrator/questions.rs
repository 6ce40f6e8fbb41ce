//! Requests of legacy servers to modern clients.
//!
//! A legacy server sends a request during a call and waits for the answer. A modern client receives it as the result of
//! its call (`input_required`) and answers with its next call. The first call is therefore kept, unread, until its
//! principal calls again with the answer. The server then gets the answer, and its reply becomes the reply to that
//! call.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use memchr::memmem::Finder;
use tokio::time::Instant;

use super::Inner;
use super::authority::Right;
use super::context::Context;
use super::limits::{Parking, Place};
use super::parked;
use crate::call::{Reply, ReplyItem, ServerRequest, own};
use crate::error::{Error, ErrorKind, Result};
use crate::id::GatewayId;
use crate::jsonrpc::{Members, Message, Splice, quote, response, text};
use crate::limits::{MAX_PARKED_CALLS, QUESTION_TIMEOUT};
use crate::protocol::{meta, method};
use crate::session::Able;
use crate::transport::progress_token;

/// Key of the request in `inputRequests` and `inputResponses`.
const QUESTION: &str = "ask";
/// Purpose of a sealed `requestState`.
const STATE: &str = "question state";

/// Calls of servers that wait for an answer of a modern client.
pub(super) struct Questions {
    /// `None` once the orchestrator closes. An open question holds the orchestrator, which holds the questions.
    open: Mutex<Option<HashMap<String, Question>>>,
    parking: Parking,
}

struct Question {
    request: ServerRequest,
    leg: Leg,
    gateway: GatewayId,
    until: Instant,
    _place: Place,
}

/// The reply to one of the client's calls.
struct Leg {
    inner: Arc<Inner>,
    context: Context,
    able: Able,
    rest: Reply,
    /// Progress token of the client's first call, which the server's notifications carry.
    first_token: Option<Bytes>,
    /// Id of the call that is being answered; `token` is its progress token.
    id: Bytes,
    token: Option<Bytes>,
}

impl Questions {
    pub(super) fn new() -> Self {
        Self {
            open: Mutex::new(Some(HashMap::new())),
            parking: Parking::new(parked::EACH, MAX_PARKED_CALLS),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<String, Question>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the calls of clients that have not come back, which cancels them at their servers.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut open = self.lock();
        let questions = open.iter_mut();
        let late: Vec<_> = questions
            .flat_map(|open| open.extract_if(|_, question| question.until <= now))
            .collect();
        // Cancelling a call may take the lock again.
        drop(open);
        drop(late);
    }

    /// Drops all open questions, which cancels their calls, and every later one.
    pub(super) fn close(&self) {
        let open = self.lock().take();
        drop(open);
    }

    fn insert(&self, id: String, question: Question) {
        let mut open = self.lock();
        let refused = match &mut *open {
            Some(open) => open.insert(id, question),
            None => Some(question),
        };
        drop(open);
        drop(refused);
    }

    fn take(&self, id: &str, gateway: &GatewayId) -> Option<Question> {
        let mut open = self.lock();
        let open = open.as_mut()?;
        open.get(id).filter(|found| found.gateway == *gateway)?;
        open.remove(id).filter(|found| found.until > Instant::now())
    }
}

impl Inner {
    /// Wraps a modern call's reply, so that the server may send requests.
    pub(super) fn asking(
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
        let leg = Leg {
            inner: Arc::clone(self),
            context: context.clone(),
            able: able(message),
            rest,
            first_token: token.clone(),
            id: message.id_bytes().unwrap_or_default(),
            token,
        };
        leg.into_reply()
    }

    /// Returns the remaining reply of a kept call if this call answers its question.
    pub(super) async fn resumed(
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
        &self,
        context: &Context,
        message: &Message,
        params: &Members<'_>,
        id: &str,
    ) -> Result<Reply> {
        let answers = params.get("inputResponses").and_then(Members::read);
        let answer = answers
            .as_ref()
            .and_then(|answers| answers.get(QUESTION))
            .ok_or_else(|| super::calls::missing("inputResponses.ask"))?;
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
        request.answer(own(response(&asked, answer)));
        leg.able = able(message);
        leg.id = message.id_bytes().unwrap_or_default();
        leg.token = progress_token(message).map(|(_, token)| token);
        Ok(leg.into_reply())
    }
}

/// Returns what the client of a modern request can be asked.
fn able(message: &Message) -> Able {
    let meta = message.meta().and_then(Members::read).unwrap_or_default();
    Able::of(meta.get(meta::CLIENT_CAPABILITIES).unwrap_or("{}"))
}

impl Leg {
    fn into_reply(self) -> Reply {
        let items = stream::unfold(Some(self), |leg| async move {
            let mut leg = leg?;
            loop {
                match leg.rest.next().await? {
                    ReplyItem::Request(request) => match leg.place(&request) {
                        Some(place) => return Some((leg.park(request, place), None)),
                        None => request.refuse(),
                    },
                    ReplyItem::Notification(message) => {
                        if let Some(message) = leg.renamed(message) {
                            return Some((ReplyItem::Notification(message), Some(leg)));
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
    fn place(&self, request: &ServerRequest) -> Option<Place> {
        let asked = request.message.method();
        let is_question = [method::SAMPLING, method::ELICITATION, method::ROOTS_LIST];
        if !is_question.contains(&asked) || !self.able.may(asked) {
            tracing::info!(
                method = asked,
                "a server asks for what the client did not declare"
            );
            return None;
        }
        let (questions, principal) = (&self.inner.questions, &self.context.principal.id);
        questions.sweep();
        let place = questions.parking.enter(principal);
        if place.is_none() {
            tracing::warn!(%principal, method = asked, "a server's question is refused: too many wait for their answer");
        }
        place
    }

    /// Keeps the call and returns the result that asks its client.
    fn park(self, request: ServerRequest, place: Place) -> ReplyItem {
        let principal = self.context.principal.id.clone();
        let inner = Arc::clone(&self.inner);
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
