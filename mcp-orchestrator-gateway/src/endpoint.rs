//! The MCP endpoint: `/mcp` for the default gateway, `/mcp/{gateway}` for the others.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method, Request, StatusCode};
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, AuthenticatorChain, PublicUrl};
use mcp_orchestrator_core::call::{Call, Dialect, Listen, Notify};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::jsonrpc::{Kind, Message, ParseError};
use mcp_orchestrator_core::protocol::{Era, header, method, version};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};

use crate::options::Options;
use crate::respond::{self, Manner};
use crate::{batch, cors, errors, guard, modern, resource};

const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);

/// The endpoint: `/mcp` and `/mcp/{gateway}`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Gate>);

/// What every request needs.
#[derive(Debug)]
struct Gate {
    orchestrator: Orchestrator,
    authenticator: Arc<dyn Authenticator>,
    options: Options,
    default: GatewayId,
}

impl Endpoint {
    /// An endpoint in front of this orchestrator, for those whom the authenticators know.
    ///
    /// # Errors
    /// Without an authenticator.
    pub fn new(
        orchestrator: Orchestrator,
        authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>,
        options: Options,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Gate {
            orchestrator,
            authenticator: AuthenticatorChain::of(authenticators)?,
            options,
            default: GatewayId::default_gateway(),
        })))
    }

    /// The same as an axum router. It may be nested under any prefix.
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        for prefix in self.prefixes() {
            router = router
                .route(&format!("{prefix}/mcp"), any(default_gateway))
                .route(&format!("{prefix}/mcp/{{gateway}}"), any(named_gateway));
        }
        router.with_state(self.clone())
    }

    /// Below which paths it answers: at the root, and below that of the public address.
    fn prefixes(&self) -> impl Iterator<Item = &str> {
        let url = self.0.options.public_url.as_ref();
        let own = url.map(PublicUrl::prefix).filter(|own| !own.is_empty());
        std::iter::once("").chain(own)
    }

    /// What it allows.
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Which gateway a path is of, where it is one of the endpoint's own.
    pub(crate) fn gateway(&self, path: &str) -> Option<GatewayId> {
        let below = |prefix| path.strip_prefix(prefix)?.strip_prefix("/mcp");
        match self.prefixes().find_map(below)? {
            "" => Some(self.0.default.clone()),
            // What is no plain name (an escape, a slash at the end) is left to the router.
            rest => GatewayId::new(rest.strip_prefix('/')?).ok(),
        }
    }

    /// Answers a request to a gateway.
    pub(crate) async fn answer<B>(&self, gateway: GatewayId, request: Request<B>) -> Response
    where
        B: axum::body::HttpBody<Data = Bytes> + Send + Unpin,
    {
        self.0.answer(gateway, request).await
    }
}

/// The endpoint as an axum router: `/mcp` and `/mcp/{gateway}`. It may be nested under any prefix.
///
/// # Errors
/// Without an authenticator.
pub fn router(
    orchestrator: Orchestrator,
    authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>,
    options: Options,
) -> Result<Router> {
    Ok(Endpoint::new(orchestrator, authenticators, options)?.router())
}

async fn default_gateway(State(endpoint): State<Endpoint>, request: Request<Body>) -> Response {
    let gateway = endpoint.0.default.clone();
    endpoint.answer(gateway, request).await
}

async fn named_gateway(
    State(endpoint): State<Endpoint>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    match GatewayId::new(&name) {
        Ok(gateway) => endpoint.answer(gateway, request).await,
        Err(_) => errors::status(StatusCode::NOT_FOUND),
    }
}

