//! A description of one instance for operators who troubleshoot it.

use std::time::SystemTime;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{InstanceEvent, InstanceKey, InstanceStatus};
use crate::error::{Error, ErrorKind, Result};

/// Everything a backend reports about one instance.
#[derive(Clone, Debug)]
pub struct Description {
    /// The current status.
    pub status: InstanceStatus,
    /// Further details, as name and value.
    pub details: Vec<(String, String)>,
    /// Recent events, oldest first; bounded.
    pub events: Vec<InstanceNote>,
    /// Shell commands, as purpose and command line, that show the same information or open a shell in the instance.
    pub commands: Vec<(String, String)>,
}

/// An event of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceNote {
    /// When it happened, if known.
    pub at: Option<SystemTime>,
    /// What happened.
    pub text: String,
}

impl Description {
    /// Creates a description that has a status only.
    pub fn new(status: InstanceStatus) -> Self {
        Self {
            status,
            details: Vec::new(),
            events: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Describes an instance by its status in the initial snapshot of a watch.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) if the snapshot does not contain the instance.
    pub async fn from_watch(
        mut events: BoxStream<'static, Result<InstanceEvent>>,
        key: &InstanceKey,
    ) -> Result<Self> {
        let mut found = None;
        while let Some(event) = events.next().await {
            match event? {
                InstanceEvent::Is(status) if status.key == *key => found = Some(status),
                InstanceEvent::Gone(gone) if gone == *key => found = None,
                InstanceEvent::Synced => break,
                InstanceEvent::Is(_) | InstanceEvent::Gone(_) => {}
            }
        }
        found.map(Self::new).ok_or_else(|| {
            let message = format!("nothing is known of instance {key}");
            Error::new(ErrorKind::NoRoute, message).with_server(key.server())
        })
    }
}
