//! Request handlers for the tools, prompts and resources of servers and gateways.

use axum::extract::{Path, State};
use axum::middleware::from_fn;
use axum::routing::get;
use axum::{Extension, Router};
use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::orchestrator::Unlisted;
use mcp_orchestrator_core::router::ItemKind;
use serde_json::value::RawValue;

use super::handlers::{Answer, defect, id, no_route, ok};
use super::web::only_admins;
use super::wire_lists::{Prompts, Resources, Tools};
use super::{Control, call};

pub(super) fn router() -> Router<Control> {
    let of_servers = Router::new()
        .route("/v1/servers/{server}/{list}", get(of_server))
        .route_layer(from_fn(only_admins));
    Router::new()
        .route("/v1/gateways/{gateway}/{list}", get(of_gateway))
        .merge(of_servers)
}

/// The server or gateway to list, and the caller.
struct Of<'a> {
    control: &'a Control,
    actor: &'a Actor,
    name: &'a str,
}

impl Of<'_> {
    async fn server(&self, kind: ItemKind) -> Result<Vec<Box<RawValue>>> {
        let orchestrator = self.control.built.orchestrator();
        let list = orchestrator
            .server_list(&self.actor.principal, &id(self.name)?, kind)
            .await?;
        serde_json::from_str(&list).map_err(defect)
    }

    fn gateway_id(&self) -> Result<GatewayId> {
        GatewayId::new(self.name).map_err(|error| no_route(&error))
    }

    async fn gateway(&self, kind: ItemKind) -> Result<Vec<Box<RawValue>>> {
        let orchestrator = self.control.built.orchestrator();
        let gateway = self.gateway_id()?;
        call::gateway_list(orchestrator, &self.actor.principal, &gateway, kind).await
    }

    /// Returns the servers missing from the list. The reasons are for admins only.
    async fn missing(&self, kind: ItemKind) -> Result<Vec<Unlisted>> {
        if !self.actor.admin {
            return Ok(Vec::new());
        }
        let gateway = self.gateway_id()?;
        let orchestrator = self.control.built.orchestrator();
        orchestrator
            .unlisted(&self.actor.principal, &gateway, kind)
            .await
    }
}

async fn of_server(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path((name, list)): Path<(String, String)>,
) -> Answer {
    let of = Of {
        control: &control,
        actor: &actor,
        name: &name,
    };
    match &list[..] {
        "tools" => ok(&Tools {
            tools: of.server(ItemKind::Tool).await?,
            missing: Vec::new(),
        }),
        "prompts" => ok(&Prompts {
            prompts: of.server(ItemKind::Prompt).await?,
            missing: Vec::new(),
        }),
        "resources" => ok(&Resources {
            resources: of.server(ItemKind::Resource).await?,
            templates: of.server(ItemKind::Template).await?,
            missing: Vec::new(),
        }),
        _ => Err(no_route(&"no such request").into()),
    }
}

async fn of_gateway(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path((name, list)): Path<(String, String)>,
) -> Answer {
    let of = Of {
        control: &control,
        actor: &actor,
        name: &name,
    };
    match &list[..] {
        "tools" => ok(&Tools {
            tools: of.gateway(ItemKind::Tool).await?,
            missing: of.missing(ItemKind::Tool).await?,
        }),
        "prompts" => ok(&Prompts {
            prompts: of.gateway(ItemKind::Prompt).await?,
            missing: of.missing(ItemKind::Prompt).await?,
        }),
        "resources" => ok(&Resources {
            resources: of.gateway(ItemKind::Resource).await?,
            templates: of.gateway(ItemKind::Template).await?,
            missing: of.missing(ItemKind::Resource).await?,
        }),
        _ => Err(no_route(&"no such request").into()),
    }
}
