//! A call of a session in flight.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Session;

/// A call of a session in flight, deregistered on drop.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(super) session: Arc<Session>,
    pub(super) id: Bytes,
    pub(super) token: CancellationToken,
}

impl InFlight {
    /// Returns the token that is cancelled when the client cancels the call or its session ends.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.is_over(&self.id);
    }
}
