//! The watch of a store's Secrets, and the deletion of expired records.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::known::Seen;
use crate::kubernetes::client::rejection::causes;
use crate::kubernetes::client::watch_backoff::WatchBackoff;

/// Interval between two deletions of expired records.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Maximum number of records deleted at a time.
const MAX_SWEPT_RECORDS: usize = 200;

/// Follows the Secrets until the store is dropped. `synced` becomes `true` after the first complete list.
pub(super) async fn follow(shared: Arc<Shared>, synced: watch::Sender<bool>) {
    let config = Config::default().labels(&shared.names.selector(None));
    let mut events = pin!(watcher(shared.secrets(), config).backoff(WatchBackoff::default()));
    let mut sweeps = tokio::time::interval(SWEEP_EVERY);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sweeps.tick().await;
    let mut cut = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = sweeps.tick() => {
                sweep(&shared).await;
                continue;
            }
            () = shared.closing.cancelled() => return,
        };
        match event {
            Some(Ok(event)) => {
                if std::mem::replace(&mut cut, false) {
                    tracing::info!("stored credentials are watched again");
                }
                if shared.known.take(event, *synced.borrow()) == Seen::All {
                    synced.send_replace(true);
                    sweep(&shared).await;
                }
            }
            Some(Err(error)) => {
                let error = causes(&error);
                // During an outage the watch fails repeatedly; only the first failure is a warning.
                if std::mem::replace(&mut cut, true) {
                    tracing::debug!(error, "watch of stored credentials failed");
                } else {
                    tracing::warn!(
                        error,
                        "watch of stored credentials failed; it is tried again"
                    );
                }
            }
            None => return,
        }
    }
}

/// Deletes expired records at the version that was seen, so that a record written in the meantime is kept.
async fn sweep(shared: &Shared) {
    for (name, version) in shared.known.over(SystemTime::now(), MAX_SWEPT_RECORDS) {
        let deleted = tokio::select! {
            deleted = shared.delete(&name, &version) => deleted,
            () = shared.closing.cancelled() => return,
        };
        if let Err(error) = deleted {
            tracing::debug!(%error, "an expired record was not deleted");
        }
    }
}
