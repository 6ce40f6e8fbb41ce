//! Delivers messages that belong to no call from instances to subscribed clients.

use std::sync::Arc;

use crate::auth::Principal;
use crate::call::{ReplyItem, own};
use crate::catalog::{Changed, ListKey};
use crate::credential::Owner;
use crate::id::{GatewayId, ServerId};
use crate::jsonrpc::{Members, Message, notification, text};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::list_fetches::FetchReason;
use crate::pool::Handle;
use crate::protocol::method;
use crate::runtime::LogSource;
use crate::session::Session;
use crate::transport::Party;

impl Inner {
    /// Notifies clients that a server's lists have changed, if they see the server and can use it with a credential of
    /// this owner. Nothing changes for other clients.
    pub(crate) fn lists_changed(&self, server: &ServerId, owner: &Owner, changed: Changed) {
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
    pub(crate) fn lists_changed_for_all(&self) {
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
    pub(crate) fn notified(
        self: &Arc<Self>,
        handle: &Arc<Handle>,
        party: Option<Party>,
        message: Message,
    ) {
        match message.method() {
            method::TOOLS_CHANGED | method::PROMPTS_CHANGED | method::RESOURCES_CHANGED => {
                let kind = message.method();
                let is_new = handle.announcements.is_new(kind, party.unwrap_or_default());
                let why = FetchReason::Changed(Changed {
                    tools: is_new && kind == method::TOOLS_CHANGED,
                    prompts: is_new && kind == method::PROMPTS_CHANGED,
                    resources: is_new && kind == method::RESOURCES_CHANGED,
                });
                self.refresh(&ListKey::from(&handle.key), handle, why);
            }
            method::RESOURCE_UPDATED => self.updated(handle, party, &message),
            method::TASK_STATUS | method::TASKS_NOTIFICATION => {
                self.task_status(handle, party, &message);
            }
            method::ELICITATION_COMPLETE => self.elicitation_completed(handle, party, &message),
            // From a pipe. An HTTP server acknowledges on the stream of the request.
            method::ACKNOWLEDGED => self.acknowledged(handle, &message),
            _ => match party.and_then(|party| self.session_of(party)) {
                Some(session) => self.push(&session, handle, ReplyItem::Notification(message)),
                None => self.only_session(handle, message),
            },
        }
    }

    /// Reports the completion of an elicitation to the clients that this instance asked for it.
    fn elicitation_completed(&self, handle: &Handle, party: Option<Party>, message: &Message) {
        let sessions = match party {
            Some(party) => self.session_of(party).into_iter().collect(),
            None => self.sessions.all(),
        };
        for session in sessions {
            if session.awaits_elicitation(&handle.key, message) {
                self.push(&session, handle, ReplyItem::Notification(message.clone()));
            }
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
    pub(crate) fn push(&self, session: &Session, handle: &Handle, item: ReplyItem) {
        let speaks = session.scope == *handle.key.scope() || session.speaks_with(handle);
        if speaks && self.session_may_hear(session, &handle.key) {
            session.push(item);
        }
    }

    /// Returns the session of a caller.
    pub(crate) fn session_of(&self, party: Party) -> Option<Arc<Session>> {
        self.sessions.by_party(party)
    }
}
