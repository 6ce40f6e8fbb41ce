//! Name conflicts in gateways and extensions that they do not announce, as far as cached lists show them: for `check`,
//! for a reload, and for operators.

use std::path::Path;
use std::sync::Arc;

use super::built::Built;
use crate::auth::Principal;
use crate::config::{Notice, Problem, Settings};
use crate::error::{ErrorKind, Result};
use crate::id::GatewayId;
use crate::orchestrator::UnannouncedExtension;
use crate::router::{Conflict, ConflictCause, Router as _, TableRouter};
use crate::server::{ServerSpec, StartMode};

/// A name conflict in a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayConflict {
    /// The gateway.
    pub gateway: GatewayId,
    /// The conflict.
    pub conflict: Conflict,
}

impl GatewayConflict {
    /// Returns `true` if this is a configuration error: one of two tools or prompts cannot be reached. For a resource
    /// with two owners the order decides, and a template that matches any URI takes none that another server has named.
    pub fn is_error(&self) -> bool {
        self.conflict.hides_item()
    }

    /// Returns the conflict as a problem in this file.
    pub fn problem(&self, file: &Path) -> Problem {
        let hint = match self.conflict.cause {
            ConflictCause::SeveralServers if self.is_error() => {
                "; hide all but one by `tools`, or set `tool_names: prefixed`"
            }
            ConflictCause::NameTaken(_) => {
                "; choose another name in `tools.change`, or hide or rename this tool as well"
            }
            _ => "",
        };
        Problem {
            file: file.into(),
            position: None,
            key: format!("gateways.{}", self.gateway),
            message: format!("{}{hint}", self.conflict),
        }
    }
}

/// An extension that a gateway does not announce.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayExtension {
    /// The gateway.
    pub gateway: GatewayId,
    /// The extension.
    pub extension: UnannouncedExtension,
}

/// What the cached lists of a gateway's servers say about their combination.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Findings {
    /// Names that several servers list.
    pub conflicts: Vec<GatewayConflict>,
    /// Extensions that are not announced.
    pub extensions: Vec<GatewayExtension>,
}

impl Settings {
    /// Returns the findings for this principal according to the cached lists in the state directory. Starts no
    /// instance.
    ///
    /// # Errors
    /// Fails if the state directory cannot be used. If another process holds it, nothing is returned.
    pub async fn cached_findings(&self, principal: &Arc<Principal>) -> Result<Findings> {
        if !self.state_dir.exists() {
            return Ok(Findings::default());
        }
        // No instance runs for this, so no cluster is contacted.
        let mut settings = self.clone();
        settings.backends.kubernetes = None;
        match settings.build_lazy().await {
            Ok(built) => Ok(built.findings(principal).await),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Findings::default()),
            Err(error) => Err(error),
        }
    }

    /// Like [`build`](Self::build) for a single principal, except that no server starts eagerly.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub async fn build_lazy(&self) -> Result<Built> {
        let lazy = |server: &Arc<ServerSpec>| {
            let mut server = ServerSpec::clone(server);
            server.start = StartMode::Lazy;
            Arc::new(server)
        };
        let mut settings = self.clone();
        settings.servers = self.servers.iter().map(lazy).collect();
        settings.build(true).await
    }

    pub(crate) fn file(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| file)
    }
}

impl Built {
    /// Returns the findings for this principal in all gateways, according to the cached lists.
    pub async fn findings(&self, principal: &Arc<Principal>) -> Findings {
        Findings {
            conflicts: self.conflicts(principal).await,
            extensions: self.unannounced_extensions(principal).await,
        }
    }

    /// Returns the extensions that gateways do not announce to this principal, according to the cached lists.
    pub async fn unannounced_extensions(
        &self,
        principal: &Arc<Principal>,
    ) -> Vec<GatewayExtension> {
        let mut found = Vec::new();
        for gateway in self.router().gateways() {
            let here = self.orchestrator();
            let here = here.unannounced_extensions(principal, &gateway).await;
            let here = here.unwrap_or_default().into_iter();
            found.extend(here.map(|extension| GatewayExtension {
                gateway: gateway.clone(),
                extension,
            }));
        }
        found
    }

    /// Returns the conflicts for this principal in all gateways, according to the cached lists.
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

    /// Checks that these settings cause no conflict that does not exist already.
    ///
    /// A name that already conflicts, because a server has started to list it, is no reason to reject another change.
    ///
    /// # Errors
    /// One problem per name.
    pub async fn new_conflicts(
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
                    old.is_error()
                        && old.gateway == gateway
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

    /// Returns a notice for each gateway with `tool_names: auto` in which these settings change the form of names.
    pub(crate) fn name_form_changes(&self, settings: &Settings, next: &TableRouter) -> Vec<Notice> {
        let auto = settings
            .gateways
            .iter()
            .filter(|gateway| gateway.tool_names == crate::router::ToolNames::Auto);
        let changed = auto.filter_map(|gateway| {
            let before = self.router().is_prefixed(&gateway.id)?;
            let after = next.is_prefixed(&gateway.id)?;
            (before != after).then_some((gateway, after))
        });
        changed
            .map(|(gateway, prefixed)| Problem {
                file: settings.file().into(),
                position: None,
                key: format!("gateways.{}.tool_names", gateway.id),
                message: name_form_change(&gateway.id, gateway.servers.len(), prefixed),
            })
            .collect()
    }
}

fn name_form_change(gateway: &GatewayId, servers: usize, prefixed: bool) -> String {
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

impl From<Vec<Problem>> for crate::config::Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self {
            problems,
            notices: Vec::new(),
        }
    }
}
