//! Broadcasts a store's changes to its watchers.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;

use super::StoreChange;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_STORE_BACKLOG;

/// Broadcasts changes to watchers. A store sends each change before it allows the next write, so changes arrive in
/// the order of the writes.
#[derive(Clone, Debug)]
pub(super) struct Changes(broadcast::Sender<StoreChange>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_STORE_BACKLOG))
    }
}

impl Changes {
    pub(super) fn tell(&self, change: StoreChange) {
        // Fails only if there is no watcher.
        let _ = self.0.send(change);
    }

    /// Returns a stream of the changes made after this call.
    pub(super) fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        stream::unfold(self.0.subscribe(), next).boxed()
    }
}

async fn next(
    mut changes: broadcast::Receiver<StoreChange>,
) -> Option<(Result<StoreChange>, broadcast::Receiver<StoreChange>)> {
    let item = match changes.recv().await {
        Ok(change) => Ok(change),
        Err(broadcast::error::RecvError::Lagged(number)) => {
            let waiting = u64::try_from(changes.len()).unwrap_or(u64::MAX);
            changes = changes.resubscribe();
            Err(missed(number.saturating_add(waiting)))
        }
        Err(broadcast::error::RecvError::Closed) => return None,
    };
    Some((item, changes))
}

fn missed(number: u64) -> Error {
    let text = format!("{number} changes of stored credentials were missed: list them again");
    Error::new(ErrorKind::Conflict, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{RecordKey, RecordKind};
    use crate::id::RecordName;

    #[tokio::test]
    async fn lagging_watcher_gets_an_error_and_then_later_changes() {
        let changes = Changes::default();
        let mut slow = changes.watch();
        let key = |name: &str| RecordKey::new(RecordKind::Link, RecordName::new(name).unwrap());
        for number in 0..=MAX_STORE_BACKLOG {
            changes.tell(StoreChange::Put(key(&number.to_string())));
        }
        let error = slow.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().starts_with("1025 changes"), "{error}");
        changes.tell(StoreChange::Put(key("later")));
        let next = slow.next().await.unwrap().unwrap();
        assert_eq!(next, StoreChange::Put(key("later")));
        drop(changes);
        assert_eq!(slow.count().await, 0, "it ends with its store");
    }

    #[tokio::test]
    async fn slow_watcher_relists_once_per_full_queue() {
        let changes = Changes::default();
        let mut slow = changes.watch();
        let key = |number: usize| {
            RecordKey::new(
                RecordKind::Link,
                RecordName::new(number.to_string()).unwrap(),
            )
        };
        let mut lists = 0;
        for number in 0..16 * MAX_STORE_BACKLOG {
            changes.tell(StoreChange::Put(key(number)));
            // The watcher handles one change for every four that are made.
            if number % 4 == 0 && slow.next().await.unwrap().is_err() {
                lists += 1;
            }
        }
        assert!(lists <= 16, "{lists}");
    }
}
