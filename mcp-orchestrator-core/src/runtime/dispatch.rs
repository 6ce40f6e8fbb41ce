//! Several backends as one: each server is started where its kind belongs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{
    Instance, InstanceEvent, InstanceKey, LaunchSpec, LogLine, LogOptions, Progress, RuntimeBackend,
};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::server::Launch;

/// Starts programs on one backend and remote servers on another.
///
/// What knows only an instance's key goes to all of them: absent is Ok, and one of them has it. So instances from
/// before a restart are found too.
#[derive(Clone, Debug, Default)]
pub struct BackendSet {
    programs: Option<Arc<dyn RuntimeBackend>>,
    remote: Option<Arc<dyn RuntimeBackend>>,
}

impl BackendSet {
    /// One that can start nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts programs there.
    #[must_use]
    pub fn with_programs(mut self, backend: Arc<dyn RuntimeBackend>) -> Self {
        self.programs = Some(backend);
        self
    }

    /// Starts remote servers there.
    #[must_use]
    pub fn with_remote(mut self, backend: Arc<dyn RuntimeBackend>) -> Self {
        self.remote = Some(backend);
        self
    }

    fn backends(&self) -> impl Iterator<Item = &Arc<dyn RuntimeBackend>> {
        self.programs.iter().chain(&self.remote)
    }

    /// Does it on all; the first that failed is told.
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
        let (backend, kind) = match launch.server.launch {
            Launch::Program(_) => (&self.programs, "programs"),
            Launch::Remote(_) => (&self.remote, "remote servers"),
        };
        let Some(backend) = backend else {
            let message = format!(
                "server {} cannot start: there is no backend for {kind}",
                key.server()
            );
            return Err(Error::new(ErrorKind::StartFailed, message).with_server(key.server()));
        };
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
        // Synced is told once: when the last of them is.
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
        let message = format!("nothing is known of instance {key}");
        Err(Error::new(ErrorKind::NoRoute, message).with_server(key.server()))
    }
}

#[cfg(test)]
#[cfg(feature = "remote")]
mod tests;
