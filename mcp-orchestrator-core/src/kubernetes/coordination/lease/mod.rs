//! One Lease with one holder: only the holder attaches, creates, scales and garbage-collects under an orchestrator's
//! name.
//!
//! A second gateway, started by mistake or during an overlapping upgrade, does no harm: it waits and says so. A
//! process that returns with the same identity takes over at once. A holder that cannot renew the Lease keeps serving
//! running instances and writes nothing until it can renew again.

mod election;
mod holder;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::election::{Election, LEASE_DURATION, RENEW_INTERVAL, Record, Step};
pub use self::holder::lease_holder;
pub use self::state::LeaseStatus;
use super::owner::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::access::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::is_conflict;

const GROUP: &str = "coordination.k8s.io";

/// The Lease and the identity of the candidate.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// The name of the Lease, which is the orchestrator's name.
    pub name: String,
    /// The identity of this process; see [`identity`].
    pub identity: String,
    /// The labels of the Lease.
    pub labels: BTreeMap<String, String>,
    /// The owner of the Lease. It is checked when the Lease has vanished.
    pub owner: Option<Owner>,
}

/// Acquires the Lease and renews it while this value exists. Dropping it stops the renewal at once; the Lease then
/// expires.
pub struct LeaderElector {
    held: watch::Receiver<LeaseStatus>,
    acts: watch::Receiver<bool>,
    ending: CancellationToken,
    tasks: JoinSet<()>,
}

impl LeaderElector {
    /// Begins to acquire the Lease. Must be called in a tokio runtime.
    pub fn start(access: &Access, options: LeaseOptions) -> Self {
        let (held_sender, held) = watch::channel(LeaseStatus::Unknown(None));
        let (acts_sender, acts) = watch::channel(false);
        let ending = CancellationToken::new();
        let task = LeaseTask {
            leases: Api::namespaced(access.client().clone(), access.namespace()),
            namespace: access.namespace().to_owned(),
            election: Election::new(&options.identity),
            options,
            last: None,
            held: held_sender,
            acts: acts_sender,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run(ending.clone()));
        Self {
            held,
            acts,
            ending,
            tasks,
        }
    }

    /// Returns a receiver that reports who holds the Lease.
    pub fn held(&self) -> watch::Receiver<LeaseStatus> {
        self.held.clone()
    }

    /// Returns a receiver that reports whether this process may write.
    pub fn acts(&self) -> watch::Receiver<bool> {
        self.acts.clone()
    }

    /// Stops renewing and releases the Lease if this process holds it, so that the next process need not wait until
    /// it expires.
    pub async fn release(mut self) {
        self.ending.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl fmt::Debug for LeaderElector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderElector")
            .field("held", &*self.held.borrow())
            .finish_non_exhaustive()
    }
}

/// Returns the identity of this process: the pod's name inside the cluster, else the host name and the state
/// directory, which only one process uses at a time.
pub fn identity(inside: bool, state: Option<&Path>) -> String {
    let host = || {
        let named = std::env::var("HOSTNAME")
            .ok()
            .filter(|name| !name.is_empty());
        named.or_else(|| {
            let name = std::fs::read_to_string("/etc/hostname").ok()?;
            Some(name.trim().to_owned()).filter(|name| !name.is_empty())
        })
    };
    let pod = std::env::var("POD_NAME")
        .ok()
        .filter(|name| !name.is_empty());
    let name = if inside { pod.or_else(host) } else { host() };
    let name = name.unwrap_or_else(|| "unknown".to_owned());
    match state {
        Some(state) if !inside => format!("{name}:{}", state.display()),
        _ => name,
    }
}

/// The task behind a [`LeaderElector`].
struct LeaseTask {
    leases: Api<Lease>,
    namespace: String,
    options: LeaseOptions,
    election: Election,
    /// The Lease as it was last read or written.
    last: Option<Lease>,
    held: watch::Sender<LeaseStatus>,
    acts: watch::Sender<bool>,
}

impl LeaseTask {
    async fn run(mut self, ending: CancellationToken) {
        loop {
            let wait = tokio::select! {
                wait = self.step() => wait,
                () = ending.cancelled() => break,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ending.cancelled() => break,
            }
        }
        self.release_lease().await;
    }

    /// Reads or writes the Lease once; returns the delay until the next step.
    async fn step(&mut self) -> Duration {
        let trial = tokio::time::timeout(RENEW_INTERVAL, self.read_and_write()).await;
        let late = || Error::new(ErrorKind::TimedOut, "the cluster did not answer in time");
        let wait = match trial.unwrap_or_else(|_| Err(late())) {
            Ok(wait) => wait,
            Err(error) => {
                // The state that was read may be outdated.
                self.last = None;
                self.election.record_failure(error.to_string());
                RENEW_INTERVAL / 5
            }
        };
        self.notify();
        jittered(wait)
    }

    async fn read_and_write(&mut self) -> Result<Duration> {
        if self.last.is_none() {
            let action = self.action("get");
            let found = self.leases.get_opt(&self.options.name).await;
            self.last = found.map_err(|error| action.error(error))?;
            self.election.observe(self.last.as_ref().map(Record::of));
        }
        match self.election.next(Instant::now()) {
            Step::Wait(wait) => {
                self.last = None;
                Ok(wait)
            }
            Step::Write => {
                self.ensure_owner().await?;
                self.write(Some(self.options.identity.clone())).await
            }
        }
    }

