//! HTTP connection to an instance, with a session for each caller.

use std::sync::Arc;

use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::Instant;

use super::caller::Caller;
use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_WAITING_UNSOLICITED, UPSTREAM_SESSION_IDLE_TIMEOUT};
use crate::protocol::Era;
use crate::server::EraChoice;
use crate::transport::handshake::Profile;
use crate::transport::streamable::{Conversation, Http, Modern, Session};
use crate::transport::{Hello, Inbox, Outgoing, Party, Unsolicited};

/// HTTP connection to one instance, with the sessions of its callers.
pub(crate) struct HttpLink {
    http: Arc<Http>,
    modern: Modern,
    choice: EraChoice,
    /// Result of `server/discover`, which is sent once.
    discovered: OnceCell<Option<Hello>>,
    /// Set if `initialize` was refused.
    legacy_refused: std::sync::atomic::AtomicBool,
    sessions: Mutex<HashMap<Party, Open>>,
    arrivals: mpsc::Sender<(Party, Unsolicited)>,
}

/// An open session of a caller with a server.
pub(crate) struct Opened {
    session: Arc<Session>,
    conversation: Arc<Conversation>,
}

struct Open {
    session: Arc<Session>,
    used: Instant,
    modern: bool,
    /// Forwards unsolicited messages, tagged with this party.
    _forward: tokio::task::JoinSet<()>,
}

impl Open {
    /// Marks the session as used. Only sessions of modern callers are closed when idle.
    fn is_used(&mut self) {
        if self.modern {
            self.used = Instant::now();
        }
    }
}

impl HttpLink {
    /// Creates a connection to this endpoint, and the receiver of its unsolicited messages.
    pub(crate) fn new(
        http: Http,
        choice: EraChoice,
    ) -> (Self, mpsc::Receiver<(Party, Unsolicited)>) {
        let http = Arc::new(http);
        let (arrivals, receiver) = mpsc::channel(MAX_WAITING_UNSOLICITED);
        let link = Self {
            modern: Modern::new(Arc::clone(&http)),
            http,
            choice,
            discovered: OnceCell::new(),
            legacy_refused: std::sync::atomic::AtomicBool::new(false),
            sessions: Mutex::default(),
            arrivals,
        };
        (link, receiver)
    }

    pub(super) async fn request(
        &self,
        outgoing: &Outgoing<'_>,
        caller: &Caller,
        opened: Option<Opened>,
    ) -> Result<Reply> {
        if let Some(opened) = opened.or_else(|| self.opened(caller)) {
            let Opened {
                session,
                conversation,
            } = opened;
            return session.request_in(conversation, outgoing).await;
        }
        match Box::pin(self.spoken(caller)).await? {
            Era::Modern => Box::pin(self.modern.request(outgoing)).await,
            Era::Legacy => {
                let session = self.session(caller);
                // The session declared a client that can be asked, so its requests outside of calls must be received,
                // and refused.
                if caller.era == Era::Modern && caller.party != 0 {
                    Box::pin(session.listen()).await?;
                }
                Box::pin(session.request(outgoing)).await
            }
        }
    }

    pub(super) fn opened(&self, caller: &Caller) -> Option<Opened> {
        if self.choice.only().unwrap_or(caller.era) != Era::Legacy {
            return None;
        }
        let mut sessions = self.sessions.lock();
        let open = sessions.get_mut(&caller.party)?;
        let conversation = open.session.current()?;
        open.is_used();
        Some(Opened {
            session: Arc::clone(&open.session),
            conversation,
        })
    }

    pub(super) fn is_ready(&self, caller: &Caller) -> bool {
        self.is_modern(caller.era)
            || self
                .known(caller.party)
                .is_some_and(|session| session.is_open())
    }

    /// Returns `true` if calls of a caller of this era are sent to a modern server, as far as that is known.
    pub(super) fn is_modern(&self, caller: Era) -> bool {
        use std::sync::atomic::Ordering::Acquire;
        match (self.choice.only(), caller) {
            (Some(only), _) => only == Era::Modern,
            (None, Era::Legacy) => self.legacy_refused.load(Acquire),
            (None, Era::Modern) => matches!(self.discovered.get(), Some(Some(_))),
        }
    }

    /// Returns the era for this caller and opens its session: only then does a server turn out to have none.
    pub(super) async fn spoken(&self, caller: &Caller) -> Result<Era> {
        if self.era(caller.era).await? == Era::Modern {
            return Ok(Era::Modern);
        }
        match self.session(caller).ready().await {
            Err(refused) if self.is_modern_alone(&refused).await? => Ok(Era::Modern),
            opened => opened.map(|()| Era::Legacy),
        }
    }

