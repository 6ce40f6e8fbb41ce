//! Calls of legacy servers that wait for their modern client to call again.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Inner;
use super::concurrency::{PARKED_PER_PRINCIPAL, Parking, ParkingPlace};
use super::context::Context;
use crate::call::{Reply, ServerRequest};
use crate::error::{Error, Result};
use crate::jsonrpc::Message;
use crate::limits::MAX_PARKED_CALLS;
use crate::session::RequestKinds;

/// The parked calls, by the id in their `requestState`.
pub(crate) struct ParkedCalls {
    /// `None` once the orchestrator closes. A parked call holds the orchestrator, which holds this.
    open: Mutex<Option<HashMap<String, ParkedCall>>>,
    pub(crate) parking: Parking,
    /// Signals the first call after there was none.
    first: Arc<Notify>,
}

/// A call whose server waits for the answers to its requests.
pub(crate) struct ParkedCall {
    /// The open requests, by their keys in `inputRequests`.
    pub(crate) requests: Vec<(String, ServerRequest)>,
    pub(crate) rest: CrossingReply,
    /// When the call is cancelled.
    pub(crate) until: Instant,
    pub(crate) _place: ParkingPlace,
}

/// The remaining reply of a server whose requests are sent to a modern client.
pub(crate) struct CrossingReply {
    pub(crate) context: Context,
    pub(crate) kinds: RequestKinds,
    pub(crate) rest: Reply,
    /// Progress token of the client's first call, which the server's notifications have.
    pub(crate) first_token: Option<Bytes>,
    /// The client's current call.
    pub(crate) call: Message,
    /// Progress token of that call.
    pub(crate) token: Option<Bytes>,
    /// The first request that was refused because the client does not declare its kind.
    pub(crate) refused: Option<Box<Error>>,
    /// How often the call was parked.
    pub(crate) rounds: usize,
}

/// Why there is no parked call with an id.
pub(crate) enum NotParked {
    /// It has ended: it was answered, cancelled, or parked by an earlier process.
    Ended,
    /// It remains parked, because this request does not continue it.
    Refused(Error),
}

impl ParkedCalls {
    pub(crate) fn new() -> Self {
        Self {
            open: Mutex::new(Some(HashMap::new())),
            parking: Parking::new(PARKED_PER_PRINCIPAL, MAX_PARKED_CALLS),
            first: Arc::default(),
        }
    }

    /// Drops the calls of clients that did not call again in time, which cancels them at their servers. Returns when the
    /// next one is due.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut open = self.open.lock();
        let calls = open.as_mut()?;
        let late: Vec<_> = calls.extract_if(|_, call| call.until <= now).collect();
        let next = calls.values().map(|call| call.until).min();
        // Cancelling a call may take the lock again.
        drop(open);
        drop(late);
        next
    }

    /// Drops all calls, which cancels them, and every later one.
    pub(crate) fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    /// Returns the number of parked calls.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().as_ref().map_or(0, HashMap::len)
    }

    pub(crate) fn insert(&self, id: String, call: ParkedCall) {
        let mut open = self.open.lock();
        let refused = match &mut *open {
            Some(open) => {
                if open.is_empty() {
                    self.first.notify_one();
                }
                open.insert(id, call)
            }
            None => Some(call),
        };
        drop(open);
        drop(refused);
    }

    /// Removes the call with this id if `accept` returns no error for it.
    pub(crate) fn take(
        &self,
        id: &str,
        accept: impl FnOnce(&ParkedCall) -> Result<()>,
    ) -> Result<ParkedCall, NotParked> {
        let mut open = self.open.lock();
        let calls = open.as_mut().ok_or(NotParked::Ended)?;
        let found = calls.get(id).filter(|call| call.until > Instant::now());
        accept(found.ok_or(NotParked::Ended)?).map_err(NotParked::Refused)?;
        calls.remove(id).ok_or(NotParked::Ended)
    }
}

/// Cancels parked calls that are due.
pub(crate) async fn expire_parked_calls(inner: Weak<Inner>) {
    /// Used while no call is parked; the first one ends the wait.
    const NEVER: Duration = Duration::from_hours(24);
    loop {
        let Some((next, first, closing)) = inner.upgrade().map(|inner| {
            let parked = &inner.parked_calls;
            let closing = inner.pool.closing().clone();
            (parked.expire(), Arc::clone(&parked.first), closing)
        }) else {
            return;
        };
        let next = next.unwrap_or_else(|| Instant::now() + NEVER);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = first.notified() => {}
            () = closing.cancelled() => {
                if let Some(inner) = inner.upgrade() {
                    inner.parked_calls.close();
                }
                return;
            }
        }
    }
}
