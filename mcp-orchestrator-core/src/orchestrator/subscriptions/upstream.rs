//! Keeps the subscriptions at a legacy instance equal to what its callers want and may have.
//!
//! One task per instance sends all requests that subscribe or unsubscribe on the shared connection. It compares the
//! table with what the instance has been sent, so that neither the order of events nor a caller that leaves in between
//! can leave a subscription behind. At a modern server, the engine's stream of notifications does this instead.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::own;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, error_response, quote, request};
use crate::limits::{MAX_KEPT_REJECTION, MAX_SUBSCRIBING, RESUBSCRIBE_INTERVAL};
use crate::orchestrator::forward::timed_out;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::upstream_subscriptions::{
    InstanceSubscriptions, SubscriptionState,
};
use crate::pool::{Caller, Handle, Lease};
use crate::protocol::{Era, code, method};
use crate::runtime::InstanceKey;
use crate::transport::{Outgoing, Recheck};

/// How a request ended.
enum Done {
    Subscribed(Result<Message>),
    Abandoned,
    Unsubscribed,
    /// The pause after a failure is over.
    Paused,
}

type Request = BoxFuture<'static, (Arc<str>, Done)>;

struct Keeper {
    inner: Weak<Inner>,
    handle: Weak<Handle>,
    at: watch::Sender<InstanceSubscriptions>,
    requests: FuturesUnordered<Request>,
}

impl Inner {
    /// Starts the task that maintains the subscriptions at a legacy instance.
    pub(crate) fn keep_subscribed(self: &Arc<Self>, handle: &Arc<Handle>) {
        drop(self.keeper(handle));
    }

    /// Returns the subscriptions at a legacy instance. The first call starts the task that maintains them.
    pub(super) fn keeper(
        self: &Arc<Self>,
        handle: &Arc<Handle>,
    ) -> watch::Receiver<InstanceSubscriptions> {
        let keepers = &self.subscriptions.keepers.0;
        let mut keepers = keepers.lock();
        let address = Arc::as_ptr(handle).addr();
        if let Some(known) = keepers.get(&address) {
            return known.clone();
        }
        let (at, receiver) = watch::channel(InstanceSubscriptions::new());
        keepers.insert(address, receiver.clone());
        drop(keepers);
        let keeper = Keeper {
            inner: Arc::downgrade(self),
            handle: Arc::downgrade(handle),
            at,
            requests: FuturesUnordered::new(),
        };
        let running = self.pool.closing().clone();
        let running = running.run_until_cancelled_owned(keeper.run());
        self.pool.tasks().spawn(running);
        receiver
    }

    /// Waits until a legacy instance has answered a subscription. Returns its response if it was rejected.
    pub(super) async fn settled(self: &Arc<Self>, handle: &Arc<Handle>, uri: &str) -> Settled {
        let mut held = self.keeper(handle);
        let is_settled = |held: &InstanceSubscriptions| {
            let at = held.get(uri);
            matches!(
                at,
                Some(
                    SubscriptionState::Held
                        | SubscriptionState::Rejected(_)
                        | SubscriptionState::Failed
                )
            )
        };
        let Ok(held) = held.wait_for(is_settled).await else {
            return Settled::Failed;
        };
        match held.get(uri) {
            Some(SubscriptionState::Held) => Settled::Accepted,
            Some(SubscriptionState::Rejected(response)) => Settled::Rejected(response.clone()),
            _ => Settled::Failed,
        }
    }
}

/// Outcome of a subscription.
pub(super) enum Settled {
    Accepted,
    Rejected(Message),
    /// The instance did not answer.
    Failed,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        let keepers = &inner.subscriptions.keepers.0;
        let mut keepers = keepers.lock();
        keepers.remove(&self.handle.as_ptr().addr());
    }
}

impl Keeper {
    /// Runs until the instance ends.
    async fn run(mut self) {
        let (Some(inner), Some(handle)) = (self.inner.upgrade(), self.handle.upgrade()) else {
            return;
        };
        let mut changes = inner.subscriptions.changes();
        let mut rights = inner.rights.subscribe();
        let exited = handle.exited.clone();
        drop((inner, handle));
        loop {
            if self.begin().is_none() {
                return;
            }
            tokio::select! {
                Some((uri, done)) = self.requests.next(), if !self.requests.is_empty() => {
                    self.ended(uri, done);
                }
                Ok(()) = changes.changed() => {}
                // The callers of a resource may have lost or gained the right to it.
                Ok(()) = rights.changed() => {}
                _ = exited.clone() => return,
            }
        }
    }

