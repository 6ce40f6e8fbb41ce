//! Resource subscriptions of legacy clients and of modern streams.

mod legacy;
mod modern;
mod upstream;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::authority::Right;
use super::state::Inner;
use super::state::context::Context;
use super::state::listeners::Listener;
use super::state::subscriptions::{Resource, Source, Via};
use crate::auth::Principal;
use crate::call::ReplyItem;
use crate::credential::{Credential, CredentialRule};
use crate::error::Result;
use crate::id::{GatewayId, ServerId};
use crate::jsonrpc::{Members, Message, Splice, quote, span_of, text};
use crate::orchestrator::params::no_resource;
use crate::pool::{Handle, Lease};
use crate::protocol::Era;
use crate::router::{Item, Route, may_be_changed};
use crate::runtime::InstanceKey;
use crate::session::Session;
use crate::transport::Party;

/// The instance that serves a resource to a caller.
#[derive(Clone)]
struct Place {
    server: ServerId,
    rule: CredentialRule,
    credential: Arc<Credential>,
    source: Source,
    /// The server's own address of the resource.
    own: Arc<str>,
}

/// A subscriber.
enum Subscribed {
    Session(Arc<Session>),
    Listener(Arc<Listener>),
}

impl Inner {
    /// Returns the instance that serves a resource to this caller now, according to the lists in memory.
    async fn place_of(&self, context: &Context, uri: &str) -> Result<Place> {
        let route = self.route(context, Item::Resource(uri))?;
        self.place_at(context, route).await
    }

    /// Like [`place_of`](Self::place_of), for a request of a client: loads lists that are not in memory yet.
    async fn find_place(self: &Arc<Self>, context: &Context, uri: &str) -> Result<Place> {
        let route = self.routed(context, Item::Resource(uri)).await;
        let route = route.map_err(|error| no_resource(context, uri, error))?;
        self.place_at(context, route).await
    }

    async fn place_at(&self, context: &Context, route: Route<'_>) -> Result<Place> {
        let (server, rule) = (route.server.clone(), route.credential.clone());
        let spec = self.spec(&server)?;
        let credential = self.credential(context, &spec, &rule, None).await?;
        let source = Source::new(&server, &credential, context.scope(&spec.server));
        context.goes_to(&spec, Some(&credential));
        Ok(Place {
            server,
            rule,
            credential,
            source,
            own: route.name.into(),
        })
    }

    /// Remembers the server that accepted a subscription, so that lists that change later do not move it.
    fn accepted_by(&self, context: &Context, server: &ServerId, uri: &str) {
        let view = self.view(context);
        if view.is_ok_and(|view| view.entries.len() > 1) {
            let (principal, uris) = (&context.principal, vec![uri.to_owned()]);
            self.catalog.carried(server, principal, uris);
        }
    }

