//! Request handlers that show and operate the running servers.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use futures_util::StreamExt as _;
use mcp_orchestrator_core::audit::Action;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::router::{Item, Router as _, View, shown as shown_name};
use mcp_orchestrator_core::runtime::LogOptions;
use mcp_orchestrator_core::{Error, ErrorKind};

use super::answer::{Answer, id, invalid, ndjson, no_route, ok, read};
use super::call;
use super::rights::admin;
use crate::control::Control;
use crate::control::wire::{
    CallRequest, ConfigProblem, ConflictInfo, Conflicts, Described, Descriptions, ExplainRequest,
    ExtensionInfo, Instances, Line, LogRequest, LogText, Refusal, Reloaded, Touched,
};

pub(super) async fn status(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
) -> Answer {
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

pub(super) async fn checked_instances(control: State<Control>) -> Answer {
    control.orchestrator().check_connections(None).await;
    instances(control).await
}

pub(super) async fn instances(State(control): State<Control>) -> Answer {
    let instances = control.orchestrator().instances().await;
    ok(&Instances { instances })
}

pub(super) async fn describe(State(control): State<Control>, Path(name): Path<String>) -> Answer {
    let orchestrator = control.orchestrator();
    orchestrator.check_connections(Some(&name)).await;
    let server = orchestrator.server_info(&name);
    let known = match orchestrator.describe(&name).await {
        // A server that has never run is described without instances.
        Err(error) if error.kind() == ErrorKind::NoRoute && server.is_some() => Vec::new(),
        known => known?,
    };
    let extensions = match &server {
        Some(_) => extensions_of(&control, &name).await,
        None => Vec::new(),
    };
    ok(&Descriptions {
        server,
        instances: known.into_iter().map(Described::from).collect(),
        extensions,
    })
}

/// Returns the extensions of a server that a gateway does not announce.
async fn extensions_of(control: &Control, server: &str) -> Vec<ExtensionInfo> {
    let router = control.built.router();
    let principal = &control.principal;
    let mut found = control.built.unannounced_extensions(principal).await;
    found.retain(|one| {
        let view = router.view(principal, &one.gateway);
        view.is_ok_and(|view| {
            let mut entries = view.entries.iter();
            entries.any(|entry| {
                entry.server.as_str() == server && one.extension.servers.contains(&entry.alias)
            })
        })
    });
    found.iter().map(ExtensionInfo::from).collect()
}

pub(super) async fn conflicts(State(control): State<Control>) -> Answer {
    let found = control.built.findings(&control.principal).await;
    ok(&Conflicts {
        conflicts: found.conflicts.iter().map(ConflictInfo::from).collect(),
        extensions: found.extensions.iter().map(ExtensionInfo::from).collect(),
    })
}

pub(super) async fn restart(
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

pub(super) async fn probe(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path(server): Path<String>,
) -> Answer {
    let server = id(&server)?;
    let probed = control.orchestrator().probe(&actor.principal, &server);
    ok(&probed.await?)
}

pub(super) async fn stop(
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

pub(super) async fn logs(
    State(control): State<Control>,
    Path(server): Path<String>,
    body: Bytes,
) -> Answer {
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

pub(super) async fn call_tool(
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

pub(super) async fn explain(
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

pub(super) async fn reload(State(control): State<Control>) -> Answer {
    let ended = || Error::new(ErrorKind::Unavailable, "the gateway is stopping");
    let program = control.program.upgrade().ok_or_else(ended)?;
    let notices = program.reload().await.map_err(Error::from)?;
    ok(&Reloaded {
        servers: control.orchestrator().servers().len(),
        notices: notices.iter().map(ConfigProblem::from).collect(),
    })
}
