//! Handles a request to a gateway: authenticates the caller, classifies the request and produces the response.

use std::sync::Arc;
use std::time::SystemTime;

use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, Principal};
use mcp_orchestrator_core::call::{Call, CallEra, Listen, Notify, Reply};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::jsonrpc::{Kind, Message};
use mcp_orchestrator_core::protocol::{Era, header, method, version};
use mcp_orchestrator_core::trace_context::TraceContext;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};

use super::admission::Admission;
use super::invalid::{no_session, not_a_message};
use super::respond::{self, ReplyFormat, Unread};
use super::{batch, bodies, event_id, modern};
use crate::errors;
use crate::options::Options;
use crate::request::head::Head;
use crate::request::{cors, protected_resource, validate};

/// The dependencies of every request.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) admission: Admission,
    pub(crate) options: Options,
    pub(crate) default: GatewayId,
    /// When these options took effect.
    pub(crate) since: SystemTime,
}

/// How a request is answered.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all requests are"
)]
enum Answer<'a> {
    /// A request of a legacy client.
    Call(Call, ReplyFormat),
    /// Everything else, boxed so that it does not enlarge the future of every call.
    Other(BoxFuture<'a, Result<Response>>),
}

/// Wraps an immediate response.
fn immediate(response: Response) -> Answer<'static> {
    Answer::Other(Box::pin(std::future::ready(Ok(response))))
}

