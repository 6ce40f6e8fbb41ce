//! One Lease, one holder: only it attaches, creates, scales and sweeps under an orchestrator's name.
//!
//! Two gateways by mistake, or an upgrade that overlaps, harm nothing: the second one waits and says so. Who comes back
//! under the same identity takes over at once. A holder that cannot renew serves what runs and writes nothing until it
//! can again.

mod look;
mod turn;

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

pub use self::look::holder;
use self::turn::{EVERY, Record, TERM, Turn, Turns};
use super::access::Access;
use super::errors::{Action, is_conflict};
use super::owner::Owner;
use crate::error::{Error, ErrorKind, Result};

const GROUP: &str = "coordination.k8s.io";

/// Which Lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// The Lease: the orchestrator's name.
    pub name: String,
    /// Who asks; see [`identity`].
    pub identity: String,
    /// Labels of the Lease.
    pub labels: BTreeMap<String, String>,
    /// The object that it goes with. It is looked at when the Lease has vanished.
    pub owner: Option<Owner>,
}

/// Who holds the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody has asked yet, or the cluster has not answered; why, where that is known.
    Unknown(Option<String>),
    /// This process.
    Ours,
    /// Somebody else, by this identity.
    Theirs(String),
    /// It was ours and could not be renewed in time, for this reason: nothing is written until it can be.
    Unsure(String),
}

impl Held {
    /// Whether this process may write.
    pub fn is_ours(&self) -> bool {
        *self == Self::Ours
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(None) => f.write_str("the lease was not read yet"),
            Self::Unknown(Some(why)) => write!(f, "the lease cannot be read: {why}"),
            Self::Ours => f.write_str("held by this process"),
            Self::Theirs(holder) => write!(f, "held by {holder}; this process waits for it"),
            Self::Unsure(why) => write!(f, "cannot be renewed, so nothing is written: {why}"),
        }
    }
}

/// Asks for the Lease, and renews it as long as this lives. Dropping it ends that at once; the Lease then runs out.
pub struct Holder {
    held: watch::Receiver<Held>,
    acts: watch::Receiver<bool>,
    ending: CancellationToken,
    tasks: JoinSet<()>,
}

impl Holder {
    /// Begins to ask. It needs a tokio runtime.
    pub fn start(access: &Access, options: LeaseOptions) -> Self {
        let (held_sender, held) = watch::channel(Held::Unknown(None));
        let (acts_sender, acts) = watch::channel(false);
        let ending = CancellationToken::new();
        let keeper = Keeper {
            leases: Api::namespaced(access.client().clone(), access.namespace()),
            namespace: access.namespace().to_owned(),
            turns: Turns::new(&options.identity),
            options,
            last: None,
            held: held_sender,
            acts: acts_sender,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run(ending.clone()));
        Self {
            held,
            acts,
            ending,
            tasks,
        }
    }

    /// Who holds it, now and from now on.
    pub fn held(&self) -> watch::Receiver<Held> {
        self.held.clone()
    }

    /// Whether this process may write, now and from now on.
    pub fn acts(&self) -> watch::Receiver<bool> {
        self.acts.clone()
    }

    /// Ends the asking; a Lease that is ours is given up, so that the next process need not wait for its end.
    pub async fn release(mut self) {
        self.ending.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder")
            .field("held", &*self.held.borrow())
            .finish_non_exhaustive()
    }
}

/// Who this process is: the pod that it runs in, else the host and the state directory, which one process has at a time.
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

/// The task behind a [`Holder`].
struct Keeper {
    leases: Api<Lease>,
    namespace: String,
    options: LeaseOptions,
    turns: Turns,
    /// The Lease as it was last seen or written.
    last: Option<Lease>,
    held: watch::Sender<Held>,
    acts: watch::Sender<bool>,
}

impl Keeper {
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
        self.give_up().await;
    }

    /// Asks or renews once; answers when to come again.
    async fn step(&mut self) -> Duration {
        let trial = tokio::time::timeout(EVERY, self.turn()).await;
        let late = || Error::new(ErrorKind::TimedOut, "the cluster did not answer in time");
        let wait = match trial.unwrap_or_else(|_| Err(late())) {
            Ok(wait) => wait,
            Err(error) => {
                // What was seen may be old by now.
                self.last = None;
                self.turns.failed(error.to_string());
                EVERY / 5
            }
        };
        self.tell();
        jittered(wait)
    }

    async fn turn(&mut self) -> Result<Duration> {
        if self.last.is_none() {
            let action = self.action("get");
            let found = self.leases.get_opt(&self.options.name).await;
            self.last = found.map_err(|error| action.error(error))?;
            self.turns.saw(self.last.as_ref().map(Record::of));
        }
        match self.turns.next(Instant::now()) {
            Turn::Wait(wait) => {
                self.last = None;
                Ok(wait)
            }
            Turn::Write => {
                self.see_to_owner().await?;
                self.write(Some(self.options.identity.clone())).await
            }
        }
    }

    /// A Lease that goes with its owner vanishes with it, or is left without it: then the owner is made anew.
    async fn see_to_owner(&self) -> Result<()> {
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
            // A wrong owner keeps nobody from acting: it is told by its own trouble.
            Err(error) if error.kind() != ErrorKind::Unavailable => {
                tracing::debug!(%error, "the owner of all instances");
                Ok(())
            }
            seen => seen.map(drop),
        }
    }

    /// Writes the Lease as ours; somebody who was faster is seen at the next turn.
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
                self.turns.wrote(Record::of(&lease), began);
                let before = self.last.replace(lease);
                self.check_recreated(before).await?;
                Ok(EVERY)
            }
            Err(error) if is_conflict(&error) => {
                self.last = None;
                Ok(Duration::ZERO)
            }
            Err(error) => Err(self.action(verb).error(error)),
        }
    }

    /// Reads the owner again where an update has made the Lease anew: an API server creates a Lease that is absent, so a
    /// Lease that the cluster has collected with its owner shows by its uid alone.
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
                lease_duration_seconds: i32::try_from(TERM.as_secs()).ok(),
                lease_transitions: Some(changes),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Leaves the Lease to the next one, where it is ours.
    async fn give_up(&mut self) {
        let ours = self.turns.held(Instant::now()).is_ours() && self.last.is_some();
        self.acts.send_replace(false);
        if ours && let Ok(Err(error)) = tokio::time::timeout(EVERY, self.write(None)).await {
            tracing::warn!(lease = self.options.name, %error, "the lease was not given up; the next process waits for its end");
        }
        self.held.send_replace(Held::Unknown(None));
    }

    fn action(&self, verb: &'static str) -> Action<'_> {
        Action::new(verb, "leases", &self.namespace)
            .of(GROUP)
            .on(&self.options.name)
    }

    fn tell(&self) {
        let held = self.turns.held(Instant::now());
        self.acts.send_if_modified(|acts| {
            let before = std::mem::replace(acts, held.is_ours());
            before != *acts
        });
        self.held.send_if_modified(|known| {
            if *known == held {
                return false;
            }
            // A reason that changes is no news.
            let news = std::mem::discriminant(known) != std::mem::discriminant(&held);
            let lease = &self.options.name;
            match (&held, news) {
                (Held::Ours, true) => tracing::info!(lease, "this process holds the lease"),
                (Held::Theirs(holder), _) => {
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

/// A little earlier or later, so that many do not ask at once.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness nobody is harmed.
    let _ = getrandom::fill(&mut byte);
    wait.mul_f32(0.85 + f32::from(byte[0]) / 255.0 * 0.3)
}