    /// Begins the requests that are missing. Returns `None` if the instance is gone.
    fn begin(&mut self) -> Option<()> {
        let (inner, handle) = (self.inner.upgrade()?, self.handle.upgrade()?);
        let free = MAX_SUBSCRIBING.saturating_sub(self.requests.len());
        let as_of = inner.rights.now();
        let wanted = inner.wanted_at(&handle.key);
        let mut left = self.give_up(&wanted, free);
        if !left.is_empty() {
            // A caller may have subscribed since `wanted` was read. A later caller finds the state `Leaving`, and waits
            // until the resource is subscribed again.
            let wanted = inner.wanted_at(&handle.key);
            left.retain(|uri| {
                let is_wanted = wanted.contains(uri);
                if is_wanted {
                    self.is(uri, SubscriptionState::Held);
                }
                !is_wanted
            });
        }
        let asked = self.ask_for(&wanted, free.saturating_sub(left.len()));
        for uri in left {
            self.requests.push(unsubscribe(&handle, uri));
        }
        for (uri, abandon) in asked {
            let check = StillWanted {
                inner: Weak::clone(&self.inner),
                key: handle.key.clone(),
                uri: Arc::clone(&uri),
                as_of,
            };
            self.requests.push(subscribe(&handle, uri, abandon, check));
        }
        Some(())
    }

    /// Returns up to `most` resources to unsubscribe from.
    fn give_up(&self, wanted: &HashSet<Arc<str>>, most: usize) -> Vec<Arc<str>> {
        let mut left = Vec::new();
        self.at.send_if_modified(|held| {
            let before = held.len();
            held.retain(|uri, at| {
                wanted.contains(uri) || !matches!(at, SubscriptionState::Rejected(_))
            });
            for (uri, at) in held.iter_mut().filter(|(uri, _)| !wanted.contains(*uri)) {
                match at {
                    SubscriptionState::Asked(abandon) => abandon.cancel(),
                    SubscriptionState::Held | SubscriptionState::Unsure if left.len() < most => {
                        *at = SubscriptionState::Leaving;
                        left.push(Arc::clone(uri));
                    }
                    _ => {}
                }
            }
            before != held.len() || !left.is_empty()
        });
        left
    }

    /// Returns up to `most` resources to subscribe to, each with the token that abandons its request.
    fn ask_for(
        &self,
        wanted: &HashSet<Arc<str>>,
        most: usize,
    ) -> Vec<(Arc<str>, CancellationToken)> {
        let mut asked = Vec::new();
        self.at.send_if_modified(|held| {
            let is_missing =
                |uri: &&Arc<str>| matches!(held.get(*uri), None | Some(SubscriptionState::Unsure));
            let missing = wanted.iter().filter(is_missing).take(most);
            asked.extend(missing.map(|uri| (Arc::clone(uri), CancellationToken::new())));
            for (uri, abandon) in &asked {
                held.insert(Arc::clone(uri), SubscriptionState::Asked(abandon.clone()));
            }
            !asked.is_empty()
        });
        asked
    }

    fn is(&self, uri: &Arc<str>, at: SubscriptionState) {
        self.at
            .send_modify(|held| drop(held.insert(Arc::clone(uri), at)));
    }

    fn ended(&mut self, uri: Arc<str>, done: Done) {
        match done {
            Done::Subscribed(Ok(response)) if response.kind() == Kind::Response => {
                self.is(&uri, SubscriptionState::Held);
            }
            Done::Subscribed(Ok(response)) => {
                self.is(&uri, SubscriptionState::Rejected(kept(&response)));
            }
            Done::Subscribed(Err(error)) => {
                tracing::debug!(%error, "a subscription failed: it is repeated");
                self.is(&uri, SubscriptionState::Failed);
                let pause = tokio::time::sleep(RESUBSCRIBE_INTERVAL);
                self.requests
                    .push(pause.map(|()| (uri, Done::Paused)).boxed());
            }
            Done::Abandoned | Done::Paused => self.is(&uri, SubscriptionState::Unsure),
            Done::Unsubscribed => self.at.send_modify(|held| drop(held.remove(&uri))),
        }
    }
}

