//! Instances that nobody here has: from before a restart, or at rest when their spec was changed.
//!
//! One that no server of the catalog can come back to is removed. One that can be joined runs on, and goes to rest when
//! nobody has come for it as long as an idle one may run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Pool;
use super::slot::Slot;
use crate::runtime::{InstanceEvent, InstanceKey, Phase, Scope};
use crate::server::TokenChange;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// What nobody has wanted for so long is removed.
const SETTLE: Duration = Duration::from_secs(30);
/// For one that is ended, between being asked and being ended.
const GRACE: Duration = Duration::from_secs(3);

/// An instance that the backend knows.
struct Found {
    phase: Phase,
    /// Since when nobody here has it.
    since: Instant,
}

impl Pool {
    /// Minds what nobody has, until the pool closes.
    pub(super) async fn mind_orphans(self: Arc<Self>) {
        let mut events = self.backend.watch();
        let mut found: HashMap<InstanceKey, Found> = HashMap::new();
        let mut synced = false;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.closing.cancelled() => return,
                event = events.next() => match event {
                    None => return,
                    Some(Ok(InstanceEvent::Is(status))) => {
                        let known = found.entry(status.key).or_insert(Found {
                            phase: status.phase,
                            since: Instant::now(),
                        });
                        known.phase = status.phase;
                    }
                    Some(Ok(InstanceEvent::Gone(key))) => drop(found.remove(&key)),
                    Some(Ok(InstanceEvent::Synced)) => synced = true,
                    Some(Err(_)) => {}
                },
                _ = looks.tick(), if synced => {
                    tokio::select! {
                        () = self.closing.cancelled() => return,
                        () = self.look_for_orphans(&mut found) => {}
                    }
                }
            }
        }
    }

    async fn look_for_orphans(&self, found: &mut HashMap<InstanceKey, Found>) {
        for handle in self.handles() {
            if let Some(known) = found.get_mut(&handle.key) {
                known.since = Instant::now();
            }
        }
        for (key, known) in found {
            if self.endings.contains(key) {
                known.since = Instant::now();
            }
            let alone = known.since.elapsed();
            let Some(idle) = self.idle_limit(key) else {
                if alone >= SETTLE {
                    self.remove_orphan(key).await;
                    known.since = Instant::now();
                }
                continue;
            };
            let runs = matches!(known.phase, Phase::Running | Phase::Starting);
            if runs && idle.is_some_and(|limit| alone >= limit) {
                self.rest_orphan(key).await;
                known.since = Instant::now();
            }
        }
    }

    /// How long nobody may come for it before it goes to rest; `None` where nobody can come for it any more.
    fn idle_limit(&self, key: &InstanceKey) -> Option<Option<Duration>> {
        let server = self.server(key.server())?;
        let spec = server.spec.load();
        let of_session = matches!(key.scope(), Scope::Session(_));
        if !key.spec().is_of(&spec.digest) || (of_session && self.slot_of(key).is_none()) {
            return None;
        }
        Some(spec.server.limits.idle_timeout)
    }

    fn slot_of(&self, key: &InstanceKey) -> Option<Arc<Slot>> {
        let slots = self.server(key.server())?.slots.all();
        slots.into_iter().find(|slot| {
            slot.owner == *key.owner()
                && slot.revision == *key.revision()
                && slot.scope == *key.scope()
        })
    }

    async fn remove_orphan(&self, key: &InstanceKey) {
        tracing::info!(server = %key.server(), instance = %key, "removing an instance that nobody can come back to");
        if let Err(error) = self.backend.remove(key, GRACE).await {
            tracing::warn!(instance = %key, %error, "an instance that nobody wants was not removed");
        }
    }

    async fn rest_orphan(&self, key: &InstanceKey) {
        let slot = self.slot_of(key);
        let _life = match &slot {
            Some(slot) => Some(slot.life.lock().await),
            None => None,
        };
        if slot.as_ref().is_some_and(|slot| slot.current().is_some()) {
            return;
        }
        tracing::info!(server = %key.server(), instance = %key, "instance goes to rest: nobody has come for it");
        let of_token = self.server(key.server()).is_some_and(|server| {
            // Its token is another one by the next call, and it is never joined again.
            let spec = server.spec.load();
            spec.server.oauth.is_some() && spec.server.token_change() == TokenChange::Replaces
        });
        if of_token {
            return self.remove_orphan(key).await;
        }
        if let Err(error) = self.backend.stop(key, GRACE).await {
            tracing::warn!(instance = %key, %error, "an instance did not go to rest");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{Credential, Owner, Revision};
    use crate::id::ServerId;
    use crate::runtime::{Exit, LaunchSpec, MemoryBackend, Progress, RuntimeBackend, SpecDigest};
    use crate::seal::StateKey;
    use crate::server::ServerSpec;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_can_come_back_to_is_removed_and_the_rest_goes_to_rest() {
        let backend: Arc<dyn RuntimeBackend> =
            Arc::new(MemoryBackend::new(|_, _, pipe| async move {
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
                InstanceEvent::Is(status)
                    if status.phase == Phase::Resting && status.key == wanted =>
                {
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
}
