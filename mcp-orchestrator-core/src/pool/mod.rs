//! Maps keys to running instances: starts each once for all waiting callers, restarts with backoff, stops idle
//! instances, and replaces instances after their spec has changed.

mod announcements;
mod caller;
mod connection;
mod handle;
mod http_link;
mod lifecycle;
mod quota;
mod reachability;
mod server_state;
mod slot;
mod token_expiry;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::caller::Caller;
pub(crate) use self::connection::Link;
pub(crate) use self::handle::{Handle, Lease};
pub(crate) use self::lifecycle::removals::Pending;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::limits::MAX_REPLACEMENTS;
use crate::metrics::ServerSeries;
use crate::runtime::{LogLine, LogSource, Progress, RuntimeBackend, Scope, SpecDigest};
use crate::seal::StateKey;
use crate::server::{ServerSpec, StartMode, TokenChange};
use crate::transport::{Party, Unsolicited};

/// Receives the events of the pool, and answers its questions. Methods that return no future must not block.
pub(crate) trait Observer: Send + Sync {
    /// An instance failed to start. `output` is what it wrote before that.
    fn failed(&self, key: &crate::runtime::InstanceKey, output: Vec<LogLine>, error: &Error);
    /// An instance is ready for calls for the first time.
    fn ready(&self, handle: &Arc<Handle>);
    /// An instance sent a message that belongs to no call. `party` is the caller in the conversation that carried it.
    fn unsolicited(&self, handle: &Arc<Handle>, party: Option<Party>, message: Unsolicited);
    /// The token of an instance in use expires soon: a new one is needed.
    fn token_ends(&self, handle: &Arc<Handle>);
    /// Returns `true` if something other than calls keeps the instance running.
    fn holds(&self, handle: &Handle) -> bool;
    /// Adds a line of or about the instance to its log.
    fn note(&self, handle: &crate::runtime::InstanceKey, source: LogSource, text: &str);
    /// Returns the stored result of the instance's last handshake, if any.
    fn kept<'a>(
        &'a self,
        key: &'a crate::runtime::InstanceKey,
    ) -> futures_util::future::BoxFuture<'a, Option<crate::transport::Hello>>;
    /// Returns the credential of an owner that is in force for a server.
    fn in_force<'a>(
        &'a self,
        server: &'a Arc<ServerSpec>,
        owner: &'a crate::credential::Owner,
    ) -> futures_util::future::BoxFuture<'a, crate::credential::InForce>;
    /// An instance is gone. `reason` is set if it exited without being stopped.
    fn gone(&self, key: &crate::runtime::InstanceKey, reason: Option<&str>);
}

/// All instances.
pub(crate) struct Pool {
    backend: Arc<dyn RuntimeBackend>,
    key: Arc<StateKey>,
    servers: ArcSwap<HashMap<ServerId, Arc<Server>>>,
    observer: OnceLock<Weak<dyn Observer>>,
    tasks: TaskTracker,
    closing: CancellationToken,
    replacing: Semaphore,
    endings: Arc<lifecycle::shutdown::Endings>,
    removals: lifecycle::removals::Removals,
    known: lifecycle::orphans::Known,
    /// Set once the task that handles orphans has started.
    minding: AtomicBool,
    /// Instances with a broken conversation.
    lost: lifecycle::reattach::Lost,
    room: quota::Room,
    /// `true` if all callers are the same person.
    single_principal: bool,
}

/// A server and its slots.
pub(crate) struct Server {
    pub(crate) spec: ArcSwap<Spec>,
    slots: slot::Slots,
    /// The metrics of its calls.
    pub(crate) series: ServerSeries,
}

impl Server {
    /// Returns the running instance, if any. Starts nothing.
    pub(crate) fn running(&self, credential: &Credential, scope: &Scope) -> Option<Lease> {
        self.slots.find(credential, scope)?.lease()
    }
}

/// A spec with its digest.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) server: Arc<ServerSpec>,
    pub(crate) digest: SpecDigest,
}

/// How an instance ends that is no longer used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// Stop the instance, but keep everything that a restart needs.
    Rest,
    /// Remove the instance completely.
    Remove,
    /// The orchestrator is shutting down: detach from instances that can continue without it.
    Leave,
}

impl Spec {
    /// Returns the digest of an instance that is started with this credential.
    fn digest_with(&self, credential: &Credential) -> SpecDigest {
        if self.server.token_change() == TokenChange::Replaces {
            return self.digest.of_generation(credential.generation);
        }
        self.digest.clone()
    }
}

impl Server {
    /// Returns why the last start of one of its instances failed, until a start succeeds.
    pub(crate) fn last_failure(&self) -> Option<Arc<Error>> {
        self.slots.all().iter().find_map(|slot| slot.last_failure())
    }
}

