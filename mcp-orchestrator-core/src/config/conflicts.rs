//! Names that collide in a gateway, as far as kept lists show it: for `check`, for a reload, and for who operates it.

use std::path::Path;
use std::sync::Arc;

use super::{Built, Notice, Problem, Settings};
use crate::auth::Principal;
use crate::error::{ErrorKind, Result};
use crate::id::GatewayId;
use crate::router::{Conflict, ItemKind, Router as _, TableRouter};
use crate::server::{ServerSpec, StartMode};

/// What several servers of a gateway list under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConflict {
    /// In which gateway.
    pub gateway: GatewayId,
    /// What, and by whom.
    pub conflict: Conflict,
}

impl GatewayConflict {
    /// Whether it is an error of the configuration: one of two tools or prompts cannot be reached. Of two owners of a
    /// resource the order decides, and a template that matches any URI takes none that another server has named.
    pub fn is_error(&self) -> bool {
        matches!(self.conflict.kind, ItemKind::Tool | ItemKind::Prompt)
    }

    /// As something in this file.
    pub fn problem(&self, file: &Path) -> Problem {
        let hint = if self.is_error() {
            "; hide all but one by `tools`, or set `tool_names: prefixed`"
        } else {
            ""
        };
        Problem {
            file: file.into(),
            position: None,
            key: format!("gateways.{}", self.gateway),
            message: format!("{}{hint}", self.conflict),
        }
    }
}

impl Settings {
    /// What collides for this principal, as far as the lists in the state directory tell. Nothing is started.
    ///
    /// # Errors
    /// Where the state directory cannot be used. One that another process holds tells nothing.
    pub async fn kept_conflicts(&self, principal: &Arc<Principal>) -> Result<Vec<GatewayConflict>> {
        if !self.state_dir.exists() {
            return Ok(Vec::new());
        }
        // Nothing runs for it, so no cluster is asked.
        let mut settings = self.clone();
        settings.backends.kubernetes = None;
        match settings.resting().await {
            Ok(built) => Ok(built.conflicts(principal).await),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// As [`build`](Self::build) for one principal, but no server starts by itself.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub async fn resting(&self) -> Result<Built> {
        let lazy = |server: &Arc<ServerSpec>| {
            let mut server = ServerSpec::clone(server);
            server.start = StartMode::Lazy;
            Arc::new(server)
        };
        let mut settings = self.clone();
        settings.servers = self.servers.iter().map(lazy).collect();
        settings.build(true).await
    }

    pub(super) fn file(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| file)
    }
}

impl Built {
    /// What collides for this principal in any gateway, as far as lists are kept.
    pub async fn conflicts(&self, principal: &Arc<Principal>) -> Vec<GatewayConflict> {
        let mut found = Vec::new();
        for gateway in self.router().gateways() {
            let here = self.orchestrator().conflicts(principal, &gateway).await;
            let here = here.unwrap_or_default().into_iter();
            found.extend(here.map(|conflict| GatewayConflict {
                gateway: gateway.clone(),
                conflict,
            }));
        }
        found
    }

    /// What these settings would make collide that does not collide now.
    ///
    /// A name that collides already, since a server has come to list it, is no reason to refuse another change.
    ///
    /// # Errors
    /// One problem for each name.
    pub async fn new_collisions(
        &self,
        settings: &Settings,
        principal: &Arc<Principal>,
    ) -> std::result::Result<(), Vec<Problem>> {
        let before = self.conflicts(principal).await;
        let router = TableRouter::new(settings.gateway_specs());
        let mut problems = Vec::new();
        for gateway in router.gateways() {
            let Ok(view) = router.view(principal, &gateway) else {
                continue;
            };
            let found = self.orchestrator().conflicts_in(principal, &view).await;
            for conflict in found {
                let known = before.iter().any(|old| {
                    old.gateway == gateway
                        && (old.conflict.kind, &old.conflict.name)
                            == (conflict.kind, &conflict.name)
                });
                let one = GatewayConflict {
                    gateway: gateway.clone(),
                    conflict,
                };
                if one.is_error() && !known {
                    problems.push(one.problem(settings.file()));
                }
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// Gateways whose names `tool_names: auto` changes by these settings.
    pub(super) fn flips(&self, settings: &Settings, next: &TableRouter) -> Vec<Notice> {
        let auto = settings
            .gateways
            .iter()
            .filter(|gateway| gateway.tool_names == crate::router::ToolNames::Auto);
        let flipped = auto.filter_map(|gateway| {
            let before = self.router().is_prefixed(&gateway.id)?;
            let after = next.is_prefixed(&gateway.id)?;
            (before != after).then_some((gateway, after))
        });
        flipped
            .map(|(gateway, prefixed)| Problem {
                file: settings.file().into(),
                position: None,
                key: format!("gateways.{}.tool_names", gateway.id),
                message: flip(&gateway.id, gateway.servers.len(), prefixed),
            })
            .collect()
    }
}

fn flip(gateway: &GatewayId, servers: usize, prefixed: bool) -> String {
    let (before, after) = if prefixed {
        ("bare", "prefixed (server__tool)")
    } else {
        ("prefixed (server__tool)", "bare")
    };
    format!(
        "gateway {gateway} has {servers} server{} now, so names of tools and prompts are {after}; they were {before}: \
         clients must list them again. Set `tool_names` to keep one form",
        if servers == 1 { "" } else { "s" }
    )
}

impl From<Vec<Problem>> for super::Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self {
            problems,
            notices: Vec::new(),
        }
    }
}
