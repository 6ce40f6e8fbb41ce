//! Delivers messages that belong to no call from instances to subscribed clients.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::Inner;
use super::lists::Why;
use crate::auth::Principal;
use crate::call::{ReplyItem, own};
use crate::catalog::{Changed, ListKey};
use crate::credential::{InForce, Owner};
use crate::error::Error;
use crate::id::{GatewayId, ServerId};
use crate::jsonrpc::{Members, Message, notification, text};
use crate::limits::MAX_LISTENS_PER_PRINCIPAL;
use crate::pool::{Handle, Lease, Observer};
use crate::protocol::method;
use crate::runtime::{InstanceKey, LogLine, LogSource};
use crate::server::ServerSpec;
use crate::session::Session;
use crate::transport::{Hello, Party, Unsolicited};

/// Interval at which idle sessions are ended.
const SWEEP: Duration = Duration::from_secs(15);

/// Modern clients with an open `subscriptions/listen` stream.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Vec<Arc<Listener>>>);

/// The stream of one modern client.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) principal: Arc<Principal>,
    pub(super) gateway: GatewayId,
    pub(super) party: Party,
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    pub(super) tasks: bool,
    /// Cancelled to end the stream.
    pub(super) ended: tokio_util::sync::CancellationToken,
    /// Id of the request, with which its notifications are tagged.
    pub(super) id: String,
    pub(super) sender: mpsc::Sender<ReplyItem>,
}

impl Listeners {
    /// Adds a listener. Returns `false` if its principal has reached the limit.
    pub(super) fn add(&self, listener: Arc<Listener>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| !known.sender.is_closed());
        let own = all
            .iter()
            .filter(|known| known.principal.id == listener.principal.id);
        let fits = own.count() < MAX_LISTENS_PER_PRINCIPAL;
        if fits {
            all.push(listener);
        }
        fits
    }

    pub(super) fn remove(&self, listener: &Arc<Listener>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| !Arc::ptr_eq(known, listener));
    }

    pub(super) fn all(&self) -> Vec<Arc<Listener>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Listener {
    /// Sends a notification tagged with the listener's id. It is lost if the listener is slow.
    pub(super) fn send(&self, message: &Message) {
        let tagged = super::listen::tagged(message, &self.id);
        if self
            .sender
            .try_send(ReplyItem::Notification(tagged))
            .is_err()
        {
            tracing::debug!("a listener is slow or gone");
        }
    }
}

impl Inner {
    /// Notifies clients that a server's lists have changed, if they see the server and can use it with a credential of
    /// this owner. Nothing changes for other clients.
    pub(super) fn lists_changed(&self, server: &ServerId, owner: &Owner, changed: Changed) {
        let sees = |principal: &Principal, gateway: &GatewayId| {
            let view = self.router.view(principal, gateway);
            let mut entries = view.iter().flat_map(|view| &view.entries);
            entries.any(|entry| {
                let mut owners = entry.credential.owners(principal);
                entry.server == *server
                    && (*owner == Owner::Organization || owners.any(|one| one == *owner))
            })
        };
        self.tell_lists(changed, sees);
        if changed.resources {
            self.resume_parked();
        }
    }

    /// Notifies all clients: the set of configured servers has changed.
    pub(super) fn lists_changed_for_all(&self) {
        self.tell_lists(Changed::ALL, |_, _| true);
    }

    fn tell_lists(&self, changed: Changed, sees: impl Fn(&Principal, &GatewayId) -> bool) {
        let kinds = [
            (changed.tools, method::TOOLS_CHANGED),
            (changed.prompts, method::PROMPTS_CHANGED),
            (changed.resources, method::RESOURCES_CHANGED),
        ];
        let messages: Vec<_> = kinds
            .iter()
            .filter(|(yes, _)| *yes)
            .map(|(_, name)| own(notification(name, None)))
            .collect();
        if messages.is_empty() {
            return;
        }
        for session in self.sessions.all() {
            if sees(&session.principal_now(), &session.gateway) {
                messages
                    .iter()
                    .for_each(|message| session.push(ReplyItem::Notification(message.clone())));
            }
        }
        for listener in self.listeners.all() {
            if sees(&listener.principal, &listener.gateway) {
                for message in &messages {
                    let wanted = match message.method() {
                        method::TOOLS_CHANGED => listener.tools,
                        method::PROMPTS_CHANGED => listener.prompts,
                        _ => listener.resources,
                    };
                    if wanted {
                        listener.send(message);
                    }
                }
            }
        }
    }

    /// Handles a notification of an instance. `party` is the caller that the connection belongs to.
    pub(super) fn notified(
        self: &Arc<Self>,
        handle: &Arc<Handle>,
        party: Option<Party>,
        message: Message,
    ) {
        match message.method() {
            method::TOOLS_CHANGED | method::PROMPTS_CHANGED | method::RESOURCES_CHANGED => {
                self.refresh(&ListKey::from(&handle.key), handle, Why::Changed);
            }
            method::RESOURCE_UPDATED => self.updated(handle, party, &message),
            method::TASK_STATUS | method::TASKS_NOTIFICATION => {
                self.task_status(handle, party, &message);
            }
            // From a pipe. An HTTP server acknowledges on the stream of the request.
            method::ACKNOWLEDGED => self.acknowledged(handle, &message),
            _ => match party.and_then(|party| self.session_of(party)) {
                Some(session) => self.push(&session, handle, ReplyItem::Notification(message)),
                None => self.only_session(handle, message),
            },
        }
    }

