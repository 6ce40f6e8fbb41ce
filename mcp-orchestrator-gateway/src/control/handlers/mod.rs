//! The request handlers of the control endpoint. Each calls one control method of the orchestrator.

pub(crate) mod answer;
pub(crate) mod call;
mod credentials;
mod lists;
mod operate;
pub(crate) mod rights;
mod sign_in;
mod warnings;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use axum::{Extension, Router};
use mcp_orchestrator_core::audit::{Action, AuditEvent, Recording};
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator};

use self::answer::Failed;
use self::operate::{
    call_tool, checked_instances, conflicts, describe, explain, instances, logs, probe, reload,
    restart, status, stop,
};
use self::rights::only_admins;
use super::Control;

/// The maximum size of a call's arguments, in bytes.
pub(super) const MAX_BODY_LEN: usize = 64 << 20;

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
        .route("/v1/instances/checked", get(checked_instances))
        .route("/v1/describe/{name}", get(describe))
        .route("/v1/conflicts", get(conflicts))
        .route("/v1/reload", post(reload))
        .route("/v1/servers/{server}/logs", post(logs))
        .route("/v1/servers/{server}/probe", post(probe))
        .route("/v1/servers/{server}/restart", post(restart))
        .route("/v1/servers/{server}/stop", post(stop))
        .route_layer(from_fn(only_admins));
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/explain", post(explain))
        .route("/v1/servers/{server}/call", post(call_tool))
        .merge(operating)
        .merge(lists::router())
        .merge(credentials::router())
        .merge(sign_in::router())
        .fallback(|| async { Failed::from(Error::new(ErrorKind::NoRoute, "no such request")) })
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
}

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