    /// Returns the address that a caller sees of a resource of a server.
    fn shown_uri<'a>(&self, context: &Context, server: &ServerId, own: &'a str) -> Cow<'a, str> {
        let principal = &context.principal;
        let view = self.view(context).ok();
        let shown = view.and_then(|view| self.catalog.shown_address(principal, &view, server, own));
        shown.map_or(Cow::Borrowed(own), Cow::Owned)
    }

    /// Returns an update with the address that a subscriber sees of the resource.
    fn update_for(
        &self,
        principal: &Principal,
        gateway: &GatewayId,
        server: &ServerId,
        message: &Message,
    ) -> Message {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let uri = members.get("uri").and_then(|raw| Some((raw, text(raw)?)));
        let shown = uri
            .filter(|(_, own)| may_be_changed(own))
            .and_then(|(raw, own)| {
                let view = self.router.view(principal, gateway).ok()?;
                let shown = self.catalog.shown_address(principal, &view, server, &own)?;
                Some((span_of(message.bytes(), raw), shown))
            });
        let Some((span, shown)) = shown else {
            return message.clone();
        };
        let mut edits = Splice::new();
        edits.replace(span, quote(&shown));
        message.spliced(&edits)
    }

    /// Removes all subscriptions of a caller that is gone.
    pub(super) fn unsubscribe(&self, party: Party) {
        self.subscriptions.leave(party);
    }

    /// Moves a caller's subscriptions to the instances that it may use now. Those to resources that it may not use are
    /// parked until it may.
    pub(super) async fn recheck_subscriptions(
        self: &Arc<Self>,
        context: &Context,
        session: Option<&Arc<Session>>,
        party: Party,
    ) {
        let mut lost = HashMap::new();
        for (resource, via) in self.subscriptions.of(party) {
            let (source, uri) = &resource;
            if !lost.contains_key(source) {
                let is_lost = self.has_lost(context, source).await;
                lost.insert(source.clone(), is_lost);
            }
            let server = source.lists.server();
            let shown = self.shown_uri(context, server, uri);
            let route = self.route(context, Item::Resource(&shown));
            let is_routed = route.is_ok_and(|route| route.server == *server);
            if is_routed && !lost[source] {
                continue;
            }
            if let (Via::Own, Some(session)) = (via, session) {
                self.subscriptions.remove(&resource, party);
                self.unsubscribe_own(session, &resource);
                continue;
            }
            let now = self.place_of(context, &shown).await.ok();
            let now = now.map(|place| place.source);
            self.subscriptions.moves(party, &resource, now);
        }
        for uri in self.subscriptions.parked(party) {
            if let Ok(place) = self.place_of(context, &uri).await {
                self.subscriptions.resume(party, &uri, place.source);
            }
        }
    }

    /// Resumes parked subscriptions to resources that a server lists now.
    pub(super) fn resume_parked(&self) {
        if self.subscriptions.has_parked() {
            self.rights.check();
        }
    }

    async fn has_lost(&self, context: &Context, source: &Source) -> bool {
        let spec = self.spec(source.lists.server());
        let is_in_scope = spec.is_ok_and(|spec| context.scope(&spec.server) == source.scope);
        !is_in_scope
            || matches!(
                self.right_to_lists(context, &source.lists).await,
                Right::Lost
            )
    }

    /// Returns the resources of an instance that a caller wants and may have now, on the shared connection.
    pub(super) fn wanted_at(&self, key: &InstanceKey) -> HashSet<Arc<str>> {
        let shared = self.subscriptions.shared_at(&Source::from(key));
        if shared.is_empty() {
            return HashSet::new();
        }
        let listeners = self.listeners.all();
        let listeners: HashMap<Party, _> = listeners.iter().map(|one| (one.party, one)).collect();
        let mut known = HashMap::new();
        let mut may = |party: &Party| {
            *known
                .entry(*party)
                .or_insert_with(|| match listeners.get(party) {
                    Some(listener) => self.listener_may_hear(listener, key),
                    None => self
                        .session_of(*party)
                        .is_some_and(|session| self.session_may_hear(&session, key)),
                })
        };
        let wanted = shared
            .into_iter()
            .filter(|(_, all)| all.iter().any(&mut may));
        wanted.map(|(uri, _)| uri).collect()
    }

    /// Waits until a resource has no subscription at any instance, or somebody else wants it.
    async fn given_up(self: &Arc<Self>, (source, uri): &Resource) {
        for handle in self.pool.handles() {
            if Source::from(&handle.key) == *source && !self.wanted_at(&handle.key).contains(uri) {
                let mut held = self.keeper(&handle);
                // An error means that the instance has ended.
                let _ = held.wait_for(|held| !held.contains_key(uri)).await;
            }
        }
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
            let (principal, server) = (session.principal_now(), handle.key.server());
            let message = self.update_for(&principal, &session.gateway, server, message);
            return self.push(&session, handle, ReplyItem::Notification(message));
        }
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let Some(uri) = members.get("uri").and_then(text) else {
            return;
        };
        let server = handle.key.server();
        for party in self.subscriptions.parties(&Source::from(&handle.key), &uri) {
            match self.subscriber(party, &handle.key) {
                Some(Subscribed::Session(session)) => {
                    let principal = session.principal_now();
                    let message = self.update_for(&principal, &session.gateway, server, message);
                    session.push(ReplyItem::Notification(message));
                }
                Some(Subscribed::Listener(listener)) => {
                    let principal = &listener.principal;
                    let message = self.update_for(principal, &listener.gateway, server, message);
                    listener.send(&message);
                }
                None => {}
            }
        }
    }

    /// Returns the subscriber if it may receive messages of this instance now.
    fn subscriber(&self, party: Party, key: &InstanceKey) -> Option<Subscribed> {
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

async fn speaks_modern(lease: &Lease) -> bool {
    let era = lease.link.era(Era::Modern).await;
    era.is_ok_and(|era| era == Era::Modern)
}
