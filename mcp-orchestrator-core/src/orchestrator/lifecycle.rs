//! The end of sessions and of the orchestrator.

use std::sync::Weak;
use std::time::Duration;

use super::state::{Inner, Orchestrator};
use crate::pool::Ending;

/// Interval at which idle sessions are ended.
const SWEEP: Duration = Duration::from_secs(15);
/// Maximum time that shutdown waits for lists to be stored.
const LISTS_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time that shutdown waits for the audit log to be written.
const AUDIT_CLOSES: Duration = Duration::from_secs(5);

impl Orchestrator {
    /// Ends streams that answer no call, also those opened later, so that a server can drain. Calls continue.
    pub fn drain(&self) {
        self.inner.draining.cancel();
        self.inner
            .sessions
            .all()
            .iter()
            .for_each(|session| session.close_general());
    }

    /// Waits until no instance is in use.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn quiet(&self) {
        self.inner.pool.quiet().await;
    }

    /// Lets calls finish, for up to `grace`, then ends everything that runs in this process. Instances that outlive the
    /// process keep running.
    pub async fn shutdown(&self, grace: Duration) {
        self.end(grace, Ending::Leave).await;
    }

    /// Like [`shutdown`](Self::shutdown), but also stops instances that outlive the process if they were started by it.
    /// Instances from before keep running.
    pub async fn undo(&self, grace: Duration) {
        self.end(grace, Ending::Rest).await;
    }

    async fn end(&self, grace: Duration, started: Ending) {
        for session in self.inner.sessions.all() {
            if session.idle_for() > Duration::ZERO {
                self.inner.end_session(&session);
            }
        }
        self.inner.pool.shutdown(grace, started).await;
        for session in self.inner.sessions.all() {
            self.inner.end_session(&session);
        }
        let _ = tokio::time::timeout(LISTS_WRITE_TIMEOUT, self.inner.catalog.written()).await;
        if self.audit().is_on() {
            let audit = self.audit();
            let closed = tokio::task::spawn_blocking(move || audit.close());
            // An unresponsive disk must not block shutdown.
            let _ = tokio::time::timeout(AUDIT_CLOSES, closed).await;
        }
    }
}

/// Ends idle sessions until the orchestrator closes.
pub(super) async fn sweep_sessions(inner: Weak<Inner>) {
    loop {
        let Some(closing) = inner.upgrade().map(|inner| inner.pool.closing().clone()) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = closing.cancelled() => return,
        }
        let Some(inner) = inner.upgrade() else { return };
        for session in inner.sessions.all() {
            if session.idle_for() > inner.session_idle {
                tracing::info!(gateway = %session.gateway, "a session ends: idle");
                inner.end_session(&session);
            }
        }
    }
}