/// Returns a copy of a rejection, which holds no larger buffer, or a short error with its code in place of a long one: a
/// server can reject everything that it had accepted before it was restarted.
fn kept(rejection: &Message) -> Message {
    let bytes = rejection.bytes();
    if bytes.len() <= MAX_KEPT_REJECTION {
        return own(Bytes::copy_from_slice(bytes));
    }
    let error = rejection.body().and_then(Members::read).unwrap_or_default();
    let code = error.get("code").and_then(|code| code.parse().ok());
    let text = format!(
        "the server rejected the subscription with an error of more than {MAX_KEPT_REJECTION} bytes"
    );
    let code = code.unwrap_or_else(|| code::INTERNAL.into());
    own(error_response("0", code, &text, None))
}

fn subscribe(
    handle: &Arc<Handle>,
    uri: Arc<str>,
    abandon: CancellationToken,
    check: StillWanted,
) -> Request {
    let (handle, asked) = (Arc::clone(handle), Arc::clone(&uri));
    let sent = send(handle, method::RESOURCES_SUBSCRIBE, asked, Some(check));
    async move {
        let done = abandon.run_until_cancelled(sent).await;
        (uri, done.map_or(Done::Abandoned, Done::Subscribed))
    }
    .boxed()
}

fn unsubscribe(handle: &Arc<Handle>, uri: Arc<str>) -> Request {
    let (handle, left) = (Arc::clone(handle), Arc::clone(&uri));
    let sent = send(handle, method::RESOURCES_UNSUBSCRIBE, left, None);
    async move {
        if let Err(error) = sent.await {
            tracing::debug!(%error, "a subscription may be left at its server");
        }
        (uri, Done::Unsubscribed)
    }
    .boxed()
}

/// Checks that a resource is still wanted by somebody who may have it.
struct StillWanted {
    inner: Weak<Inner>,
    key: InstanceKey,
    uri: Arc<str>,
    /// Count of changes of rights at the last check.
    as_of: u64,
}

impl Recheck for StillWanted {
    fn is_stale(&self) -> bool {
        let inner = self.inner.upgrade();
        inner.is_none_or(|inner| inner.rights.now() != self.as_of)
    }

    fn judge(&self) -> BoxFuture<'_, Result<()>> {
        let inner = self.inner.upgrade();
        let wanted = inner.is_some_and(|inner| inner.wanted_at(&self.key).contains(&self.uri));
        let result = match wanted {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::NoRoute,
                "no caller may subscribe to the resource any more",
            )),
        };
        std::future::ready(result).boxed()
    }
}

/// Sends a request on behalf of all callers that share the instance.
async fn send(
    handle: Arc<Handle>,
    name: &str,
    uri: Arc<str>,
    check: Option<StillWanted>,
) -> Result<Message> {
    // An instance that drains gets no new subscription, but it is still unsubscribed from.
    let lease = Lease::of(&handle);
    if lease.is_none() && name == method::RESOURCES_SUBSCRIBE {
        let text = format!("instance {} is ending", handle.key);
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    let params = format!("{{\"uri\":{}}}", quote(&uri));
    let message = own(request("0", name, Some(&params)));
    let caller = Caller::engine(Era::Modern);
    let outgoing = Outgoing {
        check: check.as_ref().map(|check| check as &dyn Recheck),
        ..Outgoing::ours(&message, caller.party)
    };
    let limit = handle.spec.server.limits.call_timeout;
    let answer = async {
        let reply = handle.link.request(&outgoing, &caller, None).await?;
        reply.response().await
    };
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(timed_out(handle.key.server(), limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rejection_is_replaced_and_keeps_its_code() {
        let rejected = |text: &str| own(error_response("7", -32002, text, None));
        let short = kept(&rejected("no"));
        assert_eq!(short.body(), Some(r#"{"code":-32002,"message":"no"}"#));
        let long = kept(&rejected(&"no".repeat(MAX_KEPT_REJECTION)));
        assert!(long.bytes().len() < MAX_KEPT_REJECTION);
        let body = long.body().unwrap();
        assert!(body.starts_with(r#"{"code":-32002,"#), "{body}");
    }
}
