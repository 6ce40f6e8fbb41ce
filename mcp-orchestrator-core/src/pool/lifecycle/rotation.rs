//! Handles the instances of a rotated or removed credential.

use std::sync::Arc;
use std::time::Duration;

use crate::credential::{Credential, CredentialChange};
use crate::error::Result;
use crate::id::ServerId;
use crate::pool::handle::Lease;
use crate::pool::slot::Slot;
use crate::pool::{Pool, Server};
use crate::runtime::Progress;
use crate::server::TokenChange;

impl Pool {
    /// Handles a rotated or removed credential. After a removal, every instance ends at once. After a rotation, running
    /// instances are replaced, a few at a time: the new instance starts and the old one finishes its calls. Stopped
    /// instances are not started.
    pub(crate) fn credential_changed(self: &Arc<Self>, change: &CredentialChange) {
        let Some(server) = self.server(&change.server) else {
            return;
        };
        let current = change.now.as_ref().map(|credential| &credential.revision);
        self.note_change(change);
        for slot in server.slots.take_others(&change.owner, current) {
            match &change.now {
                None => self.retire(slot, Duration::ZERO),
                Some(now) => {
                    let (pool, server, now) =
                        (Arc::clone(self), Arc::clone(&server), Arc::clone(now));
                    // Protects the instance until its end begins, so that it can finish its calls.
                    let ending = slot.current().map(|handle| self.endings.begin(&handle.key));
                    self.tasks.spawn(async move {
                        pool.succeed(server, slot, now).await;
                        drop(ending);
                    });
                }
            }
        }
        if let Some(now) = &change.now {
            self.refresh_all(&server, now);
        }
    }

    /// Ends the instances that run with exactly this revision.
    pub(crate) fn drop_revision(self: &Arc<Self>, id: &ServerId, credential: &Credential) {
        let Some(server) = self.server(id) else {
            return;
        };
        for slot in server
            .slots
            .take_revision(&credential.owner, &credential.revision)
        {
            self.retire(slot, Duration::ZERO);
        }
    }

    /// Starts the successor of a running instance, then lets the old one finish. The old instance ends even if the
    /// successor fails to start: calls then fail with the reason, and are never served with a revoked credential.
    async fn succeed(self: Arc<Self>, server: Arc<Server>, old: Arc<Slot>, now: Arc<Credential>) {
        if old.current().is_some()
            && let Ok(_turn) = self.replacing.acquire().await
        {
            let scope = old.scope.clone();
            let id = server.spec.load().server.id.clone();
            let started = self.acquire(&id, &now, scope, &Progress::unheard()).await;
            if let Err(error) = started {
                tracing::warn!(server = %id, %error, "an instance with the rotated credential did not start");
            }
        }
        let drain = server.spec.load().server.limits.drain_timeout;
        self.retire(old, drain);
    }

    /// Passes a newer generation to every instance that runs with this credential. Instances that cannot receive it are
    /// replaced if they were called since they got their token.
    fn refresh_all(self: &Arc<Self>, server: &Arc<Server>, now: &Arc<Credential>) {
        let replaces = server.spec.load().server.token_change() == TokenChange::Replaces;
        for slot in server.slots.all() {
            if slot.owner != now.owner || slot.revision != now.revision {
                continue;
            }
            if replaces {
                self.succeed_in(server, slot, now);
                continue;
            }
            let Some(lease) = slot.lease() else { continue };
            let (pool, now) = (Arc::clone(self), Arc::clone(now));
            self.tasks.spawn(async move {
                if let Err(error) = pool.refreshed(&lease, &now).await {
                    tracing::warn!(instance = %lease.key, %error, "a newer token did not reach an instance");
                }
            });
        }
    }

    /// Ensures that an instance has at least this generation of its credential.
    pub(crate) async fn refreshed(&self, lease: &Lease, credential: &Credential) -> Result<()> {
        if lease.generation() >= credential.generation {
            return Ok(());
        }
        // One at a time, so that an older generation never follows a newer one.
        let _turn = lease.refreshing.lock().await;
        if lease.generation() >= credential.generation {
            return Ok(());
        }
        self.backend.refresh(&lease.key, credential).await?;
        lease.has(credential);
        Ok(())
    }
}