    /// Returns `true` if `initialize` was refused by a server that supports the modern era.
    async fn is_modern_alone(&self, refused: &Error) -> Result<bool> {
        let alone = refused.kind() == ErrorKind::Protocol
            && self.choice == EraChoice::Auto
            && Box::pin(self.speaks_modern()).await?;
        if alone {
            self.legacy_refused
                .store(true, std::sync::atomic::Ordering::Release);
        }
        Ok(alone)
    }

    /// Returns the era for a caller of this era. A server that supports both is used in the caller's era.
    pub(super) async fn era(&self, caller: Era) -> Result<Era> {
        use std::sync::atomic::Ordering::Acquire;
        match (self.choice.only(), caller) {
            (Some(only), _) => Ok(only),
            (None, Era::Legacy) if !self.legacy_refused.load(Acquire) => Ok(Era::Legacy),
            (None, Era::Legacy) => Ok(Era::Modern),
            (None, Era::Modern) => Ok(if Box::pin(self.speaks_modern()).await? {
                Era::Modern
            } else {
                Era::Legacy
            }),
        }
    }

    async fn speaks_modern(&self) -> Result<bool> {
        let discovered = self.discovered.get_or_try_init(|| async {
            match self.modern.discover(&Profile::plain()).await {
                Ok(hello) => Ok(Some(hello)),
                // It answered, but not like a modern server.
                Err(error) if error.kind() == ErrorKind::Protocol => Ok(None),
                Err(error) => Err(error),
            }
        });
        match discovered.await {
            Ok(hello) => Ok(hello.is_some()),
            // A legacy server may refuse a request without a session in any way. A real problem also shows at
            // `initialize`, so nothing is decided here.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::CredentialRejected | ErrorKind::Unavailable
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn hello(&self, caller: &Caller) -> Result<Hello> {
        if self.era(caller.era).await? == Era::Modern {
            self.speaks_modern().await?;
            if let Some(Some(hello)) = self.discovered.get() {
                return Ok(hello.clone());
            }
            return self.modern.discover(&Profile::plain()).await;
        }
        match self.session(caller).hello().await {
            Err(refused) if self.is_modern_alone(&refused).await? => {
                Box::pin(self.modern.discover(&Profile::plain())).await
            }
            answer => answer,
        }
    }

    /// Closes the session of a caller that is gone.
    pub(super) fn leave(&self, party: Party) {
        if let Some(open) = self.sessions.lock().remove(&party) {
            open.session.close();
        }
    }

    /// Closes idle sessions of modern callers.
    pub(super) fn sweep(&self) {
        self.http.sweep();
        let mut sessions = self.sessions.lock();
        let old = sessions.extract_if(|_, open| {
            open.modern && open.used.elapsed() > UPSTREAM_SESSION_IDLE_TIMEOUT
        });
        old.for_each(|(_, open)| open.session.close());
    }

    /// Closes every session.
    pub(super) fn close(&self) {
        for (_, open) in self.sessions.lock().drain() {
            open.session.close();
        }
    }

    pub(super) fn known(&self, party: Party) -> Option<Arc<Session>> {
        self.sessions
            .lock()
            .get(&party)
            .map(|open| Arc::clone(&open.session))
    }

    /// Returns the session of this caller, and creates it if necessary.
    pub(super) fn session(&self, caller: &Caller) -> Arc<Session> {
        let mut sessions = self.sessions.lock();
        let open = sessions
            .entry(caller.party)
            .or_insert_with(|| self.open(caller));
        open.is_used();
        Arc::clone(&open.session)
    }

    fn open(&self, caller: &Caller) -> Open {
        let (inbox, mut messages): (Inbox, _) = mpsc::channel(MAX_WAITING_UNSOLICITED);
        let (arrivals, party) = (self.arrivals.clone(), caller.party);
        let mut forward = tokio::task::JoinSet::new();
        forward.spawn(async move {
            while let Some(message) = messages.recv().await {
                if arrivals.send((party, message)).await.is_err() {
                    return;
                }
            }
        });
        let session = Session::new(Arc::clone(&self.http), profile(caller), inbox);
        Open {
            session: Arc::new(session),
            used: Instant::now(),
            modern: caller.era == Era::Modern && caller.party != 0,
            _forward: forward,
        }
    }
}

/// Returns what is declared to a legacy server about this caller.
fn profile(caller: &Caller) -> Profile {
    let Some((facts, version)) = &caller.client else {
        // The engine's session serves the lists of all clients, a modern principal's session all of its clients.
        return Profile::of_several();
    };
    Profile {
        info: facts.info.clone(),
        capabilities: facts.capabilities.clone(),
        version,
    }
}
