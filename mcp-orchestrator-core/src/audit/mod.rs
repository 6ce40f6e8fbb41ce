//! The audit log: one event for each call and each change of what callers may do, with the principal and the owner of
//! the credential that was used.
//!
//! An [`AuditSink`] receives every event once, when it has ended. [`JsonLines`] writes events to a file or to
//! standard output, [`TracingSink`] emits them through `tracing`.

mod json;
mod lines;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

pub use self::lines::{JsonLines, TracingSink};
use crate::credential::Owner;
use crate::error::ErrorKind;
use crate::id::{GatewayId, PrincipalId, ServerId};

/// Receives audit events. A sink is called on the path of every call: it must not block, and it cannot fail a call.
///
/// # Contract
/// Events are recorded from many threads at once. Every event that was recorded before [`close`](Self::close) is kept
/// when it returns, up to the sink's buffer; `close` may be called more than once. An implementation runs the suite of
/// [`crate::testing::audit`].
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Records one event.
    fn record(&self, event: &AuditEvent);

    /// Flushes what was recorded; no events follow. May block.
    fn close(&self) {}

    /// Returns `true` if events should carry the `arguments` of tool and prompt calls.
    fn wants_arguments(&self) -> bool {
        false
    }
}

/// The audited action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A client request, by its method.
    Call(Box<str>),
    /// A credential was installed.
    Install,
    /// A credential was replaced by another.
    Rotate,
    /// A credential was removed.
    Uninstall,
    /// A token was created.
    CreateToken,
    /// A token was revoked.
    RevokeToken,
    /// An instance was restarted by an operator.
    Restart,
    /// An instance was stopped by an operator.
    Stop,
}

impl Action {
    /// Returns the action's name in the log: the method for calls, a dotted name for all other actions.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Call(method) => method,
            Self::Install => "credential.install",
            Self::Rotate => "credential.rotate",
            Self::Uninstall => "credential.uninstall",
            Self::CreateToken => "token.create",
            Self::RevokeToken => "token.revoke",
            Self::Restart => "instance.restart",
            Self::Stop => "instance.stop",
        }
    }
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A result was returned. A tool result with `isError` counts as one.
    Ok,
    /// The server answered with a protocol error.
    ServerError,
    /// The orchestrator rejected the action, or it failed, with this kind of error.
    Failed(ErrorKind),
    /// The caller did not wait for the result.
    Left,
}

impl Outcome {
    /// Returns the outcome's name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ServerError => "server_error",
            Self::Failed(_) => "failed",
            Self::Left => "left",
        }
    }

    /// Returns [`Ok`](Self::Ok) or [`Failed`](Self::Failed) for a result of the orchestrator itself.
    pub fn of<T>(result: &crate::error::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

/// One audited action.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When the action began.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Who did it. `None` for an operator at this machine's control socket.
    pub principal: Option<PrincipalId>,
    /// What was done.
    pub action: Action,
    /// The gateway it came through.
    pub gateway: Option<GatewayId>,
    /// The server it concerned.
    pub server: Option<ServerId>,
    /// The tool, prompt or resource as the caller named it, or the object of any other action.
    pub name: Option<Box<str>>,
    /// The tool's own name at the server, if the gateway has renamed it.
    pub own_name: Option<Box<str>>,
    /// The owner of the credential that was used or changed. `None` if the server takes none, or if the action ended
    /// before a credential was resolved.
    pub owner: Option<Owner>,
    /// The instance that answered.
    pub instance: Option<Box<str>>,
    /// How the action ended.
    pub outcome: Outcome,
    /// The `arguments` that were sent, as JSON exactly as received. Set only if a sink wants arguments.
    pub arguments: Option<Bytes>,
}

impl AuditEvent {
    /// Creates an event that begins now.
    pub fn new(principal: Option<PrincipalId>, action: Action) -> Self {
        Self {
            at: SystemTime::now(),
            took: Duration::ZERO,
            principal,
            action,
            gateway: None,
            server: None,
            name: None,
            own_name: None,
            owner: None,
            instance: None,
            outcome: Outcome::Ok,
            arguments: None,
        }
    }
}

/// An event in progress. It is recorded when dropped.
#[derive(Debug)]
pub struct Recording {
    audit: Audit,
    began: Instant,
    /// The event as known so far; the caller fills it in.
    pub event: AuditEvent,
}

impl Recording {
    /// Sets the outcome from `result` and records the event.
    pub fn end<T>(mut self, result: &crate::error::Result<T>) {
        self.event.outcome = Outcome::of(result);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.event.took = self.began.elapsed();
        self.audit.record(&self.event);
    }
}

/// The sinks of an orchestrator, possibly none.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<[Arc<dyn AuditSink>]>>);

impl Audit {
    /// Creates an audit log that sends every event to all `sinks`.
    pub fn new(sinks: impl IntoIterator<Item = Arc<dyn AuditSink>>) -> Self {
        let sinks: Arc<[_]> = sinks.into_iter().collect();
        Self((!sinks.is_empty()).then_some(sinks))
    }

    /// Returns `true` if there is at least one sink.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns `true` if any sink wants arguments.
    pub fn wants_arguments(&self) -> bool {
        self.sinks().iter().any(|sink| sink.wants_arguments())
    }

    /// Begins an event. It is recorded when the returned guard is dropped, as [`Left`](Outcome::Left) unless another
    /// outcome was set.
    pub fn begin(&self, event: AuditEvent) -> Recording {
        Recording {
            audit: self.clone(),
            began: Instant::now(),
            event: AuditEvent {
                outcome: Outcome::Left,
                ..event
            },
        }
    }

    /// Sends the event to every sink.
    pub fn record(&self, event: &AuditEvent) {
        for sink in self.sinks() {
            sink.record(event);
        }
    }

    /// Closes every sink; no events follow. May block, for example on disk writes.
    pub fn close(&self) {
        self.sinks().iter().for_each(|sink| sink.close());
    }

    fn sinks(&self) -> &[Arc<dyn AuditSink>] {
        self.0.as_deref().unwrap_or_default()
    }
}