    /// Reads the owner again, or creates it, if the Lease has vanished with it or refers to another one.
    async fn ensure_owner(&self) -> Result<()> {
        let Some(owner) = &self.options.owner else {
            return Ok(());
        };
        let refers = self.last.as_ref().and_then(|lease| {
            let references = lease.metadata.owner_references.as_ref()?;
            references.first().map(|reference| reference.uid.clone())
        });
        if owner.trouble().is_none() && refers.is_some() && refers == owner.uid() {
            return Ok(());
        }
        match owner.refresh().await {
            // A problem with the owner does not prevent writes; the owner reports it as its own trouble.
            Err(error) if error.kind() != ErrorKind::Unavailable => {
                tracing::debug!(%error, "the owner of all instances");
                Ok(())
            }
            seen => seen.map(drop),
        }
    }

    /// Writes the Lease with this holder. If another process was faster, the next turn sees it.
    async fn write(&mut self, holder: Option<String>) -> Result<Duration> {
        let began = Instant::now();
        let lease = self.lease(holder);
        let create = PostParams::default();
        let (verb, written) = if self.last.is_none() {
            ("create", self.leases.create(&create, &lease).await)
        } else {
            let name = self.options.name.clone();
            ("update", self.leases.replace(&name, &create, &lease).await)
        };
        match written {
            Ok(lease) => {
                self.election.record_write(Record::of(&lease), began);
                let before = self.last.replace(lease);
                self.check_recreated(before).await?;
                Ok(RENEW_INTERVAL)
            }
            Err(error) if is_conflict(&error) => {
                self.last = None;
                Ok(Duration::ZERO)
            }
            Err(error) => Err(self.action(verb).error(error)),
        }
    }

    /// Reads the owner again if an update has created the Lease: an API server creates an absent Lease on update, so
    /// only a changed UID shows that the Lease was garbage-collected with its owner.
    async fn check_recreated(&self, before: Option<Lease>) -> Result<()> {
        let before = before.and_then(|lease| lease.metadata.uid);
        let now = self
            .last
            .as_ref()
            .and_then(|lease| lease.metadata.uid.as_ref());
        let recreated = before.is_some_and(|before| Some(&before) != now);
        match &self.options.owner {
            Some(owner) if recreated => match owner.refresh().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn lease(&self, holder: Option<String>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = self.last.as_ref();
        let spec = before.and_then(|lease| lease.spec.clone());
        let spec = spec.unwrap_or_default();
        let same = spec.holder_identity == holder;
        let changes = spec.lease_transitions.unwrap_or_default() + i32::from(!same);
        let mut metadata = ObjectMeta {
            name: Some(self.options.name.clone()),
            resource_version: before.and_then(|lease| lease.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        };
        metadata.labels = Some(self.options.labels.clone());
        let owner = self.options.owner.as_ref().and_then(Owner::last);
        metadata.owner_references = owner.map(|owner| vec![owner]);
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                acquire_time: Some(now.clone()).filter(|_| !same).or(spec.acquire_time),
                holder_identity: holder,
                lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
                lease_transitions: Some(changes),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Releases the Lease if this process holds it.
    async fn release_lease(&mut self) {
        let ours = self.election.held(Instant::now()).is_ours() && self.last.is_some();
        self.acts.send_replace(false);
        if ours && let Ok(Err(error)) = tokio::time::timeout(RENEW_INTERVAL, self.write(None)).await
        {
            tracing::warn!(lease = self.options.name, %error, "the lease was not given up; the next process waits for its end");
        }
        self.held.send_replace(LeaseStatus::Unknown(None));
    }

    fn action(&self, verb: &'static str) -> Action<'_> {
        Action::new(verb, "leases", &self.namespace)
            .of(GROUP)
            .on(&self.options.name)
    }

    fn notify(&self) {
        let held = self.election.held(Instant::now());
        self.acts.send_if_modified(|acts| {
            let before = std::mem::replace(acts, held.is_ours());
            before != *acts
        });
        self.held.send_if_modified(|known| {
            if *known == held {
                return false;
            }
            // A different reason alone is not logged again.
            let news = std::mem::discriminant(known) != std::mem::discriminant(&held);
            let lease = &self.options.name;
            match (&held, news) {
                (LeaseStatus::Ours, true) => tracing::info!(lease, "this process holds the lease"),
                (LeaseStatus::Theirs(holder), _) => {
                    tracing::warn!(
                        lease,
                        holder,
                        "another process holds the lease; waiting for it"
                    );
                }
                (_, true) => tracing::warn!(lease, %held, "the lease"),
                (_, false) => {}
            }
            *known = held;
            true
        });
    }
}

/// Adds jitter, so that many processes do not send requests at the same time.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the delay is merely fixed.
    let _ = getrandom::fill(&mut byte);
    wait.mul_f32(0.85 + f32::from(byte[0]) / 255.0 * 0.3)
}
