//! State that changes while the fixture runs: a tool and a prompt that appear and disappear, and a watched resource.
//! All legacy sessions and all open `subscriptions/listen` streams are notified of every change.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rmcp::{
    Peer, RoleServer,
    model::{LoggingLevel, ResourceUpdatedNotificationParam},
    service::SubscriptionContext,
};
use tokio::sync::broadcast::{self, error::RecvError};

/// The resource that peers can subscribe to.
pub(crate) const WATCHED: &str = "test://watched-resource";

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Tools,
    Prompts,
    Resource,
}

/// The subscriptions of one legacy session.
#[derive(Debug)]
pub(crate) struct Session {
    watched: Mutex<HashSet<String>>,
    level: Mutex<LoggingLevel>,
}

/// The changing state of the fixture, shared by all sessions.
#[derive(Debug)]
pub(crate) struct Changes {
    dynamic_tool: AtomicBool,
    dynamic_prompt: AtomicBool,
    revision: AtomicU64,
    feed: broadcast::Sender<Change>,
    sessions: Mutex<Vec<(Peer<RoleServer>, Arc<Session>)>>,
}

// === impl Session ===

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            watched: Mutex::default(),
            level: Mutex::new(LoggingLevel::Debug),
        }
    }

    pub(crate) fn watch(&self, uri: String) {
        self.watched.lock().insert(uri);
    }

    pub(crate) fn unwatch(&self, uri: &str) {
        self.watched.lock().remove(uri);
    }

    pub(crate) fn set_level(&self, level: LoggingLevel) {
        *self.level.lock() = level;
    }

    pub(crate) fn level(&self) -> LoggingLevel {
        *self.level.lock()
    }
}

// === impl Changes ===

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            dynamic_tool: AtomicBool::new(false),
            dynamic_prompt: AtomicBool::new(false),
            revision: AtomicU64::new(0),
            feed: broadcast::channel(64).0,
            sessions: Mutex::default(),
        }
    }

    /// Returns `true` if the dynamic tool is listed.
    pub(crate) fn has_dynamic_tool(&self) -> bool {
        self.dynamic_tool.load(Ordering::SeqCst)
    }

    /// Returns `true` if the dynamic prompt is listed.
    pub(crate) fn has_dynamic_prompt(&self) -> bool {
        self.dynamic_prompt.load(Ordering::SeqCst)
    }

    /// Returns how often the watched resource has changed.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    pub(crate) fn join(&self, peer: Peer<RoleServer>, session: Arc<Session>) {
        let mut sessions = self.sessions.lock();
        sessions.retain(|(peer, _)| !peer.is_transport_closed());
        sessions.push((peer, session));
    }

    /// Makes the change, then sends the notifications.
    pub(crate) async fn make(&self, change: Change) {
        match change {
            Change::Tools => drop(self.dynamic_tool.fetch_xor(true, Ordering::SeqCst)),
            Change::Prompts => drop(self.dynamic_prompt.fetch_xor(true, Ordering::SeqCst)),
            Change::Resource => drop(self.revision.fetch_add(1, Ordering::SeqCst)),
        }
        // No receiver only means that no stream is open.
        let _ = self.feed.send(change);
        let sessions = self.sessions.lock().clone();
        for (peer, session) in sessions {
            // A closed session needs no notification.
            let _ = match change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Resource if session.watched.lock().contains(WATCHED) => {
                    let update = ResourceUpdatedNotificationParam::new(WATCHED);
                    peer.notify_resource_updated(update).await
                }
                Change::Resource => Ok(()),
            };
        }
    }

    /// Notifies one `subscriptions/listen` stream of the changes that it requested, until it is cancelled.
    pub(crate) async fn tell(&self, stream: &SubscriptionContext) {
        let mut feed = self.feed.subscribe();
        loop {
            let change = tokio::select! {
                () = stream.cancelled() => return,
                change = feed.recv() => change,
            };
            let sink = stream.sink();
            let accepted = stream.accepted();
            let watches = accepted
                .resource_subscriptions
                .iter()
                .flatten()
                .any(|uri| uri == WATCHED);
            let sent = match change {
                Ok(Change::Tools) if accepted.tools_list_changed == Some(true) => {
                    sink.notify_tool_list_changed().await
                }
                Ok(Change::Prompts) if accepted.prompts_list_changed == Some(true) => {
                    sink.notify_prompt_list_changed().await
                }
                Ok(Change::Resource) if watches => sink.notify_resource_updated(WATCHED).await,
                Ok(_) | Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => return,
            };
            if sent.is_err() {
                return;
            }
        }
    }
}
