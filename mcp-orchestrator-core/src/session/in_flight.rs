//! A call of a session while it goes on.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Session;

/// A call of a session while it goes on.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(super) session: Arc<Session>,
    pub(super) id: Bytes,
    pub(super) token: CancellationToken,
}

impl InFlight {
    /// Cancelled when the client takes the call back, or its session ends.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.is_over(&self.id);
    }
}
