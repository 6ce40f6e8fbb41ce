//! Resource subscriptions of legacy clients and of modern streams.

mod table;

use std::sync::Arc;

use super::Inner;
use super::authority::Judged;
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
use crate::runtime::{InstanceKey, Progress};
use crate::session::Session;
use crate::transport::Party;

use self::table::Resource;
pub(super) use self::table::{Source, Subscriptions};

impl Inner {
    /// Handles a legacy client's subscribe or unsubscribe request.
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
        let work = Work {
            judged: Judged::Item(Item::Resource(&uri)),
            ..Work::plain(&message)
        };
        if message.method() == method::RESOURCES_UNSUBSCRIBE {
            let last = self.subscriptions.remove(source, &uri, party);
            // The engine's own subscription at a modern server follows the table.
            if era == Era::Modern || (shared && !last) {
                return Ok(empty(&message));
            }
            drop(lease);
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
            let sent = self.forward(context, &route.server, &route.credential, &work);
            self.subscribed(context, sent.await.map(|(reply, _)| reply))
                .await
        };
        let accepted = matches!(&response, Ok(reply) if !reply.is_error());
        let is_gone = self.session_of(party).is_none();
        if !accepted {
            self.subscriptions.remove(source, &uri, party);
        } else if is_gone {
            // The session has ended in the meantime, and its subscriptions were removed before this one was added.
            self.unsubscribe(party);
        }
        response
    }

    /// Returns the server's response to a subscription. If it was accepted, opens the stream for updates.
    async fn subscribed(&self, context: &Context, reply: Result<Reply>) -> Result<Reply> {
        let response = reply?.response().await?;
        if response.kind() == Kind::Response {
            self.listen_upstream(context).await;
        }
        Ok(Reply::ready(response))
    }

    /// Removes all subscriptions of a caller that is gone, and unsubscribes from resources without another subscriber.
    pub(super) fn unsubscribe(self: &Arc<Self>, party: Party) {
        self.unsubscribe_upstream(self.subscriptions.leave(party, None));
    }

    /// Removes the subscriptions of a caller that may no longer see these lists.
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
                    // There may be a new subscriber by now.
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

    /// Opens the stream for updates of an HTTP server, which belongs to the session's own connection.
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

    /// Subscribes a modern client to resources. Returns the URIs that the server accepts.
    ///
    /// # Cancel safety
    /// Subscriptions that were made before the future is dropped remain in the table under the listener's party. The
    /// caller has to remove them.
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

    /// Subscribes a modern client to one resource; `None` if it is not accepted.
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
        // Before anything is started or sent, so that subscriptions over the limit cost nothing.
        let first = self
            .subscriptions
            .add(source.clone(), uri, listener.party, principal)
            .ok()?;
        let progress = Progress::unheard();
        let acquired = self
            .pool
            .acquire(&route.server, &credential, scope, &progress);
        let accepted = match acquired.await {
            Ok(lease) => {
                let judged = Judged::Item(Item::Resource(uri));
                // Starting the instance may have taken time.
                if self.judge_again(context, &lease.key, judged).await.is_err() {
                    false
                } else if speaks_modern(&lease).await {
                    // The client must receive every change after its acknowledgement.
                    let promised = self.subscriptions.promised(&source, uri);
                    let _ = tokio::time::timeout(SUBSCRIBED_TIMEOUT, promised).await;
                    true
                } else {
                    !first || as_engine(&lease, method::RESOURCES_SUBSCRIBE, uri).await
                }
            }
            Err(_) => false,
        };
        if !accepted {
            self.subscriptions.remove(source, uri, listener.party);
            return None;
        }
        let is_kept = self
            .subscriptions
            .parties(&source, uri)
            .contains(&listener.party);
        if !is_kept {
            // The right was lost in the meantime, and the caller's subscriptions were removed before this one was
            // added.
            self.unsubscribe_upstream(vec![(source, uri.into())]);
        }
        is_kept.then_some(())
    }

    /// Renews the subscriptions at an instance that has started.
    pub(super) fn resubscribe(self: &Arc<Self>, handle: &Arc<Handle>) {
        let uris = self.subscriptions.uris(&Source::from(&handle.key));
        if uris.is_empty() {
            return;
        }
        let (inner, handle) = (Arc::clone(self), Arc::clone(handle));
        self.pool.tasks().spawn(async move {
            let Some(lease) = super::events::lease(&handle) else {
                return;
            };
            for uri in uris {
                // A subscriber that has lost the right may not have been removed yet.
                let source = Source::from(&handle.key);
                let mut parties = inner.subscriptions.parties(&source, &uri).into_iter();
                if parties.any(|party| inner.hearer(party, &handle.key).is_some()) {
                    as_engine(&lease, method::RESOURCES_SUBSCRIBE, &uri).await;
                }
            }
        });
    }

    /// Handles the acknowledgement of a modern server, which lists the resources with updates.
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

    /// Delivers an update of a resource to its subscribers.
    pub(super) fn updated(&self, handle: &Arc<Handle>, party: Option<Party>, message: &Message) {
        if let Some(session) = party.and_then(|party| self.session_of(party)) {
            return self.push(&session, handle, ReplyItem::Notification(message.clone()));
        }
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let Some(uri) = members.get("uri").and_then(text) else {
            return;
        };
        for party in self.subscriptions.parties(&Source::from(&handle.key), &uri) {
            match self.hearer(party, &handle.key) {
                Some(Subscribed::Session(session)) => {
                    session.push(ReplyItem::Notification(message.clone()));
                }
                Some(Subscribed::Listener(listener)) => listener.send(message),
                None => {}
            }
        }
    }

    /// Returns the subscriber if it may receive messages of this instance now.
    fn hearer(&self, party: Party, key: &InstanceKey) -> Option<Subscribed> {
        if let Some(session) = self.session_of(party) {
            let may = self.session_may_hear(&session, key);
            return may.then_some(Subscribed::Session(session));
        }
        let mut listeners = self.listeners.all().into_iter();
        let listener = listeners.find(|known| known.party == party)?;
        let may = self.listener_may_hear(&listener, key);
        may.then_some(Subscribed::Listener(listener))
    }
}

/// A subscriber.
enum Subscribed {
    Session(Arc<Session>),
    Listener(Arc<Listener>),
}

/// Subscribes or unsubscribes on behalf of all callers that share the instance. At a modern server, the engine's own
/// subscription does this instead.
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
