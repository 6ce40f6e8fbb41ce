//! A running orchestrator, with the parts that a program needs.

use std::sync::Arc;

use parking_lot::Mutex;

use super::cluster::Cluster;
use super::oauth::SignIns;
use super::{audit, credentials};
use crate::auth::{Directory, TokenAuthenticator};
use crate::config::{AuditSettings, Notice, Settings};
use crate::credential::{CachedResolver, ConfiguredResolver, Links};
use crate::error::Result;
use crate::installer::Installer;
use crate::orchestrator::Orchestrator;
use crate::router::TableRouter;
use crate::seal::StateKey;
use crate::state::StateDir;

/// An orchestrator built from settings. Dropping it releases the state directory.
#[derive(Debug)]
pub struct Built {
    pub(super) orchestrator: Orchestrator,
    pub(super) installer: Arc<Installer>,
    pub(super) links: Arc<Links>,
    pub(super) key: Arc<StateKey>,
    pub(super) tokens: Arc<TokenAuthenticator>,
    pub(super) router: Arc<TableRouter>,
    pub(super) configured: Arc<ConfiguredResolver>,
    pub(super) cached: Arc<CachedResolver>,
    pub(super) directory: Arc<Directory>,
    pub(super) state: StateDir,
    pub(super) cluster: Cluster,
    pub(super) sign_ins: SignIns,
    /// The settings that it was built from.
    pub(super) started: Box<Settings>,
    /// The current settings of the audit log.
    pub(super) audit: Mutex<AuditSettings>,
}

impl Built {
    /// Returns the orchestrator.
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.orchestrator
    }

    /// Returns the router of its gateways.
    pub fn router(&self) -> &Arc<TableRouter> {
        &self.router
    }

    /// Returns `Ok` if this process is active. In a cluster, another process may be active under the same name while
    /// this one waits.
    ///
    /// # Errors
    /// The reason why it is not active.
    pub fn check_active(&self) -> Result<(), String> {
        self.cluster.check_active()
    }

    /// Releases the Lease in the cluster, so that the next process need not wait for it. Running instances are still
    /// served, but nothing is started or written any more.
    pub async fn release_lease(&self) {
        self.cluster.leave().await;
    }

    /// Releases everything that is held in the cluster, so that the next process need not wait. Call this last, after
    /// [`Orchestrator::shutdown`].
    pub async fn leave(&self) {
        self.sign_ins.finish().await;
        self.cluster.leave().await;
    }

    /// Returns the installer of credentials.
    pub fn installer(&self) -> &Arc<Installer> {
        &self.installer
    }

    /// Returns the links to the pages for setting up credentials. No link is created before their base URL is set.
    pub fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Returns the state key, which seals data that passes through clients and browsers.
    pub fn key(&self) -> &Arc<StateKey> {
        &self.key
    }

    /// Returns the authenticator for tokens issued by the gateway.
    pub fn tokens(&self) -> &Arc<TokenAuthenticator> {
        &self.tokens
    }

    /// Returns the directory of teams and admins.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Returns the state directory.
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// Applies new settings. Instances with an unchanged spec and credential are not affected, and calls in flight
    /// continue. Returns notices about changes that clients notice, such as a changed form of names in a gateway, and
    /// about settings that require a restart.
    ///
    /// # Errors
    /// Fails if the audit log cannot be opened; nothing is changed in that case.
    pub fn reload(&self, settings: &Settings) -> Result<Vec<Notice>> {
        self.reload_audit(settings)?;
        self.orchestrator.set_limits(settings.auth.limits);
        let mut notices =
            self.name_form_changes(settings, &TableRouter::new(settings.gateway_specs()));
        self.configured
            .set_sources(credentials::slot_sources(&settings.credentials));
        self.cached.clear();
        self.directory.replace(&settings.people);
        self.router.replace(settings.gateway_specs());
        self.orchestrator.apply(settings.servers.iter().cloned());
        self.tokens.revision().advance();
        notices.extend(self.restart_required(settings));
        Ok(notices)
    }

    fn reload_audit(&self, settings: &Settings) -> Result<()> {
        let mut now = self.audit.lock();
        if *now != settings.audit {
            self.orchestrator.set_audit(audit::open(&settings.audit)?);
            now.clone_from(&settings.audit);
        }
        Ok(())
    }
}
