//! The status of every instance of a backend, and the watches over it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::{InstanceEvent, InstanceKey, InstanceStatus};
use crate::error::Result;

/// How many changes a watcher may lag behind before it gets a new snapshot.
const BACKLOG: usize = 256;

/// Holds the status of every instance and implements [`RuntimeBackend::watch`](super::RuntimeBackend::watch) for a
/// backend: each watcher gets a snapshot, [`InstanceEvent::Synced`], and then every change in the order in which it was
/// made. A watcher that falls behind gets a new snapshot instead of the missed changes, so that memory stays bounded.
#[derive(Debug)]
pub struct StatusBroadcast {
    statuses: Mutex<HashMap<InstanceKey, InstanceStatus>>,
    changes: broadcast::Sender<InstanceEvent>,
}

impl StatusBroadcast {
    /// Creates a broadcast without instances.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            statuses: Mutex::default(),
            changes: broadcast::channel(BACKLOG).0,
        })
    }

    /// Sets the status of an instance, which may be new, and notifies watchers.
    pub fn set(&self, status: InstanceStatus) {
        // Sent while the lock is held, so that every watcher sees the changes in the order in which they were made.
        let mut statuses = self.statuses.lock();
        statuses.insert(status.key.clone(), status.clone());
        // The send fails if there are no watchers, which is fine.
        let _ = self.changes.send(InstanceEvent::Is(status));
    }

    /// Removes an instance and notifies watchers.
    pub fn forget(&self, key: &InstanceKey) {
        let mut statuses = self.statuses.lock();
        if statuses.remove(key).is_some() {
            let _ = self.changes.send(InstanceEvent::Gone(key.clone()));
        }
    }

    /// Yields all current statuses, then [`InstanceEvent::Synced`], then each change. Ends when the broadcast is dropped.
    pub fn watch(self: &Arc<Self>) -> BoxStream<'static, Result<InstanceEvent>> {
        let mut watcher = Watcher {
            broadcast: Arc::downgrade(self),
            known: HashSet::new(),
            queue: VecDeque::new(),
            changes: self.changes.subscribe(),
        };
        watcher.take_snapshot();
        watcher.queue.push_back(InstanceEvent::Synced);
        stream::unfold(watcher, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((Ok(event), watcher))
        })
        .boxed()
    }
}

struct Watcher {
    /// Weak, so that a watcher does not keep the broadcast alive.
    broadcast: Weak<StatusBroadcast>,
    known: HashSet<InstanceKey>,
    queue: VecDeque<InstanceEvent>,
    changes: broadcast::Receiver<InstanceEvent>,
}

impl Watcher {
    async fn next(&mut self) -> Option<InstanceEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            match self.changes.recv().await {
                Ok(event) => {
                    match &event {
                        InstanceEvent::Is(status) => drop(self.known.insert(status.key.clone())),
                        InstanceEvent::Gone(key) => drop(self.known.remove(key)),
                        InstanceEvent::Synced => {}
                    }
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.take_snapshot(),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Queues what has been removed since the last snapshot, followed by every current status.
    fn take_snapshot(&mut self) {
        let Some(broadcast) = self.broadcast.upgrade() else {
            return;
        };
        let statuses = broadcast.statuses.lock();
        self.changes = broadcast.changes.subscribe();
        let before = std::mem::replace(&mut self.known, statuses.keys().cloned().collect());
        let gone = before.into_iter().filter(|key| !self.known.contains(key));
        self.queue.extend(gone.map(InstanceEvent::Gone));
        self.queue
            .extend(statuses.values().cloned().map(InstanceEvent::Is));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::credential::{Owner, Revision};
    use crate::id::ServerId;
    use crate::runtime::{Phase, Scope, SpecDigest};

    fn status(number: usize) -> InstanceStatus {
        let key = InstanceKey::new(
            ServerId::new("a").unwrap(),
            Owner::Organization,
            Revision::none(),
            Scope::Session(number.to_string().into()),
            SpecDigest::from_text("0"),
        );
        InstanceStatus {
            key,
            phase: Phase::Running,
            reason: None,
            since: SystemTime::now(),
            place: Vec::new(),
        }
    }

    #[tokio::test]
    async fn lagging_watcher_misses_nothing() {
        let broadcast = StatusBroadcast::new();
        broadcast.set(status(0));
        let mut watch = broadcast.watch();
        for number in 1..BACKLOG * 2 {
            broadcast.set(status(number));
        }
        broadcast.forget(&status(0).key);
        let mut known = HashSet::new();
        while known.len() < BACKLOG * 2 - 1 || known.contains(&status(0).key) {
            match watch.next().await.unwrap().unwrap() {
                InstanceEvent::Is(status) => drop(known.insert(status.key)),
                InstanceEvent::Gone(key) => assert!(known.remove(&key)),
                InstanceEvent::Synced => {}
            }
        }
        drop(broadcast);
        assert!(watch.next().await.is_none());
    }
}
