//! Options of a pipe.

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::Failed;
use crate::runtime::Exit;
use crate::server::EraChoice;
use crate::transport::handshake::{self, Joined};
use crate::transport::{Inbox, Note, Place};

/// Which caller receives a request of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// None: callers share the instance and cannot be distinguished.
    Nobody,
    /// The caller with the call in flight.
    CallInFlight,
    /// The only caller of the instance, through its call in flight or else unsolicited.
    TheCaller,
}

/// Options of a pipe.
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) era: EraChoice,
    /// The client profile that the instance receives.
    pub(crate) profile: handshake::Profile,
    /// Maximum size of a message in bytes.
    pub(crate) message_bytes: usize,
    /// Maximum number of requests in flight.
    pub(crate) in_flight: usize,
    /// Set if the program ran before: a partial line is terminated first, ids start at a random number, and responses
    /// to earlier requests are dropped.
    pub(crate) joined: Option<Joined>,
    pub(crate) ask: Ask,
    pub(crate) note: Note,
    pub(crate) inbox: Inbox,
    /// Resolves when the instance exits.
    pub(crate) exited: BoxFuture<'static, Exit>,
    /// Requests that did not reach the instance, if the carrier of the lines can detect that.
    pub(crate) failed: Option<mpsc::Receiver<Failed>>,
}
