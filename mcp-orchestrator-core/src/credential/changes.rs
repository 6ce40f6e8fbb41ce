//! The changes of a store, told to all who watch it.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;

use super::StoreChange;
use crate::error::{Error, ErrorKind, Result};

/// How far a watcher may fall behind.
const BEHIND: usize = 1024;

/// Tells changes to those who watch. The store tells each while it keeps others from writing, so that they come in the
/// order of the writes.
#[derive(Clone, Debug)]
pub(super) struct Changes(broadcast::Sender<StoreChange>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }
}

impl Changes {
    pub(super) fn tell(&self, change: StoreChange) {
        // Fails where nobody watches.
        let _ = self.0.send(change);
    }

    /// Changes from now on.
    pub(super) fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        stream::unfold(self.0.subscribe(), next).boxed()
    }
}

async fn next(
    mut changes: broadcast::Receiver<StoreChange>,
) -> Option<(Result<StoreChange>, broadcast::Receiver<StoreChange>)> {
    let item = match changes.recv().await {
        Ok(change) => Ok(change),
        Err(broadcast::error::RecvError::Lagged(number)) => Err(missed(number)),
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
    async fn who_falls_behind_is_told_and_hears_what_comes_after() {
        let changes = Changes::default();
        let mut slow = changes.watch();
        let key = |name: &str| RecordKey::new(RecordKind::Link, RecordName::new(name).unwrap());
        for number in 0..=BEHIND {
            changes.tell(StoreChange::Put(key(&number.to_string())));
        }
        let error = slow.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let next = slow.next().await.unwrap().unwrap();
        assert_eq!(next, StoreChange::Put(key("1")));
        drop(changes);
        assert_eq!(slow.count().await, BEHIND - 1, "it ends with its store");
    }
}
