//! Requests of legacy servers to modern clients.
//!
//! A legacy server sends a request during a call and waits for the response. A modern client receives it in the result
//! of its call (`input_required`) and calls again with the answer. The first call is parked, with its remaining reply
//! unread, until then. Its reply then becomes the reply to the new call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::request_state::{Continuation, IssuedState, refused};
use super::requests::{for_modern_client, is_input_method, is_of_a_retry, missing_capability};
use crate::call::{Reply, ReplyItem, ServerRequest, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, ResultHead, Splice, quote, response, text};
use crate::limits::{MAX_INPUT_REQUESTS, MAX_INPUT_ROUNDS};
use crate::orchestrator::authority::Right;
use crate::orchestrator::params::missing;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::ParkingPlace;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::parked_calls::{CrossingReply, NotParked, ParkedCall};
use crate::protocol::{code, meta, method};
use crate::session::RequestKinds;
use crate::transport::progress_token;

/// Time after a request during which further ones join it in the same result.
const GATHER_TIME: Duration = Duration::from_millis(20);

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
        let answers = params.get("inputResponses").and_then(Members::read);
        let answers = answers.ok_or_else(|| missing("inputResponses"))?;
        let taken = self.parked_calls.take(&state.id, |call| {
            let keys = call.requests.iter().map(|(key, _)| key);
            answers_one_of(keys, &answers)
        });
        let call = taken.map_err(|why| match why {
            NotParked::Ended => ended(),
            NotParked::Refused(error) => error,
        })?;
        for (_, request) in &call.requests {
            if let Some(key) = &request.origin
                && matches!(self.right_to(context, key).await, Right::Lost)
            {
                return Err(ended());
            }
        }
        let mut open = Vec::new();
        for (key, request) in call.requests {
            match answers.get(&key) {
                Some(answer) => {
                    let id = request.message.id().unwrap_or("null").to_owned();
                    request.answer(own(response(&id, answer)));
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
            Ok(error) => return reply_of(self.url_elicitation(context, message, error)),
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

    /// Converts a legacy server's error that requires the client to open addresses to the result that asks for it.
    /// Returns other responses unchanged.
    fn url_elicitation(
        &self,
        context: &Context,
        message: &Message,
        response: Message,
    ) -> ReplyItem {
        let error = response.body().and_then(Members::read).unwrap_or_default();
        if error.get("code") != Some(URL_REQUIRED) {
            return ReplyItem::Response(response);
        }
        let data = error.get("data").and_then(Members::read);
        let asked: Vec<&serde_json::value::RawValue> = data
            .as_ref()
            .and_then(|data| data.get("elicitations"))
            .and_then(|all| serde_json::from_str(all).ok())
            .unwrap_or_default();
        if asked.is_empty() || asked.len() > MAX_INPUT_REQUESTS {
            return ReplyItem::Response(with_code(&response, &error, code::INTERNAL));
        }
        if !kinds(message).url_elicitation {
            let asked = asked.first().map(|first| first.get());
            return ReplyItem::Failed(missing_capability(method::ELICITATION, asked));
        }
        let requests = asked.iter().enumerate().map(|(at, params)| {
            let id = (at + 1).to_string();
            let request = own(crate::jsonrpc::request(
                &id,
                method::ELICITATION,
                Some(params.get()),
            ));
            for_modern_client(&key_of(at), &request)
        });
        let requests: Vec<_> = requests.collect();
        let state = self.issue_state(context, message, Continuation::AfterUrl, "");
        let caller = message.id().unwrap_or("null");
        ReplyItem::Response(input_required(caller, &requests, &state))
    }
}

/// Code of [`code::URL_ELICITATION_REQUIRED`], as JSON.
const URL_REQUIRED: &str = "-32042";

fn reply_of(item: ReplyItem) -> Reply {
    match item {
        ReplyItem::Response(response) => Reply::ready(response),
        other => Reply::stream(stream::iter([other]).boxed()),
    }
}

fn with_code(response: &Message, error: &Members<'_>, new: i32) -> Message {
    let mut splice = Splice::new();
    splice.member(response.bytes(), error, "code", new.to_string());
    response.spliced(&splice)
}

/// Returns the key of a request in `inputRequests`.
fn key_of(at: usize) -> String {
    format!("input-{}", at + 1)
}

fn input_required(id: &str, requests: &[String], state: &str) -> Message {
    let requests = requests.join(",");
    let result = format!(
        r#"{{"resultType":"input_required","inputRequests":{{{requests}}},"requestState":{state}}}"#,
        state = quote(state),
    );
    own(response(id, &result))
}

/// Returns the kinds of requests that the client of a modern request declares.
fn kinds(message: &Message) -> RequestKinds {
    let meta = message.meta().and_then(Members::read).unwrap_or_default();
    RequestKinds::of(meta.get(meta::CLIENT_CAPABILITIES).unwrap_or("{}"))
}

fn ended() -> Error {
    refused("belongs to a call that has ended or was answered: call again without it")
}

/// Checks that at least one of the requests is answered, with an object.
fn answers_one_of<'a>(
    mut keys: impl Iterator<Item = &'a String>,
    answers: &Members<'_>,
) -> Result<()> {
    if let Some((key, _)) = answers
        .0
        .iter()
        .find(|(_, answer)| !answer.get().starts_with('{'))
    {
        let text = format!("params.inputResponses.{key} is not an object");
        return Err(Error::new(ErrorKind::InvalidParams, text));
    }
    let mut names = Vec::new();
    if keys.any(|key| {
        names.push(key.clone());
        answers.get(key).is_some()
    }) {
        return Ok(());
    }
    let text = format!(
        "params.inputResponses has none of the requested answers: {}",
        names.join(", ")
    );
    Err(Error::new(ErrorKind::InvalidParams, text))
}

/// Checks that the client has opened every address.
fn accepted(params: &Members<'_>) -> Result<()> {
    let answers = params.get("inputResponses").and_then(Members::read);
    let answers = answers.ok_or_else(|| missing("inputResponses"))?;
    let declined = answers.0.iter().find(|(_, answer)| {
        let answer = Members::read(answer.get()).unwrap_or_default();
        answer.get("action").and_then(text).as_deref() != Some("accept")
    });
    match declined {
        None => Ok(()),
        Some((key, _)) => Err(Error::new(
            ErrorKind::Cancelled,
            format!("the call needs the address of {key}, which the client did not open"),
        )),
    }
}

/// A reply that is being forwarded to a modern client.
struct Crossing {
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
    fn new(rest: CrossingReply, requests: Vec<ServerRequest>, inner: Arc<Inner>) -> Self {
        Self {
            rest,
            inner,
            queue: VecDeque::new(),
            requests,
            end: None,
        }
    }

    fn into_reply(self) -> Reply {
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
            tracing::warn!(%principal, rounds = self.rest.rounds, "requests of a server were refused: too many calls wait, or this one too often");
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
        if is_input_method(asked) && self.refused.is_none() {
            self.refused = Some(Box::new(missing_capability(asked, params)));
        }
        request.refuse();
        None
    }

    /// Adapts a notification to the client's current call: progress gets the token of that call. Returns `None` for one
    /// that modern clients do not know.
    fn adapted(&self, message: Message) -> Option<Message> {
        match message.method() {
            method::ELICITATION_COMPLETE => return None,
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
