//! Sessions of legacy clients: the client's declarations, its calls in flight, and the streams that it may resume.

mod admission;
mod capabilities;
mod client_facts;
mod client_tasks;
mod elicitations;
mod event_log;
mod in_flight;
mod last_request;
mod level;
mod named;
mod pending_requests;
mod sealed_id;
mod streams;
mod table;

use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::HashMap;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::capabilities::{RequestKinds, required_capability};
pub(crate) use self::client_facts::declared;
use self::elicitations::Elicitations;
use self::event_log::EventBytes;
pub(crate) use self::in_flight::InFlight;
use self::last_request::LastRequest;
pub(crate) use self::level::{has_level, severity_of};
pub(crate) use self::pending_requests::About;
use self::pending_requests::PendingRequests;
pub(crate) use self::sealed_id::SealedSession;
use self::streams::{Event, Streams};
pub(crate) use self::table::{Adopted, Sessions};
use crate::auth::Principal;
use crate::call::{ReplyItem, ServerRequest};
use crate::id::{GatewayId, SessionId};
use crate::jsonrpc::Message;
use crate::pool::{Caller, Handle};
use crate::protocol::Era;
use crate::runtime::{InstanceKey, Scope};
use crate::transport::{ClientFacts, Party};

/// A session of a legacy client.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The principal that opened it. Only its name and kind stay valid; see [`principal_now`](Self::principal_now).
    pub(crate) principal: Arc<Principal>,
    pub(crate) gateway: GatewayId,
    /// Distinguishes this session's calls from others on a shared connection.
    pub(crate) party: Party,
    /// Scope of the instances that belong to this session only.
    pub(crate) scope: Scope,
    /// The process that opened the session.
    opened_by: u64,
    version: &'static str,
    pub(crate) kinds: RequestKinds,
    facts: ArcSwap<ClientFacts>,
    calls: Mutex<HashMap<Bytes, CancellationToken>>,
    asked: PendingRequests,
    elicitations: Elicitations,
    last_request: LastRequest,
    streams: Arc<Streams>,
    handles: Mutex<Vec<Weak<Handle>>>,
    born: Instant,
    /// Milliseconds after `born`.
    last_use: AtomicU64,
    /// Set when the client has opened the stream of messages that belong to no call.
    listens: AtomicBool,
    /// Set if the client got capabilities of servers that had not described themselves yet.
    pub(crate) possible: AtomicBool,
    ended: CancellationToken,
}

impl Session {
    fn new(
        (id, sealed): (SessionId, SealedSession),
        (principal, gateway): (Arc<Principal>, GatewayId),
        party: Party,
        streams: Streams,
    ) -> Self {
        let kinds = RequestKinds::of(&sealed.facts.capabilities);
        Self {
            id,
            last_request: LastRequest::new(Arc::clone(&principal)),
            principal,
            gateway,
            party,
            scope: sealed.scope(),
            opened_by: sealed.process,
            version: sealed.version,
            kinds,
            facts: ArcSwap::from_pointee(sealed.facts),
            calls: Mutex::default(),
            asked: PendingRequests::default(),
            elicitations: Elicitations::default(),
            streams: Arc::new(streams),
            handles: Mutex::default(),
            born: Instant::now(),
            last_use: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            possible: AtomicBool::new(false),
            ended: CancellationToken::new(),
        }
    }

