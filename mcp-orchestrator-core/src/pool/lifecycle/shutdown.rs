//! Ends instances: first their calls, then the instances themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::credential::Owner;
use crate::id::ServerId;
use crate::pool::handle::Handle;
use crate::pool::{Ending, Pool};
use crate::runtime::InstanceKey;

/// Instances that are about to end, each with the number of requests to end it.
#[derive(Debug, Default)]
pub(crate) struct Endings(Mutex<HashMap<InstanceKey, usize>>);

/// Marks an instance as about to end until dropped.
pub(crate) struct Underway {
    endings: Arc<Endings>,
    key: InstanceKey,
}

impl Endings {
    pub(crate) fn begin(self: &Arc<Self>, key: &InstanceKey) -> Underway {
        *self.0.lock().entry(key.clone()).or_default() += 1;
        Underway {
            endings: Arc::clone(self),
            key: key.clone(),
        }
    }

    /// Returns the ending instances of an owner.
    pub(crate) fn of(&self, server: &ServerId, owner: &Owner) -> Vec<InstanceKey> {
        let all = self.0.lock();
        let of = all
            .keys()
            .filter(|key| key.server() == server && key.owner() == owner);
        of.cloned().collect()
    }

    pub(crate) fn contains(&self, key: &InstanceKey) -> bool {
        self.0.lock().contains_key(key)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut endings = self.endings.0.lock();
        let left = endings.get_mut(&self.key).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            endings.remove(&self.key);
        }
    }
}

impl Pool {
    /// Ends an instance after its calls have finished, waiting at most `drain` for them.
    pub(crate) async fn end(&self, handle: Arc<Handle>, drain: Duration, ending: Ending) {
        let underway = self.endings.begin(&handle.key);
        handle.close();
        if tokio::time::timeout(drain, handle.unused()).await.is_err() && !drain.is_zero() {
            tracing::warn!(instance = %handle.key, calls = handle.in_use(), "instance ends with calls in flight");
        }
        handle.link.close();
        let grace = handle.spec.server.limits.stop_grace;
        let ended = match ending {
            Ending::Rest => self.backend.stop(&handle.key, grace).await,
            Ending::Remove => self.backend.remove(&handle.key, grace).await,
            Ending::Leave => self.backend.leave(&handle.key, grace).await,
        };
        if let Err(error) = ended {
            tracing::warn!(instance = %handle.key, %error, "cannot stop an instance");
            if matches!(ending, Ending::Remove) {
                self.removals.failed(&handle.key, &error);
            }
        }
        drop(underway);
        self.removals.changed();
        if let Some(observer) = self.observer() {
            observer.gone(&handle.key, None);
        }
    }
}
