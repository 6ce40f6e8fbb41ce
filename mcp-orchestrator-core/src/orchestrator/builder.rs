//! Builds an orchestrator from any implementation of each seam.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, watch};

use super::authority;
use super::credentials::changes;
use super::lifecycle;
use super::operator::current_metrics::StateReader;
use super::state::concurrency::{InFlight, Limits, PARKED_PER_PRINCIPAL, Parking};
use super::state::connection_checks::ConnectionChecks;
use super::state::instance_history;
use super::state::listeners::Listeners;
use super::state::parked_calls::{self, ParkedCalls};
use super::state::subscriptions::Subscriptions;
use super::state::tasks::Tasks;
use super::state::{CancelOnDrop, Inner, Orchestrator};
use super::state::{conflict_log, rights};
use crate::audit::Audit;
use crate::auth::Directory;
use crate::catalog::Catalog;
use crate::credential::{Credential, CredentialRequest, CredentialResolver, Links};
use crate::error::Result;
use crate::limits::{CREDENTIAL_WAIT, INPUT_WAIT, MAX_LIST_STARTS, MAX_PARKED_CALLS};
use crate::metrics::Metrics;
use crate::pool::{Observer, Pool};
use crate::router::Router;
use crate::runtime::{LogBook, RuntimeBackend};
use crate::seal::StateKey;
use crate::session::Sessions;
use crate::state::{MemoryState, StateStore};

/// Builds an [`Orchestrator`].
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
    input_wait: Duration,
    audit: Audit,
    directory: Option<Arc<Directory>>,
}

impl Builder {
    /// Sets the resolver of credentials. Default: none; servers with required slots cannot be called.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn CredentialResolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Sets the store of the list cache. Default: in memory.
    #[must_use]
    pub fn state(mut self, state: Arc<dyn StateStore>) -> Self {
        self.state = state;
        self
    }

    /// Sets the state key. Default: a random one, so that task ids and cursors become invalid with the process.
    #[must_use]
    pub fn state_key(mut self, key: Arc<StateKey>) -> Self {
        self.key = key;
        self
    }

    /// Sets the directory of teams, which determines what a session, a stream or a subscription may access at any time.
    /// Default: none; a principal has the teams of its last request.
    #[must_use]
    pub fn directory(mut self, directory: Arc<Directory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Sets the log book of instances, which the backend shares.
    #[must_use]
    pub fn logs(mut self, logs: LogBook) -> Self {
        self.logs = logs;
        self
    }

    /// Declares that all callers are one user. Requests of a shared child process then go to the client of the call in
    /// flight.
    #[must_use]
    pub fn single_principal(mut self, yes: bool) -> Self {
        self.single_principal = yes;
        self
    }

    /// Sets the name of the program with which users install credentials, such as `mcp-orchestrator`. Errors about a
    /// missing credential then contain its command line. Default: they contain the resolver's error only.
    #[must_use]
    pub fn install_with(mut self, program: impl Into<Arc<str>>) -> Self {
        self.install_with = Some(program.into());
        self
    }

    /// Issues links to the page on which a missing credential is set up. Default: errors contain no link.
    #[must_use]
    pub fn links(mut self, links: Arc<Links>) -> Self {
        self.links = Some(links);
        self
    }

    /// Sets how long a legacy client's call waits for its credential to be set up, if the client can be asked to open a
    /// page. Default: 45 seconds.
    #[must_use]
    pub fn auth_wait(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.auth_wait = wait.into().unwrap_or(CREDENTIAL_WAIT);
        self
    }

    /// Sets how long a call waits for its client to answer the requests of the server. Default: 5 minutes.
    #[must_use]
    pub fn input_wait(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.input_wait = wait.into().unwrap_or(INPUT_WAIT);
        self
    }

    /// Sets the maximum number of open legacy sessions. Default: 100,000.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// Sets the time without a call or an open stream after which a legacy session ends. Default: 1 hour.
    #[must_use]
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.session_idle = idle;
        self
    }

    /// Sets the concurrency limits. Default: none.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the audit log, which records every call. Default: none.
    #[must_use]
    pub fn audit(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self
    }

    /// Builds the orchestrator, without servers. Must be called within a tokio runtime.
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
                learning: Semaphore::new(MAX_LIST_STARTS),
                connection_checks: ConnectionChecks::default(),
                key: self.key,
                logs: self.logs,
                seen: instance_history::InstanceHistory::default(),
                told: conflict_log::ConflictLog::default(),
                told_overrides: conflict_log::ConflictLog::default(),
                logged: conflict_log::LoggedFacts::default(),
                metrics: Arc::new(Metrics::new(Box::new(StateReader(weak.clone())))),
                propagator: OnceLock::new(),
                no_credential: Arc::new(Credential::none()),
                session_idle: self.session_idle,
                install_with: self.install_with,
                links: self.links,
                auth_wait: self.auth_wait,
                parking: Parking::new(PARKED_PER_PRINCIPAL, MAX_PARKED_CALLS),
                input_wait: self.input_wait,
                parked_calls: ParkedCalls::new(),
                credentials_changed: watch::Sender::new(0),
                audit: ArcSwap::from_pointee(self.audit),
                in_flight: InFlight::new(self.limits),
                directory: self.directory,
                rights: rights::Rights::default(),
                draining: tokio_util::sync::CancellationToken::new(),
            }
        });
        let tasks = inner.pool.tasks();
        tasks.spawn(lifecycle::sweep_sessions(Arc::downgrade(&inner)));
        tasks.spawn(parked_calls::expire_parked_calls(Arc::downgrade(&inner)));
        let reported = inner.resolver.changes();
        let hear = changes::hear(Arc::downgrade(&inner), reported);
        inner.pool.tasks().spawn(hear);
        let recheck = authority::recheck_after_changes(Arc::downgrade(&inner));
        inner.pool.tasks().spawn(recheck);
        let held = CancelOnDrop(inner.pool.closing().clone());
        Orchestrator {
            inner,
            _held: Arc::new(held),
        }
    }
}

impl Orchestrator {
    /// Creates a builder with a backend and a router.
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
            auth_wait: CREDENTIAL_WAIT,
            input_wait: INPUT_WAIT,
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

/// The resolver of an orchestrator that was built without one.
#[derive(Debug)]
struct NoCredentials;

#[async_trait::async_trait]
impl CredentialResolver for NoCredentials {
    async fn resolve(&self, _: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn covers(&self, _: &CredentialRequest<'_>) -> bool {
        false
    }
}