    /// Delivers a message of a session's own child to that session. Log messages of other instances go to the log book.
    fn only_session(&self, handle: &Handle, message: Message) {
        let owner = self
            .sessions
            .all()
            .into_iter()
            .find(|session| session.scope == *handle.key.scope());
        if let Some(session) = owner {
            return self.push(&session, handle, ReplyItem::Notification(message));
        }
        if message.method() == method::LOG_MESSAGE {
            let members = message.body().and_then(Members::read).unwrap_or_default();
            let level = members.get("level").and_then(text).unwrap_or_default();
            let line = format!("{level}: {}", members.get("data").unwrap_or_default());
            self.logs.note(&handle.key, LogSource::Protocol, &line);
        }
    }

    /// Delivers a message of an instance to a session if its client may receive it. A request that is not delivered is
    /// refused.
    pub(super) fn push(&self, session: &Session, handle: &Handle, item: ReplyItem) {
        let speaks = session.scope == *handle.key.scope() || session.speaks_with(handle);
        if speaks && self.session_may_hear(session, &handle.key) {
            session.push(item);
        }
    }

    /// Returns the session of a caller.
    pub(super) fn session_of(&self, party: Party) -> Option<Arc<Session>> {
        self.sessions.by_party(party)
    }
}

impl Observer for Inner {
    fn ready(&self, handle: &Arc<Handle>) {
        let Some(inner) = self.me() else { return };
        self.metrics.started(handle.key.server());
        self.seen.started(&handle.key);
        inner.refresh(&ListKey::from(&handle.key), handle, Why::Ready);
        inner.hear(handle);
    }

    fn failed(&self, key: &InstanceKey, output: Vec<LogLine>, error: &Error) {
        self.seen.failed(key, &error.to_string());
        self.logs.keep(key, output);
        let text = format!("did not start: {error}");
        self.logs.note(key, LogSource::Orchestrator, &text);
    }

    fn unsolicited(&self, handle: &Arc<Handle>, party: Option<Party>, message: Unsolicited) {
        let Some(inner) = self.me() else { return };
        match message {
            Unsolicited::Notification(message) => inner.notified(handle, party, message),
            Unsolicited::Request(mut request) => {
                request.origin = Some(handle.key.clone());
                let by_party = party.and_then(|party| self.session_of(party));
                let session = by_party.or_else(|| {
                    self.sessions
                        .all()
                        .into_iter()
                        .find(|session| session.scope == *handle.key.scope())
                });
                match session {
                    Some(session) => self.push(&session, handle, ReplyItem::Request(request)),
                    None => request.refuse(),
                }
            }
        }
    }

    fn in_force<'a>(
        &'a self,
        server: &'a Arc<ServerSpec>,
        owner: &'a Owner,
    ) -> BoxFuture<'a, InForce> {
        self.resolver.in_force(server, owner).boxed()
    }

    fn token_ends(&self, handle: &Arc<Handle>) {
        let Some(inner) = self.me() else { return };
        let handle = Arc::clone(handle);
        self.pool
            .tasks()
            .spawn(async move { inner.next_token(&handle).await });
    }

    fn holds(&self, handle: &Handle) -> bool {
        self.tasks.holds(&handle.key)
    }

    fn note(&self, key: &InstanceKey, source: LogSource, line: &str) {
        self.logs.note(key, source, line);
    }

    fn kept<'a>(&'a self, key: &'a InstanceKey) -> BoxFuture<'a, Option<Hello>> {
        async move {
            let kept = self.catalog.get(&ListKey::from(key)).await;
            kept.map(|kept| kept.said())
        }
        .boxed()
    }

    fn gone(&self, key: &InstanceKey, reason: Option<&str>) {
        self.metrics.ended(key.server(), reason.is_some());
        if let Some(reason) = reason {
            self.seen.failed(key, reason);
            self.logs
                .note(key, LogSource::Orchestrator, &format!("ended: {reason}"));
        }
    }
}

/// Ends idle sessions and drops unanswered questions, all of those when the orchestrator closes.
pub(super) async fn sweep_sessions(inner: Weak<Inner>) {
    loop {
        let Some(closing) = inner.upgrade().map(|inner| inner.pool.closing().clone()) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = closing.cancelled() => {
                if let Some(inner) = inner.upgrade() {
                    inner.questions.close();
                }
                return;
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.questions.sweep();
        for session in inner.sessions.all() {
            if session.idle_for() > inner.session_idle {
                tracing::info!(gateway = %session.gateway, "a session ends: idle");
                inner.end_session(&session);
            }
        }
        inner.metrics.sessions(inner.sessions.len());
    }
}

/// Takes a lease on the instance of a handle, for reads of its state. `None` if it is ending.
pub(super) fn lease(handle: &Arc<Handle>) -> Option<Lease> {
    Lease::of(handle)
}