impl Gate {
    async fn answer<B>(&self, gateway: GatewayId, request: Request<B>) -> Response
    where
        B: axum::body::HttpBody<Data = Bytes> + Send + Unpin,
    {
        let (parts, body) = request.into_parts();
        if let Err(error) = guard::origin(&parts, &self.options) {
            return errors::response(&error, None, Era::Legacy);
        }
        let answer = match parts.method {
            // A browser asks before it sends a page's request, without saying who calls.
            Method::OPTIONS => Ok(cors::preflight(&parts)
                .unwrap_or_else(|| errors::status(StatusCode::METHOD_NOT_ALLOWED))),
            Method::POST => self.post(gateway.clone(), &parts, body).await,
            Method::GET => Box::pin(self.get(gateway.clone(), &parts)).await,
            Method::DELETE => self.delete(&gateway, &parts).await,
            _ => Ok(errors::status(StatusCode::METHOD_NOT_ALLOWED)),
        };
        let mut response = answer.unwrap_or_else(|error| {
            let mut response = errors::response(&error, None, Era::Legacy);
            let asked = (&self.options, &parts, &gateway);
            resource::challenge(&mut response, &error, asked);
            response
        });
        cors::allow(&parts, &mut response);
        response
    }

    /// Who calls, where the gateway is theirs: to all others it does not exist.
    async fn who(&self, gateway: &GatewayId, parts: &Parts) -> Result<Authenticated> {
        let found = self.authenticator.authenticate(parts).await?;
        let who = found.ok_or_else(|| {
            let text = "the request carries nothing that is known here and tells who sends it";
            Error::new(ErrorKind::Unauthenticated, text)
        })?;
        if !who.principal.is_well_named() {
            // Else it could be taken for another kind of caller.
            let text = format!(
                "{} is no name for who calls: it is reserved",
                who.principal.id
            );
            return Err(Error::new(ErrorKind::Unauthenticated, text));
        }
        let bound = who.gateway.as_ref().is_some_and(|only| only != gateway);
        if bound || !self.orchestrator.admits(&who.principal, gateway) {
            let text = format!("unknown gateway {gateway}");
            return Err(Error::new(ErrorKind::GatewayNotFound, text));
        }
        Ok(who)
    }

    async fn post<B>(&self, gateway: GatewayId, parts: &Parts, body: B) -> Result<Response>
    where
        B: axum::body::HttpBody<Data = Bytes> + Send + Unpin,
    {
        let who = self.who(&gateway, parts).await?;
        guard::media_types(parts)?;
        let body = guard::body(parts, body, self.options.max_body_bytes).await?;
        if batch::is_batch(&body) && !is_modern(parts) {
            return Box::pin(self.batch(gateway, parts, who, body)).await;
        }
        let message = Message::parse(body).map_err(not_a_message)?;
        let era = match modern::era(parts, &message) {
            Ok(era) => era,
            Err(error) => return Ok(errors::response(&error, message.id(), Era::Modern)),
        };
        match era {
            Era::Modern => Ok(Box::pin(self.modern(gateway, parts, who, message)).await),
            Era::Legacy => Ok(self.legacy(gateway, parts, who, message).await),
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

    async fn legacy(
        &self,
        gateway: GatewayId,
        parts: &Parts,
        who: Authenticated,
        message: Message,
    ) -> Response {
        let id = message.id().map(str::to_owned);
        let session = match session_id(parts) {
            Ok(session) => session,
            Err(error) => return errors::response(&error, id.as_deref(), Era::Legacy),
        };
        if message.kind() != Kind::Request {
            return Box::pin(self.notify(gateway, who, session, message)).await;
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
        // A session's call answers soon: with a stream, where its response is slow.
        respond::answered(self.orchestrator.call(call).await, manner)
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
        let accept = parts
            .headers
            .get(http::header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        if !accept.contains("text/event-stream") && !accept.contains("*/*") {
            return Ok(errors::status(StatusCode::NOT_ACCEPTABLE));
        }
        let session = session_id(parts)?.ok_or_else(no_session)?;
        let resume = parts
            .headers
            .get(HeaderName::from_static(header::LAST_EVENT_ID));
        let resume = resume.and_then(|value| value.to_str().ok()?.parse().ok());
        let listen = Listen {
            principal: who.principal,
            gateway,
            session: Some(session),
            resume,
            request: None,
        };
        let reply = self.orchestrator.listen(listen).await?;
        Ok(respond::listening(
            reply,
            self.manner("null".into(), Era::Legacy),
        ))
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
