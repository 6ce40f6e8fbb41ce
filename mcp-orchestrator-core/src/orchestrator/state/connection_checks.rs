//! The results of connecting to remote servers for operators.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::id::ServerId;
use crate::limits::MAX_CONNECTION_CHECKS;
use crate::pool::Spec;
use crate::runtime::SpecDigest;

/// Time for which the result of a check is used.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The last connection check of each remote server.
#[derive(Debug)]
pub(crate) struct ConnectionChecks {
    last: Mutex<HashMap<ServerId, Check>>,
    /// Limits the checks that run at the same time.
    pub(crate) places: Semaphore,
    /// Notified when a check ends.
    ended: Notify,
}

/// A check that runs or has ended.
#[derive(Debug)]
struct Check {
    /// The spec that was checked: a changed URL is checked at once.
    digest: SpecDigest,
    runs: bool,
    ended: Option<Instant>,
    failure: Option<String>,
}

impl Default for ConnectionChecks {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            places: Semaphore::new(MAX_CONNECTION_CHECKS),
            ended: Notify::new(),
        }
    }
}

impl ConnectionChecks {
    /// Returns why the last connection to a server failed. `None` if it succeeded or none was made.
    pub(crate) fn failure(&self, spec: &Spec) -> Option<String> {
        let last = self.last.lock();
        let check = last.get(&spec.server.id)?;
        check
            .failure
            .clone()
            .filter(|_| check.digest == spec.digest)
    }

    /// Begins a check. Returns `false` if one is in progress or was made recently.
    pub(crate) fn begin(&self, spec: &Spec) -> bool {
        let mut last = self.last.lock();
        let known = last.get(&spec.server.id);
        let known = known.filter(|check| check.digest == spec.digest);
        let recent = |ended: Instant| ended.elapsed() < CHECK_INTERVAL;
        if known.is_some_and(|check| check.runs || check.ended.is_some_and(recent)) {
            return false;
        }
        let check = Check {
            digest: spec.digest.clone(),
            runs: true,
            ended: None,
            failure: known.and_then(|check| check.failure.clone()),
        };
        last.insert(spec.server.id.clone(), check);
        true
    }

    /// Records the result of a check, unless the server has changed since.
    pub(crate) fn end(&self, spec: &Spec, failure: Option<String>) {
        let mut last = self.last.lock();
        let check = last.get_mut(&spec.server.id);
        if let Some(check) = check.filter(|check| check.digest == spec.digest) {
            (check.runs, check.ended, check.failure) = (false, Some(Instant::now()), failure);
        }
        drop(last);
        self.ended.notify_waiters();
    }

    /// Waits until no check of these servers is in progress.
    pub(crate) async fn settled(&self, servers: &[ServerId]) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if !self.is_checking(servers) {
                return;
            }
            ended.await;
        }
    }

    /// Forgets servers that are no longer configured.
    pub(crate) fn retain(&self, configured: impl Fn(&ServerId) -> bool) {
        self.last.lock().retain(|server, _| configured(server));
    }

    fn is_checking(&self, servers: &[ServerId]) -> bool {
        let last = self.last.lock();
        let mut checks = servers.iter().filter_map(|server| last.get(server));
        checks.any(|check| check.runs)
    }
}
