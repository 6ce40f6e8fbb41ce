//! The path of every call: route, credential, instance, connection.
//!
//! A [`Builder`] creates an [`Orchestrator`] from any implementation of each seam. It contains no HTTP: a gateway
//! converts requests to [`Call`]s, and a [`Reply`] to JSON or a stream.

mod audited;
mod authority;
mod builder;
mod calls;
mod conflicts;
mod connect_tool;
mod context;
mod control;
mod credentials;
mod described;
mod events;
mod explain;
mod forward;
mod header_params;
mod hear;
mod hello;
mod limits;
mod listen;
mod lists;
mod logging;
mod operate;
mod parked;
mod questions;
mod session_call;
mod shown;
mod started;
mod starting;
mod subscriptions;
mod tasks;
mod unconnected;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

pub use self::builder::Builder;
use self::context::Context;
pub use self::control::{InstanceInfo, InstanceState};
pub use self::credentials::{Leftover, PendingRemoval};
use self::events::Listeners;
pub use self::explain::Explanation;
pub use self::limits::Limits;
use self::lists::Refreshing;
pub use self::shown::{ServerInfo, Unlisted};
use self::starting::Asked;
use self::subscriptions::Subscriptions;
use self::tasks::Tasks;
use crate::audit::Audit;
use crate::auth::Directory;
use crate::call::{Call, Dialect, Listen, Notify, Reply};
use crate::catalog::{Catalog, ListKey};
use crate::credential::{Credential, CredentialResolver, Links};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PrincipalId, SessionId};
use crate::jsonrpc::Kind;
use crate::limits::MAX_MODERN_CALLERS;
use crate::metrics::Metrics;
use crate::pool::{Ending, Pool};
use crate::protocol::method;
use crate::router::Router;
use crate::runtime::LogBook;
use crate::seal::StateKey;
use crate::server::ServerSpec;
use crate::session::Sessions;
use crate::transport::Party;

/// Maximum time that shutdown waits for lists to be stored.
const LISTS_WRITTEN: Duration = Duration::from_secs(5);
/// Maximum time that shutdown waits for the audit log to be written.
const AUDIT_CLOSES: Duration = Duration::from_secs(5);

/// Routes each call to the instance that belongs to its caller. Cheap to clone.
///
/// Dropping the last clone ends everything at once; [`shutdown`](Self::shutdown) lets calls finish.
#[derive(Clone)]
pub struct Orchestrator {
    inner: Arc<Inner>,
    _held: Arc<Held>,
}

/// Shared by the clones of an orchestrator only, so that dropping the last one cancels the tasks, which share `Inner`.
struct Held(tokio_util::sync::CancellationToken);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// State shared by all parts.
struct Inner {
    /// For tasks that outlive a call.
    this: Weak<Self>,
    router: Arc<dyn Router>,
    resolver: Arc<dyn CredentialResolver>,
    pool: Arc<Pool>,
    catalog: Catalog,
    sessions: Sessions,
    parties: RwLock<HashMap<PrincipalId, Party>>,
    listeners: Listeners,
    subscriptions: Subscriptions,
    tasks: Tasks,
    refreshing: Mutex<HashMap<ListKey, Refreshing>>,
    learning: Semaphore,
    /// Servers that had not described themselves, and since when a caller has waited for them.
    met: Mutex<HashMap<ListKey, tokio::time::Instant>>,
    key: Arc<StateKey>,
    logs: LogBook,
    seen: shown::Seen,
    told: conflicts::Told,
    metrics: Arc<Metrics>,
    no_credential: Arc<Credential>,
    session_idle: Duration,
    install_with: Option<Arc<str>>,
    links: Option<Arc<Links>>,
    auth_wait: Duration,
    parking: limits::Parking,
    questions: questions::Questions,
    /// Incremented when a credential changes.
    credentials_changed: tokio::sync::watch::Sender<u64>,
    audit: arc_swap::ArcSwap<Audit>,
    in_flight: limits::InFlight,
    /// Current teams; `None`: principals keep the teams of their last request.
    directory: Option<Arc<Directory>>,
    rights: authority::Rights,
    draining: tokio_util::sync::CancellationToken,
}

