//! Subscribe and unsubscribe requests of legacy clients.

use std::sync::Arc;

use super::Place;
use super::upstream::Settled;
use crate::call::{Reply, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Message, Splice, quote, request, span_of, text};
use crate::limits::{MAX_SUBSCRIBED_URI_LEN, SUBSCRIBED_TIMEOUT};
use crate::orchestrator::authority::AllowedBy;
use crate::orchestrator::forward::{ForwardedRequest, timed_out};
use crate::orchestrator::params::{empty, missing, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::subscriptions::Resource;
use crate::orchestrator::state::subscriptions::Via;
use crate::pool::{Handle, Lease, Link};
use crate::protocol::{Era, method};
use crate::router::Item;
use crate::session::Session;
use crate::transport::{Outgoing, Party};

/// A subscription that is removed unless the server accepts it.
struct Adding {
    inner: Arc<Inner>,
    session: Option<Arc<Session>>,
    resource: Resource,
    party: Party,
    via: Via,
    is_accepted: bool,
}

impl Drop for Adding {
    fn drop(&mut self) {
        if self.is_accepted {
            return;
        }
        self.inner.subscriptions.remove(&self.resource, self.party);
        if let (Via::Own, Some(session)) = (self.via, &self.session) {
            // The server may have accepted it although its client is not there any more.
            self.inner.unsubscribe_own(session, &self.resource);
        }
    }
}

impl Inner {
    /// Handles a legacy client's subscribe or unsubscribe request.
    pub(crate) async fn subscribe(
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
        if message.method() == method::RESOURCES_UNSUBSCRIBE {
            return self.unsubscribe_from(context, &message, &uri).await;
        }
        let (place, lease) = self.reached(context, &uri).await?;
        let (party, principal) = (context.caller.party, &context.principal.id);
        let resource = (place.source.clone(), Arc::clone(&place.own));
        let era = lease.link.spoken(&context.caller).await?;
        let via = match (&lease.link, era) {
            (Link::Http(_), Era::Legacy) => Via::Own,
            (Link::Http(_) | Link::Pipe(_), _) => Via::Engine,
        };
        self.subscriptions.add(&resource, party, via, principal)?;
        let mut adding = Adding {
            inner: Arc::clone(self),
            session: context.session.clone(),
            resource,
            party,
            via,
            is_accepted: false,
        };
        let response = match (via, era) {
            (Via::Own, _) => {
                drop(lease);
                self.subscribe_own(context, &message, &place).await?
            }
            (Via::Engine, Era::Modern) => empty(&message),
            (Via::Engine, Era::Legacy) => {
                let shared = self.subscribe_shared(context, &message, (lease, &place.own));
                shared.await?
            }
        };
        adding.is_accepted = !response.is_error();
        if adding.is_accepted {
            self.accepted_by(context, &place.server, &place.own);
        }
        if adding.is_accepted && self.session_of(party).is_none() {
            // The session has ended in the meantime, and its subscriptions were removed before this one was added.
            self.unsubscribe(party);
        }
        Ok(response)
    }

    /// Takes a lease on the caller's instance with a resource.
    async fn reached(self: &Arc<Self>, context: &Context, uri: &str) -> Result<(Place, Lease)> {
        let place = self.find_place(context, uri).await?;
        let (server, scope) = (&place.server, place.source.scope.clone());
        let progress = crate::runtime::Progress::unheard();
        let acquired = self
            .pool
            .acquire(server, &place.credential, scope, &progress);
        Ok((place.clone(), acquired.await?))
    }

    /// Subscribes in the caller's own session with an HTTP server.
    async fn subscribe_own(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        place: &Place,
    ) -> Result<Reply> {
        let response = self.forward_own(context, message, place).await?;
        let response = response.response().await?;
        if response.kind() == Kind::Response {
            self.listen_upstream(context).await;
        }
        Ok(Reply::ready(response))
    }

    async fn forward_own(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        place: &Place,
    ) -> Result<Reply> {
        let raw = params(message)?.uri.ok_or_else(|| missing("uri"))?.get();
        let uri = text(raw).ok_or_else(|| missing("uri"))?;
        let mut edits = Splice::new();
        if *place.own != *uri {
            edits.replace(span_of(message.bytes(), raw), quote(&place.own));
        }
        let work = ForwardedRequest {
            edits,
            judged: AllowedBy::Item(Item::Resource(&uri)),
            ..ForwardedRequest::plain(message)
        };
        let sent = self.forward(context, &place.server, &place.rule, &work);
        Ok(sent.await?.0)
    }

    /// Subscribes on the connection that all callers share.
    async fn subscribe_shared(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        (lease, own): (Lease, &str),
    ) -> Result<Reply> {
        let head = params(message)?;
        let uri = head.uri.and_then(|uri| text(uri.get()));
        let uri = uri.ok_or_else(|| missing("uri"))?;
        let server = lease.key.server();
        let _counts = self.in_flight.enter(&context.principal.id, server)?;
        // Starting the instance may have taken time.
        let judged = AllowedBy::Item(Item::Resource(&uri));
        let as_of = self.rights.now();
        self.judge_again(context, &lease.key, judged).await?;
        if let Some(session) = &context.session
            && session.uses(lease.handle())
        {
            self.joined(context, session, &lease, as_of).await;
        }
        lease.serves();
        if let Some(trail) = &context.trail {
            trail.reached(&lease.key);
        }
        let limit = lease.spec.server.limits.call_timeout;
        let settled = tokio::time::timeout(limit, self.settled(lease.handle(), own));
        match settled.await {
            Ok(Settled::Accepted) => Ok(empty(message)),
            Ok(Settled::Rejected(response)) => {
                let id = message.id_bytes().unwrap_or_default();
                Ok(Reply::ready(response.with_id(&id)))
            }
            Ok(Settled::Failed) => {
                let text = format!("server {server} did not answer the subscription");
                Err(Error::new(ErrorKind::Unavailable, text).with_instance(&lease.key))
            }
            Err(_) => Err(timed_out(server, limit)),
        }
    }

    /// Opens the stream for updates of an HTTP server, which belongs to the session's own connection.
    async fn listen_upstream(&self, context: &Context) {
        let Some(session) = &context.session else {
            return;
        };
        for handle in session.handles() {
            if !self.right_to(context, &handle.key).await.holds() {
                continue;
            }
            if let Err(error) = handle.link.listen(&context.caller).await {
                tracing::debug!(server = %handle.key.server(), %error, "a stream to the server cannot be opened");
            }
        }
    }

    async fn unsubscribe_from(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        uri: &str,
    ) -> Result<Reply> {
        // An address that was changed for clients names its server.
        let route = self.route(context, Item::Resource(uri)).ok();
        let shared = route.as_ref().filter(|route| route.name != uri);
        let (own, at) = match shared {
            Some(route) => (&*route.name, Some(&route.server)),
            None => (uri, None),
        };
        let party = context.caller.party;
        let Some(removed) = self.subscriptions.remove_uri(party, own, at) else {
            // The server may know a subscription that this gateway does not.
            let (place, lease) = self.reached(context, uri).await?;
            let era = lease.link.spoken(&context.caller).await?;
            if matches!(lease.link, Link::Pipe(_)) || era == Era::Modern {
                return Ok(empty(message));
            }
            drop(lease);
            return self.forward_own(context, message, &place).await;
        };
        if removed.iter().any(|(_, via)| *via == Via::Own) {
            let place = self.find_place(context, uri).await?;
            return self.forward_own(context, message, &place).await;
        }
        let ended = async {
            for (resource, _) in &removed {
                self.given_up(resource).await;
            }
        };
        // The client gets no more updates, also while the server has not answered yet.
        let _ = tokio::time::timeout(SUBSCRIBED_TIMEOUT, ended).await;
        Ok(empty(message))
    }

    /// Ends a subscription in a caller's own session with an HTTP server, if that session is open.
    pub(crate) fn unsubscribe_own(self: &Arc<Self>, session: &Arc<Session>, resource: &Resource) {
        let caller = session.caller();
        let is_it = |handle: &Arc<Handle>| {
            crate::orchestrator::state::subscriptions::Source::from(&handle.key) == resource.0
                && handle.link.conversation(caller.party) == caller.party
        };
        let handles = session.handles().into_iter().filter(is_it);
        for handle in handles {
            let params = format!("{{\"uri\":{}}}", quote(&resource.1));
            let message = own(request("0", method::RESOURCES_UNSUBSCRIBE, Some(&params)));
            let caller = caller.clone();
            self.pool.tasks().spawn(async move {
                let outgoing = Outgoing::plain(&message, caller.party, Era::Legacy);
                let sent = handle.link.request(&outgoing, &caller, None);
                if let Err(error) = tokio::time::timeout(SUBSCRIBED_TIMEOUT, sent).await {
                    tracing::debug!(%error, "a subscription may be left at its server");
                }
            });
        }
    }
}
