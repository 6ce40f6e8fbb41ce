use std::sync::atomic::AtomicUsize;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::*;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{Handle, Observer};
use crate::runtime::{
    Description, Exit, Instance, LaunchSpec, LogLine, LogOptions, LogSource, MemoryBackend,
    Progress, RuntimeBackend, SpecDigest,
};
use crate::seal::StateKey;
use crate::server::ServerSpec;
use crate::transport::{Hello, Party, Unsolicited};

#[tokio::test(start_paused = true)]
async fn instances_with_an_outdated_spec_are_removed_and_the_others_go_idle() {
    let backend: Arc<dyn RuntimeBackend> = Arc::new(MemoryBackend::new(|_, _, pipe| async move {
        let (mut reader, mut writer) = tokio::io::split(pipe);
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        Exit::status(0)
    }));
    let state_key = Arc::new(StateKey::new([1; 32]));
    let server = ServerSpec::command(ServerId::new("a").unwrap(), "a", [""; 0]);
    let server = Arc::new(server);
    let key = |spec: SpecDigest| {
        let (owner, revision) = (Owner::Organization, Revision::none());
        InstanceKey::new(server.id.clone(), owner, revision, Scope::Shared, spec)
    };
    let wanted = key(SpecDigest::new(&server.digest(&state_key)));
    let unwanted = key(SpecDigest::from_text("00"));
    let launch = LaunchSpec {
        server: Arc::clone(&server),
        credential: Arc::new(Credential::none()),
    };
    let mut running = Vec::new();
    for key in [&wanted, &unwanted] {
        let started = backend.start(key, &launch, &Progress::unheard()).await;
        running.push(started.unwrap());
    }
    let pool = Pool::new(Arc::clone(&backend), state_key, false);
    let mut watch = backend.watch();
    let began = Instant::now();
    pool.apply([server]);
    let (mut rests, mut gone) = (None, None);
    while rests.is_none() || gone.is_none() {
        match watch.next().await.unwrap().unwrap() {
            InstanceEvent::Is(status) if status.phase == Phase::Resting && status.key == wanted => {
                rests = Some(began.elapsed());
            }
            InstanceEvent::Gone(key) => {
                assert_eq!(key, unwanted);
                gone = Some(began.elapsed());
            }
            _ => {}
        }
    }
    assert!(gone.unwrap() < Duration::from_mins(2));
    assert!(rests.unwrap() >= Duration::from_mins(30));
    pool.shutdown(Duration::ZERO, crate::pool::Ending::Leave)
        .await;
}

/// A backend with removals that fail on demand, and a record of what was removed.
#[derive(Debug)]
struct Flaky {
    inner: MemoryBackend,
    fails: AtomicBool,
    tries: AtomicUsize,
}

#[async_trait::async_trait]
impl RuntimeBackend for Flaky {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        self.inner.start(key, launch, progress).await
    }

    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.inner.stop(key, grace).await
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            let text = "the cluster does not answer";
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        self.inner.remove(key, grace).await
    }

    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()> {
        self.inner.refresh(key, credential).await
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        self.inner.watch()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.inner.logs(key, options).await
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        self.inner.describe(key).await
    }

    /// Running instances continue after a detach.
    async fn leave(&self, _: &InstanceKey, _: Duration) -> Result<()> {
        Ok(())
    }
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("flaky")
    }
}

/// Provides the credentials of owners.
struct Store(Mutex<InForce>);

impl Observer for Store {
    fn ready(&self, _: &Arc<Handle>) {}
    fn unsolicited(&self, _: &Arc<Handle>, _: Option<Party>, _: Unsolicited) {}
    fn token_ends(&self, _: &Arc<Handle>) {}
    fn holds(&self, _: &Handle) -> bool {
        false
    }
    fn note(&self, _: &InstanceKey, _: LogSource, _: &str) {}
    fn failed(&self, _: &InstanceKey, _: Vec<LogLine>, _: &Error) {}
    fn kept<'a>(&'a self, _: &'a InstanceKey) -> BoxFuture<'a, Option<Hello>> {
        async { None }.boxed()
    }
    fn in_force<'a>(&'a self, _: &'a Arc<ServerSpec>, _: &'a Owner) -> BoxFuture<'a, InForce> {
        let now = self.0.lock().clone();
        async { now }.boxed()
    }
    fn gone(&self, _: &InstanceKey, _: Option<&str>) {}
}

fn ann() -> Owner {
    Owner::User(crate::id::PrincipalId::new("ann").unwrap())
}

/// A pool with running instances of these revisions from before it was created, and the owner's current credential.
struct World {
    pool: Arc<Pool>,
    backend: Arc<Flaky>,
    store: Arc<Store>,
    server: Arc<ServerSpec>,
    _running: Vec<Instance>,
}