impl Orchestrator {
    /// Returns the audit log. Calls are recorded automatically; embedders record their own actions here.
    pub fn audit(&self) -> Arc<Audit> {
        self.inner.audit.load_full()
    }

    /// Replaces the audit sinks. Calls in flight keep the previous sinks, which are closed when those calls finish.
    pub fn set_audit(&self, audit: Audit) {
        let before = self.inner.audit.swap(Arc::new(audit));
        // Dropping the last reference to a sink may block on a disk.
        self.inner.pool.tasks().spawn_blocking(move || drop(before));
    }

    /// Sets the concurrency limits. Calls in flight are not cancelled, and count towards the new limits.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.in_flight.set(limits);
        self.inner.pool.limit_instances(limits.instances_per_owner);
        self.inner
            .sessions
            .limit_per_principal(limits.sessions_per_principal);
    }

    /// Replaces the configured servers. Instances with an unchanged spec are not affected.
    pub fn apply(&self, servers: impl IntoIterator<Item = Arc<ServerSpec>>) {
        self.inner.pool.apply(servers);
        self.inner.lists_changed_for_all();
        self.recheck();
    }

    /// Handles a request.
    ///
    /// Returns when the first part of the reply is available: the response itself, or a stream that ends with it.
    ///
    /// # Errors
    /// Of any kind. The kind says what failed, and whether the caller, the server or the gateway is responsible.
    ///
    /// # Cancel safety
    /// Dropping the future or the reply of a modern call cancels the call upstream. A legacy session's call continues;
    /// its client cancels it with a notification, or by ending the session.
    pub async fn call(&self, call: Call) -> Result<Reply> {
        match self.inner.begin(call)? {
            Begun::Session(mut call) => call.reply().await,
            Begun::Other(call) => call.await,
        }
    }

    /// Handles a notification or a response of a client. Notifications that the protocol does not define for clients
    /// are dropped, as are messages to a server that the client may not use now.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound). A failed delivery upstream is not an error.
    pub async fn notify(&self, notify: Notify) -> Result<()> {
        self.inner.take_notice(notify).await
    }

    /// Opens the stream of messages that belong to no call: a legacy client's GET, or a modern `subscriptions/listen`.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound) and [`InvalidParams`](ErrorKind::InvalidParams).
    pub async fn listen(&self, listen: Listen) -> Result<Reply> {
        self.inner.listen(listen).await
    }

    /// Returns the protocol version of a legacy session.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound).
    pub fn session_version(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
        id: &SessionId,
    ) -> Result<&'static str> {
        let session = self.inner.sessions.get(id, principal, gateway)?;
        Ok(session.version())
    }

    /// Ends a legacy session.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound).
    pub fn end_session(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
        id: &SessionId,
    ) -> Result<()> {
        let session = self.inner.sessions.get(id, principal, gateway)?;
        self.inner.end_session(&session);
        Ok(())
    }

    /// Returns `true` if the gateway exists for this principal.
    pub fn admits(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
    ) -> bool {
        self.inner.router.view(principal, gateway).is_ok()
    }

    /// Returns a configured server.
    pub fn server(&self, id: &crate::id::ServerId) -> Option<Arc<ServerSpec>> {
        let server = self.inner.pool.server(id)?;
        Some(Arc::clone(&server.spec.load().server))
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.inner.metrics)
    }

    /// Ends streams that answer no call, also those opened later, so that a server can drain. Calls continue.
    pub fn drain(&self) {
        self.inner.draining.cancel();
        self.inner
            .sessions
            .all()
            .iter()
            .for_each(|session| session.close_general());
    }

    /// Waits until no instance is in use.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn quiet(&self) {
        self.inner.pool.quiet().await;
    }

    /// Lets calls finish, for up to `grace`, then ends everything that runs in this process. Instances that outlive the
    /// process keep running.
    pub async fn shutdown(&self, grace: Duration) {
        self.end(grace, Ending::Leave).await;
    }

    /// Like [`shutdown`](Self::shutdown), but also stops instances that outlive the process if they were started by it.
    /// Instances from before keep running.
    pub async fn undo(&self, grace: Duration) {
        self.end(grace, Ending::Rest).await;
    }

    async fn end(&self, grace: Duration, started: Ending) {
        for session in self.inner.sessions.all() {
            if session.idle_for() > Duration::ZERO {
                self.inner.end_session(&session);
            }
        }
        self.inner.pool.shutdown(grace, started).await;
        for session in self.inner.sessions.all() {
            self.inner.end_session(&session);
        }
        let _ = tokio::time::timeout(LISTS_WRITTEN, self.inner.catalog.written()).await;
        if self.audit().is_on() {
            let audit = self.audit();
            let closed = tokio::task::spawn_blocking(move || audit.close());
            // An unresponsive disk must not block shutdown.
            let _ = tokio::time::timeout(AUDIT_CLOSES, closed).await;
        }
    }
}

