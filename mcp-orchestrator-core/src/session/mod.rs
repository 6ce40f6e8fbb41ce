//! Sessions of legacy clients: what the client declared, its calls in flight, and the streams that it may resume.

mod able;
mod asked;
mod declared;
mod in_flight;
mod level;
mod log;
mod sender;
mod streams;
mod table;

use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::HashMap;
use futures_util::StreamExt as _;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::able::Able;
pub(crate) use self::asked::About;
use self::asked::Asked;
pub(crate) use self::declared::declared;
pub(crate) use self::in_flight::InFlight;
use self::level::severity;
pub(crate) use self::level::severity_of;
pub(crate) use self::log::EventBytes;
use self::sender::Sender;
use self::streams::{Event, Streams};
pub(crate) use self::table::Sessions;
use crate::auth::Principal;
use crate::call::{EventId, Reply, ReplyItem, ServerRequest};
use crate::id::{GatewayId, SessionId};
use crate::jsonrpc::{Members, Message, text};
use crate::pool::{Caller, Handle};
use crate::protocol::{Era, method};
use crate::runtime::{InstanceKey, Scope};
use crate::transport::{ClientFacts, Party};

/// One session.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The principal that opened it. Only its name and kind last: see [`principal_now`](Self::principal_now).
    pub(crate) principal: Arc<Principal>,
    pub(crate) gateway: GatewayId,
    /// Tells this session's calls apart from others on a shared conversation.
    pub(crate) party: Party,
    /// Which instances are this session's own.
    pub(crate) scope: Scope,
    version: &'static str,
    able: Able,
    facts: ArcSwap<ClientFacts>,
    calls: Mutex<HashMap<Bytes, CancellationToken>>,
    asked: Asked,
    sender: Sender,
    streams: Arc<Streams>,
    handles: Mutex<Vec<Weak<Handle>>>,
    born: Instant,
    /// Milliseconds after `born`.
    last_use: AtomicU64,
    /// The client has opened the stream of what belongs to no call.
    listens: AtomicBool,
    /// The client was told of capabilities that nobody knew the servers to have.
    pub(crate) possible: AtomicBool,
    ended: CancellationToken,
}

impl Session {
    pub(crate) fn new(
        principal: Arc<Principal>,
        gateway: GatewayId,
        party: Party,
        version: &'static str,
        facts: ClientFacts,
        bytes: EventBytes,
    ) -> Self {
        let id = SessionId::new(crate::seal::random_text(32)).expect("base64url is visible ASCII");
        let able = Able::of(&facts.capabilities);
        Self {
            id,
            sender: Sender::new(Arc::clone(&principal)),
            principal,
            gateway,
            party,
            scope: Scope::Session(crate::seal::random_text(9).into()),
            version,
            able,
            facts: ArcSwap::from_pointee(facts),
            calls: Mutex::default(),
            asked: Asked::default(),
            streams: Arc::new(Streams::counted_in(bytes)),
            handles: Mutex::default(),
            born: Instant::now(),
            last_use: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            possible: AtomicBool::new(false),
            ended: CancellationToken::new(),
        }
    }