    /// Returns the caller for connections to servers.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            party: self.party,
            era: Era::Legacy,
            client: Some((self.facts.load_full(), self.version)),
        }
    }

    /// Returns what the client declared.
    pub(crate) fn facts(&self) -> Arc<ClientFacts> {
        self.facts.load_full()
    }

    /// Sets the minimum level of log messages.
    pub(crate) fn set_level(&self, level: &str) {
        let mut facts = ClientFacts::clone(&self.facts.load());
        facts.log_level = Some(level.to_owned());
        self.facts.store(Arc::new(facts));
    }

    /// Records that the client opens the stream of messages that belong to no call.
    pub(crate) fn starts_listening(&self) {
        self.listens.store(true, Ordering::Release);
    }

    /// Returns `true` if the client has opened that stream.
    pub(crate) fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// Returns the negotiated protocol version.
    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    /// Returns `true` if the client expects streams to begin with an empty event.
    fn is_primed(&self) -> bool {
        self.version == crate::protocol::version::V2025_11_25
    }

    /// Returns the principal with its current teams.
    pub(crate) fn principal_now(&self) -> Arc<Principal> {
        self.last_request.principal()
    }

    /// Updates the teams of the principal.
    pub(crate) fn principal_is(&self, principal: &Arc<Principal>) {
        self.last_request.is(principal);
    }

    /// Returns the token of the last request that had one.
    pub(crate) fn token(&self) -> Option<SecretString> {
        self.last_request.token()
    }

    /// Records a message of this session, with its principal and token.
    pub(crate) fn seen(&self, principal: &Arc<Principal>, token: Option<&SecretString>) {
        self.touch();
        self.sent(principal, token);
    }

    /// Like [`seen`](Self::seen), for calls: a call in flight counts as use, and its end marks the session as used.
    pub(crate) fn sent(&self, principal: &Arc<Principal>, token: Option<&SecretString>) {
        self.last_request.sent(principal, token);
    }

    /// Marks the session as used.
    pub(crate) fn touch(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_use.store(ms, Ordering::Relaxed);
    }

    /// Returns `true` if the client can be asked to open a URL.
    pub(crate) fn opens_addresses(&self) -> bool {
        self.kinds.url_elicitation
    }

    /// Returns the time since the last use. A call in flight or an open stream counts as use.
    pub(crate) fn idle_for(&self) -> Duration {
        if !self.calls.lock().is_empty() || self.streams.is_read() {
            return Duration::ZERO;
        }
        self.born
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last_use.load(Ordering::Relaxed)))
    }

    /// Begins a call. Its token is cancelled when the client cancels the call. Returns `None` if a call with this id is
    /// in progress: a cancellation could end the wrong one.
    pub(crate) fn begin(self: &Arc<Self>, id: Bytes) -> Option<InFlight> {
        let token = self.ended.child_token();
        match self.calls.lock().entry(id.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => free.insert(token.clone()),
        };
        Some(InFlight {
            session: Arc::clone(self),
            id,
            token,
        })
    }

    fn is_over(&self, id: &Bytes) {
        self.calls.lock().remove(id);
        self.touch();
    }

    /// Cancels a call for the client.
    pub(crate) fn cancel(&self, id: &[u8]) {
        if let Some(token) = self.calls.lock().get(id) {
            token.cancel();
        }
    }

    /// Returns the server's request that a response answers.
    pub(crate) fn about(&self, response: &Message) -> Option<About> {
        self.asked.about(response)
    }

    /// Passes the client's answer to the server that asked. Returns `false` if there is no such request.
    pub(crate) fn answer(&self, response: Message) -> bool {
        self.asked.answer(response)
    }

    /// Refuses the server's request that a response answers: the server gets an error instead.
    pub(crate) fn refuse(&self, response: &Message) {
        self.asked.refuse(response);
    }

    /// Returns the instance whose pending request has this progress token (JSON), and the instance's own token.
    pub(crate) fn awaits_progress(&self, token: &str) -> Option<(InstanceKey, Bytes)> {
        self.asked.awaits_progress(token)
    }

    /// Returns `true` if the session uses this instance.
    pub(crate) fn speaks_with(&self, handle: &Handle) -> bool {
        let is_it = |known: &Weak<Handle>| std::ptr::eq(known.as_ptr(), handle);
        self.handles.lock().iter().any(is_it)
    }

    /// Removes an instance until the next call that goes there: the client gets no more messages of it, and its
    /// requests are refused. Calls in flight there continue.
    pub(crate) fn forget(&self, handle: &Handle) {
        self.handles
            .lock()
            .retain(|known| !std::ptr::eq(known.as_ptr(), handle));
        self.asked.refuse_all_of(&handle.key);
    }

    /// Adds an instance that this session uses. Returns `true` if it is new.
    pub(crate) fn uses(&self, handle: &Arc<Handle>) -> bool {
        let mut handles = self.handles.lock();
        let known = handles
            .iter()
            .any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(handle)));
        if !known {
            handles.retain(|known| known.strong_count() > 0);
            handles.push(Arc::downgrade(handle));
        }
        !known
    }

    /// Returns the instances that this session uses.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        self.handles
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Ends the session: cancels its calls and closes its connections.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        self.asked.refuse_all();
        for handle in self.handles() {
            handle.link.leave(self.party);
        }
        self.streams.close();
    }

    /// Sends an item that belongs to no call to the client.
    pub(crate) fn push(&self, item: ReplyItem) {
        if let Some(event) = self.event(item) {
            self.streams.push_general(event);
        }
    }

    /// Closes the stream of messages that belong to no call, now and whenever it is opened.
    pub(crate) fn close_general(&self) {
        self.streams.close_general();
    }

    /// Converts an item to an event for this client; `None` if the client must not get it.
    fn event(&self, item: ReplyItem) -> Option<Event> {
        match item {
            ReplyItem::Notification(message) => {
                self.wants(&message).then_some(Event::Message(message))
            }
            ReplyItem::Request(request) => self.asks(request).map(Event::Message),
            ReplyItem::Response(message) => Some(Event::Last(message)),
            ReplyItem::Failed(error) => Some(Event::Failed(Arc::new(error))),
        }
    }

    /// Assigns an id of this session to a server's request; `None` if the client cannot be asked this. The request is
    /// then refused.
    fn asks(&self, request: ServerRequest) -> Option<Message> {
        let (asked, params) = (request.message.method(), request.message.body());
        if !self.kinds.allow(asked, params) {
            tracing::info!(
                method = asked,
                "a request of a server was refused: the client does not declare it"
            );
            request.refuse();
            return None;
        }
        if let Some(key) = &request.origin {
            self.elicitations.note(key, &request.message);
        }
        self.asked.ask(request)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("scope", &self.scope)
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}
