//! The queue of Kubernetes Events that wait to be written.

use tokio::sync::mpsc;

use crate::limits::MAX_WAITING_EVENTS;

/// What happened to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Happened {
    Started,
    Stopped,
    Removed,
    Crashed,
    CannotStart,
}

impl Happened {
    /// Returns the Event's reason, type and action.
    pub(super) fn words(self) -> [&'static str; 3] {
        match self {
            Self::Started => ["Started", "Normal", "Start"],
            Self::Stopped => ["Stopped", "Normal", "Stop"],
            Self::Removed => ["Removed", "Normal", "Remove"],
            Self::Crashed => ["Crashed", "Warning", "Stop"],
            Self::CannotStart => ["CannotStart", "Warning", "Start"],
        }
    }
}

/// A queued event.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) happened: Happened,
    pub(super) note: String,
}

/// The queue of events.
#[derive(Debug)]
pub(crate) struct Events(pub(super) mpsc::Sender<Told>);

/// The receiving end of the queue.
#[derive(Debug)]
pub(crate) struct Waiting(pub(super) mpsc::Receiver<Told>);

impl Events {
    pub(crate) fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        (Self(sender), Waiting(receiver))
    }
}
