//! A request to a gateway: who calls, what it is, and who answers.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, Principal};
use mcp_orchestrator_core::call::{Call, Dialect, Listen, Notify};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::jsonrpc::{Kind, Message, ParseError};
use mcp_orchestrator_core::protocol::{Era, header, method, version};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};

use crate::admission::Admission;
use crate::options::Options;
use crate::respond::{self, Manner};
use crate::{batch, bodies, cors, errors, guard, modern, resource};

const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
/// What every request needs.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) admission: Admission,
    pub(crate) options: Options,
    pub(crate) default: GatewayId,
}

/// What a request comes to.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all requests are"
)]
enum Asked<'a> {
    /// A request of a legacy client.
    Call(Call, Manner),
    /// All else, in its box: it must not make the future of every call larger.
    Other(BoxFuture<'a, Result<Response>>),
}

/// What is answered at once.
fn answer(response: Response) -> Asked<'static> {
    Asked::Other(Box::pin(std::future::ready(Ok(response))))
}

impl Gate {
    /// Answers a request to a gateway.
    pub(crate) async fn answer<B>(&self, gateway: GatewayId, parts: &Parts, body: B) -> Response
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        if let Err(error) = guard::origin(parts, &self.options) {
            return errors::response(&error, None, Era::Legacy);
        }
        let answer = match parts.method {
            // A browser asks before it sends a page's request, without saying who calls.
            Method::OPTIONS => Ok(cors::preflight(parts)
                .unwrap_or_else(|| errors::status(StatusCode::METHOD_NOT_ALLOWED))),
            Method::POST => self.post(&gateway, parts, body).await,
            Method::GET => Box::pin(self.get(gateway.clone(), parts)).await,
            Method::DELETE => self.delete(&gateway, parts).await,
            _ => Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED)),
        };
        let mut response = answer.unwrap_or_else(|error| {
            let mut response = errors::response(&error, None, Era::Legacy);
            let asked = (&self.options, parts, &gateway);
            resource::challenge(&mut response, &error, asked);
            response
        });
        cors::allow(parts, &mut response);
        response
    }

    /// Who calls, where the gateway is theirs: to all others it does not exist.
    pub(crate) async fn who(&self, gateway: &GatewayId, parts: &Parts) -> Result<Authenticated> {
        let found = self.authenticator.authenticate(parts).await?;
        let who = found.ok_or_else(|| guard::nobody(parts))?;
        guard::page_of_local_user(parts, &self.options, &who.principal)?;
        admitted(&self.orchestrator, gateway, who)
    }

    /// A response to this caller; one that is a stream ends when the caller loses access.
    pub(crate) fn held(
        &self,
        response: Response,
        (gateway, parts): (&GatewayId, &Parts),
        principal: &Arc<Principal>,
    ) -> Response {
        if !respond::is_stream(&response) {
            return response;
        }
        let (orchestrator, gateway) = (self.orchestrator.clone(), gateway.clone());
        let principal = Arc::clone(principal);
        self.admission.guard(response, parts, move |found| {
            let gone = || {
                Error::new(
                    ErrorKind::Unauthenticated,
                    "the caller is not known any more",
                )
            };
            let who = admitted(&orchestrator, &gateway, found.ok_or_else(gone)?)?;
            if who.principal.id != principal.id || who.principal.kind != principal.kind {
                return Err(gone());
            }
            Ok(who)
        })
    }

    async fn post<B>(&self, gateway: &GatewayId, parts: &Parts, body: B) -> Result<Response>
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin,
    {
        let who = self.who(gateway, parts).await?;
        let principal = Arc::clone(&who.principal);
        guard::media_types(parts)?;
        let mut room = self.admission.bodies.room(&principal);
        let limit = self.options.max_body_bytes;
        let body = bodies::read(parts, body, limit, Some(&mut room)).await?;
        let body = guard::strip_mark(body);
        let response = match self.read(gateway, parts, who, body)? {
            // A session's call answers soon: with a stream, where its response is slow.
            Asked::Call(call, manner) => {
                respond::answered(self.orchestrator.call(call).await, manner)
            }
            Asked::Other(answer) => answer.await?,
        };
        Ok(self.held(response, (gateway, parts), &principal))
    }

    /// What is to be done about a body. Nothing waits here, so that what is read moves once.
    fn read<'a>(
        &'a self,
        gateway: &GatewayId,
        parts: &'a Parts,
        who: Authenticated,
        body: Bytes,
    ) -> Result<Asked<'a>> {
        let gateway = gateway.clone();
        if batch::is_batch(&body) && !is_modern(parts) {
            return Ok(Asked::Other(Box::pin(
                self.batch(gateway, parts, who, body),
            )));
        }
        let message = Message::parse(body).map_err(not_a_message)?;
        match modern::era(parts, &message) {
            Ok(Era::Modern) => {
                let answer = self.modern(gateway, parts, who, message);
                Ok(Asked::Other(Box::pin(answer.map(Ok))))
            }
            Ok(Era::Legacy) => Ok(self.legacy(gateway, parts, who, message)),
            Err(error) => Ok(answer(errors::response(&error, message.id(), Era::Modern))),
        }
    }

    async fn modern(
        &self,
        gateway: GatewayId,
        parts: &Parts,
        who: Authenticated,
        message: Message,
    ) -> Response {
        if message.kind() != Kind::Request {
            return respond::accepted();
        }
        let id = message.id().unwrap_or("null").to_owned();
        if let Err(error) = modern::check(parts, &message) {
            return errors::response(&error, Some(&id), Era::Modern);
        }
        let manner = self.manner(id, Era::Modern);
        if message.method() == method::LISTEN {
            let listen = Listen {
                principal: who.principal,
                gateway,
                session: None,
                resume: None,
                request: Some(message),
            };
            return respond::answered(self.orchestrator.listen(listen).await, manner);
        }
        let call = Call {
            principal: who.principal,
            gateway,
            dialect: Dialect::Modern,
            message,
            headers: modern::param_headers(parts),
            token: who.token,
        };
        let orchestrator = self.orchestrator.clone();
        respond::call(
            Box::pin(async move { orchestrator.call(call).await }),
            manner,
        )
        .await
    }

    fn legacy(
        &self,
        gateway: GatewayId,
        parts: &Parts,
        who: Authenticated,
        message: Message,
    ) -> Asked<'_> {
        let id = message.id().map(str::to_owned);
        let session = match session_id(parts) {
            Ok(session) => session,
            Err(error) => return answer(errors::response(&error, id.as_deref(), Era::Legacy)),
        };
        if message.kind() != Kind::Request {
            let told = self.notify(gateway, who, session, message);
            return Asked::Other(Box::pin(told.map(Ok)));
        }
        let manner = self.manner(id.unwrap_or_else(|| "null".into()), Era::Legacy);
        let call = Call {
            principal: who.principal,
            gateway,
            dialect: Dialect::Legacy(session.filter(|_| message.method() != method::INITIALIZE)),
            message,
            headers: http::HeaderMap::new(),
            token: who.token,
        };
        Asked::Call(call, manner)
    }

    async fn batch(
        &self,
        gateway: GatewayId,
        parts: &Parts,
        who: Authenticated,
        body: Bytes,
    ) -> Result<Response> {
        let sender = batch::Sender {
            orchestrator: self.orchestrator.clone(),
            who,
            gateway,
            session: session_id(parts)?,
        };
        batch::answer(sender, body, self.manner("null".into(), Era::Legacy)).await
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
        let dialect = Dialect::Legacy(Some(session));
        let notify = Notify {
            principal: who.principal,
            gateway,
            dialect,
            message,
        };
        match self.orchestrator.notify(notify).await {
            Ok(()) => respond::accepted(),
            Err(error) => errors::response(&error, None, Era::Legacy),
        }
    }

    /// The stream of what belongs to no call, or the rest of one that broke.
    async fn get(&self, gateway: GatewayId, parts: &Parts) -> Result<Response> {
        let who = self.who(&gateway, parts).await?;
        if is_modern(parts) {
            return Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !guard::accepts(parts, "text/event-stream") {
            return Ok(errors::status(StatusCode::NOT_ACCEPTABLE));
        }
        let session = session_id(parts)?.ok_or_else(no_session)?;
        let resume = parts
            .headers
            .get(HeaderName::from_static(header::LAST_EVENT_ID));
        let resume = resume.and_then(|value| value.to_str().ok()?.parse().ok());
        let (at, principal) = (gateway.clone(), Arc::clone(&who.principal));
        let listen = Listen {
            principal: who.principal,
            gateway,
            session: Some(session),
            resume,
            request: None,
        };
        let reply = self.orchestrator.listen(listen).await?;
        let response = respond::listening(reply, self.manner("null".into(), Era::Legacy));
        Ok(self.held(response, (&at, parts), &principal))
    }

    async fn delete(&self, gateway: &GatewayId, parts: &Parts) -> Result<Response> {
        let who = self.who(gateway, parts).await?;
        if is_modern(parts) {
            return Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let session = session_id(parts)?.ok_or_else(no_session)?;
        self.orchestrator
            .end_session(&who.principal, gateway, &session)?;
        Ok(errors::status(StatusCode::OK))
    }

    fn manner(&self, id: String, era: Era) -> Manner {
        Manner {
            id,
            era,
            keep_alive: self.options.keep_alive,
        }
    }
}

/// The caller, where the gateway is theirs: to all others it does not exist.
fn admitted(
    orchestrator: &Orchestrator,
    gateway: &GatewayId,
    who: Authenticated,
) -> Result<Authenticated> {
    if !who.principal.is_well_named() {
        // Else it could be taken for another kind of caller.
        let text = format!(
            "{} is no name for who calls: it is reserved",
            who.principal.id
        );
        return Err(Error::new(ErrorKind::Unauthenticated, text));
    }
    let bound = who.gateway.as_ref().is_some_and(|only| only != gateway);
    if bound || !orchestrator.admits(&who.principal, gateway) {
        let text = format!("unknown gateway {gateway}");
        return Err(Error::new(ErrorKind::GatewayNotFound, text));
    }
    Ok(who)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(crate) fn not_a_message(error: ParseError) -> Error {
    let kind = match error {
        ParseError::Json(_) => ErrorKind::Parse,
        ParseError::Batch | ParseError::Shape(_) => ErrorKind::InvalidRequest,
    };
    Error::new(kind, error.to_string())
}

fn session_id(parts: &Parts) -> Result<Option<SessionId>> {
    let Some(value) = parts.headers.get(SESSION_ID) else {
        return Ok(None);
    };
    let id = value
        .to_str()
        .ok()
        .and_then(|text| SessionId::new(text).ok());
    id.map(Some)
        .ok_or_else(|| Error::new(ErrorKind::SessionNotFound, "no such session"))
}

pub(crate) fn no_session() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "the header Mcp-Session-Id is missing",
    )
}

fn named_version(parts: &Parts) -> &str {
    let value = parts.headers.get(VERSION);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn is_modern(parts: &Parts) -> bool {
    version::era(named_version(parts)) == Some(Era::Modern)
}
