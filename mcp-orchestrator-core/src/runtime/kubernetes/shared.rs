//! The state that all tasks of a backend share.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instance::event_queue::EventQueue;
use super::instance::tracked::TrackedInstances;
use super::observe::dependents::Dependents;
use super::observe::status_events::StatusEvents;
use super::observe::store::Store;
use super::options::KubernetesOptions;
use super::writer::ObjectWriter;
use crate::error::Error;
use crate::kubernetes::Access;
use crate::kubernetes::Owner;
use crate::runtime::StatusBroadcast;
use crate::runtime::{InstanceKey, LogBook, Progress};

/// State shared by the tasks of a backend.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) access: Access,
    pub(crate) options: KubernetesOptions,
    pub(crate) manager: String,
    pub(crate) store: Store,
    pub(crate) dependents: Dependents,
    pub(crate) tracked: TrackedInstances,
    pub(crate) writer: ObjectWriter,
    pub(crate) owner: Owner,
    pub(crate) statuses: Arc<StatusBroadcast>,
    pub(crate) status_events: StatusEvents,
    pub(crate) events: EventQueue,
    pub(crate) book: LogBook,
    /// The current error of each failing watch.
    pub(crate) troubles: Mutex<HashMap<&'static str, String>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
}

// === impl Shared ===

impl Shared {
    /// Waits for the initial lists of Deployments and pods.
    pub(crate) async fn wait_for_cluster(&self, progress: &Progress) {
        if self.store.is_synced() {
            return;
        }
        let trouble = self.trouble();
        let what = trouble
            .as_deref()
            .unwrap_or("asking the cluster what there is");
        progress.report(what);
        self.store.synced().await;
    }

    /// Records whether a watch fails. An outage breaks all of them repeatedly, so only its start and its end are
    /// logged above debug level.
    pub(crate) fn set_trouble(&self, what: &'static str, trouble: Option<String>) {
        let mut troubles = self.troubles.lock();
        match trouble {
            Some(trouble) if troubles.is_empty() => {
                tracing::warn!(trouble, "the cluster's changes are not seen");
                troubles.insert(what, trouble);
            }
            Some(trouble) => {
                tracing::debug!(trouble, "the cluster's changes are not seen");
                troubles.insert(what, trouble);
            }
            None => {
                if troubles.remove(what).is_some() && troubles.is_empty() {
                    tracing::info!("the cluster's changes are seen again");
                }
            }
        }
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        let troubles = self.troubles.lock();
        troubles.values().next().cloned()
    }

    /// Adds the server and the instance to the error.
    pub(crate) fn about(&self, key: &InstanceKey, error: Error) -> Error {
        error.with_server(key.server()).with_instance(key)
    }
}
