//! The request handlers of the control endpoint. Each calls one control method of the orchestrator.

pub(crate) mod call;
mod credentials;
mod lists;
mod sign_in;
mod warnings;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use mcp_orchestrator_core::audit::{Action, AuditEvent, Recording};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::router::{Item, Router as _, View, shown as shown_name};
use mcp_orchestrator_core::runtime::LogOptions;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Control;
use super::listener::{admin, only_admins};
use super::wire::{
    CallRequest, ConfigProblem, ConflictInfo, Conflicts, Described, Descriptions, ExplainRequest,
    Instances, Line, LogRequest, LogText, Refusal, Reloaded, Touched,
};
use crate::errors;
use crate::program::reload;
use crate::request::validate;

/// The media type of a stream of JSON lines.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// The maximum size of a call's arguments, in bytes.
const LARGEST: usize = 64 << 20;

/// Returns all routes of the control endpoint, without authentication: that is up to the transport.
pub(crate) fn router(control: Control) -> Router {
    // Only the user who runs the gateway can open its socket.
    let actor = Actor {
        principal: Arc::clone(&control.principal),
        admin: true,
    };
    routes().layer(Extension(actor)).with_state(control)
}

/// Returns the routes. Each handler finds the caller in the request's extensions.
pub(super) fn routes() -> Router<Control> {
    let operating = Router::new()
        .route("/v1/instances", get(instances))
        .route("/v1/describe/{name}", get(describe))
        .route("/v1/conflicts", get(conflicts))
        .route("/v1/reload", post(reload))
        .route("/v1/servers/{server}/logs", post(logs))
        .route("/v1/servers/{server}/restart", post(restart))
        .route("/v1/servers/{server}/stop", post(stop))
        .route_layer(from_fn(only_admins));
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/explain", post(explain))
        .route("/v1/servers/{server}/call", post(call_tool))
        .merge(operating)
        .merge(self::lists::router())
        .merge(self::credentials::router())
        .merge(self::sign_in::router())
        .fallback(|| async { Failed(Error::new(ErrorKind::NoRoute, "no such request")) })
        .layer(DefaultBodyLimit::max(LARGEST))
}

/// An error as a response.
pub(super) struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        json(
            errors::control_status(self.0.kind()),
            &Refusal::from(&self.0),
        )
    }
}

pub(super) type Answer = Result<Response, Failed>;

impl Control {
    fn orchestrator(&self) -> &Orchestrator {
        self.built.orchestrator()
    }

    /// Starts the audit event of an action by this caller on `with`.
    pub(super) fn recording(&self, actor: &Actor, action: Action, with: &str) -> Recording {
        let mut event = AuditEvent::new(Some(actor.principal.id.clone()), action);
        event.name = Some(with.into());
        self.orchestrator().audit().begin(event)
    }
}

async fn status(State(control): State<Control>, Extension(actor): Extension<Actor>) -> Answer {
    let router = control.built.router();
    let mut gateways = router.gateways();
    let mut servers = control.orchestrator().servers();
    let mut about = control.about.clone();
    if !actor.admin {
        gateways.retain(|id| router.view(&actor.principal, id).is_ok());
        servers.retain(|server| !shown_by(&control, &actor, server).is_empty());
        about = about.for_users();
    }
    about.servers = servers.iter().map(ToString::to_string).collect();
    about.gateways = gateways.iter().map(|id| control.gateway(id)).collect();
    ok(&about)
}

/// Returns the gateways that show the server to this caller.
fn shown_by(control: &Control, actor: &Actor, server: &ServerId) -> Vec<(GatewayId, Arc<View>)> {
    let router = control.built.router();
    let seen = router.gateways().into_iter().filter_map(|id| {
        let view = router.view(&actor.principal, &id).ok()?;
        let shows = view.entries.iter().any(|entry| entry.server == *server);
        shows.then_some((id, view))
    });
    seen.collect()
}

async fn instances(State(control): State<Control>) -> Answer {
    let instances = control.orchestrator().instances().await;
    ok(&Instances { instances })
}

async fn describe(State(control): State<Control>, Path(name): Path<String>) -> Answer {
    let orchestrator = control.orchestrator();
    let server = orchestrator.server_info(&name);
    let known = match orchestrator.describe(&name).await {
        // A server that has never run is described without instances.
        Err(error) if error.kind() == ErrorKind::NoRoute && server.is_some() => Vec::new(),
        known => known?,
    };
    let instances = known.into_iter().map(Described::from).collect();
    ok(&Descriptions { server, instances })
}

async fn conflicts(State(control): State<Control>) -> Answer {
    let found = control.built.conflicts(&control.principal).await;
    ok(&Conflicts {
        conflicts: found.iter().map(ConflictInfo::from).collect(),
    })
}

async fn restart(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path(server): Path<String>,
) -> Answer {
    let recording = control.recording(&actor, Action::Restart, &server);
    let touched = control.orchestrator().restart(&id(&server)?).await;
    recording.end(&touched);
    ok(&Touched {
        instances: touched?,
    })
}