impl World {
    async fn of(revisions: &[&str], now: InForce) -> Self {
        let inner = MemoryBackend::new(|_, _, pipe| async move {
            let (mut reader, mut writer) = tokio::io::split(pipe);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            Exit::status(0)
        });
        let backend = Arc::new(Flaky {
            inner,
            fails: AtomicBool::new(false),
            tries: AtomicUsize::new(0),
        });
        let state_key = Arc::new(StateKey::new([1; 32]));
        let mut server = ServerSpec::command(ServerId::new("a").unwrap(), "a", [""; 0]);
        server.limits.idle_timeout = None;
        let server = Arc::new(server);
        let spec = SpecDigest::new(&server.digest(&state_key));
        let mut running = Vec::new();
        for revision in revisions {
            let mut credential = Credential::none();
            (credential.owner, credential.revision) = (ann(), Revision::new(revision));
            let (id, scope) = (server.id.clone(), Scope::Shared);
            let key = InstanceKey::new(id, ann(), Revision::new(revision), scope, spec.clone());
            let launch = LaunchSpec {
                server: Arc::clone(&server),
                credential: Arc::new(credential),
            };
            let started = backend.start(&key, &launch, &Progress::unheard()).await;
            running.push(started.unwrap());
        }
        let store = Arc::new(Store(Mutex::new(now)));
        let pool = Pool::new(Arc::clone(&backend) as _, state_key, false);
        let observer: Arc<dyn Observer> = Arc::clone(&store) as _;
        pool.observe(Arc::downgrade(&observer));
        pool.apply([Arc::clone(&server)]);
        Self {
            pool,
            backend,
            store,
            server,
            _running: running,
        }
    }

    /// Returns the revisions of the instances that still exist after this time.
    async fn left(&self, after: Duration) -> Vec<String> {
        tokio::time::sleep(after).await;
        let mut left = Vec::new();
        let mut events = self.backend.watch();
        while let Some(Ok(event)) = events.next().await {
            match event {
                InstanceEvent::Is(status) => left.push(status.key.revision().to_string()),
                InstanceEvent::Gone(_) => {}
                InstanceEvent::Synced => break,
            }
        }
        left.sort();
        left
    }

    fn change(&self, now: Option<&str>) {
        let now = now.map(|revision| {
            let mut credential = Credential::none();
            (credential.owner, credential.revision) = (ann(), Revision::new(revision));
            Arc::new(credential)
        });
        self.pool.credential_changed(&CredentialChange {
            server: self.server.id.clone(),
            owner: ann(),
            now,
        });
    }
}

const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn instances_of_an_uninstalled_credential_are_removed_after_a_restart() {
    let world = World::of(&["1", "2"], InForce::Revision(Revision::new("2"))).await;
    assert_eq!(world.left(SOON).await, ["2"], "the other one runs on");
    *world.store.0.lock() = InForce::Nothing;
    assert!(
        world.left(CHECK_INTERVAL * 2).await.is_empty(),
        "also where no change was told"
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_credential_state_removes_no_instances() {
    let world = World::of(&["1", "2"], InForce::Unknown).await;
    assert_eq!(world.left(Duration::from_hours(1)).await, ["1", "2"]);
    // A change that was reported counts even then.
    world.change(Some("2"));
    assert_eq!(world.left(SOON).await, ["2"]);
    world.change(None);
    assert!(world.left(SOON).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn credential_rotated_twice_leaves_one_instance() {
    let world = World::of(&["1", "2", "3"], InForce::Unknown).await;
    world.left(SOON).await;
    for revision in ["2", "3"] {
        world.change(Some(revision));
    }
    assert_eq!(world.left(SOON).await, ["3"]);
    // Rotated and rotated back before the next check.
    world.change(Some("4"));
    world.change(Some("3"));
    assert_eq!(world.left(SOON).await, ["3"]);
}

#[tokio::test(start_paused = true)]
async fn failed_removal_is_reported_and_retried_until_it_succeeds() {
    let world = World::of(&["1"], InForce::Nothing).await;
    world.backend.fails.store(true, Ordering::SeqCst);
    let removed = world
        .pool
        .removed(&world.server.id, &ann(), SOON * 10)
        .await;
    assert_eq!(removed.0.len(), 1, "it is not told that nothing is left");
    assert_eq!(world.left(Duration::from_mins(10)).await, ["1"]);
    let tries = world.backend.tries.load(Ordering::SeqCst);
    assert!((5..40).contains(&tries), "{tries} tries in ten minutes");
    let pending = world.pool.pending_removals();
    assert!(
        pending[0]
            .error
            .as_ref()
            .unwrap()
            .contains("does not answer")
    );
    world.backend.fails.store(false, Ordering::SeqCst);
    let limit = Duration::from_mins(5);
    let (left, seen) = world.pool.removed(&world.server.id, &ann(), limit).await;
    assert!(left.is_empty() && seen);
    assert!(world.left(SOON).await.is_empty());
    assert!(world.pool.pending_removals().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failed_removal_is_abandoned_once_the_credential_is_valid_again() {
    let world = World::of(&["1"], InForce::Nothing).await;
    world.backend.fails.store(true, Ordering::SeqCst);
    world.left(Duration::from_mins(1)).await;
    *world.store.0.lock() = InForce::Revision(Revision::new("1"));
    world.backend.fails.store(false, Ordering::SeqCst);
    assert_eq!(world.left(Duration::from_mins(10)).await, ["1"]);
    assert!(world.pool.pending_removals().is_empty());
}
