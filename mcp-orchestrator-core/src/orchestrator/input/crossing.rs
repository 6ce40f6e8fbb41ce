//! The reply of a legacy server on its way to a modern client: its requests end the client's call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::request_state::Continuation;
use super::requests::{
    for_modern_client, input_required, is_input_method, key_of, may_require_input,
    missing_capability,
};
use crate::call::{Reply, ReplyItem, ServerRequest};
use crate::jsonrpc::{Kind, Members, Message, ResultHead, Splice, text};
use crate::limits::{MAX_CALL_BACKLOG, MAX_INPUT_REQUESTS, MAX_INPUT_ROUNDS};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::ParkingPlace;
use crate::orchestrator::state::parked_calls::{CrossingReply, ParkedCall};
use crate::protocol::{code, meta, method};
use crate::session::has_level;

/// Time after a request during which further ones join it in the same result.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// A reply that is being forwarded to a modern client.
pub(super) struct Crossing {
    rest: CrossingReply,
    inner: Arc<Inner>,
    /// What goes to the client before anything else.
    queue: VecDeque<ReplyItem>,
    /// Requests that await an answer.
    requests: Vec<ServerRequest>,
    /// The end of the reply.
    end: Option<ReplyItem>,
}

impl Crossing {
    pub(super) fn new(
        rest: CrossingReply,
        requests: Vec<ServerRequest>,
        inner: Arc<Inner>,
    ) -> Self {
        Self {
            rest,
            inner,
            queue: VecDeque::new(),
            requests,
            end: None,
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        let items = stream::unfold(Some(self), |crossing| async move { crossing?.next().await });
        Reply::stream(items.boxed())
    }

    async fn next(mut self) -> Option<(ReplyItem, Option<Self>)> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some((item, Some(self)));
            }
            if let Some(end) = self.end.take() {
                return Some((self.ended(end), None));
            }
            if !self.requests.is_empty() {
                if let Some(place) = self.place() {
                    return Some((self.park(place), None));
                }
                for request in self.requests.drain(..) {
                    request.refuse_with(code::INTERNAL, "too many calls wait for their clients");
                }
            }
            self.read().await?;
        }
    }

    /// Reads the next item, and after a request the others that follow within a short time.
    async fn read(&mut self) -> Option<()> {
        let item = self.rest.rest.next().await?;
        self.sort(item);
        let until = Instant::now() + GATHER_TIME;
        while !self.requests.is_empty()
            && self.requests.len() < MAX_INPUT_REQUESTS
            && self.queue.len() < MAX_CALL_BACKLOG
            && self.end.is_none()
            && let Ok(Some(item)) = tokio::time::timeout_at(until, self.rest.rest.next()).await
        {
            self.sort(item);
        }
        Some(())
    }

    fn sort(&mut self, item: ReplyItem) {
        match item {
            ReplyItem::Request(request) => self.requests.extend(self.rest.declared(request)),
            ReplyItem::Notification(message) => {
                let message = self.rest.adapted(message);
                self.queue.extend(message.map(ReplyItem::Notification));
            }
            end => self.end = Some(end),
        }
    }

    /// Reserves a place for the parked call.
    fn place(&self) -> Option<ParkingPlace> {
        let principal = &self.rest.context.principal.id;
        let place = match self.rest.rounds < MAX_INPUT_ROUNDS {
            true => self.inner.parked_calls.parking.enter(principal),
            false => None,
        };
        if place.is_none() {
            tracing::warn!(%principal, rounds = self.rest.rounds, "a server's requests were refused: the limit of parked calls or of rounds is reached");
        }
        place
    }

    /// Parks the call and returns the result that asks its client.
    fn park(mut self, place: ParkingPlace) -> ReplyItem {
        self.rest.rounds += 1;
        let id = crate::seal::random_text(16);
        let (context, call) = (&self.rest.context, &self.rest.call);
        let state = self
            .inner
            .issue_state(context, call, Continuation::Parked, &id);
        let requests = self.requests.into_iter().enumerate();
        let requests: Vec<_> = requests
            .map(|(at, request)| (key_of(at), request))
            .collect();
        let texts = requests
            .iter()
            .map(|(key, request)| for_modern_client(key, &request.message));
        let texts: Vec<_> = texts.collect();
        let caller = call.id().unwrap_or("null");
        let result = input_required(caller, &texts, &state);
        let call = ParkedCall {
            requests,
            rest: self.rest,
            until: Instant::now() + self.inner.input_wait,
            _place: place,
        };
        self.inner.parked_calls.insert(id, call);
        ReplyItem::Response(result)
    }

    /// Converts the end of the reply to the client's current call.
    fn ended(self, end: ReplyItem) -> ReplyItem {
        let ReplyItem::Response(message) = end else {
            return end;
        };
        let has_failed = message.kind() == Kind::Error
            || ResultHead::read(message.body())
                .is_error
                .is_some_and(|is| is.get() == "true");
        if let Some(refused) = self.rest.refused.filter(|_| has_failed) {
            return ReplyItem::Failed(*refused);
        }
        let id = self.rest.call.id_bytes().unwrap_or_default();
        let message = message.with_id(&id);
        if message.kind() != Kind::Error {
            return ReplyItem::Response(message);
        }
        let (context, call) = (&self.rest.context, &self.rest.call);
        self.inner.url_elicitation(context, call, message)
    }
}

impl CrossingReply {
    /// Returns a request if the client declares its kind. Otherwise it is refused, as such a client would do.
    fn declared(&mut self, request: ServerRequest) -> Option<ServerRequest> {
        let (asked, params) = (request.message.method(), request.message.body());
        if is_input_method(asked) && self.kinds.allow(asked, params) {
            return Some(request);
        }
        tracing::info!(
            method = asked,
            "a request of a server was refused: the client does not declare it"
        );
        let could_be_asked = is_input_method(asked) && may_require_input(self.call.method());
        if could_be_asked && self.refused.is_none() {
            self.refused = Some(Box::new(missing_capability(asked, params)));
        }
        request.refuse();
        None
    }

    /// Returns `true` if the client's current call asks for log messages of this level.
    fn wants_log(&self, message: &Message) -> bool {
        let meta = self.call.meta().and_then(Members::read).unwrap_or_default();
        let wanted = meta.get(meta::LOG_LEVEL).and_then(text);
        wanted.is_some_and(|wanted| has_level(message, &wanted))
    }

    /// Adapts a notification to the client's current call: progress gets the token of that call. Returns `None` for one
    /// that modern clients do not know.
    fn adapted(&self, message: Message) -> Option<Message> {
        match message.method() {
            method::ELICITATION_COMPLETE => return None,
            method::LOG_MESSAGE if !self.wants_log(&message) => return None,
            method::PROGRESS if self.token != self.first_token => {}
            _ => return Some(message),
        }
        let token = self.token.clone()?;
        let members = message.body().and_then(Members::read)?;
        let mut splice = Splice::new();
        splice.member(message.bytes(), &members, "progressToken", token);
        Some(message.spliced(&splice))
    }
}
