//! Who wants to hear of which resource.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Inner;
use super::calls::{empty, missing, params};
use super::context::Context;
use super::events::Listener;
use super::forward::Work;
use crate::call::{Reply, ReplyItem, own};
use crate::catalog::{ListKey, ask};
use crate::error::Result;
use crate::jsonrpc::{Kind, Members, Message, quote, request, text};
use crate::pool::{Caller, Handle, Lease, Link};
use crate::protocol::{Era, method};
use crate::router::Item;
use crate::runtime::Progress;
use crate::transport::Party;
use tokio::sync::watch;

/// Who listens to which resources of which lists.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    parties: Mutex<HashMap<(ListKey, String), HashSet<Party>>>,
    /// Changes with each resource that comes or goes.
    changes: watch::Sender<()>,
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, HashMap<(ListKey, String), HashSet<Party>>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears when a resource comes or goes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// True where it is the first for this resource.
    fn add(&self, key: ListKey, uri: &str, party: Party) -> bool {
        let first = {
            let mut all = self.lock();
            let parties = all.entry((key, uri.to_owned())).or_default();
            parties.insert(party) && parties.len() == 1
        };
        if first {
            self.changes.send_replace(());
        }
        first
    }

    /// True where it was the last for this resource.
    fn remove(&self, key: ListKey, uri: &str, party: Party) -> bool {
        let last = {
            let mut all = self.lock();
            let place = (key, uri.to_owned());
            let Some(parties) = all.get_mut(&place) else {
                return false;
            };
            let last = parties.remove(&party) && parties.is_empty();
            if last {
                all.remove(&place);
            }
            last
        };
        if last {
            self.changes.send_replace(());
        }
        last
    }

    /// A caller is gone; answers what nobody listens to any more.
    fn leave(&self, party: Party) -> Vec<(ListKey, String)> {
        let mut gone = Vec::new();
        self.lock().retain(|place, parties| {
            if parties.remove(&party) && parties.is_empty() {
                gone.push(place.clone());
            }
            !parties.is_empty()
        });
        if !gone.is_empty() {
            self.changes.send_replace(());
        }
        gone
    }

    fn parties(&self, key: &ListKey, uri: &str) -> Vec<Party> {
        let all = self.lock();
        all.get(&(key.clone(), uri.to_owned()))
            .map_or_else(Vec::new, |parties| parties.iter().copied().collect())
    }

    /// The resources of these lists that somebody listens to, in order.
    pub(super) fn uris(&self, key: &ListKey) -> Vec<String> {
        let all = self.lock();
        let of_key = all.keys().filter(|(other, _)| other == key);
        let mut uris: Vec<_> = of_key.map(|(_, uri)| uri.clone()).collect();
        uris.sort();
        uris
    }
}

