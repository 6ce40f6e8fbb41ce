//! Builds a running orchestrator from settings.

mod backends;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

pub use self::backends::Backends;
use crate::app::built::Built;
use crate::app::cluster::Cluster;
use crate::app::retry::WhenUnavailable;
use crate::app::{audit, credentials, first_admin, store as credential_store};
use crate::auth::{Directory, TokenAuthenticator};
use crate::config::{GatewaySettings, Settings};
use crate::credential::{
    CacheLimits, CachedResolver, ChainResolver, ConfiguredResolver, CredentialResolver,
    CredentialStore, Installations, InstalledResolver, Links,
};
use crate::error::Result;
use crate::installer::Installer;
use crate::orchestrator::Orchestrator;
use crate::router::{GatewaySpec, TableRouter};
use crate::runtime::LogBook;
use crate::seal::StateKey;
use crate::state::{StateDir, StateStore};

/// Returns the store for persistent documents and its key: those of the cluster if there is one, otherwise those of the
/// state directory.
fn kept(state: &StateDir, cluster: &Cluster) -> Result<(Arc<dyn StateStore>, Arc<StateKey>)> {
    let documents = match cluster.documents() {
        Some(documents) => documents,
        None => Arc::new(state.documents()?),
    };
    let key = cluster.state_key();
    Ok((documents, key.unwrap_or_else(|| Arc::clone(state.key()))))
}

/// Combines the resolvers: installed credentials take precedence over configured ones.
fn in_order(installed: &Arc<InstalledResolver>, configured: &Arc<CachedResolver>) -> ChainResolver {
    let resolvers: [Arc<dyn CredentialResolver>; 2] = [
        Arc::<InstalledResolver>::clone(installed),
        Arc::<CachedResolver>::clone(configured),
    ];
    ChainResolver::new(resolvers)
}

impl Settings {
    /// Builds the orchestrator that these settings describe and applies its servers. If anything runs in a cluster,
    /// checks first that the cluster permits it.
    ///
    /// `single_principal` means that all callers are the same person, as when `local` is the only authentication.
    ///
    /// # Errors
    /// Fails if the state directory is in use by another process or cannot be used, if the cluster's configuration
    /// cannot be used, or if its namespace or a permission is missing. Also fails if the credential store is in use by
    /// another process or sealed with another key.
    pub async fn build(&self, single_principal: bool) -> Result<Built> {
        self.build_with(single_principal, WhenUnavailable::Fail)
            .await
    }

    /// Like [`build`](Self::build), with a choice whether to wait for a cluster that does not respond yet.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub async fn build_with(
        &self,
        single_principal: bool,
        when_unavailable: WhenUnavailable,
    ) -> Result<Built> {
        self.build_on(single_principal, when_unavailable, &Backends::new())
            .await
    }

    /// Like [`build_with`](Self::build_with), with further backends. Pass their names to the load as well, in
    /// [`BackendOptions::registered`](crate::config::BackendOptions::registered).
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub async fn build_on(
        &self,
        single_principal: bool,
        when_unavailable: WhenUnavailable,
        registered: &Backends,
    ) -> Result<Built> {
        registered.check(&self.backends.default)?;
        let state = StateDir::open(&self.state_dir)?;
        let cluster = Cluster::enter(&self.backends, &state, when_unavailable).await?;
        let (documents, key) = kept(&state, &cluster)?;
        let logs = LogBook::default();
        let router = Arc::new(TableRouter::new(self.gateway_specs()));
        let configured = self.configured(&key).await?;
        let resolver: Arc<dyn CredentialResolver> = Arc::<ConfiguredResolver>::clone(&configured);
        let cached = Arc::new(CachedResolver::new(resolver, CacheLimits::default()));
        let tasks = TaskTracker::new();
        let store = when_unavailable
            .retry(|| credential_store::open(&self.store, &state))
            .await?;
        let installations = Installations::new(Arc::clone(&store));
        let installed = || self.installed(installations.clone(), &tasks);
        let (installed, sign_ins) = when_unavailable.retry(installed).await?;
        let tokens = || TokenAuthenticator::open(Arc::clone(&store), &tasks);
        let tokens = Arc::new(when_unavailable.retry(tokens).await?);
        let first_admin = || first_admin::ensure(self.auth.first_admin, &cluster, &tokens);
        when_unavailable.retry(first_admin).await?;
        let (directory, links) = self.directory_and_links(store);
        let available = registered
            .clone()
            .with_built_in(self, (&state, &cluster), (&logs, &key));
        let backend = available.into_set(self);
        let orchestrator = Orchestrator::builder(backend, Arc::<TableRouter>::clone(&router))
            .resolver(Arc::new(in_order(&installed, &cached)))
            .state(documents)
            .state_key(Arc::clone(&key))
            .logs(logs)
            .single_principal(single_principal)
            .install_with("mcp-orchestrator")
            .links(Arc::clone(&links))
            .directory(Arc::clone(&directory))
            .auth_wait(self.auth.auth_wait)
            .input_wait(self.auth.input_wait)
            .limits(self.auth.limits)
            .audit(audit::open(&self.audit)?)
            .build();
        orchestrator.apply(self.servers.iter().cloned());
        let (catalog, people) = (Arc::clone(&router), Arc::clone(&directory));
        let installer = Installer::new(orchestrator.clone(), catalog, installed, people);
        Ok(Built {
            installer: Arc::new(sign_ins.join(installer)),
            sign_ins,
            orchestrator,
            links,
            key,
            tokens,
            router,
            configured,
            cached,
            directory,
            state,
            cluster,
            started: Box::new(self.clone()),
            audit: Mutex::new(self.audit.clone()),
        })
    }

    async fn configured(&self, key: &Arc<StateKey>) -> Result<Arc<ConfiguredResolver>> {
        let sources = credentials::slot_sources(&self.credentials);
        let resolver = ConfiguredResolver::new(Arc::clone(key), sources);
        let secrets = self.secret_reader().await?;
        Ok(Arc::new(resolver.with_secrets(secrets)))
    }

    fn directory_and_links(&self, store: Arc<dyn CredentialStore>) -> (Arc<Directory>, Arc<Links>) {
        let directory = Arc::new(Directory::new(&self.people));
        let links = Arc::new(Links::new(store, Arc::clone(&directory)));
        (directory, links)
    }

    pub(crate) fn gateway_specs(&self) -> Vec<GatewaySpec> {
        let spec = |gateway: &GatewaySettings| GatewaySpec {
            id: gateway.id.clone(),
            members: gateway.members.clone(),
            names: gateway.tool_names,
            entries: gateway.servers.clone(),
        };
        self.gateways.iter().map(spec).collect()
    }
}
