//! The one error type of the library: a public kind to decide on, a message for people, facts for programs.
//!
//! Inside each implementation stands a private enum with one `From` into [`Error`]. Which HTTP status and JSON-RPC
//! code a kind becomes is decided in one table of the gateway. A message is lower case, names what failed and on
//! what, and holds neither a secret nor a tool's arguments.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::id::ServerId;

/// What a fallible call of this library answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, coarse enough to decide on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bytes are not JSON.
    Parse,
    /// JSON, but not a JSON-RPC message that is allowed here.
    InvalidRequest,
    /// The parameters of a request are wrong.
    InvalidParams,
    /// Modern headers disagree with the body.
    HeaderMismatch,
    /// A protocol version that is not spoken here.
    UnsupportedVersion,
    /// The client did not declare what the server needs.
    MissingCapability,
    /// Nobody could tell who calls.
    Unauthenticated,
    /// What tells who calls, as an identity provider, does not answer now; try again later.
    CallerUnknowable,
    /// Known, but the token lacks a scope that is needed.
    InsufficientScope,
    /// Known, but not allowed.
    Forbidden,
    /// No such session, or not this principal's.
    SessionNotFound,
    /// No such gateway, or not this principal's.
    GatewayNotFound,
    /// No such tool, prompt or resource for this principal.
    NoRoute,
    /// No such resource, for a legacy client.
    ResourceNotFound,
    /// No such method.
    MethodNotFound,
    /// A message over its limit.
    TooLarge,
    /// A request whose body came too slowly.
    SlowRequest,
    /// A body of a media type that is not taken.
    UnsupportedMedia,
    /// No answer that the client accepts can be given.
    NotAcceptable,
    /// A limit on calls or instances is reached; try again later.
    Overloaded,
    /// The instance could not be started.
    StartFailed,
    /// The instance is gone, or cannot be reached.
    Unavailable,
    /// The instance did not answer in time.
    TimedOut,
    /// The instance spoke something that is not MCP.
    Protocol,
    /// The upstream did not accept the credential.
    CredentialRejected,
    /// The upstream took the credential and wants one that allows more.
    CredentialInsufficient,
    /// No credential is installed for this caller.
    CredentialMissing,
    /// The credential has ended and cannot be renewed without its owner.
    CredentialExpired,
    /// Somebody else holds it, or it has changed since it was read.
    Conflict,
    /// The caller gave up.
    Cancelled,
    /// The configuration is wrong.
    Config,
    /// An implementation does not offer this.
    Unsupported,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// Its word for programs: `StartFailed` → `start_failed`.
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

/// Whose fault an error is: what a user reads first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong; sending it again changes nothing.
    Caller,
    /// The MCP server, its program or its host.
    Server,
    /// The orchestrator, or how it was configured.
    Orchestrator,
}

impl Fault {
    /// The word that stands in an error's data.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Server => "server",
            Self::Orchestrator => "orchestrator",
        }
    }
}

/// An error of the orchestrator: its [`kind`](Error::kind) decides, its text explains.
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
    /// An error of this kind with this message.
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

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Adds the server that it concerns.
    #[must_use]
    pub fn with_server(mut self, server: &ServerId) -> Self {
        self.inner.server.get_or_insert_with(|| server.clone());
        self
    }

    /// Adds the instance that it concerns, by its public name.
    #[must_use]
    pub fn with_instance(mut self, instance: impl fmt::Display) -> Self {
        self.inner
            .instance
            .get_or_insert_with(|| instance.to_string());
        self
    }

    /// Adds when it is worth another try.
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

    /// Adds the scopes that the upstream wants of a credential.
    #[must_use]
    pub fn with_wanted_scopes(mut self, scopes: Vec<String>) -> Self {
        self.inner.wanted_scopes = scopes;
        self
    }

    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The message, without its causes.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The server that it concerns.
    pub fn server(&self) -> Option<&ServerId> {
        self.inner.server.as_ref()
    }

    /// The instance that it concerns, by its public name.
    pub fn instance(&self) -> Option<&str> {
        self.inner.instance.as_deref()
    }

    /// When it is worth another try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The `data` member of the JSON-RPC error, where one was given.
    pub fn data(&self) -> Option<&serde_json::value::RawValue> {
        self.inner.data.as_deref()
    }

    /// The scopes that the upstream wants of a credential; none where it does not say.
    pub fn wanted_scopes(&self) -> &[String] {
        &self.inner.wanted_scopes
    }

    /// Whose fault it is.
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

    /// The same error for another waiter. The cause's text is kept, the cause itself is not.
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
    fn an_error_says_what_failed_and_why() {
        let error =
            Error::new(ErrorKind::Unavailable, "server git is gone").with_source("exit status 3");
        assert_eq!(error.to_string(), "server git is gone: exit status 3");
        assert_eq!(error.fault(), Fault::Server);
        assert_eq!(error.duplicate().to_string(), error.to_string());
    }
}
