//! Connections to an instance: one pipe for all callers, or HTTP with a session for each caller.

use std::fmt;

use super::caller::Caller;
use super::http_link::{HttpLink, Opened};
use crate::call::Reply;
use crate::error::{Error, Result};
use crate::jsonrpc::Message;
use crate::protocol::Era;
use crate::transport::pipe::Pipe;
use crate::transport::{Check, Hello, Outgoing, Party};

/// Connection to an instance.
pub(crate) enum Link {
    /// Lines on a pipe.
    Pipe(Pipe),
    /// HTTP.
    Http(Box<HttpLink>),
}

impl Link {
    /// Sends a request, in this [open session](Self::opened) if it is given.
    pub(crate) async fn request(
        &self,
        outgoing: &Outgoing<'_>,
        caller: &Caller,
        opened: Option<Opened>,
    ) -> Result<Reply> {
        match self {
            Self::Pipe(pipe) => pipe.request(outgoing).await,
            Self::Http(http) => http.request(outgoing, caller, opened).await,
        }
    }

    /// Returns the open session in which this caller's requests are sent, if that is already certain.
    pub(crate) fn opened(&self, caller: &Caller) -> Option<Opened> {
        match self {
            Self::Pipe(_) => None,
            Self::Http(http) => http.opened(caller),
        }
    }

    /// Returns `true` if this caller's next request is sent at once, without a handshake before it.
    pub(crate) fn is_ready(&self, caller: &Caller) -> bool {
        match self {
            Self::Pipe(_) => true,
            Self::Http(http) => http.is_ready(caller),
        }
    }

    /// Sends a notification of this caller.
    pub(crate) async fn notify(
        &self,
        message: &Message,
        caller: &Caller,
        check: Check<'_>,
    ) -> Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.notify(message, check).await,
            Self::Http(http) => match http.known(caller.party) {
                Some(session) => session.notify(message, check).await,
                None => Ok(()),
            },
        }
    }

    /// Returns the party under which the server distinguishes this caller: its own if it has a session with the server,
    /// or 0 if all callers share the connection, as with a pipe or a server without sessions.
    pub(crate) fn conversation(&self, party: Party) -> Party {
        match self {
            Self::Http(http) if http.known(party).is_some_and(|session| session.is_open()) => party,
            _ => 0,
        }
    }

    /// Returns `true` if a legacy caller's calls are translated for a modern server, as far as that is known.
    pub(crate) fn is_modern(&self, caller: &Caller) -> bool {
        match self {
            Self::Pipe(pipe) => pipe.hello().era == Era::Modern,
            Self::Http(http) => http.is_modern(caller.era),
        }
    }

    /// Returns the era for calls of a caller of this era.
    pub(crate) async fn era(&self, caller: Era) -> Result<Era> {
        match self {
            Self::Pipe(pipe) => Ok(pipe.hello().era),
            Self::Http(http) => http.era(caller).await,
        }
    }

    /// Returns the era for this caller's calls, and detects it if it is unknown.
    pub(crate) async fn spoken(&self, caller: &Caller) -> Result<Era> {
        match self {
            Self::Pipe(pipe) => Ok(pipe.hello().era),
            Self::Http(http) => http.spoken(caller).await,
        }
    }

    /// Returns the instance's description of itself in the era for this caller.
    pub(crate) async fn hello(&self, caller: &Caller) -> Result<Hello> {
        match self {
            Self::Pipe(pipe) => Ok(pipe.hello().clone()),
            Self::Http(http) => http.hello(caller).await,
        }
    }

    /// Returns why there will be no more answers.
    pub(crate) fn closed(&self) -> Option<Error> {
        match self {
            Self::Pipe(pipe) => pipe.closed(),
            Self::Http(_) => None,
        }
    }

    /// Returns `true` if there will be no more answers. The reason may not be known yet.
    pub(crate) fn is_ending(&self) -> bool {
        match self {
            Self::Pipe(pipe) => pipe.is_ending(),
            Self::Http(_) => false,
        }
    }

    /// Waits until it is known why there will be no more answers.
    pub(crate) async fn settled(&self) {
        if let Self::Pipe(pipe) = self {
            pipe.settled().await;
        }
    }

    /// Starts forwarding messages that belong to no call of this caller.
    pub(crate) async fn listen(&self, caller: &Caller) -> Result<()> {
        match self {
            Self::Http(http) if http.spoken(caller).await? == Era::Legacy => {
                http.session(caller).listen().await
            }
            _ => Ok(()),
        }
    }

    /// Closes the session of a caller that is gone.
    pub(crate) fn leave(&self, party: Party) {
        if let Self::Http(http) = self {
            http.leave(party);
        }
    }

    /// Closes idle sessions of modern callers.
    pub(crate) fn sweep(&self) {
        if let Self::Http(http) = self {
            http.sweep();
        }
    }

    /// Closes every session.
    pub(crate) fn close(&self) {
        if let Self::Http(http) = self {
            http.close();
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe(_) => "Pipe",
            Self::Http(_) => "Http",
        })
    }
}
