//! Connects to remote servers when an operator asks for their state.
//!
//! An instance of a remote server opens no connection until a call needs one, and an idle server has no instance. Without
//! these checks, a server that is down would be reported as idle or running until somebody calls it.

use std::sync::Arc;
use std::time::Duration;

use crate::id::ServerId;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::Spec;
use crate::server::Launch;

/// Time that an operator's request waits for the checks.
const CHECK_WAIT: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// Connects to the remote servers, or only to the one with this name, so that [`instances`](Self::instances),
    /// [`server_info`](Self::server_info) and [`describe`](Self::describe) report those that are down. Sends no request
    /// and no credential, and does not connect again to a server that was checked within the last 10 seconds.
    ///
    /// Returns after 2 seconds at the latest. Checks that take longer continue, and their results are reported later.
    pub async fn check_connections(&self, only: Option<&str>) {
        let inner = &self.inner;
        let servers = inner.pool.servers();
        inner
            .connection_checks
            .retain(|id| servers.contains_key(id));
        let is_server = only.filter(|name| servers.keys().any(|id| id.as_str() == *name));
        let wanted = |id: &&ServerId| is_server.is_none_or(|name| id.as_str() == name);
        let mut waiting = Vec::new();
        for id in servers.keys().filter(wanted) {
            let Ok(spec) = inner.spec(id) else { continue };
            if !matches!(spec.server.launch, Launch::Remote(_)) {
                continue;
            }
            waiting.push(id.clone());
            if inner.connection_checks.begin(&spec) {
                let inner = Arc::clone(inner);
                let tasks = inner.pool.tasks().clone();
                tasks.spawn(async move { inner.check_connection(&spec).await });
            }
        }
        let settled = inner.connection_checks.settled(&waiting);
        // What is not known in time is reported as it was.
        let _ = tokio::time::timeout(CHECK_WAIT, settled).await;
    }
}

impl Inner {
    async fn check_connection(&self, spec: &Spec) {
        let checked = async {
            let _place = self.connection_checks.places.acquire().await;
            self.pool.backend().check_connection(&spec.server).await
        };
        let checked = tokio::select! {
            checked = checked => checked,
            () = self.pool.closing().cancelled() => Ok(()),
        };
        let failure = checked.err().map(|error| error.to_string());
        for handle in self.pool.handles() {
            if *handle.key.server() == spec.server.id && handle.spec.digest == spec.digest {
                handle.reach.record(failure.as_deref());
            }
        }
        self.connection_checks.end(spec, failure);
    }
}
