//! The one path of every call: route, credential, instance, conversation.
//!
//! An [`Orchestrator`] is made by a [`Builder`] from any implementation of each seam. It has no HTTP in it: a gateway
//! turns requests into [`Call`]s, and a [`Reply`] into JSON or a stream.

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
/// How long the audit log has at the end, to write what it has taken.
const AUDIT_CLOSES: Duration = Duration::from_secs(5);
/// Instances that are started at once for lists that nobody knows yet.
const LEARN_AT_ONCE: usize = 4;

/// Routes each call to the instance that belongs to its caller. Cheap to clone.
///
/// With its last clone everything ends at once; [`shutdown`](Self::shutdown) lets calls finish.
#[derive(Clone)]
pub struct Orchestrator {
    inner: Arc<Inner>,
    _held: Arc<Held>,
}

/// Shared by all clones. Tasks have the rest, so that it is this whose end they hear of.
struct Held(tokio_util::sync::CancellationToken);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What all parts share.
struct Inner {
    /// Itself, for tasks that outlive a call.
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
    /// Servers of which nobody knew anything, and since when a caller has waited for them.
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
    /// Grows with each credential that changes.
    credentials_changed: tokio::sync::watch::Sender<u64>,
    audit: arc_swap::ArcSwap<Audit>,
    in_flight: limits::InFlight,
    /// Who is in which team now; without one, principals are as their last request said.
    directory: Option<Arc<Directory>>,
    rights: authority::Rights,
    draining: tokio_util::sync::CancellationToken,
}

impl Orchestrator {
    /// Who is told who did what. Calls are told already; what a program does besides, it tells by this.
    pub fn audit(&self) -> Arc<Audit> {
        self.inner.audit.load_full()
    }

    /// From now on these are told of what begins; what has begun is told to those before, which end with it.
    pub fn set_audit(&self, audit: Audit) {
        let before = self.inner.audit.swap(Arc::new(audit));
        // The last one who lets go of a sink may wait for a disk.
        self.inner.pool.tasks().spawn_blocking(move || drop(before));
    }

    /// How much at once from now on. What is in flight goes on, and counts.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.in_flight.set(limits);
        self.inner.pool.limit_instances(limits.instances_per_owner);
        self.inner
            .sessions
            .limit_per_principal(limits.sessions_per_principal);
    }

    /// The catalog from now on. Instances whose spec is equal are not touched.
    pub fn apply(&self, servers: impl IntoIterator<Item = Arc<ServerSpec>>) {
        self.inner.pool.apply(servers);
        self.inner.lists_changed_for_all();
        self.recheck();
    }

    /// Carries out a request.
    ///
    /// Answers when the first thing comes back: the response itself, or a stream that ends with it.
    ///
    /// # Errors
    /// Of any kind: they say what failed and whose fault it is.
    ///
    /// # Cancel safety
    /// Dropping the future or the reply of a modern call cancels it upstream. A legacy session's call goes on; its
    /// client ends it by a notification, or by ending the session.
    pub async fn call(&self, call: Call) -> Result<Reply> {
        match self.inner.begin(call)? {
            Begun::Session(mut call) => call.reply().await,
            Begun::Other(call) => call.await,
        }
    }

    /// Takes a notification or a response of a client. Notifications that are not a client's are dropped, and so is what
    /// would reach a server that the client may not use now.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound); what cannot be delivered upstream is not an error.
    pub async fn notify(&self, notify: Notify) -> Result<()> {
        self.inner.take_notice(notify).await
    }

    /// Opens the stream of what belongs to no call: a legacy client's GET, or a modern `subscriptions/listen`.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound) and [`InvalidParams`](ErrorKind::InvalidParams).
    pub async fn listen(&self, listen: Listen) -> Result<Reply> {
        self.inner.listen(listen).await
    }

    /// The protocol version that a legacy session speaks.
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

    /// Whether a gateway exists for this principal.
    pub fn admits(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
    ) -> bool {
        self.inner.router.view(principal, gateway).is_ok()
    }

    /// A server of the catalog.
    pub fn server(&self, id: &crate::id::ServerId) -> Option<Arc<ServerSpec>> {
        let server = self.inner.pool.server(id)?;
        Some(Arc::clone(&server.spec.load().server))
    }

    /// What is counted and timed.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.inner.metrics)
    }

    /// From now on streams that answer no call end, so that a server can drain; calls go on.
    pub fn drain(&self) {
        self.inner.draining.cancel();
        self.inner
            .sessions
            .all()
            .iter()
            .for_each(|session| session.close_general());
    }

    /// Returns when no instance is in use.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn quiet(&self) {
        self.inner.pool.quiet().await;
    }

    /// Lets calls finish, up to `grace`, then ends everything that runs here. What outlives this process goes on.
    pub async fn shutdown(&self, grace: Duration) {
        self.end(grace, Ending::Leave).await;
    }

    /// As [`shutdown`](Self::shutdown), and what outlives this process goes to rest where it was started here. What ran
    /// before goes on.
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
            // A disk that does not answer shall not keep us.
            let _ = tokio::time::timeout(AUDIT_CLOSES, closed).await;
        }
    }
}

/// A call under way.
enum Begun<'a> {
    Session(session_call::GoingOn<'a>),
    Other(BoxFuture<'a, Result<Reply>>),
}

impl Inner {
    /// Begins a call. Nothing waits here, so that what the call is made of moves into its box once.
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
                session.seen(&call.principal, call.token.as_ref());
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

    /// Itself, while it lives.
    fn me(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// The number of a modern caller.
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

/// Whether a message is what its caller says: a request for `call`.
fn expect_request(message: &crate::jsonrpc::Message) -> Result<()> {
    if message.kind() == Kind::Request {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        "a request was expected",
    ))
}
