//! Request handlers for the tools, prompts and resources of servers and gateways.

use axum::extract::{Path, State};
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::orchestrator::Unlisted;
use mcp_orchestrator_core::router::ItemKind;
use serde_json::value::RawValue;

use super::answer::{Answer, defect, id, no_route, ok};
use super::call;
use super::rights::only_admins;
use crate::control::Control;
use crate::control::wire::lists::{Prompts, Resources, Tools};

pub(crate) fn router() -> Router<Control> {
    let of_servers = Router::new()
        .route("/v1/servers/{server}/{list}", lists_of(Source::Server))
        .route_layer(from_fn(only_admins));
    Router::new()
        .route("/v1/gateways/{gateway}/{list}", lists_of(Source::Gateway))
        .merge(of_servers)
}

/// Selects a list.
#[derive(Clone, Copy)]
enum Source {
    /// One server's, as it lists it.
    Server,
    /// A gateway's, as it shows it.
    Gateway,
}

/// The server or gateway to list, and the caller.
struct ListSubject<'a> {
    control: &'a Control,
    actor: &'a Actor,
    place: Source,
    name: &'a str,
}

impl ListSubject<'_> {
    async fn items(&self, kind: ItemKind) -> Result<Vec<Box<RawValue>>> {
        let orchestrator = self.control.built.orchestrator();
        let principal = &self.actor.principal;
        match self.place {
            Source::Server => {
                let server = id(self.name)?;
                let list = orchestrator.server_list(principal, &server, kind).await?;
                serde_json::from_str(&list).map_err(defect)
            }
            Source::Gateway => {
                let gateway = self.gateway()?;
                call::gateway_list(orchestrator, principal, &gateway, kind).await
            }
        }
    }

    /// Returns the servers missing from a gateway's list. The reasons are for admins only.
    async fn missing(&self, kind: ItemKind) -> Result<Vec<Unlisted>> {
        if matches!(self.place, Source::Server) || !self.actor.admin {
            return Ok(Vec::new());
        }
        let orchestrator = self.control.built.orchestrator();
        orchestrator
            .unlisted(&self.actor.principal, &self.gateway()?, kind)
            .await
    }

    fn gateway(&self) -> Result<GatewayId> {
        GatewayId::new(self.name).map_err(|error| no_route(&error))
    }

    async fn answer(&self, list: &str) -> Answer {
        match list {
            "tools" => ok(&Tools {
                tools: self.items(ItemKind::Tool).await?,
                missing: self.missing(ItemKind::Tool).await?,
            }),
            "prompts" => ok(&Prompts {
                prompts: self.items(ItemKind::Prompt).await?,
                missing: self.missing(ItemKind::Prompt).await?,
            }),
            "resources" => ok(&Resources {
                resources: self.items(ItemKind::Resource).await?,
                templates: self.items(ItemKind::Template).await?,
                missing: self.missing(ItemKind::Resource).await?,
            }),
            _ => Err(no_route(&"no such request").into()),
        }
    }
}

/// Returns the handler of requests for one list of a server or a gateway.
fn lists_of(place: Source) -> MethodRouter<Control> {
    let answer = move |State(control): State<Control>,
                       Extension(actor): Extension<Actor>,
                       Path((name, list)): Path<(String, String)>| async move {
        let of = ListSubject {
            control: &control,
            actor: &actor,
            place,
            name: &name,
        };
        of.answer(&list).await
    };
    get(answer)
}