impl Pool {
    pub(crate) fn new(
        backend: Arc<dyn RuntimeBackend>,
        key: Arc<StateKey>,
        single_principal: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            backend,
            key,
            servers: ArcSwap::default(),
            observer: OnceLock::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            replacing: Semaphore::new(MAX_REPLACEMENTS),
            endings: Arc::default(),
            removals: lifecycle::removals::Removals::default(),
            known: lifecycle::orphans::Known::default(),
            minding: AtomicBool::new(false),
            lost: lifecycle::reattach::Lost::default(),
            room: quota::Room::default(),
            single_principal,
        })
    }

    /// Sets the observer; later calls have no effect.
    pub(crate) fn observe(&self, observer: Weak<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.get().and_then(Weak::upgrade)
    }

    /// Returns the backend that runs the instances.
    pub(crate) fn backend(&self) -> &Arc<dyn RuntimeBackend> {
        &self.backend
    }

    /// Returns the tracker of the pool's tasks.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Returns the token that is cancelled when the pool closes.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Returns a configured server.
    pub(crate) fn server(&self, id: &ServerId) -> Option<Arc<Server>> {
        self.servers.load().get(id).cloned()
    }

    /// Returns all configured servers.
    pub(crate) fn servers(&self) -> Arc<HashMap<ServerId, Arc<Server>>> {
        self.servers.load_full()
    }

    /// Replaces the set of servers. Instances with an unchanged spec are not affected; running instances with a changed
    /// spec are replaced, and those of removed servers are ended.
    pub(crate) fn apply(self: &Arc<Self>, specs: impl IntoIterator<Item = Arc<ServerSpec>>) {
        let before = self.servers.load_full();
        let mut after = HashMap::default();
        for server in specs {
            let digest = SpecDigest::new(&server.digest(&self.key));
            let id = server.id.clone();
            let new = Arc::new(Spec { server, digest });
            let entry = match before.get(&id) {
                Some(known) => {
                    let old = known.spec.swap(Arc::clone(&new));
                    if old.digest != new.digest {
                        self.replace_all(known);
                    }
                    Arc::clone(known)
                }
                None => Arc::new(Server {
                    spec: ArcSwap::new(new),
                    slots: slot::Slots::default(),
                    series: ServerSeries::default(),
                }),
            };
            after.insert(id, entry);
        }
        let removed = before
            .iter()
            .filter(|(id, _)| !after.contains_key(*id))
            .map(|(_, server)| Arc::clone(server));
        let removed: Vec<_> = removed.collect();
        self.servers.store(Arc::new(after));
        for server in removed {
            self.retire_all(&server);
        }
        self.start_eager();
        // Before the first set of servers is applied, every instance would look like an orphan.
        if !self.minding.swap(true, Ordering::AcqRel) {
            self.tasks.spawn(Arc::clone(self).mind_orphans());
        }
    }

    /// Starts the eager servers that need no credential.
    fn start_eager(self: &Arc<Self>) {
        for (id, server) in self.servers.load().iter() {
            let spec = server.spec.load();
            if spec.server.start != StartMode::Eager || !spec.server.slots.is_empty() {
                continue;
            }
            let (pool, id) = (Arc::clone(self), id.clone());
            self.tasks.spawn(async move {
                let credential = Arc::new(Credential::none());
                let started = pool
                    .acquire(&id, &credential, Scope::Shared, &Progress::unheard())
                    .await;
                if let Err(error) = started {
                    tracing::warn!(server = %id, %error, "an eager server did not start");
                }
            });
        }
    }

    /// Returns a running instance for this server, credential and scope. Starts one if necessary, once for all waiting
    /// callers.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future does not cancel the start, which continues for other callers.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        id: &ServerId,
        credential: &Arc<Credential>,
        scope: Scope,
        progress: &Progress,
    ) -> Result<Lease> {
        let server = self.server(id).ok_or_else(|| {
            Error::new(ErrorKind::NoRoute, format!("server {id} is not configured")).with_server(id)
        })?;
        loop {
            let slot = server.slots.get(credential, &scope);
            if let Some(lease) = slot.lease() {
                return Ok(lease);
            }
            self.started(&server, &slot, credential, progress).await?;
        }
    }

    /// Returns why the replacement of this instance fails to start.
    pub(crate) fn failure_of(&self, handle: &Handle) -> Option<Arc<Error>> {
        let server = self.server(handle.key.server())?;
        let slot = server.slots.find(&handle.credential, handle.key.scope())?;
        slot.last_failure()
    }

    /// Returns all running instances.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        let servers = self.servers.load();
        servers
            .values()
            .flat_map(|server| server.slots.all())
            .filter_map(|slot| slot.current())
            .collect()
    }

    /// Waits until no instance is in use.
    pub(crate) async fn quiet(&self) {
        loop {
            let handles = self.handles();
            let Some(used) = handles.iter().find(|handle| handle.in_use() > 0) else {
                return;
            };
            used.unused().await;
        }
    }

    /// Ends the instances of a session that has ended.
    pub(crate) fn end_scope(self: &Arc<Self>, scope: &Scope) {
        for server in self.servers.load().values() {
            for slot in server.slots.take_scope(scope) {
                self.retire(slot, Duration::ZERO);
            }
        }
    }

    /// Shuts down: waits up to `grace` for calls in flight, detaches from instances that ran before, and ends those
    /// started here as `started` says.
    pub(crate) async fn shutdown(self: &Arc<Self>, grace: Duration, started: Ending) {
        self.closing.cancel();
        let slots: Vec<_> = self
            .servers
            .load()
            .values()
            .flat_map(|server| server.slots.all())
            .collect();
        let ends = slots.iter().map(|slot| async {
            if let Some(handle) = slot.current() {
                // Clear the slot first, so that a listener that waits for the instance to end does not wait for the
                // slot.
                slot.clear(&handle);
                let ending = if handle.joined {
                    Ending::Leave
                } else {
                    started
                };
                self.end(handle, grace, ending).await;
            }
        });
        futures_util::future::join_all(ends).await;
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.tasks.wait())
            .await
            .is_err()
        {
            tracing::debug!("some tasks of the pool did not end in time");
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}
