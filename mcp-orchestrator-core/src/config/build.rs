//! From settings to a running orchestrator, and from new settings to the same one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    BackendKind, ConfiguredCredential, CredentialSource, GatewaySettings, Notice, Settings,
};
use crate::credential::{
    CacheLimits, CachedResolver, ConfiguredResolver, CredentialResolver, SlotSources, Source,
};
use crate::error::Result;
use crate::orchestrator::Orchestrator;
use crate::router::{GatewaySpec, TableRouter};
use crate::runtime::{BackendSet, LogBook, RuntimeBackend};
use crate::state::{StateDir, StateStore};
use crate::value::Text;

/// An orchestrator made from settings. Dropping it gives the state directory free.
#[derive(Debug)]
pub struct Built {
    orchestrator: Orchestrator,
    router: Arc<TableRouter>,
    configured: Arc<ConfiguredResolver>,
    cached: Arc<CachedResolver>,
    state: StateDir,
}

impl Settings {
    /// Makes the orchestrator that these settings describe, with its servers applied. Must be called within a tokio
    /// runtime.
    ///
    /// `single_principal` says that all callers are one person, as where only `local` tells who calls.
    ///
    /// # Errors
    /// Where the state directory is held by another process or cannot be used.
    pub fn build(&self, single_principal: bool) -> Result<Built> {
        let state = StateDir::open(&self.state_dir)?;
        let documents: Arc<dyn StateStore> = Arc::new(state.documents()?);
        let logs = LogBook::default();
        let router = Arc::new(TableRouter::new(self.gateway_specs()));
        let sources = slot_sources(&self.credentials);
        let configured = Arc::new(ConfiguredResolver::new(Arc::clone(state.key()), sources));
        let resolver: Arc<dyn CredentialResolver> = Arc::<ConfiguredResolver>::clone(&configured);
        let cached = Arc::new(CachedResolver::new(resolver, CacheLimits::default()));
        let backend = self.backend(&state, &logs);
        let orchestrator = Orchestrator::builder(backend, Arc::<TableRouter>::clone(&router))
            .resolver(Arc::<CachedResolver>::clone(&cached))
            .state(documents)
            .state_key(Arc::clone(state.key()))
            .logs(logs)
            .single_principal(single_principal)
            .build();
        orchestrator.apply(self.servers.iter().cloned());
        Ok(Built {
            orchestrator,
            router,
            configured,
            cached,
            state,
        })
    }

    fn backend(&self, state: &StateDir, logs: &LogBook) -> Arc<dyn RuntimeBackend> {
        let set = BackendSet::new();
        #[cfg(all(feature = "process", unix))]
        let set = if self.backends.processes {
            let directory = state.path().join("instances");
            let process = crate::runtime::ProcessBackend::with_log_book(directory, logs.clone());
            set.with_programs(BackendKind::Process.name(), Arc::new(process))
        } else {
            set
        };
        #[cfg(feature = "remote")]
        let set = set.with_remote(Arc::new(crate::runtime::RemoteBackend::default()));
        let _ = (state, logs);
        Arc::new(set)
    }

    pub(super) fn gateway_specs(&self) -> Vec<GatewaySpec> {
        let spec = |gateway: &GatewaySettings| GatewaySpec {
            id: gateway.id.clone(),
            names: gateway.tool_names,
            entries: gateway.servers.clone(),
        };
        self.gateways.iter().map(spec).collect()
    }
}

impl Built {
    /// The orchestrator.
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.orchestrator
    }

    /// The router of its gateways.
    pub fn router(&self) -> &Arc<TableRouter> {
        &self.router
    }

    /// Its state directory.
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// From now on these settings. Instances whose spec and credential are equal are not touched. Answers what clients
    /// will notice: gateways whose names take another form.
    pub fn reload(&self, settings: &Settings) -> Vec<Notice> {
        let flips = self.flips(settings, &TableRouter::new(settings.gateway_specs()));
        self.configured
            .set_sources(slot_sources(&settings.credentials));
        self.cached.clear();
        self.router.replace(settings.gateway_specs());
        self.orchestrator.apply(settings.servers.iter().cloned());
        flips
    }
}

fn slot_sources(credentials: &[ConfiguredCredential]) -> SlotSources {
    let mut sources: SlotSources = BTreeMap::new();
    for credential in credentials {
        let source = match &credential.source {
            CredentialSource::Value(Text::Secret(secret)) => Source::Value(secret.clone()),
            CredentialSource::Value(Text::Plain(text)) => Source::Value(text.clone().into()),
            CredentialSource::Env(name) => Source::Env(name.clone()),
            CredentialSource::File(path) => Source::File(path.clone()),
        };
        sources
            .entry(credential.server.clone())
            .or_default()
            .insert(credential.slot.clone(), source);
    }
    sources
}
