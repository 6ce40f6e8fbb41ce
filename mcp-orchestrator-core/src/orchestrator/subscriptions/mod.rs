//! Subscriptions to resources: a legacy client's, and those of a modern stream.

mod table;

use std::sync::Arc;

use super::Inner;
use super::calls::{empty, missing, params};
use super::context::Context;
use super::events::Listener;
use super::forward::Work;
use crate::call::{Reply, ReplyItem, own};
use crate::catalog::{ListKey, ask};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, quote, request, text};
use crate::limits::{MAX_SUBSCRIBED_URI_LEN, SUBSCRIBED_TIMEOUT};
use crate::pool::{Caller, Handle, Lease, Link};
use crate::protocol::{Era, method};
use crate::router::Item;
use crate::runtime::Progress;
use crate::transport::Party;

use self::table::Resource;
pub(super) use self::table::{Source, Subscriptions};

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
        if uri.len() > MAX_SUBSCRIBED_URI_LEN {
            let text = format!("params.uri is longer than {MAX_SUBSCRIBED_URI_LEN} bytes");
            return Err(Error::new(ErrorKind::InvalidParams, text));
        }
        let route = self.route(context, Item::Resource(&uri))?;
        let spec = self.spec(&route.server)?;
        let credential = self
            .credential(context, &spec, &route.credential, None)
            .await?;
        let scope = context.scope(&spec.server);
        let source = Source::new(&route.server, &credential, scope.clone());
        let lease = self
            .pool
            .acquire(&route.server, &credential, scope, &Progress::unheard())
            .await?;
        let party = context.caller.party;
        let era = lease.link.spoken(&context.caller).await?;
        let shared = matches!(lease.link, Link::Pipe(_));
        if message.method() == method::RESOURCES_UNSUBSCRIBE {
            let last = self.subscriptions.remove(source, &uri, party);
            // A modern server is asked by the engine's own subscription, which follows the table.
            if era == Era::Modern || (shared && !last) {
                return Ok(empty(&message));
            }
            drop(lease);
            let work = Work::plain(&message);
            let sent = self.forward(context, &route.server, &route.credential, &work);
            return Ok(sent.await?.0);
        }
        let principal = &context.principal.id;
        self.subscriptions
            .add(source.clone(), &uri, party, principal)?;
        drop(lease);
        let response = if era == Era::Modern {
            Ok(empty(&message))
        } else {
            let work = Work::plain(&message);
            let sent = self.forward(context, &route.server, &route.credential, &work);
            self.subscribed(context, sent.await.map(|(reply, _)| reply))
                .await
        };
        let accepted = matches!(&response, Ok(reply) if !reply.is_error());
        let is_gone = self.session_of(party).is_none();
        if !accepted {
            self.subscriptions.remove(source, &uri, party);
        } else if is_gone {
            // The session has ended meanwhile, and what it left behind was looked for before this came.
            self.unsubscribe(party);
        }
        response
    }

    /// The server's answer to a subscription; where it took it, updates are listened to from now on.
    async fn subscribed(&self, context: &Context, reply: Result<Reply>) -> Result<Reply> {
        let response = reply?.response().await?;
        if response.kind() == Kind::Response {
            self.listen_upstream(context).await;
        }
        Ok(Reply::ready(response))
    }

    /// A caller is gone: programs are told what nobody is subscribed to any more.
    pub(super) fn unsubscribe(self: &Arc<Self>, party: Party) {
        self.unsubscribe_upstream(self.subscriptions.leave(party, None));
    }

    /// A caller may not see these lists any more.
    pub(super) fn unsubscribe_from(self: &Arc<Self>, party: Party, lists: &ListKey) {
        self.unsubscribe_upstream(self.subscriptions.leave(party, Some(lists)));
    }

    fn unsubscribe_upstream(self: &Arc<Self>, gone: Vec<Resource>) {
        if gone.is_empty() {
            return;
        }
        let inner = Arc::clone(self);
        self.pool.tasks().spawn(async move {
            for (source, uri) in gone {
                let is_it = |handle: &Arc<Handle>| Source::from(&handle.key) == source;
                for handle in inner.pool.handles().into_iter().filter(is_it) {
                    // Somebody may have come back to it by now.
                    if inner.subscriptions.parties(&source, &uri).is_empty()
                        && let Link::Pipe(_) = &handle.link
                        && let Some(lease) = super::events::lease(&handle)
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
    ///
    /// # Cancel safety
    /// What was subscribed by then is in the table under the listener's party, for whoever drops the future to take
    /// out.
    pub(super) async fn listen_to_resources(
        self: &Arc<Self>,
        context: &Context,
        listener: &Listener,
        uris: &[String],
    ) -> Vec<String> {
        let mut accepted = Vec::new();
        for uri in uris {
            if self.listen_to(context, listener, uri).await.is_some() {
                accepted.push(uri.clone());
            }
        }
        accepted
    }

    /// Subscribes a modern client to one resource; `None` where it is not accepted.
    async fn listen_to(
        self: &Arc<Self>,
        context: &Context,
        listener: &Listener,
        uri: &str,
    ) -> Option<()> {
        if uri.len() > MAX_SUBSCRIBED_URI_LEN {
            return None;
        }
        let route = self.route(context, Item::Resource(uri)).ok()?;
        let spec = self.spec(&route.server).ok()?;
        let credential = self
            .credential(context, &spec, &route.credential, None)
            .await
            .ok()?;
        let scope = context.scope(&spec.server);
        let source = Source::new(&route.server, &credential, scope.clone());
        let principal = &context.principal.id;
        // Before anything is started or sent: what is over the limit costs nothing.
        let first = self
            .subscriptions
            .add(source.clone(), uri, listener.party, principal)
            .ok()?;
        let progress = Progress::unheard();
        let acquired = self
            .pool
            .acquire(&route.server, &credential, scope, &progress);
        let accepted = match acquired.await {
            Ok(lease) if speaks_modern(&lease).await => {
                // What changes once the client has its acknowledgement is to reach it.
                let promised = self.subscriptions.promised(&source, uri);
                let _ = tokio::time::timeout(SUBSCRIBED_TIMEOUT, promised).await;
                true
            }
            Ok(lease) => !first || as_engine(&lease, method::RESOURCES_SUBSCRIBE, uri).await,
            Err(_) => false,
        };
        if !accepted {
            self.subscriptions.remove(source, uri, listener.party);
        }
        accepted.then_some(())
    }

    /// Subscriptions are renewed at an instance that has started.
    pub(super) fn resubscribe(self: &Arc<Self>, handle: &Arc<Handle>) {
        let uris = self.subscriptions.uris(&Source::from(&handle.key));
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

    /// A modern server says of which resources it sends the updates.
    pub(super) fn acknowledged(&self, handle: &Handle, message: &Message) {
        let params = message.body().and_then(Members::read).unwrap_or_default();
        let granted = params.get("notifications").and_then(Members::read);
        let uris = granted.unwrap_or_default().get("resourceSubscriptions");
        let uris = uris.and_then(|uris| serde_json::from_str(uris).ok());
        self.subscriptions.promise(
            &Source::from(&handle.key),
            uris.or_else(|| Some(Vec::new())),
        );
    }

    /// A resource has changed.
    pub(super) fn updated(&self, handle: &Arc<Handle>, party: Option<Party>, message: &Message) {
        if let Some(session) = party.and_then(|party| self.session_of(party)) {
            return self.push(&session, handle, ReplyItem::Notification(message.clone()));
        }
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let Some(uri) = members.get("uri").and_then(text) else {
            return;
        };
        let listeners = self.listeners.all();
        for party in self.subscriptions.parties(&Source::from(&handle.key), &uri) {
            if let Some(session) = self.session_of(party) {
                if self.session_may_hear(&session, &handle.key) {
                    session.push(ReplyItem::Notification(message.clone()));
                }
                continue;
            }
            let mut own = listeners.iter().filter(|known| known.party == party);
            if let Some(listener) = own.next()
                && self.listener_may_hear(listener, &handle.key)
            {
                listener.send(message);
            }
        }
    }
}

/// Subscribes, or takes that back, for callers that share the instance. A modern server is asked by the engine's own
/// subscription instead.
async fn as_engine(lease: &Lease, method: &str, uri: &str) -> bool {
    if speaks_modern(lease).await {
        return true;
    }
    let caller = Caller::engine(Era::Modern);
    let params = format!("{{\"uri\":{}}}", quote(uri));
    let message = own(request("0", method, Some(&params)));
    ask(lease, &caller, message)
        .await
        .is_ok_and(|response| response.kind() == Kind::Response)
}

async fn speaks_modern(lease: &Lease) -> bool {
    let era = lease.link.era(Era::Modern).await;
    era.is_ok_and(|era| era == Era::Modern)
}
