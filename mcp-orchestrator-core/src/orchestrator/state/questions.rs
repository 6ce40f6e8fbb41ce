//! The requests of servers that wait for an answer of a modern client.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::concurrency::{PARKED_PER_PRINCIPAL, Parking, ParkingPlace};
use super::context::Context;
use crate::call::{Reply, ServerRequest};
use crate::id::GatewayId;
use crate::limits::MAX_PARKED_CALLS;
use crate::session::Able;

/// Calls of servers that wait for an answer of a modern client.
pub(crate) struct Questions {
    /// `None` once the orchestrator closes. An open question holds the orchestrator, which holds the questions.
    open: Mutex<Option<HashMap<String, Question>>>,
    pub(crate) parking: Parking,
}

pub(crate) struct Question {
    pub(crate) request: ServerRequest,
    pub(crate) leg: KeptReply,
    pub(crate) gateway: GatewayId,
    pub(crate) until: Instant,
    pub(crate) _place: ParkingPlace,
}

/// The reply to one of the client's calls.
pub(crate) struct KeptReply {
    pub(crate) context: Context,
    pub(crate) able: Able,
    pub(crate) rest: Reply,
    /// Progress token of the client's first call, which the server's notifications carry.
    pub(crate) first_token: Option<Bytes>,
    /// Id of the call that is being answered; `token` is its progress token.
    pub(crate) id: Bytes,
    pub(crate) token: Option<Bytes>,
}

impl Questions {
    pub(crate) fn new() -> Self {
        Self {
            open: Mutex::new(Some(HashMap::new())),
            parking: Parking::new(PARKED_PER_PRINCIPAL, MAX_PARKED_CALLS),
        }
    }

    /// Drops the calls of clients that have not come back, which cancels them at their servers.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut open = self.open.lock();
        let questions = open.iter_mut();
        let late: Vec<_> = questions
            .flat_map(|open| open.extract_if(|_, question| question.until <= now))
            .collect();
        // Cancelling a call may take the lock again.
        drop(open);
        drop(late);
    }

    /// Drops all open questions, which cancels their calls, and every later one.
    pub(crate) fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    pub(crate) fn insert(&self, id: String, question: Question) {
        let mut open = self.open.lock();
        let refused = match &mut *open {
            Some(open) => open.insert(id, question),
            None => Some(question),
        };
        drop(open);
        drop(refused);
    }

    pub(crate) fn take(&self, id: &str, gateway: &GatewayId) -> Option<Question> {
        let mut open = self.open.lock();
        let open = open.as_mut()?;
        open.get(id).filter(|found| found.gateway == *gateway)?;
        open.remove(id).filter(|found| found.until > Instant::now())
    }
}
