//! The queue of Kubernetes Events that wait to be written.

use tokio::sync::mpsc;

use crate::limits::MAX_WAITING_EVENTS;

/// What happened to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventReason {
    Started,
    Stopped,
    Removed,
    Crashed,
    CannotStart,
}

impl EventReason {
    /// Returns the Event's reason, type and action.
    pub(super) fn fields(self) -> [&'static str; 3] {
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
pub(super) struct QueuedEvent {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) happened: EventReason,
    pub(super) note: String,
}

/// The queue of events.
#[derive(Debug)]
pub(crate) struct EventQueue(pub(super) mpsc::Sender<QueuedEvent>);

/// The receiving end of the queue.
#[derive(Debug)]
pub(crate) struct QueuedEvents(pub(super) mpsc::Receiver<QueuedEvent>);

impl EventQueue {
    pub(crate) fn new() -> (Self, QueuedEvents) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        (Self(sender), QueuedEvents(receiver))
    }
}
