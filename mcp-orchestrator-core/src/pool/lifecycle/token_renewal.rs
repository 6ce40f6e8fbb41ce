//! Handles tokens that expire while an instance holds them: renews them in time if the instance is in use, and stops it
//! otherwise.
//!
//! A token in a header or a file can be replaced in a running instance. A token in the environment cannot: an instance
//! with the new token is started beside the old one, new calls go there, and the old one finishes its calls.

use std::sync::Arc;

use crate::credential::Credential;
use crate::error::Result;
use crate::pool::handle::{Handle, Lease};
use crate::pool::slot::Slot;
use crate::pool::{Ending, Pool, Server};
use crate::runtime::Progress;
use crate::server::TokenChange;

/// What to do about the token of an instance.
pub(crate) enum Due {
    Nothing,
    /// The instance was not called since the token was set: stop it. The next start gets a new token.
    Rest,
}

impl Pool {
    /// Checks the token of a running instance and requests a new one in time, if the instance was called.
    pub(crate) fn see_to_token(&self, handle: &Arc<Handle>) -> Due {
        let server = &handle.spec.server;
        let waits = handle.token.due_in().is_none_or(|left| !left.is_zero());
        if waits || server.token_change() == TokenChange::Reaches {
            return Due::Nothing;
        }
        let observer = self.observer();
        let held = observer.as_ref().is_some_and(|it| it.holds(handle));
        if !held && !handle.token.was_used(handle.served()) && handle.close_if_idle() {
            tracing::info!(server = %server.id, instance = %handle.key, "stopping the instance: its token expires, and it was not called since the token was renewed");
            return Due::Rest;
        }
        handle.token.asked();
        if let Some(observer) = observer {
            observer.token_ends(handle);
        }
        Due::Nothing
    }

    /// Returns an instance with at least this generation of its credential: this instance once it has received the
    /// credential, or another one if it cannot receive it. While the token of this instance is valid, no caller waits
    /// for the other instance.
    pub(crate) async fn renewed(
        self: &Arc<Self>,
        lease: Lease,
        credential: &Arc<Credential>,
        progress: &Progress,
    ) -> Result<Lease> {
        if lease.spec.server.token_change() != TokenChange::Replaces {
            self.refreshed(&lease, credential).await?;
            return Ok(lease);
        }
        let Some(server) = self.server(lease.key.server()) else {
            return Ok(lease);
        };
        let scope = lease.key.scope().clone();
        if !lease.token.is_over() {
            let slot = server.slots.get(credential, &scope);
            self.succeed_in(&server, slot, credential);
            return Ok(lease);
        }
        drop(lease);
        loop {
            let slot = server.slots.get(credential, &scope);
            if let Some(lease) = slot.lease().filter(|lease| !lease.is_behind(credential)) {
                return Ok(lease);
            }
            self.started(&server, &slot, credential, progress).await?;
        }
    }

    /// Starts an instance with the newer token in this slot, beside the running one.
    pub(crate) fn succeed_in(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: Arc<Slot>,
        credential: &Arc<Credential>,
    ) {
        if slot.is_starting() || !slot.current().is_some_and(|old| old.is_behind(credential)) {
            return;
        }
        let (pool, server) = (Arc::clone(self), Arc::clone(server));
        let credential = Arc::clone(credential);
        self.tasks.spawn(async move {
            let Ok(_turn) = pool.replacing.acquire().await else {
                return;
            };
            // Another task may have done it in the meantime. Stopped instances stay stopped.
            let old = slot.current();
            let Some(old) = old.filter(|old| old.is_behind(&credential)) else {
                return;
            };
            if !old.token.was_used(old.served()) && old.close_if_idle() {
                pool.rest(&server, &slot, &old).await;
                return;
            }
            let progress = Progress::unheard();
            let started = pool.started(&server, &slot, &credential, &progress);
            if let Err(error) = started.await {
                tracing::warn!(instance = ?slot, %error, "an instance with the newer token did not start; the previous one stays in use until its token expires");
            }
        });
    }

    /// Returns how an idle instance is stopped. An instance with an expiring token in its environment is removed,
    /// because it is never started again unchanged.
    pub(crate) fn at_rest(handle: &Handle) -> Ending {
        let server = &handle.spec.server;
        if server.token_change() == TokenChange::Replaces && handle.token.ends() {
            Ending::Remove
        } else {
            Ending::Rest
        }
    }
}
