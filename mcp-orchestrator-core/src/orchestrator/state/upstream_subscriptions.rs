//! What legacy instances are subscribed to.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::jsonrpc::Message;

/// State of one subscription at an instance.
#[derive(Debug)]
pub(crate) enum SubscriptionState {
    /// The request to subscribe has no response yet. The token abandons it.
    Asked(CancellationToken),
    /// The server accepted it.
    Held,
    /// The server rejected it with this response.
    Rejected(Message),
    /// There was no response. The request is repeated after a while.
    Failed,
    /// The server may have it or not.
    Unsure,
    /// The request to unsubscribe has no response yet.
    Leaving,
}

/// The subscriptions at one instance.
pub(crate) type InstanceSubscriptions = HashMap<Arc<str>, SubscriptionState>;

/// The tasks of all instances, by the address of the handle.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionTasks(
    pub(crate) Mutex<HashMap<usize, watch::Receiver<InstanceSubscriptions>>>,
);
