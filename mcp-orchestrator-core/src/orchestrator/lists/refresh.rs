//! Fetches the lists of running instances: one fetch at a time per key, and no more often than the lists change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::refresh_interval::{FetchOutcome, RefreshInterval};
use crate::catalog::{Changed, Fetched, ItemKinds, Kept, ListKey, fetch};
use crate::limits::{MAX_AWAITED_SERVERS, MAX_HELLO_WAIT};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::list_fetches::{FetchProgress, FetchReason, ListFetch};
use crate::pool::{Handle, Lease};
use crate::router::ItemKind;

impl Inner {
    /// Waits until these lists of a running instance have been fetched, no matter which caller started the fetch.
    /// `patience` counts from the start of the fetch, so a caller that joins later waits less: a server that never
    /// answers for one of its lists does not delay every caller by the full time.
    pub(super) async fn came(
        self: &Arc<Self>,
        key: &ListKey,
        lease: &Lease,
        kinds: ItemKinds<'_>,
        patience: Duration,
    ) {
        let (mut progress, began) = self.fetching(key, lease.handle(), FetchReason::Asked);
        let came = progress.wait_for(|progress| progress.has(kinds));
        // An error means that the fetching task is gone, so there is nothing to wait for.
        let _ = timeout_at(began + patience, came).await;
    }

    /// Fetches the lists of a running instance. If a fetch is already in progress, its result may be out of date, so
    /// another fetch follows it.
    pub(crate) fn refresh(self: &Arc<Self>, key: &ListKey, handle: &Arc<Handle>, why: FetchReason) {
        self.fetching(key, handle, why);
    }

    /// Returns until when a caller may wait for a server that has not been seen before, or `None` if that time has
    /// passed.
    pub(super) fn first_met(&self, key: &ListKey) -> Option<Instant> {
        let mut met = self.met.lock();
        if met.len() >= MAX_AWAITED_SERVERS {
            met.clear();
        }
        let first = *met.entry(key.clone()).or_insert_with(Instant::now);
        Some(first + MAX_HELLO_WAIT).filter(|until| *until > Instant::now())
    }

    fn refreshing(&self) -> MutexGuard<'_, HashMap<ListKey, ListFetch>> {
        self.refreshing.lock()
    }

    fn fetching(
        self: &Arc<Self>,
        key: &ListKey,
        handle: &Arc<Handle>,
        why: FetchReason,
    ) -> (watch::Receiver<FetchProgress>, Instant) {
        let mut refreshing = self.refreshing();
        // If the task is gone, the fetch ended abnormally.
        let is_running = |running: &&mut ListFetch| running.progress.has_changed().is_ok();
        if let Some(running) = refreshing.get_mut(key).filter(is_running) {
            running.announced = running.announced.or(why.announced());
            if why != FetchReason::Asked {
                running.again = Some(Arc::downgrade(handle));
            }
            if why == FetchReason::Ready {
                running.at_once = true;
                running.hurry.notify_one();
            }
            return (running.progress.clone(), running.began);
        }
        let (sender, progress) = watch::channel(FetchProgress::default());
        let hurry = Arc::new(Notify::new());
        let began = Instant::now();
        let running = ListFetch {
            progress: progress.clone(),
            began,
            again: None,
            at_once: false,
            hurry: Arc::clone(&hurry),
            announced: why.announced(),
        };
        refreshing.insert(key.clone(), running);
        drop(refreshing);
        let work = FetchTask {
            inner: Arc::clone(self),
            key: key.clone(),
            sender,
            hurry,
        };
        let handle = Arc::clone(handle);
        self.pool
            .tasks()
            .spawn(async move { work.run(handle).await });
        (progress, began)
    }
}

/// The task that fetches the lists of one key until no further fetch is requested.
struct FetchTask {
    inner: Arc<Inner>,
    key: ListKey,
    sender: watch::Sender<FetchProgress>,
    hurry: Arc<Notify>,
}

impl FetchTask {
    async fn run(self, first: Arc<Handle>) {
        let mut pace = RefreshInterval::new();
        let mut next = Some(first);
        while let Some(handle) = next {
            let came = tokio::select! {
                came = self.fetch(&handle) => came,
                () = self.inner.pool.closing().cancelled() => FetchOutcome::Failed,
            };
            drop(handle);
            next = self.next(pace.after(came)).await;
        }
    }

    async fn fetch(&self, handle: &Arc<Handle>) -> FetchOutcome {
        let Some(lease) = Lease::of(handle) else {
            return FetchOutcome::Failed;
        };
        // A change that is announced from here on may not be in the lists, so another fetch follows.
        let announced = self.announced();
        let (catalog, server) = (&self.inner.catalog, handle.key.server());
        let before = catalog.get(&self.key).await;
        let before = before.filter(|before| !before.awaits(&ItemKind::ALL));
        let is_first = before.is_none();
        let each = |kept: &Kept| {
            if is_first {
                catalog.publish(&self.key, kept);
            }
            self.sender.send_replace(FetchProgress::of(kept));
        };
        let fetched = fetch(&lease, before.as_deref(), each).await;
        let error = match fetched {
            Ok(Fetched {
                kept,
                failure: None,
            }) => {
                handle.list_failure.store(None);
                let changed = catalog.keep(&self.key, kept, before).await;
                // Clients are notified of what the server announced even if the lists are equal: more than these lists
                // may depend on it.
                let notified = changed.or(announced);
                if notified.any() {
                    self.inner
                        .lists_changed(server, handle.key.owner(), notified);
                }
                if !changed.any() {
                    return FetchOutcome::Same;
                }
                self.inner.tell_conflicts(server);
                return FetchOutcome::Changed;
            }
            Ok(Fetched {
                failure: Some(error),
                ..
            })
            | Err(error) => error,
        };
        tracing::warn!(%server, %error, "lists cannot be fetched");
        handle.list_failure.store(Some(Arc::new(error)));
        if is_first {
            catalog.retract(&self.key);
        }
        FetchOutcome::Failed
    }

    /// Takes the lists whose change the server announced since the last fetch began.
    fn announced(&self) -> Changed {
        let mut refreshing = self.inner.refreshing();
        let running = refreshing.get_mut(&self.key);
        running.map_or_else(Changed::default, |running| {
            std::mem::take(&mut running.announced)
        })
    }

    /// Returns the instance to fetch from next: at once if it was hurried, otherwise after this pause. Returns `None`
    /// if no fetch is requested in the meantime.
    async fn next(&self, pause: Duration) -> Option<Arc<Handle>> {
        {
            let mut refreshing = self.inner.refreshing();
            let hurried = refreshing
                .get_mut(&self.key)
                .filter(|running| running.at_once);
            if let Some(handle) = hurried.and_then(|running| self.begin_again(running)) {
                return Some(handle);
            }
        }
        self.sender.send_modify(|progress| progress.over = true);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.hurry.notified() => {}
            () = self.inner.pool.closing().cancelled() => {}
        }
        let closing = self.inner.pool.closing().is_cancelled();
        let mut refreshing = self.inner.refreshing();
        let next = refreshing
            .get_mut(&self.key)
            .filter(|_| !closing)
            .and_then(|running| self.begin_again(running));
        if next.is_none() {
            refreshing.remove(&self.key);
        }
        next
    }

    /// Takes the instance to fetch from next and resets the progress.
    fn begin_again(&self, running: &mut ListFetch) -> Option<Arc<Handle>> {
        let handle = running.again.take()?.upgrade()?;
        running.at_once = false;
        running.began = Instant::now();
        self.sender.send_replace(FetchProgress::default());
        Some(handle)
    }
}