impl Gate {
    /// Answers a request to a gateway.
    pub(crate) async fn answer<B>(&self, gateway: GatewayId, parts: &Parts, body: B) -> Response
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        let head = &Head::of(parts);
        if let Err(error) = validate::origin(head, &self.options) {
            return errors::response(&error, None, Era::Legacy);
        }
        let answer = match parts.method {
            // A CORS preflight request carries no credentials.
            Method::OPTIONS => Ok(cors::options(parts)),
            Method::POST => self.post(&gateway, head, body).await,
            Method::GET => Box::pin(self.get(gateway.clone(), head)).await,
            Method::DELETE => Box::pin(self.delete(&gateway, head)).await,
            _ => Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED)),
        };
        let mut response = answer.unwrap_or_else(|error| {
            let mut response = errors::response(&error, None, Era::Legacy);
            let asked = (&self.options, parts, &gateway);
            protected_resource::challenge(&mut response, &error, asked);
            response
        });
        cors::allow(head.origin, &mut response);
        response
    }

    async fn post<B>(&self, gateway: &GatewayId, head: &Head<'_>, body: B) -> Result<Response>
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        let mut seen = self.admission.count();
        let mut who = self.who(gateway, head).await?;
        let principal = Arc::clone(&who.principal);
        validate::media_types(head)?;
        let mut reservation = self.admission.bodies.reservation(&principal);
        let limit = self.options.max_body_bytes;
        let body = bodies::read(head, body, limit, Some(&mut reservation)).await?;
        let body = validate::strip_mark(body);
        if self.admission.count() != seen {
            // Access may have changed while the body arrived.
            seen = self.admission.count();
            who = self.who_now(gateway, head).await?;
        }
        let expires_at = who.expires_at;
        let response = match self.read(gateway, head, who, (body, seen))? {
            // A session's call returns its reply early: as a stream if the response is slow.
            Answer::Call(call, format) => {
                let answer = self.orchestrator.call(call).await;
                if let Ok(Reply {
                    session: Some(id), ..
                }) = &answer
                {
                    self.bind(gateway, head, (&principal, expires_at), id);
                    if self.admission.count() != seen {
                        // Access may have been lost while the session was opened.
                        self.orchestrator.check_access();
                    }
                }
                respond::reply(answer, format, self.unread(&principal))
            }
            Answer::Other(answer) => answer.await?,
        };
        Ok(self.held(response, (gateway, head), &principal))
    }

    /// Classifies a request by its body. The function is not async, so that the body is moved only once.
    fn read<'a>(
        &'a self,
        gateway: &GatewayId,
        head: &'a Head<'a>,
        who: Authenticated,
        (body, seen): (Bytes, u64),
    ) -> Result<Answer<'a>> {
        let gateway = gateway.clone();
        if batch::is_batch(&body) && !is_modern(head) {
            return Ok(Answer::Other(Box::pin(
                self.batch(gateway, head, who, body),
            )));
        }
        let message = Message::parse(body).map_err(not_a_message)?;
        match modern::era(head, &message) {
            Ok(Era::Modern) => {
                let answer = self.modern(gateway, head, who, (message, seen));
                Ok(Answer::Other(Box::pin(answer.map(Ok))))
            }
            Ok(Era::Legacy) => Ok(self.legacy(gateway, head, who, message)),
            Err(error) => Ok(immediate(errors::response(
                &error,
                message.id(),
                Era::Modern,
            ))),
        }
    }

    async fn modern(
        &self,
        gateway: GatewayId,
        head: &Head<'_>,
        who: Authenticated,
        (message, seen): (Message, u64),
    ) -> Response {
        if message.kind() != Kind::Request {
            return respond::accepted();
        }
        let id = message.id().unwrap_or("null").to_owned();
        if let Err(error) = modern::check(head, &message) {
            return errors::response(&error, Some(&id), Era::Modern);
        }
        let format = self.format(id, Era::Modern);
        let (at, principal) = (gateway.clone(), Arc::clone(&who.principal));
        let orchestrator = self.orchestrator.clone();
        if message.method() == method::LISTEN {
            let listen = Listen {
                principal: who.principal,
                gateway,
                session: None,
                resume: None,
                request: Some(message),
            };
            let mut listening = Box::pin(orchestrator.listen(listen));
            let soon = self.during(seen, &mut listening, (&at, head, &principal));
            let answer = soon.await.unwrap_or_else(Err);
            return respond::reply(answer, format, self.unread(&principal));
        }
        let call = Call {
            principal: who.principal,
            gateway,
            era: CallEra::Modern,
            message,
            headers: self.traced(head, modern::param_headers(head)),
            token: who.token,
        };
        let mut call: respond::CallFuture = Box::pin(async move { orchestrator.call(call).await });
        // A call without an answer by then continues as a stream, which ends when its caller loses access.
        let soon = self.during(seen, &mut call, (&at, head, &principal));
        match tokio::time::timeout(format.keep_alive, soon).await {
            Ok(answer) => {
                let answer = answer.unwrap_or_else(Err);
                respond::reply(answer, format, self.unread(&principal))
            }
            Err(_) => respond::pending(call, format),
        }
    }

    /// Adds the trace context of a request to the headers of its call, if traces are continued.
    fn traced(&self, head: &Head<'_>, mut headers: HeaderMap) -> HeaderMap {
        if self.orchestrator.has_trace_propagator()
            && let Some(caller) = TraceContext::from_headers(&head.headers)
        {
            caller.write_headers(&mut headers);
        }
        headers
    }

    fn legacy(
        &self,
        gateway: GatewayId,
        head: &Head<'_>,
        who: Authenticated,
        message: Message,
    ) -> Answer<'_> {
        let id = message.id().map(str::to_owned);
        let session = match session_id(head) {
            Ok(session) => session,
            Err(error) => return immediate(errors::response(&error, id.as_deref(), Era::Legacy)),
        };
        if let Some(session) = &session {
            self.bind(&gateway, head, (&who.principal, who.expires_at), session);
        }
        if message.kind() != Kind::Request {
            let told = self.notify(gateway, who, session, message);
            return Answer::Other(Box::pin(told.map(Ok)));
        }
        let format = self.format(id.unwrap_or_else(|| "null".into()), Era::Legacy);
        let call = Call {
            principal: who.principal,
            gateway,
            era: CallEra::Legacy(session.filter(|_| message.method() != method::INITIALIZE)),
            message,
            headers: self.traced(head, HeaderMap::new()),
            token: who.token,
        };
        Answer::Call(call, format)
    }

    async fn batch(
        &self,
        gateway: GatewayId,
        head: &Head<'_>,
        who: Authenticated,
        body: Bytes,
    ) -> Result<Response> {
        let session = session_id(head)?;
        if let Some(session) = &session {
            self.bind(&gateway, head, (&who.principal, who.expires_at), session);
        }
        let sender = batch::Sender {
            orchestrator: self.orchestrator.clone(),
            who,
            gateway,
            session,
        };
        let principal = Arc::clone(&sender.who.principal);
        let format = self.format("null".into(), Era::Legacy);
        batch::answer(sender, body, format, self.unread(&principal)).await
    }

    async fn notify(
        &self,
        gateway: GatewayId,
        who: Authenticated,
        session: Option<SessionId>,
        message: Message,
    ) -> Response {
        let Some(session) = session else {
            return errors::response(&no_session(), None, Era::Legacy);
        };
        let era = CallEra::Legacy(Some(session));
        let notify = Notify {
            principal: who.principal,
            gateway,
            era,
            message,
        };
        match self.orchestrator.notify(notify).await {
            Ok(()) => respond::accepted(),
            Err(error) => errors::response(&error, None, Era::Legacy),
        }
    }

    /// Opens the stream for messages outside calls, or resumes a broken stream.
    async fn get(&self, gateway: GatewayId, head: &Head<'_>) -> Result<Response> {
        let who = self.who(&gateway, head).await?;
        if is_modern(head) {
            return Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !validate::accepts(head, "text/event-stream") {
            return Ok(errors::status(StatusCode::NOT_ACCEPTABLE));
        }
        let session = session_id(head)?.ok_or_else(no_session)?;
        let resume = head
            .headers
            .get(HeaderName::from_static(header::LAST_EVENT_ID));
        let resume = resume.and_then(event_id::last_event);
        let answers = resume.as_ref().and_then(|last| last.request.clone());
        let (at, principal) = (gateway.clone(), Arc::clone(&who.principal));
        self.bind(&at, head, (&principal, who.expires_at), &session);
        let listen = Listen {
            principal: who.principal,
            gateway,
            session: Some(session),
            resume: resume.map(|last| last.id),
            request: None,
        };
        let reply = self.orchestrator.listen(listen).await?;
        let response = respond::stream(
            reply,
            self.format(answers.unwrap_or_else(|| "null".into()), Era::Legacy),
        );
        Ok(self.held(response, (&at, head), &principal))
    }

    async fn delete(&self, gateway: &GatewayId, head: &Head<'_>) -> Result<Response> {
        let who = self.who(gateway, head).await?;
        if is_modern(head) {
            return Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let session = session_id(head)?.ok_or_else(no_session)?;
        self.orchestrator
            .end_session(&who.principal, gateway, &session)?;
        Ok(errors::status(StatusCode::OK))
    }

    /// Returns the account of the responses that this principal has not read.
    fn unread<'a>(&'a self, principal: &'a Principal) -> Unread<'a> {
        (&self.admission.responses, principal)
    }

    fn format(&self, id: String, era: Era) -> ReplyFormat {
        ReplyFormat {
            id,
            era,
            keep_alive: self.options.keep_alive,
        }
    }
}

fn session_id(head: &Head<'_>) -> Result<Option<SessionId>> {
    let Some(value) = head.session else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).ok();
    let id = text.and_then(|text| SessionId::new(text).ok());
    id.map(Some)
        .ok_or_else(|| Error::new(ErrorKind::SessionNotFound, "no such session"))
}

fn is_modern(head: &Head<'_>) -> bool {
    let named = head.version.and_then(|value| value.to_str().ok());
    version::era(named.unwrap_or_default()) == Some(Era::Modern)
}
