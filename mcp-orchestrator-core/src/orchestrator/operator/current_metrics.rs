//! Reports the present state to the metrics.

use std::sync::Weak;

use crate::metrics::{Current, ReadCurrent};
use crate::orchestrator::state::Inner;

/// Reads the state of an orchestrator for its metrics, which do not keep it alive.
pub(crate) struct StateReader(pub(crate) Weak<Inner>);

impl ReadCurrent for StateReader {
    fn current(&self) -> Option<Current> {
        let inner = self.0.upgrade()?;
        Some(Current {
            servers: inner.pool.server_states(),
            sessions: inner.sessions.len(),
            parked_calls: inner.parked_calls.len(),
        })
    }
}