/// A call in progress.
enum Begun<'a> {
    Session(session_call::GoingOn<'a>),
    Other(BoxFuture<'a, Result<Reply>>),
}

impl Inner {
    /// Begins a call. This is not async, so that the call's data is moved into its box only once.
    fn begin(self: &Arc<Self>, call: Call) -> Result<Begun<'_>> {
        Ok(match &call.dialect {
            Dialect::Legacy(None) if call.message.method() == method::INITIALIZE => {
                Begun::Other(Box::pin(self.initialize(call)))
            }
            Dialect::Legacy(None) => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    "the header Mcp-Session-Id is missing: send initialize first",
                ));
            }
            Dialect::Legacy(Some(id)) => {
                let session = self.sessions.get(id, &call.principal, &call.gateway)?;
                session.sent(&call.principal, call.token.as_ref());
                Begun::Session(self.session_call(session, call)?)
            }
            Dialect::Modern => Begun::Other(Box::pin(self.modern_call(call))),
        })
    }

    async fn modern_call(self: &Arc<Self>, call: Call) -> Result<Reply> {
        let mut context = Context::modern(self, &call);
        if let Some(rest) = self.resumed(&context, &call.message).await {
            return rest;
        }
        let (message, answered) = self.answered(&context, call.message);
        context.waited = answered;
        let asked = Asked::new(&self.audit.load(), context, message, call.headers);
        let reply = self.dispatch_and_tell(&asked).await?;
        Ok(self.asking(&asked.context, &asked.message, reply))
    }

    fn end_session(self: &Arc<Self>, session: &Arc<crate::session::Session>) {
        if self.sessions.remove(&session.id).is_some() {
            session.end();
            self.unsubscribe(session.party);
            self.pool.end_scope(&session.scope);
        }
    }

    /// Returns a strong reference, unless the orchestrator is gone.
    fn me(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Returns the party of a modern caller, which its principal determines.
    fn party_of(&self, principal: &PrincipalId) -> Party {
        let known = self
            .parties
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(principal)
            .copied();
        known.unwrap_or_else(|| {
            let mut parties = self
                .parties
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if parties.len() >= MAX_MODERN_CALLERS {
                parties.clear();
            }
            *parties
                .entry(principal.clone())
                .or_insert_with(|| self.sessions.party())
        })
    }
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator")
            .field("router", &self.inner.router)
            .finish_non_exhaustive()
    }
}

/// Checks that a message is a request.
fn expect_request(message: &crate::jsonrpc::Message) -> Result<()> {
    if message.kind() == Kind::Request {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        "a request was expected",
    ))
}
