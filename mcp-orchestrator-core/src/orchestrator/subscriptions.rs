//! Who wants to hear of which resource.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Inner;
use super::calls::{missing, params};
use super::context::Context;
use super::events::Listener;
use super::forward::Work;
use crate::call::{Reply, ReplyItem, own};
use crate::catalog::{ListKey, ask};
use crate::error::Result;
use crate::jsonrpc::{Kind, Members, Message, quote, request, text};
use crate::pool::{Caller, Handle};
use crate::protocol::{Era, method};
use crate::router::Item;
use crate::transport::Party;

/// Subscriptions of callers whose instance other callers share.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Mutex<HashMap<(ListKey, String), HashSet<Party>>>);

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, HashMap<(ListKey, String), HashSet<Party>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True where it is the first for this resource.
    fn add(&self, key: ListKey, uri: &str, party: Party) -> bool {
        let mut all = self.lock();
        let parties = all.entry((key, uri.to_owned())).or_default();
        parties.insert(party) && parties.len() == 1
    }

    /// True where it was the last for this resource.
    fn remove(&self, key: ListKey, uri: &str, party: Party) -> bool {
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
    }

    /// A caller is gone.
    pub(super) fn leave(&self, party: Party) {
        self.lock().retain(|_, parties| {
            parties.remove(&party);
            !parties.is_empty()
        });
    }

    fn parties(&self, key: &ListKey, uri: &str) -> Vec<Party> {
        let all = self.lock();
        all.get(&(key.clone(), uri.to_owned()))
            .map_or_else(Vec::new, |parties| parties.iter().copied().collect())
    }

    fn uris(&self, key: &ListKey) -> Vec<String> {
        self.lock()
            .keys()
            .filter(|(other, _)| other == key)
            .map(|(_, uri)| uri.clone())
            .collect()
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
        let party = context.caller.party;
        if !subscribing {
            self.subscriptions.remove(key.clone(), &uri, party);
        }
        let (reply, _) = self
            .forward(
                context,
                &route.server,
                &route.credential,
                Work::plain(message),
            )
            .await?;
        let reply = match reply.into_ready() {
            Ok(response) => {
                if subscribing && response.kind() == Kind::Response {
                    self.subscriptions.add(key, &uri, party);
                    self.listen_upstream(context).await;
                }
                Reply::ready(response)
            }
            Err(stream) => stream,
        };
        Ok(reply)
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
            let progress = crate::runtime::Progress::unheard();
            let Ok(lease) = self
                .pool
                .acquire(&route.server, &credential, scope, &progress)
                .await
            else {
                continue;
            };
            let key = ListKey::new(&route.server, &credential);
            if !self.subscriptions.add(key.clone(), uri, listener.party)
                || subscribe_as_engine(&lease, uri).await
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
                subscribe_as_engine(&lease, &uri).await;
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

async fn subscribe_as_engine(lease: &crate::pool::Lease, uri: &str) -> bool {
    let caller = Caller::engine(Era::Legacy);
    let params = format!("{{\"uri\":{}}}", quote(uri));
    let asked = ask(
        lease,
        &caller,
        own(request("0", method::RESOURCES_SUBSCRIBE, Some(&params))),
    )
    .await;
    asked.is_ok_and(|response| response.kind() == Kind::Response)
}
