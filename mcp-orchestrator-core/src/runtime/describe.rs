//! What people want to know of one instance that does not do what it should.

use std::time::SystemTime;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{InstanceEvent, InstanceKey, InstanceStatus};
use crate::error::{Error, ErrorKind, Result};

/// All that a backend can tell of one instance.
#[derive(Clone, Debug)]
pub struct Description {
    /// How it is.
    pub status: InstanceStatus,
    /// What else is known, by name.
    pub details: Vec<(String, String)>,
    /// What happened to it, oldest first; bounded.
    pub events: Vec<InstanceNote>,
    /// Lines for a shell, each with what it does: they show the same, or lead inside.
    pub commands: Vec<(String, String)>,
}

/// Something that happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceNote {
    /// When, where that is known.
    pub at: Option<SystemTime>,
    /// What.
    pub text: String,
}

impl Description {
    /// One of an instance of which only its status is known.
    pub fn new(status: InstanceStatus) -> Self {
        Self {
            status,
            details: Vec::new(),
            events: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// What a watch tells of an instance.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) where it tells nothing of it.
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
