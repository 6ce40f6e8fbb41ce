//! The path of every call: route, credential, instance, connection.
//!
//! A [`Builder`] creates an [`Orchestrator`] from any implementation of each seam. It contains no HTTP: a gateway
//! converts requests to [`Call`]s, and a [`Reply`] to JSON or a stream.

mod authority;
mod builder;
mod calls;
mod credentials;
mod forward;
mod input;
mod lifecycle;
mod lists;
mod notifications;
mod operator;
mod params;
mod sessions;
mod state;
mod subscriptions;
mod tasks;

use std::sync::Arc;

pub use self::builder::Builder;
use self::calls::begin::CallInProgress;
pub use self::calls::extensions::UnannouncedExtension;
pub use self::credentials::changes::{Leftover, PendingRemoval};
pub use self::operator::explain::Explanation;
pub use self::operator::instances::{InstanceInfo, InstanceState};
pub use self::operator::server_info::ServerInfo;
pub use self::operator::unlisted::Unlisted;
pub use self::state::Orchestrator;
pub use self::state::concurrency::Limits;
use crate::audit::Audit;
use crate::call::{Call, Listen, Notify, Reply};
use crate::error::Result;
use crate::id::SessionId;
use crate::metrics::Metrics;
use crate::server::ServerSpec;

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
    /// Returns when the first part of the reply is available: the response itself, or a stream that ends with it. The
    /// call begins when this function is called, within a tokio runtime: a legacy session's call takes place even if the
    /// future is never polled.
    ///
    /// # Errors
    /// Of any kind. The kind says what failed, and whether the caller, the server or the gateway is responsible.
    ///
    /// # Cancel safety
    /// Dropping the future or the reply of a modern call cancels the call upstream. A legacy session's call continues;
    /// its client cancels it with a notification, or by ending the session.
    pub fn call(&self, call: Call) -> impl Future<Output = Result<Reply>> + Send + use<'_> {
        // Begun here, so that the future does not contain the call.
        let begun = self.inner.begin(call);
        async move {
            match begun? {
                CallInProgress::Session(mut call) => call.reply().await,
                CallInProgress::Other(call) => call.await,
            }
        }
    }

    /// Handles a notification or a response of a client. Notifications that the protocol does not define for clients
    /// are dropped, as are messages to a server that the client may not use now.
    ///
    /// # Errors
    /// [`SessionNotFound`](crate::ErrorKind::SessionNotFound). A failed delivery upstream is not an error.
    pub async fn notify(&self, notify: Notify) -> Result<()> {
        self.inner.take_notice(notify).await
    }

    /// Opens the stream of messages that belong to no call: a legacy client's GET, or a modern `subscriptions/listen`.
    ///
    /// # Errors
    /// [`SessionNotFound`](crate::ErrorKind::SessionNotFound) and [`InvalidParams`](crate::ErrorKind::InvalidParams).
    pub async fn listen(&self, listen: Listen) -> Result<Reply> {
        self.inner.listen(listen).await
    }

    /// Returns the protocol version of a legacy session.
    ///
    /// # Errors
    /// [`SessionNotFound`](crate::ErrorKind::SessionNotFound).
    pub fn session_version(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
        id: &SessionId,
    ) -> Result<&'static str> {
        let session = self.inner.session(id, principal, gateway)?;
        Ok(session.version())
    }

    /// Ends a legacy session.
    ///
    /// # Errors
    /// [`SessionNotFound`](crate::ErrorKind::SessionNotFound).
    pub fn end_session(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
        id: &SessionId,
    ) -> Result<()> {
        self.inner.end_session_of(id, principal, gateway)
    }

    /// Returns `true` if the gateway exists for this principal.
    pub fn admits(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
    ) -> bool {
        self.inner.router.view(principal, gateway).is_ok()
    }

    /// Returns what a principal sees of a gateway, or `None` if the gateway does not exist for it.
    pub fn view(
        &self,
        principal: &crate::auth::Principal,
        gateway: &crate::id::GatewayId,
    ) -> Option<Arc<crate::router::View>> {
        self.inner.router.view(principal, gateway).ok()
    }

    /// Returns the names of all gateways, sorted, regardless of who may use them.
    pub fn gateways(&self) -> Vec<crate::id::GatewayId> {
        self.inner.router.gateways()
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
}
