//! Combines several backends into one. A server is started on the backend that matches its kind and the name it
//! requests.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{
    Description, Instance, InstanceEvent, InstanceKey, LaunchSpec, LogLine, LogOptions, Progress,
    RuntimeBackend,
};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackendName;
use crate::server::{Launch, ServerSpec};

/// Starts programs on the backend that they name, or on the first one by default, and remote servers on a separate
/// backend.
///
/// Operations that have only an instance's key are sent to every backend: at most one of them has the instance, and
/// an absent instance is not an error. Instances from before a restart are found the same way.
#[derive(Clone, Debug, Default)]
pub struct BackendSet {
    programs: Vec<(BackendName, Arc<dyn RuntimeBackend>)>,
    remote: Option<Arc<dyn RuntimeBackend>>,
}

impl BackendSet {
    /// Creates an empty set, which cannot start anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend for programs that name it; the first one added also runs programs that name none. A backend
    /// with the same name is replaced.
    #[must_use]
    pub fn with_programs(mut self, name: BackendName, backend: Arc<dyn RuntimeBackend>) -> Self {
        match self.programs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = backend,
            None => self.programs.push((name, backend)),
        }
        self
    }

    /// Sets the backend for remote servers.
    #[must_use]
    pub fn with_remote(mut self, backend: Arc<dyn RuntimeBackend>) -> Self {
        self.remote = Some(backend);
        self
    }

    fn backends(&self) -> impl Iterator<Item = &Arc<dyn RuntimeBackend>> {
        let programs = self.programs.iter().map(|(_, backend)| backend);
        programs.chain(&self.remote)
    }

    /// Returns the backend that runs this server.
    fn of(&self, server: &ServerSpec) -> Result<&Arc<dyn RuntimeBackend>> {
        let (found, kind) = match (&server.launch, &server.backend) {
            (Launch::Remote(_), _) => (self.remote.as_ref(), "remote servers".to_owned()),
            (Launch::Program(_), None) => {
                let first = self.programs.first().map(|(_, backend)| backend);
                (first, "programs".to_owned())
            }
            (Launch::Program(_), Some(name)) => {
                let named = self.programs.iter().find(|(known, _)| known == name);
                let names: Vec<_> = self
                    .programs
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect();
                let kind = format!("the name {name} (those that run: {})", names.join(", "));
                (named.map(|(_, backend)| backend), kind)
            }
        };
        found.ok_or_else(|| {
            let message = format!(
                "server {} cannot start: there is no backend for {kind}",
                server.id
            );
            Error::new(ErrorKind::StartFailed, message).with_server(&server.id)
        })
    }

    /// Runs `work` on every backend and returns the first error, if any.
    async fn on_all<'a>(
        &'a self,
        work: impl Fn(&'a Arc<dyn RuntimeBackend>) -> BoxFuture<'a, Result<()>>,
    ) -> Result<()> {
        let done = join_all(self.backends().map(work)).await;
        done.into_iter().collect()
    }
}

impl fmt::Display for BackendSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, backend) in self.backends().enumerate() {
            write!(f, "{}{backend}", if n == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

// === impl RuntimeBackend ===

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl RuntimeBackend for BackendSet {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        let backend = self.of(&launch.server)?;
        backend.start(key, launch, progress).await
    }

    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.on_all(|backend| backend.stop(key, grace)).await
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.on_all(|backend| backend.remove(key, grace)).await
    }

    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()> {
        self.on_all(|backend| backend.refresh(key, credential))
            .await
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        let streams: Vec<_> = self
            .backends()
            .enumerate()
            .map(|(n, backend)| backend.watch().map(move |event| (n, event)))
            .collect();
        let mut unsynced: BTreeSet<usize> = (0..streams.len()).collect();
        if unsynced.is_empty() {
            let synced = stream::iter([Ok(InstanceEvent::Synced)]);
            return synced.chain(stream::pending()).boxed();
        }
        // `Synced` is emitted once, when the last backend has synced.
        let mut told = move |(n, event): (usize, Result<InstanceEvent>)| match event {
            Ok(InstanceEvent::Synced) => {
                let last = unsynced.remove(&n) && unsynced.is_empty();
                last.then_some(Ok(InstanceEvent::Synced))
            }
            event => Some(event),
        };
        stream::select_all(streams)
            .filter_map(move |item| std::future::ready(told(item)))
            .boxed()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        for backend in self.backends() {
            match backend.logs(key, options.clone()).await {
                Err(error) if error.kind() == ErrorKind::NoRoute => {}
                found => return found,
            }
        }
        Err(unknown(key))
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        for backend in self.backends() {
            match backend.describe(key).await {
                Err(error) if error.kind() == ErrorKind::NoRoute => {}
                found => return found,
            }
        }
        Err(unknown(key))
    }

    async fn check_connection(&self, server: &ServerSpec) -> Result<()> {
        self.of(server)?.check_connection(server).await
    }

    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.on_all(|backend| backend.leave(key, grace)).await
    }
}

fn unknown(key: &InstanceKey) -> Error {
    let message = format!("nothing is known of instance {key}");
    Error::new(ErrorKind::NoRoute, message).with_server(key.server())
}

#[cfg(test)]
#[cfg(feature = "remote")]
mod tests;
