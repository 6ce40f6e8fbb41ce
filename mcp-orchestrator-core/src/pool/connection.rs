//! Connections to an instance: one pipe for all callers, or HTTP with a session for each caller.

use std::fmt;
use std::sync::Arc;

use foldhash::HashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::Instant;

use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::Message;
use crate::limits::{MAX_WAITING_UNSOLICITED, UPSTREAM_SESSION_IDLE_TIMEOUT};
use crate::protocol::Era;
use crate::server::EraChoice;
use crate::transport::handshake::Profile;
use crate::transport::pipe::Pipe;
use crate::transport::streamable::{Conversation, Http, Modern, Session};
use crate::transport::{Check, ClientFacts, Hello, Inbox, Outgoing, Party, Unsolicited};

/// The sender of requests, and what is declared to the server about it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Identifies the caller.
    pub(crate) party: Party,
    /// Protocol era of the caller.
    pub(crate) era: Era,
    /// What a legacy client declared, and its protocol version; `None`: the session declares all client capabilities,
    /// for modern callers.
    pub(crate) client: Option<(Arc<ClientFacts>, &'static str)>,
}

impl Caller {
    /// The engine itself.
    pub(crate) fn engine(era: Era) -> Self {
        Self {
            party: 0,
            era,
            client: None,
        }
    }
}

/// Connection to an instance.
pub(crate) enum Link {
    /// Lines on a pipe.
    Pipe(Pipe),
    /// HTTP.
    Http(Box<HttpLink>),
}

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
        if let Self::Http(http) = self
            && let Some(open) = http.sessions().remove(&party)
        {
            open.session.close();
        }
    }

    /// Closes idle sessions of modern callers.
    pub(crate) fn sweep(&self) {
        let Self::Http(http) = self else { return };
        http.http.sweep();
        let mut sessions = http.sessions();
        let old = sessions.extract_if(|_, open| {
            open.modern && open.used.elapsed() > UPSTREAM_SESSION_IDLE_TIMEOUT
        });
        old.for_each(|(_, open)| open.session.close());
    }

    /// Closes every session.
    pub(crate) fn close(&self) {
        let Self::Http(http) = self else { return };
        for (_, open) in http.sessions().drain() {
            open.session.close();
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

    fn sessions(&self) -> MutexGuard<'_, HashMap<Party, Open>> {
        self.sessions.lock()
    }

    async fn request(
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

    fn opened(&self, caller: &Caller) -> Option<Opened> {
        if self.choice.only().unwrap_or(caller.era) != Era::Legacy {
            return None;
        }
        let mut sessions = self.sessions();
        let open = sessions.get_mut(&caller.party)?;
        let conversation = open.session.current()?;
        open.is_used();
        Some(Opened {
            session: Arc::clone(&open.session),
            conversation,
        })
    }

    fn is_ready(&self, caller: &Caller) -> bool {
        let is_modern = matches!(self.discovered.get(), Some(Some(_)));
        let speaks_modern = match self.choice.only() {
            Some(only) => only == Era::Modern,
            None => caller.era == Era::Modern && is_modern,
        };
        speaks_modern
            || self
                .known(caller.party)
                .is_some_and(|session| session.is_open())
    }

    /// Returns the era for this caller and opens its session: only then does a server turn out to have none.
    async fn spoken(&self, caller: &Caller) -> Result<Era> {
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
    async fn era(&self, caller: Era) -> Result<Era> {
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

    async fn hello(&self, caller: &Caller) -> Result<Hello> {
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

    fn known(&self, party: Party) -> Option<Arc<Session>> {
        self.sessions()
            .get(&party)
            .map(|open| Arc::clone(&open.session))
    }

    /// Returns the session of this caller, and creates it if necessary.
    fn session(&self, caller: &Caller) -> Arc<Session> {
        let mut sessions = self.sessions();
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

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe(_) => "Pipe",
            Self::Http(_) => "Http",
        })
    }
}
