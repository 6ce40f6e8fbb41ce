//! One audit event per call: created when the call arrives, filled in along the way and recorded when the call ends,
//! whatever the outcome.

use std::sync::Arc;

use futures_util::StreamExt as _;
use parking_lot::{Mutex, MutexGuard};

use crate::audit::{Action, Audit, AuditEvent, Outcome, Recording};
use crate::call::{Reply, ReplyItem};
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, PrincipalId, ServerId};
use crate::jsonrpc::{Kind, Members, Message, ParamsHead, text};
use crate::limits::MAX_AUDITED_NAME_LEN;
use crate::pool::Handle;
use crate::protocol::method as m;
use crate::runtime::InstanceKey;

/// Methods that the gateway answers itself. Every other request reaches a server on behalf of a caller.
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

/// Records a client message that is not a request: a notification, or the answer to a server's request under that
/// request's method. `outcome` says whether it reached the instance.
pub(crate) fn note(
    audit: &Audit,
    (principal, gateway): (&PrincipalId, &GatewayId),
    method: &str,
    handle: &Handle,
    outcome: Outcome,
) {
    if !audit.is_on() {
        return;
    }
    let principal = Some(principal.clone());
    let mut event = AuditEvent::new(principal, Action::Call(cut(method).into()));
    event.gateway = Some(gateway.clone());
    event.server = Some(handle.key.server().clone());
    let slots = !handle.spec.server.slots.is_empty();
    event.owner = slots.then(|| handle.key.owner().clone());
    event.instance = Some(handle.key.name().into());
    event.outcome = outcome;
    audit.record(&event);
}

/// The audit event of a call in progress. If it is dropped before the call ends, the caller did not wait for the
/// result.
pub(crate) struct Trail(Mutex<Recording>);

impl Trail {
    /// Starts the event of this request. Returns `None` if the audit log is off or the gateway answers the method
    /// itself.
    pub(crate) fn begin(
        audit: &Audit,
        principal: &PrincipalId,
        gateway: &GatewayId,
        message: &Message,
    ) -> Option<Arc<Self>> {
        if !audit.is_on() || ANSWERED_HERE.contains(&message.method()) {
            return None;
        }
        let principal = Some(principal.clone());
        let mut event = AuditEvent::new(principal, Action::Call(cut(message.method()).into()));
        event.gateway = Some(gateway.clone());
        if let Ok(params) = ParamsHead::read(message.body()) {
            let named = params.name.or(params.uri).and_then(|raw| text(raw.get()));
            event.name = named.map(|name| cut(&name).into());
        }
        if audit.wants_arguments() {
            event.arguments = arguments(message);
        }
        Some(Arc::new(Self(Mutex::new(audit.begin(event)))))
    }

    /// Records the server's own name of a tool that the gateway shows under another one.
    pub(crate) fn is_called(&self, own: &str) {
        self.recording().event.own_name = Some(cut(own).into());
    }

    /// Records the server that the call goes to and the owner of the credential it uses.
    pub(crate) fn goes_to(&self, server: &ServerId, owner: Option<&Owner>) {
        let event = &mut self.recording().event;
        event.server = Some(server.clone());
        event.owner = owner.cloned();
    }

    /// Records the instance that the call reached.
    pub(crate) fn reached(&self, key: &InstanceKey) {
        self.recording().event.instance = Some(key.name().into());
    }

    /// Records the call as failed, regardless of what the caller receives.
    pub(crate) fn failed(&self, kind: ErrorKind) {
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

    /// Follows the reply to its end and records the outcome.
    pub(crate) fn follow(self: Arc<Self>, reply: Result<Reply>) -> Result<Reply> {
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
        self.0.lock()
    }
}

fn arguments(message: &Message) -> Option<bytes::Bytes> {
    let arguments = Members::read(message.body()?)?.get("arguments")?;
    Some(message.bytes().slice_ref(arguments.as_bytes()))
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_AUDITED_NAME_LEN)]
}
