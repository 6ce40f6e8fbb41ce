//! Runs instances as pods of a Kubernetes cluster.
//!
//! [`Access`] selects the cluster, the credentials and the namespace. This module needs no rights beyond a Role in
//! that namespace.
//!
//! An instance is a Deployment with one pod, a Secret and a NetworkPolicy. The server spec of an instance never
//! changes: the Deployment runs one replica or is scaled to zero. The state of the cluster is known from watches
//! alone (`observe`). The status of an instance is computed in one place (`observe::status`), both for callers that
//! wait for it and for callers that display it.

mod instance;
mod io;
mod kind;
mod names;
mod observe;
mod options;
mod render;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::instance::event_queue::EventQueue;
use self::instance::tracked::TrackedInstances;
pub use self::io::attach::{AttachReader, AttachWriter, attach};
pub use self::io::port_forward::connect_to;
use self::observe::dependents::Dependents;
use self::observe::status_events::StatusEvents;
use self::observe::store::Store;
pub use self::options::KubernetesOptions;
use self::shared::Shared;
use self::writer::ObjectWriter;
use super::status_broadcast::StatusBroadcast;
use super::{
    Description, Instance, InstanceEvent, InstanceKey, LaunchSpec, LogBook, LogLine, LogOptions,
    Progress, RuntimeBackend,
};
use crate::credential::Credential;
use crate::error::Result;
use crate::kubernetes::names::MANAGER;
pub use crate::kubernetes::{
    Access, AccessOptions, BootstrapSecret, Denied, LeaderElector, LeaseOptions, LeaseStatus,
    LeftoverObject, Membership, Owner, Place, RULES, Rule, delete, identity, lease_holder,
    leftovers, review, role, rules, state_key,
};

/// Runs instances as pods, each with its own Deployment, Secret and NetworkPolicy.
///
/// - Running instances outlive this process; the next process with the same orchestrator name adopts them.
/// - Dropping a stream ends the connection, not the program.
/// - When the program ends, the instance ends: it is scaled to zero, and the caller decides whether to start it
///   again.
/// - Stopping asks the program to terminate and kills it after the grace period, or after the one configured when it
///   was started if that is shorter.
pub struct KubernetesBackend(Arc<Shared>);

// === impl KubernetesBackend ===

impl KubernetesBackend {
    /// Creates a backend for this cluster and namespace. Its watches start immediately, in the current tokio runtime.
    ///
    /// `held` is `true` while this process holds the orchestrator's Lease; otherwise nothing is written. Output that
    /// the pods do not retain goes to `book`.
    pub fn new(
        access: Access,
        options: KubernetesOptions,
        book: LogBook,
        held: Option<tokio::sync::watch::Receiver<bool>>,
    ) -> Self {
        let owner = options.owner.clone();
        let owner = owner.unwrap_or_else(|| Owner::new(access.clone(), &options.orchestrator));
        let (events, queued) = EventQueue::new();
        let manager = format!("{}.{}", MANAGER, options.orchestrator);
        let shared = Arc::new(Shared {
            writer: ObjectWriter::new(access.clone(), manager.clone(), held),
            access,
            options,
            manager,
            store: Store::default(),
            dependents: Dependents::default(),
            tracked: TrackedInstances::default(),
            owner,
            statuses: StatusBroadcast::new(),
            status_events: StatusEvents::default(),
            events,
            book,
            troubles: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        observe::watches::begin(&shared);
        instance::gc::begin(&shared);
        shared.follow_owner();
        shared.write_events(queued);
        Self(shared)
    }

    /// Returns the log book of the instances; others may add to it.
    pub fn log_book(&self) -> &LogBook {
        &self.0.book
    }

    /// Returns why the cluster is currently unreachable, if it is.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }
}

#[async_trait]
impl RuntimeBackend for KubernetesBackend {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        self.0.start(key, launch, progress).await
    }

    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.0.stop(key, grace).await
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.0.remove(key, grace).await
    }

    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()> {
        self.0.refresh(key, credential).await
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        // Weak, so that a watch stream does not keep the backend alive.
        let shared = Arc::downgrade(&self.0);
        let closing = self.0.closing.clone();
        stream::once(async move {
            let strong = shared.upgrade();
            let synced = async {
                if let Some(shared) = &strong {
                    shared.store.synced().await;
                    shared.reconcile_all();
                }
            };
            tokio::select! {
                () = synced => {}
                () = closing.cancelled() => return stream::empty().boxed(),
            }
            strong.map_or_else(|| stream::empty().boxed(), |shared| shared.statuses.watch())
        })
        .flatten()
        .boxed()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.0.logs(key, options).await
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        self.0.describe(key, self.watch()).await
    }

    /// Leaves the pod running; the next process with the same orchestrator name adopts it.
    async fn leave(&self, _: &InstanceKey, _: Duration) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for KubernetesBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesBackend")
            .field("access", &self.0.access)
            .field("orchestrator", &self.0.options.orchestrator)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for KubernetesBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kubernetes")
    }
}

impl Drop for KubernetesBackend {
    fn drop(&mut self) {
        self.0.closing.cancel();
        self.0.tasks.close();
    }
}
