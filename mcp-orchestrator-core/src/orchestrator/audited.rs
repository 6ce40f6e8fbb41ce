//! One audit event for each call: begun when it comes in, filled in on its way, recorded when it is over, however.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;

use super::context::Context;
use crate::audit::{Action, Audit, AuditEvent, Outcome, Recording};
use crate::call::{Reply, ReplyItem};
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Kind, Members, Message, ParamsHead, text};
use crate::limits::MAX_AUDITED_NAME_LEN;
use crate::pool::Handle;
use crate::protocol::method as m;
use crate::runtime::InstanceKey;

/// What is answered here. All else reaches a server on somebody's behalf.
const ANSWERED_HERE: [&str; 8] = [
    m::INITIALIZE,
    m::PING,
    m::DISCOVER,
    m::TOOLS_LIST,
    m::PROMPTS_LIST,
    m::RESOURCES_LIST,
    m::RESOURCES_TEMPLATES_LIST,
    m::LISTEN,
];

/// Records what reached an instance, or did not, without being a request of the client: its notification, or its answer
/// to a server's request, by the method of that.
pub(super) fn note(
    audit: &Audit,
    context: &Context,
    method: &str,
    handle: &Handle,
    outcome: Outcome,
) {
    if !audit.is_on() {
        return;
    }
    let principal = Some(context.principal.id.clone());
    let mut event = AuditEvent::new(principal, Action::Call(cut(method).into()));
    event.gateway = Some(context.gateway.clone());
    event.server = Some(handle.key.server().clone());
    let slots = !handle.spec.server.slots.is_empty();
    event.owner = slots.then(|| handle.key.owner().clone());
    event.instance = Some(handle.key.name().into());
    event.outcome = outcome;
    audit.record(&event);
}

/// The event of a call under way. Where it is dropped before its end, whoever called did not wait for it.
pub(super) struct Trail(Mutex<Recording>);

impl Trail {
    /// The trail of this request; `None` where nobody wants to know of it.
    pub(super) fn begin(audit: &Audit, context: &Context, message: &Message) -> Option<Arc<Self>> {
        if !audit.is_on() || ANSWERED_HERE.contains(&message.method()) {
            return None;
        }
        let principal = Some(context.principal.id.clone());
        let mut event = AuditEvent::new(principal, Action::Call(cut(message.method()).into()));
        event.gateway = Some(context.gateway.clone());
        if let Ok(params) = ParamsHead::read(message.body()) {
            let named = params.name.or(params.uri).and_then(|raw| text(raw.get()));
            event.name = named.map(|name| cut(&name).into());
        }
        if audit.wants_arguments() {
            event.arguments = arguments(message);
        }
        Some(Arc::new(Self(Mutex::new(audit.begin(event)))))
    }

    /// It goes to this server, with a credential of this owner.
    pub(super) fn goes_to(&self, server: &ServerId, owner: Option<&Owner>) {
        let event = &mut self.recording().event;
        event.server = Some(server.clone());
        event.owner = owner.cloned();
    }

    /// This instance has it.
    pub(super) fn reached(&self, key: &InstanceKey) {
        self.recording().event.instance = Some(key.name().into());
    }

    /// It failed, whatever its caller is answered.
    pub(super) fn failed(&self, kind: ErrorKind) {
        self.recording().event.outcome = Outcome::Failed(kind);
    }

    fn answered(&self, message: &Message) {
        let event = &mut self.recording().event;
        if event.outcome == Outcome::Left {
            event.outcome = if message.kind() == Kind::Error {
                Outcome::ServerError
            } else {
                Outcome::Ok
            };
        }
    }

    /// Goes with the reply to its end.
    pub(super) fn follow(self: Arc<Self>, reply: Result<Reply>) -> Result<Reply> {
        let reply = reply.inspect_err(|error| self.failed(error.kind()))?;
        Ok(match reply.into_ready() {
            Ok(response) => {
                self.answered(&response);
                Reply::ready(response)
            }
            Err(stream) => {
                let items = stream.inspect(move |item| match item {
                    ReplyItem::Response(message) => self.answered(message),
                    ReplyItem::Failed(error) => self.failed(Error::kind(error)),
                    ReplyItem::Notification(_) | ReplyItem::Request(_) => {}
                });
                Reply::stream(items.boxed())
            }
        })
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn arguments(message: &Message) -> Option<bytes::Bytes> {
    let arguments = Members::read(message.body()?)?.get("arguments")?;
    Some(message.bytes().slice_ref(arguments.as_bytes()))
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_AUDITED_NAME_LEN)]
}