    /// Who speaks, for conversations with servers.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            party: self.party,
            era: Era::Legacy,
            client: Some((self.facts.load_full(), self.version)),
        }
    }

    /// What the client said of itself.
    pub(crate) fn facts(&self) -> Arc<ClientFacts> {
        self.facts.load_full()
    }

    /// From now on log messages of this level and above.
    pub(crate) fn set_level(&self, level: &str) {
        let mut facts = ClientFacts::clone(&self.facts.load());
        facts.log_level = Some(level.to_owned());
        self.facts.store(Arc::new(facts));
    }

    /// The client opens the stream of what belongs to no call.
    pub(crate) fn starts_listening(&self) {
        self.listens.store(true, Ordering::Release);
    }

    /// Whether the client has opened it.
    pub(crate) fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// The protocol version that was agreed on.
    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    /// Whether its client expects streams to begin with an empty event.
    fn is_primed(&self) -> bool {
        self.version == crate::protocol::version::V2025_11_25
    }

    /// The principal with its teams of now.
    pub(crate) fn principal_now(&self) -> Arc<Principal> {
        self.sender.principal()
    }

    /// Takes over the teams of the principal as they are now.
    pub(crate) fn principal_is(&self, principal: &Arc<Principal>) {
        self.sender.is(principal);
    }

    /// The token of the last request that had one.
    pub(crate) fn token(&self) -> Option<SecretString> {
        self.sender.token()
    }

    /// A request of this session came: who sent it, and with which token.
    pub(crate) fn seen(&self, principal: &Arc<Principal>, token: Option<&SecretString>) {
        self.touch();
        self.sender.sent(principal, token);
    }

    /// Notes that it is used.
    pub(crate) fn touch(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_use.store(ms, Ordering::Relaxed);
    }

    /// Whether its client can be asked to open an address.
    pub(crate) fn opens_addresses(&self) -> bool {
        self.able.addresses
    }

    /// For how long it is not used; a call in flight or an open stream uses it.
    pub(crate) fn idle_for(&self) -> Duration {
        if !lock(&self.calls).is_empty() || self.streams.is_read() {
            return Duration::ZERO;
        }
        self.born
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last_use.load(Ordering::Relaxed)))
    }

    /// A call begins; the token is cancelled when the client takes it back. `None` where a call under this id goes on:
    /// nobody could tell the two apart, and a cancellation would end the wrong one.
    pub(crate) fn begin(self: &Arc<Self>, id: Bytes) -> Option<InFlight> {
        let token = self.ended.child_token();
        match lock(&self.calls).entry(id.clone()) {
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
        lock(&self.calls).remove(id);
        self.touch();
    }

    /// The client takes a call back.
    pub(crate) fn cancel(&self, id: &[u8]) {
        if let Some(token) = lock(&self.calls).get(id) {
            token.cancel();
        }
    }

    /// The server's request that a response answers.
    pub(crate) fn about(&self, response: &Message) -> Option<About> {
        self.asked.about(response)
    }

    /// Hands the client's answer to the server that asked; false when nobody asked.
    pub(crate) fn answer(&self, response: Message) -> bool {
        self.asked.answer(response)
    }

    /// Refuses the server's request that a response answers: the server gets an error instead.
    pub(crate) fn refuse(&self, response: &Message) {
        self.asked.refuse(response);
    }

    /// The instance whose request bears this progress token, as JSON.
    pub(crate) fn awaits_progress(&self, token: &str) -> Option<InstanceKey> {
        self.asked.awaits_progress(token)
    }

    /// Whether it speaks with this instance.
    pub(crate) fn speaks_with(&self, handle: &Handle) -> bool {
        let is_it = |known: &Weak<Handle>| std::ptr::eq(known.as_ptr(), handle);
        lock(&self.handles).iter().any(is_it)
    }

    /// Forgets an instance until the next call that goes there: its client hears no more of it, and what it asks is
    /// refused. Calls in flight there go on.
    pub(crate) fn forget(&self, handle: &Handle) {
        lock(&self.handles).retain(|known| !std::ptr::eq(known.as_ptr(), handle));
        self.asked.refuse_all_of(&handle.key);
    }

    /// Remembers an instance that this session speaks with; true where it is new.
    pub(crate) fn uses(&self, handle: &Arc<Handle>) -> bool {
        let mut handles = lock(&self.handles);
        let known = handles
            .iter()
            .any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(handle)));
        if !known {
            handles.retain(|known| known.strong_count() > 0);
            handles.push(Arc::downgrade(handle));
        }
        !known
    }

    /// The instances that this session speaks with.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        lock(&self.handles)
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Ends it: its calls are cancelled, its conversations closed.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        self.asked.refuse_all();
        for handle in self.handles() {
            handle.link.leave(self.party);
        }
        self.streams.close();
    }

    /// What the client gets that belongs to no call.
    pub(crate) fn push(&self, item: ReplyItem) {
        if let Some(event) = self.event(item) {
            self.streams.push_general(event);
        }
    }

    /// Keeps a reply for this client: it goes on although the client's connection may break, and can be read again
    /// from where it broke.
    pub(crate) fn keep(
        self: &Arc<Self>,
        mut reply: Reply,
        in_flight: InFlight,
        tasks: &TaskTracker,
    ) -> Reply {
        let number = self.streams.open();
        let session = Arc::clone(self);
        let (cancelled, mut in_flight) = (in_flight.token.clone(), Some(in_flight));
        tasks.spawn(async move {
            loop {
                let item = tokio::select! {
                    item = reply.next() => item,
                    () = cancelled.cancelled() => None,
                };
                let Some(item) = item else { break };
                if matches!(item, ReplyItem::Response(_) | ReplyItem::Failed(_)) {
                    // Before the client can have it: from then on it may use the id again.
                    in_flight = None;
                }
                if let Some(event) = session.event(item) {
                    session.streams.push(number, event);
                }
            }
            drop(in_flight);
            session.streams.finish(number);
        });
        self.read(EventId {
            stream: number,
            seq: 0,
        })
    }

    /// A stream from after this event.
    pub(crate) fn read(&self, after: EventId) -> Reply {
        let items = Streams::read(&self.streams, after).boxed();
        Reply::resumable(items, after, self.is_primed())
    }

    /// The stream of what belongs to no call; one that was open ends.
    pub(crate) fn listen(&self) -> Reply {
        let (after, events) = Streams::listen(&self.streams);
        Reply::resumable(events.boxed(), after, self.is_primed())
    }

    /// The stream of what belongs to no call ends, now and whenever it is opened.
    pub(crate) fn close_general(&self) {
        self.streams.close_general();
    }

    /// An item as this client may get it.
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

    fn wants(&self, message: &Message) -> bool {
        if message.method() != method::LOG_MESSAGE {
            return true;
        }
        let facts = self.facts.load();
        let Some(wanted) = &facts.log_level else {
            return true;
        };
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let level = members.get("level").and_then(text).unwrap_or_default();
        severity(&level) >= severity(wanted)
    }

    /// A server's request under an id of this session; `None` where the client cannot be asked that, which refuses it.
    fn asks(&self, request: ServerRequest) -> Option<Message> {
        let able = self.able.may(request.message.method());
        if !able {
            tracing::info!(
                method = request.message.method(),
                "a server asks for what the client did not declare"
            );
            request.refuse();
            return None;
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
