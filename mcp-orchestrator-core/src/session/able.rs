//! What a legacy client can be asked.

use crate::jsonrpc::Members;
use crate::protocol::method;

/// What the client can be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Able {
    sampling: bool,
    elicitation: bool,
    /// To open an address.
    pub(crate) addresses: bool,
    roots: bool,
}

impl Able {
    /// What these capabilities say.
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

    /// Whether it can be asked by this method.
    pub(crate) fn may(self, method: &str) -> bool {
        match method {
            method::SAMPLING => self.sampling,
            method::ELICITATION => self.elicitation,
            method::ROOTS_LIST => self.roots,
            _ => true,
        }
    }
}
