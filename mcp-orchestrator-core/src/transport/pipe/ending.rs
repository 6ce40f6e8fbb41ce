//! The end of a conversation.

use super::Pipe;
use crate::error::Error;

impl Pipe {
    /// Returns why the conversation ended, or `None` while it is open.
    pub(crate) fn closed(&self) -> Option<Error> {
        self.shared.pending.closed()
    }

    /// Returns `true` if the conversation has ended or is about to end: nothing more is read.
    pub(crate) fn is_ending(&self) -> bool {
        self.shared.ending.is_cancelled()
    }

    /// Waits until the reason is known why the conversation is ending, two seconds at most, and until both ends of the
    /// stream are dropped: before, the backend refuses another conversation with the instance.
    pub(crate) async fn settled(&self) {
        if self.is_ending() {
            self.shared.over.cancelled().await;
            for end in &self.shared.released {
                end.cancelled().await;
            }
        }
    }
}
