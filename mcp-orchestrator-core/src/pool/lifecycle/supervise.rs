//! The lifecycle of an instance: start, supervision, stop, replacement, end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::token_renewal::Due;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::handle::Handle;
use crate::pool::slot::{Slot, Started, Turn};
use crate::pool::{Ending, Pool, Server};
use crate::runtime::{InstanceKey, LogSource, Progress, Scope};
use crate::server::StartMode;

/// Number of consecutive failures after which an eager server is only started by the next call.
const BUDGET: u32 = 8;
/// Maximum backoff that a caller waits for; with a longer one it fails at once.
const MAX_AWAITED_BACKOFF: Duration = Duration::from_secs(2);
/// Minimum interval between idle checks of an instance.
const MIN_IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Pool {
    /// Waits until the slot has an instance, and starts one if no start is in progress. The caller must look up the
    /// slot again: meanwhile it may have left the table, or its instance may have ended.
    pub(crate) async fn started(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: &Arc<Slot>,
        credential: &Arc<Credential>,
        progress: &Progress,
    ) -> Result<()> {
        if self.closing.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the orchestrator is shutting down",
            ));
        }
        let turn = {
            let _door = self.room_for(slot)?;
            slot.turn()
        };
        let (mut result, mut words) = match turn {
            Turn::Wait(result, words) => (result, words),
            Turn::Left => return Ok(()),
            Turn::Later(wait, _) if wait <= MAX_AWAITED_BACKOFF => {
                tokio::time::sleep(wait).await;
                return Ok(());
            }
            Turn::Later(wait, last) => return Err(last.duplicate().with_retry_after(wait)),
            Turn::Start(sender, shared) => {
                let (result, words) = (sender.subscribe(), shared.subscribe());
                let start = Arc::clone(self).start_slot(
                    Arc::clone(server),
                    Arc::clone(slot),
                    Arc::clone(credential),
                    shared,
                    sender,
                );
                self.tasks.spawn(start);
                (result, words)
            }
        };
        let gone = || Error::new(ErrorKind::Internal, "a start ended without a result");
        // Every waiting caller receives the progress of the one start.
        let telling = async {
            loop {
                progress.report(&words.borrow_and_update().clone());
                if words.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = result.wait_for(Option::is_some) => outcome.map_err(|_| gone())?,
            () = telling => return Err(gone()),
        };
        match &*outcome {
            Some(Err(error)) => Err(error.duplicate()),
            _ => Ok(()),
        }
    }

    async fn start_slot(
        self: Arc<Self>,
        server: Arc<Server>,
        slot: Arc<Slot>,
        credential: Arc<Credential>,
        progress: Progress,
        result: watch::Sender<Started>,
    ) {
        let outcome = {
            // Held until the instance is adopted, so that a concurrent `retire` finds it.
            let _life = slot.life.lock().await;
            self.let_go(&slot).await;
            let started = self.start_in(&server, &slot, credential, &progress).await;
            started.inspect(|handle| {
                slot.ended(None);
                self.adopt(&server, &slot, Arc::clone(handle));
            })
        };
        let outcome = match outcome {
            Ok(handle) => {
                if handle.spec.digest != server.spec.load().digest {
                    // The spec changed during the start.
                    self.replace_all(&server);
                }
                Ok(())
            }
            Err(error) => {
                let error = Arc::new(error);
                let server = error.server().map(tracing::field::display);
                // During an outage, starts keep failing for the same reason; warn only once.
                if slot.ended(Some(Arc::clone(&error))) {
                    tracing::warn!(server, %error, "cannot start an instance");
                } else {
                    tracing::debug!(server, %error, "cannot start an instance");
                }
                Err(error)
            }
        };
        result.send_replace(Some(outcome));
    }

    async fn start_in(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: &Slot,
        credential: Arc<Credential>,
        progress: &Progress,
    ) -> Result<Arc<Handle>> {
        let spec = server.spec.load_full();
        if slot.is_retired() {
            let text = format!("server {} is used here no longer", spec.server.id);
            return Err(Error::new(ErrorKind::Unavailable, text).with_server(&spec.server.id));
        }
        self.start(&spec, slot, credential, progress).await
    }

    /// Directs new calls to a started instance. The previous instance of the slot finishes its calls and is removed.
    fn adopt(self: &Arc<Self>, server: &Arc<Server>, slot: &Arc<Slot>, handle: Arc<Handle>) {
        if let Some(before) = slot.set(Arc::clone(&handle)) {
            let drain = handle.spec.server.limits.drain_timeout;
            let pool = Arc::clone(self);
            self.tasks
                .spawn(async move { pool.end(before, drain, Ending::Remove).await });
        }
        if let Some(observer) = self.observer() {
            observer.ready(&handle);
        }
        let watching = Arc::clone(self).supervise(Arc::clone(server), Arc::clone(slot), handle);
        self.tasks.spawn(watching);
    }

    /// Supervises an instance until it ends.
    async fn supervise(self: Arc<Self>, server: Arc<Server>, slot: Arc<Slot>, handle: Arc<Handle>) {
        let exited = handle.exited.clone();
        tokio::pin!(exited);
        let exit = loop {
            let look = self.next_look(&server, &handle);
            tokio::select! {
                exit = &mut exited => break exit,
                () = self.closing.cancelled() => return,
                () = tokio::time::sleep(look) => {}
            }
            handle.link.sweep();
            if let Due::Rest = self.see_to_token(&handle) {
                return self.rest(&server, &slot, &handle).await;
            }
            let limits = &server.spec.load().server.limits;
            let idle = limits
                .idle_timeout
                .is_some_and(|limit| handle.idle_for() >= limit);
            let held = self
                .observer()
                .is_some_and(|observer| observer.holds(&handle));
            let eager = server.spec.load().server.start == StartMode::Eager;
            if idle && !held && !eager && handle.close_if_idle() {
                tracing::info!(server = %handle.key.server(), instance = %handle.key, "stopping the instance: idle");
                return self.rest(&server, &slot, &handle).await;
            }
            if !slot
                .current()
                .is_some_and(|current| Arc::ptr_eq(&current, &handle))
            {
                // Replaced or retired: the task that did so ends the instance.
                return;
            }
        };
        self.exited(&server, &slot, &handle, exit).await;
    }

    fn next_look(&self, server: &Server, handle: &Handle) -> Duration {
        let limit = server.spec.load().server.limits.idle_timeout;
        let idle = limit.map_or(Duration::from_mins(1), |limit| {
            limit.saturating_sub(handle.idle_for())
        });
        let token = handle.token.due_in().unwrap_or(Duration::from_mins(1));
        idle.min(token)
            .clamp(MIN_IDLE_CHECK_INTERVAL, Duration::from_mins(1))
    }

    /// Handles an instance that exited without being stopped.
    async fn exited(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: &Arc<Slot>,
        handle: &Arc<Handle>,
        exit: crate::runtime::Exit,
    ) {
        if !self.left(slot, handle, &exit) {
            // Stopped or replaced, which is not a failure: the task that did so cleans up.
            return;
        }
        {
            let _life = slot.life.lock().await;
            // Another task may have started the instance again in the meantime.
            if slot.current().is_none() {
                self.clean_up(handle).await;
            }
        }
        if server.spec.load().server.start == StartMode::Eager {
            self.again(server, slot, &handle.credential).await;
        }
    }

    /// Restarts an eager server, within its budget of failures.
    async fn again(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: &Arc<Slot>,
        credential: &Arc<Credential>,
    ) {
        while slot.failures() < BUDGET && !self.closing.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(slot.wait()) => {}
                () = self.closing.cancelled() => return,
            }
            if self
                .started(server, slot, credential, &Progress::unheard())
                .await
                .is_ok()
            {
                return;
            }
        }
        tracing::error!(slot = ?slot, "an eager server fails again and again; it is started at the next call");
    }

    pub(crate) async fn rest(&self, server: &Server, slot: &Arc<Slot>, handle: &Arc<Handle>) {
        let _life = slot.life.lock().await;
        slot.clear(handle);
        handle.link.close();
        let grace = handle.spec.server.limits.stop_grace;
        let rested = match Self::at_rest(handle) {
            Ending::Remove => self.backend.remove(&handle.key, grace).await,
            Ending::Rest | Ending::Leave => self.backend.stop(&handle.key, grace).await,
        };
        if let Err(error) = rested {
            tracing::warn!(instance = %handle.key, %error, "an instance could not be stopped");
        }
        if let Some(observer) = self.observer() {
            observer.gone(&handle.key, None);
        }
        if slot.scope != Scope::Shared {
            server.slots.take_unused(slot);
        }
    }

    /// Ends the instance of a slot that was already taken out of the table.
    pub(crate) fn retire(self: &Arc<Self>, slot: Arc<Slot>, drain: Duration) {
        let pool = Arc::clone(self);
        slot.retire();
        let ending = slot.current().map(|handle| self.endings.begin(&handle.key));
        self.tasks.spawn(async move {
            let life = slot.life.lock().await;
            if let Some(handle) = slot.current() {
                slot.clear(&handle);
                pool.end(handle, drain, Ending::Remove).await;
            }
            drop((life, ending));
            pool.removals.changed();
        });
    }

    /// Ends all instances of a server that is no longer configured.
    pub(crate) fn retire_all(self: &Arc<Self>, server: &Server) {
        let drain = server.spec.load().server.limits.drain_timeout;
        for slot in server.slots.take_all() {
            self.retire(slot, drain);
        }
    }

    /// Replaces the running instances of a server after its spec changed, a few at a time. Stopped instances stay
    /// stopped.
    pub(crate) fn replace_all(self: &Arc<Self>, server: &Arc<Server>) {
        for slot in server.slots.all() {
            slot.forgive();
            let Some(before) = slot.current() else {
                continue;
            };
            let (pool, server) = (Arc::clone(self), Arc::clone(server));
            self.tasks.spawn(async move {
                let Ok(_turn) = pool.replacing.acquire().await else {
                    return;
                };
                pool.replace(&server, &slot, &before).await;
            });
        }
    }

    async fn replace(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: &Arc<Slot>,
        before: &Arc<Handle>,
    ) {
        let _life = slot.life.lock().await;
        let spec = server.spec.load_full();
        let current = slot.current();
        if !current.is_some_and(|current| Arc::ptr_eq(&current, before))
            || before.spec.digest == spec.digest
        {
            return;
        }
        let progress = Progress::unheard();
        match self
            .start(&spec, slot, Arc::clone(&before.credential), &progress)
            .await
        {
            Ok(handle) => self.adopt(server, slot, handle),
            Err(error) => {
                let text = format!(
                    "the changed server did not become ready, the old instance goes on: {error}"
                );
                tracing::error!(server = %spec.server.id, %error, "a changed server did not become ready; the old instance goes on");
                if let Some(observer) = self.observer() {
                    observer.note(&before.key, LogSource::Orchestrator, &text);
                }
                slot.not_replaced(Arc::new(error));
            }
        }
    }

    /// Stops the running instances of a server; with `again`, restarts them.
    pub(crate) async fn stop_server(
        self: &Arc<Self>,
        server: &Arc<Server>,
        again: bool,
    ) -> Vec<InstanceKey> {
        let mut stopped = Vec::new();
        for slot in server.slots.all() {
            slot.forgive();
            let Some(handle) = slot.current() else {
                continue;
            };
            let drain = server.spec.load().server.limits.stop_grace;
            {
                let _life = slot.life.lock().await;
                slot.clear(&handle);
                self.end(Arc::clone(&handle), drain, Ending::Rest).await;
            }
            stopped.push(handle.key.clone());
            if again
                && let Err(error) = self
                    .started(server, &slot, &handle.credential, &Progress::unheard())
                    .await
            {
                tracing::warn!(%error, "an instance did not start again");
            }
        }
        stopped
    }
}
