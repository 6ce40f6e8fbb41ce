//! Handles ended conversations: the instance has exited too, or it continues and is reattached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::{Mutex, MutexGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::pool::connection::Link;
use crate::pool::handle::Handle;
use crate::pool::slot::Slot;
use crate::pool::{Pool, Spec};
use crate::runtime::{Exit, InstanceKey, LogSource, Progress};
use crate::transport::handshake::Joined;
use crate::transport::pipe::Ask;
use crate::transport::{Hello, Place, ended};

/// An instance that exits within this time after it was started or reattached is considered crashed.
const CRASH_WINDOW: Duration = Duration::from_secs(10);

/// Instances that continue although their conversation broke off, with the result of their handshake.
#[derive(Default)]
pub(crate) struct Lost(Mutex<HashMap<InstanceKey, Hello>>);

impl Lost {
    fn all(&self) -> MutexGuard<'_, HashMap<InstanceKey, Hello>> {
        self.0.lock()
    }

    fn said(&self, key: &InstanceKey) -> Option<Hello> {
        self.all().get(key).cloned()
    }

    /// Removes an instance that was reattached or no longer belongs to this pool.
    pub(crate) fn forget(&self, key: &InstanceKey) {
        self.all().remove(key);
    }
}

/// Number of failed starts that leave an unresponsive instance alone which ran before.
const MAX_UNRESPONSIVE_STARTS: u32 = 2;

/// Progress of a start, which decides whether a failure leaves the existing instance alone.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The instance ran before this start.
    pub(crate) ran: bool,
    /// The instance could be reached.
    pub(crate) reached: bool,
    /// The backend placed the instance.
    pub(crate) placed: bool,
    /// The instance was stopped because it could not be reattached.
    pub(crate) stopped: bool,
}

impl Attempt {
    /// Returns `true` if the instance appears to have run before this start and only the connection to it is missing.
    ///
    /// An instance that was reached but does not answer may also have lost its connection. The first attempts leave it
    /// alone, so that an outage ends no instance; later attempts restart it.
    pub(crate) fn is_out_of_reach(&self, progress: &Progress, error: &Error, failed: u32) -> bool {
        if self.stopped || !(self.ran || progress.ran_before()) {
            return false;
        }
        !self.reached || error.kind() == ErrorKind::Unavailable || failed < MAX_UNRESPONSIVE_STARTS
    }

    /// Returns `true` if the backend could not be asked to place the instance: the API server is away or silent, or it
    /// has just come back and rejects what its Roles allow. What exists of the instance, such as a Deployment at zero, is
    /// used by the next start: a removal could only be done after the outage, in the way of that start.
    pub(crate) fn is_outage(&self, error: &Error) -> bool {
        let was_not_asked = matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Config
        );
        !self.stopped && !self.placed && was_not_asked
    }

    /// Records a failed handshake.
    pub(crate) fn failed(&mut self, error: &Error) {
        if error.kind() == ErrorKind::Unavailable {
            self.reached = false;
        }
    }
}

impl Pool {
    /// Returns the initial state of a start of this instance.
    pub(crate) fn attempt(&self, key: &InstanceKey) -> Attempt {
        Attempt {
            ran: self.lost.said(key).is_some(),
            ..Attempt::default()
        }
    }

    /// Returns what is known about an instance that ran before.
    pub(crate) async fn joined(&self, key: &InstanceKey) -> Joined {
        if let Some(hello) = self.lost.said(key) {
            return Joined { kept: Some(hello) };
        }
        let kept = match self.observer() {
            Some(observer) => observer.kept(key).await,
            None => None,
        };
        Joined { kept }
    }

    /// Stops an instance that ran before and cannot be reattached, so that it is restarted.
    pub(crate) async fn start_over(
        &self,
        spec: &Spec,
        key: &InstanceKey,
        refused: &Error,
    ) -> Result<()> {
        tracing::warn!(instance = %key, error = %refused, "a server that ran before takes no second handshake and nothing is kept of its first: it is started anew");
        if let Some(observer) = self.observer() {
            let text = "started anew: it ran before, takes no second handshake, and nothing is kept of its first";
            observer.note(key, LogSource::Orchestrator, text);
        }
        self.backend.stop(key, spec.server.limits.stop_grace).await
    }

    /// Clears a slot after its instance or conversation has ended. The caller holds `slot.life`.
    pub(crate) async fn let_go(&self, slot: &Slot) {
        let Some(handle) = slot.current().filter(|handle| handle.is_over()) else {
            return;
        };
        handle.link.settled().await;
        let exit = handle.exit.get().cloned();
        if let Some(exit) = exit.or_else(|| handle.exited.clone().now_or_never()) {
            if self.left(slot, &handle, &exit) {
                self.clean_up(&handle).await;
            }
            return;
        }
        if !slot.clear(&handle) {
            return;
        }
        handle.close();
        if let Link::Pipe(pipe) = &handle.link {
            let said = pipe.hello().clone();
            self.lost.all().insert(handle.key.clone(), said);
        }
        let why = handle.link.closed().map(|error| error.to_string());
        let why = why.unwrap_or_default();
        tracing::warn!(instance = %handle.key, why, "a conversation broke off; the instance is joined again");
        if let Some(observer) = self.observer() {
            let text = format!("joined again: {why}");
            observer.note(&handle.key, LogSource::Orchestrator, &text);
            observer.gone(&handle.key, None);
        }
    }

    /// Clears the slot of an instance that exited without being stopped. Returns `false` if another task already did.
    pub(crate) fn left(&self, slot: &Slot, handle: &Arc<Handle>, exit: &Exit) -> bool {
        let _ = handle.exit.set(exit.clone());
        if !slot.clear(handle) {
            return false;
        }
        handle.close();
        handle.link.close();
        if handle.age() < CRASH_WINDOW {
            let is_own = self.ask(&handle.spec, &handle.key) != Ask::Nobody;
            slot.crashed(Arc::new(ended(&Place::from(&handle.key), exit, is_own)));
        } else {
            slot.forgive();
        }
        tracing::warn!(server = %handle.key.server(), instance = %handle.key, reason = exit.reason, "instance ended");
        if let Some(observer) = self.observer() {
            observer.gone(&handle.key, Some(&exit.reason));
        }
        true
    }

    /// Cleans up what an exited instance may have left behind.
    pub(crate) async fn clean_up(&self, handle: &Handle) {
        let grace = handle.spec.server.limits.stop_grace;
        if let Err(error) = self.backend.stop(&handle.key, grace).await {
            tracing::warn!(instance = %handle.key, %error, "an ended instance left something behind");
        }
    }
}

#[cfg(test)]
mod tests;
