//! How an orchestrator is made: any implementation of each seam.

use std::fmt;
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use super::events::{self, Listeners};
use super::limits::{InFlight, Limits, Parking};
use super::questions::Questions;
use super::subscriptions::Subscriptions;
use super::tasks::Tasks;
use super::{
    Held, Inner, LEARN_AT_ONCE, Orchestrator, authority, conflicts, credentials, parked, shown,
};
use crate::audit::Audit;
use crate::auth::Directory;
use crate::catalog::Catalog;
use crate::credential::{Credential, CredentialRequest, CredentialResolver, Links};
use crate::error::Result;
use crate::pool::{Observer, Pool};
use crate::router::Router;
use crate::runtime::{LogBook, RuntimeBackend};
use crate::seal::StateKey;
use crate::session::Sessions;
use crate::state::{MemoryState, StateStore};

/// Makes an [`Orchestrator`].
pub struct Builder {
    backend: Arc<dyn RuntimeBackend>,
    router: Arc<dyn Router>,
    resolver: Option<Arc<dyn CredentialResolver>>,
    state: Arc<dyn StateStore>,
    key: Arc<StateKey>,
    logs: LogBook,
    single_principal: bool,
    sessions: usize,
    session_idle: Duration,
    limits: Limits,
    install_with: Option<Arc<str>>,
    links: Option<Arc<Links>>,
    auth_wait: Duration,
    audit: Audit,
    directory: Option<Arc<Directory>>,
}

impl Builder {
    /// Where credentials come from. Without one, servers with slots cannot be called.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn CredentialResolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Where lists are kept; in memory where nothing is said.
    #[must_use]
    pub fn state(mut self, state: Arc<dyn StateStore>) -> Self {
        self.state = state;
        self
    }

    /// The state key; a random one where nothing is said, so that task ids and cursors end with the process.
    #[must_use]
    pub fn state_key(mut self, key: Arc<StateKey>) -> Self {
        self.key = key;
        self
    }

    /// Who is in which team now: what a session, a stream or a subscription may have follows it. Without one, a principal
    /// is in the teams that its last request said.
    #[must_use]
    pub fn directory(mut self, directory: Arc<Directory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// The instances' logs, shared with the backend.
    #[must_use]
    pub fn logs(mut self, logs: LogBook) -> Self {
        self.logs = logs;
        self
    }

    /// All callers are one person: a shared child may ask whose call is in flight.
    #[must_use]
    pub fn single_principal(mut self, yes: bool) -> Self {
        self.single_principal = yes;
        self
    }

    /// The program by which people install their credentials, as `mcp-orchestrator`: who has none is told its command line.
    /// Where nothing is said, they are told what the resolver's error says.
    #[must_use]
    pub fn install_with(mut self, program: impl Into<Arc<str>>) -> Self {
        self.install_with = Some(program.into());
        self
    }

    /// Where links come from that lead who has no credential to the page where it is set up. Where nothing is said, they are
    /// told no address.
    #[must_use]
    pub fn links(mut self, links: Arc<Links>) -> Self {
        self.links = Some(links);
        self
    }

    /// How long a legacy client's call waits for its credential to be set up, where the client can be asked to open a page;
    /// 45 seconds where nothing is said.
    #[must_use]
    pub fn auth_wait(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.auth_wait = wait.into().unwrap_or(parked::WAIT);
        self
    }

    /// How many legacy sessions may be open at once.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// After which time without a call or an open stream a legacy session ends.
    #[must_use]
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.session_idle = idle;
        self
    }

    /// How much at once; without limits where nothing is said.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who is told of every call; nobody where nothing is said.
    #[must_use]
    pub fn audit(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self
    }

    /// The orchestrator, without servers yet. Must be called within a tokio runtime.
    pub fn build(self) -> Orchestrator {
        let resolver = self.resolver.unwrap_or_else(|| Arc::new(NoCredentials));
        let pool = Pool::new(self.backend, Arc::clone(&self.key), self.single_principal);
        pool.limit_instances(self.limits.instances_per_owner);
        let sessions = Sessions::new(self.sessions);
        sessions.limit_per_principal(self.limits.sessions_per_principal);
        let inner = Arc::new_cyclic(|weak: &Weak<Inner>| {
            let observer: Weak<dyn Observer> = weak.clone();
            pool.observe(observer);
            Inner {
                this: weak.clone(),
                router: self.router,
                resolver,
                catalog: Catalog::new(self.state, Arc::clone(&self.key)),
                pool,
                sessions,
                parties: RwLock::default(),
                listeners: Listeners::default(),
                subscriptions: Subscriptions::default(),
                tasks: Tasks::default(),
                refreshing: Mutex::default(),
                met: Mutex::default(),
                learning: Semaphore::new(LEARN_AT_ONCE),
                key: self.key,
                logs: self.logs,
                seen: shown::Seen::default(),
                told: conflicts::Told::default(),
                metrics: Arc::default(),
                no_credential: Arc::new(Credential::none()),
                session_idle: self.session_idle,
                install_with: self.install_with,
                links: self.links,
                auth_wait: self.auth_wait,
                parking: Parking::new(parked::EACH, parked::ALL),
                questions: Questions::new(),
                credentials_changed: watch::Sender::new(0),
                audit: ArcSwap::from_pointee(self.audit),
                in_flight: InFlight::new(self.limits),
                directory: self.directory,
                rights: authority::Rights::default(),
                draining: tokio_util::sync::CancellationToken::new(),
            }
        });
        let sweep = events::sweep_sessions(Arc::downgrade(&inner));
        inner.pool.tasks().spawn(sweep);
        let changes = inner.resolver.changes();
        let hear = credentials::hear(Arc::downgrade(&inner), changes);
        inner.pool.tasks().spawn(hear);
        let recheck = authority::recheck_after_changes(Arc::downgrade(&inner));
        inner.pool.tasks().spawn(recheck);
        let held = Held(inner.pool.closing().clone());
        Orchestrator {
            inner,
            _held: Arc::new(held),
        }
    }
}

impl Orchestrator {
    /// Begins one with a backend and a router.
    pub fn builder(backend: Arc<dyn RuntimeBackend>, router: Arc<dyn Router>) -> Builder {
        Builder {
            backend,
            router,
            resolver: None,
            state: Arc::new(MemoryState::default()),
            key: Arc::new(StateKey::random()),
            logs: LogBook::default(),
            single_principal: false,
            sessions: 100_000,
            session_idle: Duration::from_hours(1),
            install_with: None,
            links: None,
            auth_wait: parked::WAIT,
            audit: Audit::default(),
            directory: None,
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("backend", &self.backend)
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}

/// The resolver of an orchestrator that was given none.
#[derive(Debug)]
struct NoCredentials;

#[async_trait::async_trait]
impl CredentialResolver for NoCredentials {
    async fn resolve(&self, _: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        Ok(None)
    }
}
