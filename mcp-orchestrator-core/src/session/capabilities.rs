//! Requests that a legacy client can handle.

use crate::jsonrpc::Members;
use crate::protocol::method;

/// The kinds of requests that a client can handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Able {
    sampling: bool,
    elicitation: bool,
    /// URL elicitation.
    pub(crate) addresses: bool,
    roots: bool,
}

impl Able {
    /// Derives them from the client's capabilities.
    pub(crate) fn of(capabilities: &str) -> Self {
        let capabilities = Members::read(capabilities).unwrap_or_default();
        let elicitation = capabilities.get("elicitation");
        let elicitation = elicitation.map(|modes| Members::read(modes).unwrap_or_default());
        Self {
            sampling: capabilities.get("sampling").is_some(),
            elicitation: elicitation.is_some(),
            addresses: elicitation.is_some_and(|modes| modes.get("url").is_some()),
            roots: capabilities.get("roots").is_some(),
        }
    }

    /// Returns `true` if the client can handle requests with this method.
    pub(crate) fn may(self, method: &str) -> bool {
        match method {
            method::SAMPLING => self.sampling,
            method::ELICITATION => self.elicitation,
            method::ROOTS_LIST => self.roots,
            _ => true,
        }
    }
}
