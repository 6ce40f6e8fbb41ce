//! How an instance ends: its calls first, then itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Pool;
use super::handle::Handle;
use crate::runtime::{InstanceKey, Tenure};

/// What becomes of an instance whose calls are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It rests.
    Rest,
    /// Nothing is left of it.
    Remove,
    /// We end: what outlives us goes on.
    Leave,
}

/// Which instances are about to end, each with how often it was asked for.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<HashMap<InstanceKey, usize>>);

/// One that is about to end, until this is dropped.
pub(super) struct Ending<'a> {
    endings: &'a Endings,
    key: InstanceKey,
}

impl Endings {
    fn begin(&self, key: &InstanceKey) -> Ending<'_> {
        *self.lock().entry(key.clone()).or_default() += 1;
        Ending {
            endings: self,
            key: key.clone(),
        }
    }

    pub(super) fn contains(&self, key: &InstanceKey) -> bool {
        self.lock().contains_key(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut endings = self.endings.lock();
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
    /// Ends an instance: its calls first, up to `drain`.
    pub(super) async fn end(&self, handle: Arc<Handle>, drain: Duration, how: End) {
        let _ending = self.endings.begin(&handle.key);
        handle.close();
        if tokio::time::timeout(drain, handle.unused()).await.is_err() && !drain.is_zero() {
            tracing::warn!(instance = %handle.key, calls = handle.in_use(), "instance ends with calls in flight");
        }
        handle.link.close();
        let grace = handle.spec.server.limits.stop_grace;
        let ended = match how {
            End::Remove => self.backend.remove(&handle.key, grace).await,
            End::Leave if handle.tenure == Tenure::Outlives => Ok(()),
            End::Leave | End::Rest => self.backend.stop(&handle.key, grace).await,
        };
        if let Err(error) = ended {
            tracing::warn!(instance = %handle.key, %error, "an instance did not end");
        }
        if let Some(observer) = self.observer() {
            observer.gone(&handle.key, None);
        }
    }
}
