//! The open `subscriptions/listen` streams of modern clients.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::auth::Principal;
use crate::call::{ReplyItem, own};
use crate::id::GatewayId;
use crate::jsonrpc::{Members, Message, Splice, notification, span_of};
use crate::limits::MAX_LISTENS_PER_PRINCIPAL;
use crate::protocol::meta;
use crate::transport::Party;

/// Modern clients with an open `subscriptions/listen` stream.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Arc<Listener>>>);

/// The stream of one modern client.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) principal: Arc<Principal>,
    pub(crate) gateway: GatewayId,
    pub(crate) party: Party,
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) tasks: bool,
    /// Cancelled to end the stream.
    pub(crate) ended: tokio_util::sync::CancellationToken,
    /// Id of the request, with which its notifications are tagged.
    pub(crate) id: String,
    pub(crate) sender: mpsc::Sender<ReplyItem>,
}

impl Listeners {
    /// Adds a listener. Returns `false` if its principal has reached the limit.
    pub(crate) fn add(&self, listener: Arc<Listener>) -> bool {
        let mut all = self.0.lock();
        all.retain(|known| !known.sender.is_closed());
        let own = all
            .iter()
            .filter(|known| known.principal.id == listener.principal.id);
        let fits = own.count() < MAX_LISTENS_PER_PRINCIPAL;
        if fits {
            all.push(listener);
        }
        fits
    }

    pub(crate) fn remove(&self, listener: &Arc<Listener>) {
        let mut all = self.0.lock();
        all.retain(|known| !Arc::ptr_eq(known, listener));
    }

    pub(crate) fn all(&self) -> Vec<Arc<Listener>> {
        self.0.lock().clone()
    }
}

impl Listener {
    /// Sends a notification. It is lost if the listener is slow. It is tagged when it is read, so that listeners which
    /// are slow share its memory.
    pub(crate) fn send(&self, message: &Message) {
        let item = ReplyItem::Notification(message.clone());
        if self.sender.try_send(item).is_err() {
            tracing::debug!("a listener is slow or gone");
        }
    }
}

/// Adds a listener's subscription id to a notification.
pub(crate) fn tagged(message: &Message, id: &str) -> Message {
    let mut splice = Splice::new();
    let whole = message.bytes();
    let member = format!("\"{}\":{id}", meta::SUBSCRIPTION_ID);
    match (message.body(), message.body_span()) {
        (Some(body), Some(span)) => {
            let members = Members::read(body).unwrap_or_default();
            match members.get("_meta").filter(|found| found.starts_with('{')) {
                Some(found) => {
                    let object = span_of(whole, found);
                    let inner = Members::read(found).unwrap_or_default();
                    if inner.get(meta::SUBSCRIPTION_ID).is_some() {
                        splice.member(whole, &inner, meta::SUBSCRIPTION_ID, id.to_owned());
                    } else {
                        splice.insert_text(whole, &object, &member);
                    }
                }
                None => drop(splice.insert_member(whole, &span, "_meta", &format!("{{{member}}}"))),
            }
            message.spliced(&splice)
        }
        _ => own(notification(
            message.method(),
            Some(&format!("{{\"_meta\":{{{member}}}}}")),
        )),
    }
}
