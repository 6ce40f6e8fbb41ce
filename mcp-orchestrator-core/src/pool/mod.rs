//! From a key to a running instance and its conversations: started once for all who wait, restarted with backoff,
//! put to rest when idle, replaced when its spec has changed.

mod end;
mod handle;
mod life;
mod link;
mod orphans;
mod reach;
mod rejoin;
mod removals;
mod room;
mod rotate;
mod slot;
mod start;
mod token;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::handle::{Handle, Lease};
pub(crate) use self::link::{Caller, Link};
pub(crate) use self::removals::Pending;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::runtime::{LogLine, LogSource, Progress, RuntimeBackend, Scope, SpecDigest};
use crate::seal::StateKey;
use crate::server::{ServerSpec, StartMode, TokenChange};
use crate::transport::{Party, Unsolicited};

/// Replacements at once.
const REPLACE_AT_ONCE: usize = 4;

/// What the pool tells the rest of the engine, and asks it. What returns no future answers at once.
pub(crate) trait Observer: Send + Sync {
    /// An instance did not start; what it had written by then.
    fn failed(&self, key: &crate::runtime::InstanceKey, output: Vec<LogLine>, error: &Error);
    /// An instance can be called, for the first time.
    fn ready(&self, handle: &Arc<Handle>);
    /// It said something that belongs to no call; `party` is the caller whose conversation it came by.
    fn unsolicited(&self, handle: &Arc<Handle>, party: Option<Party>, message: Unsolicited);
    /// Its token ends soon, and it is used: another one is wanted.
    fn token_ends(&self, handle: &Arc<Handle>);
    /// Whether something besides calls keeps it awake.
    fn holds(&self, handle: &Handle) -> bool;
    /// A line about it, or of it, for its log.
    fn note(&self, handle: &crate::runtime::InstanceKey, source: LogSource, text: &str);
    /// What such an instance said of itself at its last handshake, where that is kept.
    fn kept<'a>(
        &'a self,
        key: &'a crate::runtime::InstanceKey,
    ) -> futures_util::future::BoxFuture<'a, Option<crate::transport::Hello>>;
    /// What an owner has for a server now.
    fn in_force<'a>(
        &'a self,
        server: &'a Arc<ServerSpec>,
        owner: &'a crate::credential::Owner,
    ) -> futures_util::future::BoxFuture<'a, crate::credential::InForce>;
    /// It is gone; its reason where it ended by itself.
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
    endings: Arc<end::Endings>,
    removals: removals::Removals,
    known: orphans::Known,
    /// Set once those that nobody has are minded.
    minding: AtomicBool,
    /// Instances whose conversation broke off.
    lost: rejoin::Lost,
    room: room::Room,
    /// Whether all callers are one person.
    single_principal: bool,
}

/// One server and its slots.
pub(crate) struct Server {
    pub(crate) spec: ArcSwap<Spec>,
    slots: slot::Slots,
}

/// A spec with its digest.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) server: Arc<ServerSpec>,
    pub(crate) digest: SpecDigest,
}

/// What becomes of an instance that is used no longer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// Nothing runs, all that a start needs is kept.
    Rest,
    /// Nothing is left.
    Remove,
    /// The orchestrator ends; what goes on without it goes on.
    Leave,
}

impl Spec {
    /// The digest of an instance that is started with this credential.
    fn digest_with(&self, credential: &Credential) -> SpecDigest {
        if self.server.token_change() == TokenChange::Replaces {
            return self.digest.of_generation(credential.generation);
        }
        self.digest.clone()
    }
}

impl Server {
    /// Why the last start of one of its instances failed, while that keeps the next one waiting.
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
            replacing: Semaphore::new(REPLACE_AT_ONCE),
            endings: Arc::default(),
            removals: removals::Removals::default(),
            known: orphans::Known::default(),
            minding: AtomicBool::new(false),
            lost: rejoin::Lost::default(),
            room: room::Room::default(),
            single_principal,
        })
    }

    /// Who is told; set once.
    pub(crate) fn observe(&self, observer: Weak<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.get().and_then(Weak::upgrade)
    }

    /// The backend that places instances.
    pub(crate) fn backend(&self) -> &Arc<dyn RuntimeBackend> {
        &self.backend
    }

    /// Tasks that end with the pool.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Ends when the pool closes.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// A server of the catalog.
    pub(crate) fn server(&self, id: &ServerId) -> Option<Arc<Server>> {
        self.servers.load().get(id).cloned()
    }

    /// All servers.
    pub(crate) fn servers(&self) -> Arc<HashMap<ServerId, Arc<Server>>> {
        self.servers.load_full()
    }

    /// The catalog from now on. Instances whose spec is equal are not touched; running ones of a changed spec are
    /// replaced, those of a server that is gone end.
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
        // Before the first catalog nobody knows what is wanted.
        if !self.minding.swap(true, Ordering::AcqRel) {
            self.tasks.spawn(Arc::clone(self).mind_orphans());
        }
    }

    /// Starts what is to run from the beginning.
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

    /// A running instance for this server, credential and scope: joined, or started once for all who wait.
    ///
    /// # Cancel safety
    /// Dropping the future ends nothing: the start goes on for others, and for the next.
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

    /// The running instance, where there is one; nothing is started.
    pub(crate) fn running(
        &self,
        id: &ServerId,
        credential: &Credential,
        scope: &Scope,
    ) -> Option<Lease> {
        self.server(id)?.slots.find(credential, scope)?.lease()
    }

    /// Why what is to take the place of this instance does not start.
    pub(crate) fn failure_of(&self, handle: &Handle) -> Option<Arc<Error>> {
        let server = self.server(handle.key.server())?;
        let slot = server.slots.find(&handle.credential, handle.key.scope())?;
        slot.last_failure()
    }

    /// Every running instance.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        let servers = self.servers.load();
        servers
            .values()
            .flat_map(|server| server.slots.all())
            .filter_map(|slot| slot.current())
            .collect()
    }

    /// Returns when no instance is in use.
    pub(crate) async fn quiet(&self) {
        loop {
            let handles = self.handles();
            let Some(used) = handles.iter().find(|handle| handle.in_use() > 0) else {
                return;
            };
            used.unused().await;
        }
    }

    /// Ends the instances of a session that is over.
    pub(crate) fn end_scope(self: &Arc<Self>, scope: &Scope) {
        for server in self.servers.load().values() {
            for slot in server.slots.take_scope(scope) {
                self.retire(slot, Duration::ZERO);
            }
        }
    }

    /// Ends everything: waits for calls in flight up to `grace`, then lets go of what ran before, and ends what was
    /// started here so.
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
                // Whoever listens to it until it is gone shall not wait for the slot.
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
