//! The library's error type: a public kind to decide on, a message for people, and facts for programs.
//!
//! Each implementation has a private error enum with a `From` conversion to [`Error`]. The gateway maps kinds to HTTP
//! statuses and JSON-RPC codes in a single table. A message is lower case, names what failed and on what, and holds
//! neither secrets nor tool arguments.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::id::ServerId;

/// The result of a fallible operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, coarse enough to decide on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bytes are not JSON.
    Parse,
    /// The JSON is not a JSON-RPC message that is allowed here.
    InvalidRequest,
    /// The parameters of a request are invalid.
    InvalidParams,
    /// The modern headers disagree with the body.
    HeaderMismatch,
    /// The protocol version is not supported.
    UnsupportedVersion,
    /// The client did not declare a capability that the server needs.
    MissingCapability,
    /// The caller could not be authenticated.
    Unauthenticated,
    /// The identity provider or another source of authentication is unavailable; retry later.
    CallerUnknowable,
    /// The caller is authenticated, but the token lacks a required scope.
    InsufficientScope,
    /// The caller is authenticated, but not allowed to do this.
    Forbidden,
    /// The session does not exist or belongs to another principal.
    SessionNotFound,
    /// The gateway does not exist, or the principal may not use it.
    GatewayNotFound,
    /// The tool, prompt, resource or other object does not exist for this principal.
    NoRoute,
    /// The resource does not exist, for a legacy client.
    ResourceNotFound,
    /// The method does not exist.
    MethodNotFound,
    /// A message exceeds its size limit.
    TooLarge,
    /// A request body arrived too slowly.
    SlowRequest,
    /// The media type of the body is not supported.
    UnsupportedMedia,
    /// The client accepts none of the possible response types.
    NotAcceptable,
    /// A limit on calls or instances is reached; retry later.
    Overloaded,
    /// The instance could not be started.
    StartFailed,
    /// The instance or another required service is gone or unreachable.
    Unavailable,
    /// The instance did not respond in time.
    TimedOut,
    /// The instance sent something that is not MCP.
    Protocol,
    /// The upstream rejected the credential.
    CredentialRejected,
    /// The upstream accepted the credential but requires more permissions.
    CredentialInsufficient,
    /// No credential is installed for this caller.
    CredentialMissing,
    /// The credential has expired and cannot be renewed without its owner.
    CredentialExpired,
    /// Another process or caller holds the object, or it has changed since it was read.
    Conflict,
    /// The caller cancelled the request.
    Cancelled,
    /// The configuration is invalid.
    Config,
    /// The implementation does not support this operation.
    Unsupported,
    /// A bug in this program.
    Internal,
}

impl ErrorKind {
    /// Returns the kind's name for programs in snake case: `StartFailed` becomes `start_failed`.
    pub fn word(self) -> String {
        let mut word = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !word.is_empty() {
                word.push('_');
            }
            word.push(c.to_ascii_lowercase());
        }
        word
    }
}

/// Which party an error is attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller: the request is wrong, and a retry changes nothing.
    Caller,
    /// The MCP server, its program or its host.
    Server,
    /// The orchestrator or its configuration.
    Orchestrator,
}

impl Fault {
    /// Returns the name used in the error's data.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Server => "server",
            Self::Orchestrator => "orchestrator",
        }
    }
}

/// An error of the orchestrator: its [`kind`](Error::kind) is for decisions, its text for people.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    server: Option<ServerId>,
    instance: Option<String>,
    retry_after: Option<Duration>,
    data: Option<Box<serde_json::value::RawValue>>,
    wanted_scopes: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                server: None,
                instance: None,
                retry_after: None,
                data: None,
                wanted_scopes: Vec::new(),
                source: None,
            }),
        }
    }

    /// Puts `prefix` in front of the message.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl fmt::Display) -> Self {
        self.inner.message = format!("{prefix}{}", self.inner.message).into();
        self
    }

    /// Adds the error's cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Adds the server concerned, unless one is set already.
    #[must_use]
    pub fn with_server(mut self, server: &ServerId) -> Self {
        self.inner.server.get_or_insert_with(|| server.clone());
        self
    }

    /// Adds the instance concerned by its public name, unless one is set already.
    #[must_use]
    pub fn with_instance(mut self, instance: impl fmt::Display) -> Self {
        self.inner
            .instance
            .get_or_insert_with(|| instance.to_string());
        self
    }

    /// Adds a delay after which a retry is worthwhile.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.inner.retry_after = Some(after);
        self
    }

    /// Adds the `data` member of the JSON-RPC error, as JSON.
    #[must_use]
    pub fn with_data(mut self, data: Box<serde_json::value::RawValue>) -> Self {
        self.inner.data = Some(data);
        self
    }

    /// Adds the scopes that the upstream requires.
    #[must_use]
    pub fn with_wanted_scopes(mut self, scopes: Vec<String>) -> Self {
        self.inner.wanted_scopes = scopes;
        self
    }

    /// Returns the error's kind, which is meant for decisions.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns the message, without its causes.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Returns the server concerned.
    pub fn server(&self) -> Option<&ServerId> {
        self.inner.server.as_ref()
    }

    /// Returns the public name of the instance concerned.
    pub fn instance(&self) -> Option<&str> {
        self.inner.instance.as_deref()
    }

    /// Returns the delay after which a retry is worthwhile.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Returns the `data` member of the JSON-RPC error, if set.
    pub fn data(&self) -> Option<&serde_json::value::RawValue> {
        self.inner.data.as_deref()
    }

    /// Returns the scopes that the upstream requires; empty if it names none.
    pub fn wanted_scopes(&self) -> &[String] {
        &self.inner.wanted_scopes
    }

    /// Returns the party that the error is attributed to.
    pub fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::StartFailed
            | ErrorKind::Unavailable
            | ErrorKind::TimedOut
            | ErrorKind::Protocol => Fault::Server,
            ErrorKind::Overloaded
            | ErrorKind::CallerUnknowable
            | ErrorKind::Conflict
            | ErrorKind::Config
            | ErrorKind::Unsupported
            | ErrorKind::Internal => Fault::Orchestrator,
            _ => Fault::Caller,
        }
    }

    /// Returns a copy for another waiter. Only the text of the cause is kept.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let inner = &self.inner;
        Self {
            inner: Box::new(Inner {
                kind: inner.kind,
                message: inner.message.clone(),
                server: inner.server.clone(),
                instance: inner.instance.clone(),
                retry_after: inner.retry_after,
                data: inner.data.clone(),
                wanted_scopes: inner.wanted_scopes.clone(),
                source: inner
                    .source
                    .as_ref()
                    .map(|source| source.to_string().into()),
            }),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if let Some(source) = &self.inner.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("server", &self.inner.server)
            .field("instance", &self.inner.instance)
            .field(
                "source",
                &self.inner.source.as_ref().map(ToString::to_string),
            )
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_ref()
            .and_then(|source| source.source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_failure_and_its_cause() {
        let error =
            Error::new(ErrorKind::Unavailable, "server git is gone").with_source("exit status 3");
        assert_eq!(error.to_string(), "server git is gone: exit status 3");
        assert_eq!(error.fault(), Fault::Server);
        assert_eq!(error.duplicate().to_string(), error.to_string());
    }
}
