//! Who did what with whose credential: one event for each call and each change of what callers may do.
//!
//! An [`AuditSink`] gets every event once, when it is over. [`JsonLines`] writes them to a file or to standard output,
//! [`TracingSink`] hands them to `tracing`.

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

/// Takes events. It is asked on the way of every call: it must not block, and cannot fail a call.
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Takes one event.
    fn record(&self, event: &AuditEvent);

    /// No more events come: what was taken is brought to where it is kept. It may block.
    fn close(&self) {}

    /// Whether events shall carry what was sent as `arguments` of a tool or a prompt.
    fn wants_arguments(&self) -> bool {
        false
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A request of a client, by its method.
    Call(Box<str>),
    /// A credential was installed.
    Install,
    /// A credential took the place of another.
    Rotate,
    /// A credential was removed.
    Uninstall,
    /// A token was made.
    CreateToken,
    /// A token was revoked.
    RevokeToken,
    /// An instance was started anew by hand.
    Restart,
    /// An instance was stopped by hand.
    Stop,
}

impl Action {
    /// Its word: a method's name as it is, all else with a dot.
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

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered. A tool's own `isError` is an answer.
    Ok,
    /// The server answered with an error of the protocol.
    ServerError,
    /// It was refused or failed here, for this reason.
    Failed(ErrorKind),
    /// Whoever asked did not wait for the end.
    Left,
}

impl Outcome {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ServerError => "server_error",
            Self::Failed(_) => "failed",
            Self::Left => "left",
        }
    }

    /// How something ended here.
    pub fn of<T>(result: &crate::error::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

/// One thing that was done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it began.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Who did it; `None`: whoever may use the control socket of this machine.
    pub principal: Option<PrincipalId>,
    /// What was done.
    pub action: Action,
    /// Through which gateway.
    pub gateway: Option<GatewayId>,
    /// With which server.
    pub server: Option<ServerId>,
    /// Which tool, prompt or resource, as the caller named it; or what else was acted upon.
    pub name: Option<Box<str>>,
    /// Whose credential was used or changed; `None` where the server takes none, or it came to nothing before.
    pub owner: Option<Owner>,
    /// Which instance answered.
    pub instance: Option<Box<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was sent as `arguments`, a JSON value as it came, where that was asked for.
    pub arguments: Option<Bytes>,
}

impl AuditEvent {
    /// An event that begins now.
    pub fn new(principal: Option<PrincipalId>, action: Action) -> Self {
        Self {
            at: SystemTime::now(),
            took: Duration::ZERO,
            principal,
            action,
            gateway: None,
            server: None,
            name: None,
            owner: None,
            instance: None,
            outcome: Outcome::Ok,
            arguments: None,
        }
    }
}

/// An event under way.
#[derive(Debug)]
pub struct Recording {
    audit: Audit,
    began: Instant,
    /// What is known of it so far.
    pub event: AuditEvent,
}

impl Recording {
    /// It is over.
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

/// Several sinks, or none: what an orchestrator holds.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<[Arc<dyn AuditSink>]>>);

impl Audit {
    /// All of these get every event.
    pub fn new(sinks: impl IntoIterator<Item = Arc<dyn AuditSink>>) -> Self {
        let sinks: Arc<[_]> = sinks.into_iter().collect();
        Self((!sinks.is_empty()).then_some(sinks))
    }

    /// Whether anybody takes events.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether anybody wants arguments.
    pub fn wants_arguments(&self) -> bool {
        self.sinks().iter().any(|sink| sink.wants_arguments())
    }

    /// Begins an event, which is recorded when it is dropped: as one whose caller has [`Left`](Outcome::Left) where
    /// nothing else was said.
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

    /// Tells all of them.
    pub fn record(&self, event: &AuditEvent) {
        for sink in self.sinks() {
            sink.record(event);
        }
    }

    /// No more events come. It may block, as for a disk.
    pub fn close(&self) {
        self.sinks().iter().for_each(|sink| sink.close());
    }

    fn sinks(&self) -> &[Arc<dyn AuditSink>] {
        self.0.as_deref().unwrap_or_default()
    }
}
