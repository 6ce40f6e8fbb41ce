//! The remote instances and their status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;
use http::HeaderMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::credential::{Credential, Generation};
use crate::error::Result;
use crate::runtime::{
    Exit, HeaderCell, InstanceEvent, InstanceKey, InstanceStatus, LaunchSpec, Phase,
    StatusBroadcast,
};
use crate::server::ServerSpec;

/// All instances of the backend. Statuses are set while the map is locked, so watchers see the changes in order.
#[derive(Debug)]
pub(super) struct Instances {
    by_key: Mutex<HashMap<InstanceKey, Known>>,
    statuses: Arc<StatusBroadcast>,
}

#[derive(Debug)]
struct Known {
    status: InstanceStatus,
    /// Set while the instance runs; dropped with the credential when it is stopped.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    server: Arc<ServerSpec>,
    headers: HeaderCell,
    generation: Generation,
    /// Receives the reason when the instance ends, and is then dropped.
    exit: watch::Sender<Option<Exit>>,
}

/// The result of a start.
pub(super) struct Started {
    pub(super) headers: HeaderCell,
    pub(super) fresh: bool,
    pub(super) exited: BoxFuture<'static, Exit>,
}

impl Default for Instances {
    fn default() -> Self {
        Self {
            by_key: Mutex::default(),
            statuses: StatusBroadcast::new(),
        }
    }
}

impl Instances {
    /// Starts an instance, or adopts a running one.
    pub(super) fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        headers: HeaderMap,
        place: String,
    ) -> Started {
        let mut map = self.map();
        if let Some(running) = map.get_mut(key).and_then(|known| known.running.as_mut()) {
            running.renew(launch.credential.generation, headers);
            return running.started(false);
        }
        let running = Running {
            server: Arc::clone(&launch.server),
            headers: HeaderCell::new(headers),
            generation: launch.credential.generation,
            exit: watch::Sender::new(None),
        };
        let started = running.started(true);
        let status = InstanceStatus {
            key: key.clone(),
            phase: Phase::Running,
            reason: None,
            since: SystemTime::now(),
            place: vec![("host", place)],
        };
        self.statuses.set(status.clone());
        let known = Known {
            status,
            running: Some(running),
        };
        map.insert(key.clone(), known);
        started
    }

    /// Stops an instance.
    pub(super) fn rest(&self, key: &InstanceKey) {
        let mut map = self.map();
        let Some(known) = map.get_mut(key) else {
            return;
        };
        if let Some(running) = known.running.take() {
            running.end("stopped");
            known.status.phase = Phase::Resting;
            known.status.since = SystemTime::now();
            self.statuses.set(known.status.clone());
        }
    }

    /// Removes an instance.
    pub(super) fn remove(&self, key: &InstanceKey) {
        let mut map = self.map();
        let Some(known) = map.remove(key) else {
            return;
        };
        if let Some(running) = known.running {
            running.end("removed");
        }
        self.statuses.forget(key);
    }

    /// Replaces the headers of a running instance.
    pub(super) fn refresh(
        &self,
        key: &InstanceKey,
        credential: &Credential,
        render: impl FnOnce(&ServerSpec) -> Result<HeaderMap>,
    ) -> Result<()> {
        let mut map = self.map();
        if let Some(running) = map.get_mut(key).and_then(|known| known.running.as_mut()) {
            let headers = render(&running.server)?;
            running.renew(credential.generation, headers);
        }
        Ok(())
    }

    /// Returns a future that resolves when the instance ends; `None` if it is unknown.
    pub(super) fn exited(&self, key: &InstanceKey) -> Option<BoxFuture<'static, Exit>> {
        let map = self.map();
        let known = map.get(key)?;
        Some(known.running.as_ref().map_or_else(
            || std::future::ready(Exit::default()).boxed(),
            |running| exited(running.exit.subscribe()),
        ))
    }

    pub(super) fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        self.statuses.watch()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<InstanceKey, Known>> {
        self.by_key.lock()
    }
}

impl Running {
    /// Applies the headers of a generation, unless a newer one is already in use.
    fn renew(&mut self, generation: Generation, headers: HeaderMap) {
        if generation >= self.generation {
            self.generation = generation;
            self.headers.set(headers);
        }
    }

    fn started(&self, fresh: bool) -> Started {
        Started {
            headers: self.headers.clone(),
            fresh,
            exited: exited(self.exit.subscribe()),
        }
    }

    fn end(self, reason: &str) {
        // This credential must not be sent any more.
        self.headers.set(HeaderMap::new());
        self.exit.send_replace(Some(Exit {
            reason: reason.to_owned(),
            ..Exit::default()
        }));
    }
}

fn exited(mut exit: watch::Receiver<Option<Exit>>) -> BoxFuture<'static, Exit> {
    let wait = async move {
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            Err(_) => Exit {
                reason: "its backend has ended".to_owned(),
                ..Exit::default()
            },
        }
    };
    wait.boxed()
}
