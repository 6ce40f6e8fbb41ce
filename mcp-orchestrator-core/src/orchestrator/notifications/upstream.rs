//! Listens for change notifications of running instances.
//!
//! A pipe delivers them without being asked. An HTTP server sends them on the stream of the engine's own session or, in
//! the modern era, on a subscription that also covers the resources that callers are subscribed to.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;

use crate::call::{Reply, ReplyItem, own};
use crate::jsonrpc::{Message, quote, request};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::subscriptions::Source;
use crate::pool::{Caller, Handle};
use crate::protocol::{Era, method};
use crate::runtime::InstanceKey;
use crate::transport::Outgoing;

/// Delay before a broken stream of notifications is opened again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How a stream of notifications ended.
enum End {
    /// The set of subscribed resources changed: open a new stream at once.
    Changed,
    /// The stream broke off: retry.
    Broken,
    /// The server offers no such stream: do not retry.
    ForGood,
}

impl Inner {
    /// Starts a task that listens for changes as long as the instance runs.
    pub(crate) fn hear(self: &Arc<Self>, handle: &Arc<Handle>) {
        let (inner, weak) = (Arc::downgrade(self), Arc::downgrade(handle));
        let closing = self.pool.closing().clone();
        self.pool.tasks().spawn(async move {
            tokio::select! {
                () = hear(inner, weak) => {}
                () = closing.cancelled() => {}
            }
        });
    }
}

async fn hear(inner: Weak<Inner>, weak: Weak<Handle>) {
    let caller = Caller::engine(Era::Modern);
    // Ends once the next one is open, so that nothing is missed between them.
    let mut before = None;
    loop {
        let (Some(inner), Some(handle)) = (inner.upgrade(), weak.upgrade()) else {
            return;
        };
        let key = Source::from(&handle.key);
        let mut changes = inner.subscriptions.changes();
        let mut rights = inner.rights.subscribe();
        let uris = inner.wanted_uris(&handle.key);
        let opened = match handle.link.era(Era::Modern).await {
            Ok(Era::Legacy) => {
                inner.keep_subscribed(&handle);
                // The engine's session opens its stream again when it is re-established.
                if let Err(error) = handle.link.listen(&caller).await {
                    tracing::debug!(server = %handle.key.server(), %error, "changes are not reported");
                }
                return;
            }
            Ok(Era::Modern) => {
                let message = listen(&uris);
                let outgoing = Outgoing::ours(&message, caller.party);
                handle.link.request(&outgoing, &caller, None).await
            }
            Err(error) => Err(error),
        };
        let exited = handle.exited.clone();
        let instance = handle.key.clone();
        drop(handle);
        let other = inner.wants_other(&instance, &uris, (&mut changes, &mut rights));
        let mut stream = opened.ok();
        let end = tokio::select! {
            end = read(stream.as_mut(), &inner, &weak, || {
                drop(before.take());
                inner.subscriptions.promise(&key, Some(uris.clone()));
            }) => end,
            () = other => End::Changed,
            _ = exited => End::ForGood,
        };
        match end {
            End::Changed => before = stream,
            End::Broken => {
                before = None;
                inner.subscriptions.promise(&key, None);
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            End::ForGood => return inner.subscriptions.promise(&key, None),
        }
    }
}

async fn read(
    stream: Option<&mut Reply>,
    inner: &Arc<Inner>,
    weak: &Weak<Handle>,
    mut acknowledged: impl FnMut(),
) -> End {
    let Some(reply) = stream else {
        return End::Broken;
    };
    while let Some(item) = reply.next().await {
        let Some(handle) = weak.upgrade() else {
            return End::ForGood;
        };
        match item {
            ReplyItem::Notification(message) if message.method() == method::ACKNOWLEDGED => {
                acknowledged();
            }
            ReplyItem::Notification(message) => inner.notified(&handle, Some(0), message),
            // The server does not support the method, or it ended the subscription.
            ReplyItem::Response(response) if response.kind() == crate::jsonrpc::Kind::Error => {
                return End::ForGood;
            }
            ReplyItem::Response(_) | ReplyItem::Failed(_) | ReplyItem::Request(_) => {
                return End::Broken;
            }
        }
    }
    End::Broken
}

impl Inner {
    /// Waits until an instance should be subscribed to other resources than these.
    async fn wants_other(
        &self,
        instance: &InstanceKey,
        uris: &[String],
        (changes, rights): (&mut watch::Receiver<()>, &mut watch::Receiver<()>),
    ) {
        loop {
            tokio::select! {
                Ok(()) = changes.changed() => {}
                // The callers of a resource may have lost or gained the right to it.
                Ok(()) = rights.changed() => {}
                else => std::future::pending().await,
            }
            if self.wanted_uris(instance) != uris {
                return;
            }
        }
    }

    /// Returns the resources to subscribe to at an instance, sorted.
    fn wanted_uris(&self, key: &InstanceKey) -> Vec<String> {
        let wanted = self.wanted_at(key);
        let mut uris: Vec<_> = wanted.iter().map(|uri| uri.to_string()).collect();
        uris.sort();
        uris
    }
}

fn listen(uris: &[String]) -> Message {
    let mut wants =
        "\"toolsListChanged\":true,\"promptsListChanged\":true,\"resourcesListChanged\":true"
            .to_owned();
    if !uris.is_empty() {
        let uris: Vec<_> = uris.iter().map(|uri| quote(uri)).collect();
        wants.push_str(&format!(",\"resourceSubscriptions\":[{}]", uris.join(",")));
    }
    let params = format!("{{\"notifications\":{{{wants}}}}}");
    own(request("0", method::LISTEN, Some(&params)))
}
