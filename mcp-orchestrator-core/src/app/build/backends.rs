//! The backends of an orchestrator, by the names that servers use for them.

use std::sync::Arc;

use crate::app::cluster::Cluster;
use crate::config::{BackendKind, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackendName;
use crate::runtime::{BackendSet, LogBook, RuntimeBackend};
use crate::seal::StateKey;
use crate::state::StateDir;

/// Backends that run programs, by name. The built-in ones are added when an orchestrator is built from settings.
#[derive(Clone, Debug, Default)]
pub struct Backends(Vec<(BackendName, Arc<dyn RuntimeBackend>)>);

impl Backends {
    /// Creates an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a backend. One with the same name is replaced, also a built-in one.
    #[must_use]
    pub fn with(mut self, name: BackendName, backend: Arc<dyn RuntimeBackend>) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, backend));
        self
    }

    /// Returns the names, for [`BackendOptions::registered`](crate::config::BackendOptions::registered).
    pub fn names(&self) -> Vec<BackendName> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Returns an error if this default backend is one that was not registered.
    pub(super) fn check(&self, default: &BackendKind) -> Result<()> {
        let BackendKind::Registered(name) = default else {
            return Ok(());
        };
        if self.0.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let text = format!("backend {name}: no backend is registered under this name");
        Err(Error::new(ErrorKind::Config, text))
    }

    /// Adds the built-in backends that the settings use, unless another one has the name.
    pub(super) fn with_built_in(
        mut self,
        settings: &Settings,
        (state, cluster): (&StateDir, &Cluster),
        (logs, key): (&LogBook, &Arc<StateKey>),
    ) -> Self {
        #[cfg(all(feature = "process", unix))]
        if settings.backends.processes {
            let directory = state.path().join("instances");
            let processes = crate::runtime::ProcessBackend::with_log_book(directory, logs.clone());
            self.add(&BackendKind::Process, Arc::new(processes));
        }
        if let Some(pods) = cluster.pods(&settings.backends, logs, key) {
            self.add(&BackendKind::Kubernetes, pods);
        }
        let _ = state;
        self
    }

    fn add(&mut self, kind: &BackendKind, backend: Arc<dyn RuntimeBackend>) {
        let name = kind.name();
        if self.0.iter().all(|(known, _)| *known != name) {
            self.0.push((name, backend));
        }
    }

    /// Combines the backends, and the one of remote servers. The default backend comes first: it runs servers that name
    /// none.
    pub(super) fn into_set(mut self, settings: &Settings) -> Arc<dyn RuntimeBackend> {
        let default = settings.backends.default.name();
        self.0.sort_by_key(|(name, _)| *name != default);
        let set = self
            .0
            .into_iter()
            .fold(BackendSet::new(), |set, (name, backend)| {
                set.with_programs(name, backend)
            });
        #[cfg(feature = "remote")]
        let set = set.with_remote(Arc::new(crate::runtime::RemoteBackend::new(
            settings.outbound.connector(),
        )));
        Arc::new(set)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::WhenUnavailable;
    use crate::auth::Principal;
    use crate::call::Call;
    use crate::config::{BackendOptions, LoadOptions, load_texts};
    use crate::id::{GatewayId, PrincipalId};
    use crate::jsonrpc::{Message, request};
    use crate::runtime::{Exit, MemoryBackend};

    /// Returns a backend that reports each start, and the receiver of the reports.
    fn reporting() -> (Arc<dyn RuntimeBackend>, tokio::sync::watch::Receiver<usize>) {
        let (starts, seen) = tokio::sync::watch::channel(0);
        let backend = MemoryBackend::new(move |_, _, _| {
            starts.send_modify(|starts| *starts += 1);
            std::future::ready(Exit::status(0))
        });
        (Arc::new(backend), seen)
    }

    async fn starts_on_the_registered_backend(text: &str) {
        let (backend, mut seen) = reporting();
        let registered = Backends::new().with(BackendName::new("lab").unwrap(), backend);
        let state = tempfile::tempdir().unwrap();
        let options = LoadOptions {
            state_dir: Some(state.path().into()),
            backends: BackendOptions {
                registered: registered.names(),
                ..BackendOptions::default()
            },
            ..LoadOptions::default()
        };
        let texts = [("/etc/mcp/c.yaml".into(), text.to_owned())];
        let settings = load_texts(&texts, &options).unwrap().settings;
        let built = settings.build_on(true, WhenUnavailable::Fail, &registered);
        let built = built.await.unwrap();
        let ann = Principal::user(PrincipalId::new("ann").unwrap(), "test");
        let params = r#"{"name":"x","arguments":{}}"#;
        let message = Message::parse(request("1", "tools/call", Some(params))).unwrap();
        let call = Call::modern(Arc::new(ann), GatewayId::default_gateway(), message);
        let reply = async {
            if let Ok(reply) = built.orchestrator().call(call).await {
                let _ = reply.response().await;
            }
        };
        tokio::join!(reply, async {
            seen.wait_for(|starts| *starts > 0).await.unwrap();
        });
        built.orchestrator().shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn registered_backend_runs_servers_that_name_it() {
        starts_on_the_registered_backend("servers: {a: {command: sh, backend: lab}}").await;
    }

    #[tokio::test]
    async fn registered_backend_runs_all_servers_as_the_default() {
        starts_on_the_registered_backend("backend: lab\nservers: {a: {command: sh}}").await;
    }
}
