//! The sender of requests to servers.

use std::sync::Arc;

use crate::protocol::Era;
use crate::transport::{ClientFacts, Party};

/// The sender of requests, and what is declared to the server about it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Identifies the caller.
    pub(crate) party: Party,
    /// Protocol era of the caller.
    pub(crate) era: Era,
    /// What a legacy client declared, and its protocol version; `None`: the session declares all client capabilities,
    /// for modern callers.
    pub(crate) client: Option<(Arc<ClientFacts>, &'static str)>,
}

impl Caller {
    /// The engine itself.
    pub(crate) fn engine(era: Era) -> Self {
        Self {
            party: 0,
            era,
            client: None,
        }
    }
}
