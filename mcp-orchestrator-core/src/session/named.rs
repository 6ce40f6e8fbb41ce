//! What the client of a session may name to an instance, and what an instance may name to it.

use super::Session;
use crate::jsonrpc::Message;
use crate::runtime::InstanceKey;

impl Session {
    /// Remembers the URLs that an error of this instance asks the client to open.
    pub(crate) fn note_elicitations(&self, key: &InstanceKey, error: &Message) {
        self.elicitations.note(key, error);
    }

    /// Returns `true` if this notification of an instance completes an elicitation that the instance asked this client
    /// for.
    pub(crate) fn awaits_elicitation(&self, key: &InstanceKey, completion: &Message) -> bool {
        self.elicitations.is_of(key, completion)
    }

    /// Returns `true` if the client made this task for the instance.
    pub(crate) fn made_task(&self, key: &InstanceKey, id: &str) -> bool {
        self.asked.made_task(key, id)
    }
}