impl Inner {
    /// A legacy client subscribes, or takes that back.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        context: &Context,
        message: Message,
    ) -> Result<Reply> {
        let uri = params(&message)?
            .uri
            .and_then(|uri| text(uri.get()))
            .ok_or_else(|| missing("uri"))?
            .into_owned();
        let route = self.route(context, Item::Resource(&uri))?;
        let spec = self.spec(&route.server)?;
        let credential = self
            .credential(context, &spec, &route.credential, None)
            .await?;
        let key = ListKey::new(&route.server, &credential);
        let subscribing = message.method() == method::RESOURCES_SUBSCRIBE;
        let scope = context.scope(&spec.server);
        let lease = self
            .pool
            .acquire(&route.server, &credential, scope, &Progress::unheard())
            .await?;
        let party = context.caller.party;
        let last = !subscribing && self.subscriptions.remove(key.clone(), &uri, party);
        let shared = matches!(lease.link, Link::Pipe(_));
        if lease.link.spoken(&context.caller).await? == Era::Modern {
            // A modern server is asked by the engine's own subscription, which follows what is added here.
            if subscribing {
                self.subscriptions.add(key, &uri, party);
            }
            return Ok(empty(&message));
        }
        if !subscribing && shared && !last {
            return Ok(empty(&message));
        }
        drop(lease);
        let work = Work::plain(&message);
        let (reply, _) = self
            .forward(context, &route.server, &route.credential, &work)
            .await?;
        let response = reply.response().await?;
        if subscribing && response.kind() == Kind::Response {
            self.subscriptions.add(key, &uri, party);
            self.listen_upstream(context).await;
        }
        Ok(Reply::ready(response))
    }

    /// A caller is gone: programs are told what nobody listens to any more.
    pub(super) fn unsubscribe(self: &Arc<Self>, party: Party) {
        let gone = self.subscriptions.leave(party);
        if gone.is_empty() {
            return;
        }
        let inner = Arc::clone(self);
        self.pool.tasks().spawn(async move {
            for (key, uri) in gone {
                let of_key = |handle: &Arc<Handle>| ListKey::from(&handle.key) == key;
                for handle in inner.pool.handles().into_iter().filter(of_key) {
                    if let (Link::Pipe(_), Some(lease)) =
                        (&handle.link, super::events::lease(&handle))
                    {
                        as_engine(&lease, method::RESOURCES_UNSUBSCRIBE, &uri).await;
                    }
                }
            }
        });
    }

    /// Over HTTP, updates come by the stream of the session's own conversation.
    async fn listen_upstream(&self, context: &Context) {
        let Some(session) = &context.session else {
            return;
        };
        for handle in session.handles() {
            if let Err(error) = handle.link.listen(&context.caller).await {
                tracing::debug!(server = %handle.key.server(), %error, "a stream to the server cannot be opened");
            }
        }
    }

    /// A modern client listens to resources; those that a server accepts are answered.
    pub(super) async fn listen_to_resources(
        self: &Arc<Self>,
        context: &Context,
        listener: &Listener,
        uris: &[String],
    ) -> Vec<String> {
        let mut accepted = Vec::new();
        for uri in uris {
            let Ok(route) = self.route(context, Item::Resource(uri)) else {
                continue;
            };
            let Ok(spec) = self.spec(&route.server) else {
                continue;
            };
            let Ok(credential) = self
                .credential(context, &spec, &route.credential, None)
                .await
            else {
                continue;
            };
            let scope = context.scope(&spec.server);
            let progress = Progress::unheard();
            let Ok(lease) = self
                .pool
                .acquire(&route.server, &credential, scope, &progress)
                .await
            else {
                continue;
            };
            let key = ListKey::new(&route.server, &credential);
            if !self.subscriptions.add(key.clone(), uri, listener.party)
                || as_engine(&lease, method::RESOURCES_SUBSCRIBE, uri).await
            {
                accepted.push(uri.clone());
            } else {
                self.subscriptions.remove(key, uri, listener.party);
            }
        }
        accepted
    }

    /// Subscriptions are renewed at an instance that has started.
    pub(super) fn resubscribe(self: &Arc<Self>, handle: &Arc<Handle>) {
        let uris = self.subscriptions.uris(&ListKey::from(&handle.key));
        if uris.is_empty() {
            return;
        }
        let handle = Arc::clone(handle);
        self.pool.tasks().spawn(async move {
            let Some(lease) = super::events::lease(&handle) else {
                return;
            };
            for uri in uris {
                as_engine(&lease, method::RESOURCES_SUBSCRIBE, &uri).await;
            }
        });
    }

    /// A resource has changed.
    pub(super) fn updated(&self, handle: &Arc<Handle>, party: Option<Party>, message: &Message) {
        if let Some(session) = party.and_then(|party| self.session_of(party)) {
            return session.push(ReplyItem::Notification(message.clone()));
        }
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let Some(uri) = members.get("uri").and_then(text) else {
            return;
        };
        for party in self
            .subscriptions
            .parties(&ListKey::from(&handle.key), &uri)
        {
            if let Some(session) = self.session_of(party) {
                session.push(ReplyItem::Notification(message.clone()));
            } else if let Some(listener) = self
                .listeners
                .all()
                .iter()
                .find(|listener| listener.party == party)
            {
                listener.send(message);
            }
        }
    }
}

/// Subscribes, or takes that back, for callers that share the instance. A modern server is asked by the engine's own
/// subscription instead.
async fn as_engine(lease: &Lease, method: &str, uri: &str) -> bool {
    if lease
        .link
        .era(Era::Modern)
        .await
        .is_ok_and(|era| era == Era::Modern)
    {
        return true;
    }
    let caller = Caller::engine(Era::Modern);
    let params = format!("{{\"uri\":{}}}", quote(uri));
    let message = own(request("0", method, Some(&params)));
    ask(lease, &caller, message)
        .await
        .is_ok_and(|response| response.kind() == Kind::Response)
}