async fn stop(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path(server): Path<String>,
) -> Answer {
    let recording = control.recording(&actor, Action::Stop, &server);
    let touched = control.orchestrator().stop(&id(&server)?).await;
    recording.end(&touched);
    ok(&Touched {
        instances: touched?,
    })
}

async fn logs(State(control): State<Control>, Path(server): Path<String>, body: Bytes) -> Answer {
    let request: LogRequest = read(&body)?;
    let options = LogOptions {
        tail: request.tail,
        follow: request.follow,
        previous: request.previous,
    };
    let server = id(&server)?;
    let orchestrator = control.orchestrator();
    let lines = orchestrator
        .logs(&server, request.instance.as_deref(), options)
        .await?;
    Ok(ndjson(lines.map(|line| match line {
        Ok(line) => Line::Line(LogText::from(line)),
        Err(error) => Line::Error(Refusal::from(&error)),
    })))
}

async fn call_tool(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path(server): Path<String>,
    body: Bytes,
) -> Answer {
    let server = id(&server)?;
    let request: CallRequest = read(&body)?;
    let orchestrator = control.orchestrator().clone();
    let Actor { principal, admin } = actor.clone();
    if admin {
        return Ok(ndjson(call::events(
            orchestrator,
            principal,
            server,
            request,
        )));
    }
    // Other callers call the tool through a gateway, under the name that the gateway shows.
    let shown = shown_by(&control, &actor, &server);
    let found = shown.into_iter().find_map(|(gateway, view)| {
        let mut entries = view.entries.iter();
        let entry = entries.find(|entry| entry.server == server)?;
        let name = shown_name(&entry.alias, &request.tool, view.prefixed).into_owned();
        let item = Item::Tool(&name);
        let routed = orchestrator.shows(&principal, &gateway, item);
        routed.then_some((gateway, name))
    });
    let Some((gateway, name)) = found else {
        return Err(no_route(&format!("unknown tool {} of {server}", request.tool)).into());
    };
    let request = CallRequest {
        tool: name,
        ..request
    };
    let events = call::gateway_events(orchestrator, principal, gateway, request);
    Ok(ndjson(events))
}

async fn explain(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer {
    let request: ExplainRequest = read(&body)?;
    let principal = match &request.principal {
        None => Arc::clone(&actor.principal),
        Some(name) if actor.principal.id.as_str() == name => Arc::clone(&actor.principal),
        Some(name) => {
            admin(&actor)?;
            let id = PrincipalId::new(name).map_err(|error| invalid(&error))?;
            let named = Arc::new(Principal::user(id, "control"));
            control.built.directory().complete(named)
        }
    };
    let gateway = match &request.gateway {
        None => GatewayId::default_gateway(),
        Some(name) => GatewayId::new(name).map_err(|error| no_route(&error))?,
    };
    let item = match (&request.tool, &request.prompt, &request.resource) {
        (Some(tool), None, None) => Item::Tool(tool),
        (None, Some(prompt), None) => Item::Prompt(prompt),
        (None, None, Some(resource)) => Item::Resource(resource),
        _ => return Err(invalid(&"name one tool, prompt or resource").into()),
    };
    let mut explanation = control
        .orchestrator()
        .explain(&principal, &gateway, item)
        .await;
    let router = control.built.router();
    // Callers get the same error for unknown and forbidden gateways; an operator needs the difference.
    let is_hidden = actor.admin
        && router.view(&principal, &gateway).is_err()
        && router.gateways().contains(&gateway);
    if is_hidden && let Some((_, why)) = explanation.steps.last_mut() {
        *why = format!("{} is not a member of gateway {gateway}", principal.id);
    }
    ok(&explanation)
}

async fn reload(State(control): State<Control>) -> Answer {
    let notices = reload::apply(&control).await.map_err(Error::from)?;
    ok(&Reloaded {
        servers: control.orchestrator().servers().len(),
        notices: notices.iter().map(ConfigProblem::from).collect(),
    })
}

/// Parses the server's name in the path. An invalid name is reported like a server that is not configured.
pub(super) fn id(server: &str) -> Result<ServerId> {
    ServerId::new(server).map_err(|error| no_route(&error))
}

pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    let body = validate::strip_mark(body.clone());
    serde_json::from_slice(&body).map_err(|error| invalid(&error))
}

pub(super) fn invalid(text: &impl ToString) -> Error {
    Error::new(ErrorKind::InvalidParams, text.to_string())
}

pub(super) fn no_route(text: &impl ToString) -> Error {
    Error::new(ErrorKind::NoRoute, text.to_string())
}

pub(super) fn defect(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "an answer cannot be written").with_source(error)
}

pub(super) fn ok(value: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, value))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn ndjson<T: Serialize>(items: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = items.map(|item| {
        serde_json::to_vec(&item).map(|mut line| {
            line.push(b'\n');
            line
        })
    });
    let body = Body::from_stream(lines);
    ([(CONTENT_TYPE, NDJSON)], body).into_response()
}
