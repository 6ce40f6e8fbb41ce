//! The operator API. The control endpoint and the command line are thin layers on top of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::catalog::ListKey;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::orchestrator::credentials::changes::PendingRemoval;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::Handle;
use crate::runtime::{InstanceEvent, InstanceStatus, LogLine, LogOptions, Phase};
use crate::server::Launch;

/// Time that the backend gets to report its instances.
const BACKEND_REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// State of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Being started.
    Starting,
    /// Can be called.
    Running,
    /// Stopped. Starts at the next call.
    Resting,
    /// Failed to start, or ended.
    Failed,
}

/// Status of an instance, or of a server without one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InstanceInfo {
    /// The server.
    pub server: String,
    /// Public name of the instance; `None` if the server has none.
    pub instance: Option<String>,
    /// State of the instance.
    pub state: InstanceState,
    /// Owner of its credential.
    pub owner: String,
    /// Who may share it.
    pub scope: String,
    /// Seconds since it started.
    pub uptime_secs: Option<u64>,
    /// Calls in flight.
    pub calls: usize,
    /// Calls so far.
    pub served: u64,
    /// Number of tools that it lists, if known.
    pub tools: Option<usize>,
    /// Where it runs: `pid`, `pod`, `port`, `url`.
    pub place: Vec<(String, String)>,
    /// Explanation of the state, if any.
    pub reason: Option<String>,
}

/// Info of an instance from before this process that no call has reached yet.
fn unjoined(status: &InstanceStatus) -> InstanceInfo {
    let place = status.place.iter();
    InstanceInfo {
        server: status.key.server().to_string(),
        instance: Some(status.key.name().to_owned()),
        state: InstanceState::Running,
        owner: status.key.owner().to_string(),
        scope: status.key.scope().to_string(),
        uptime_secs: None,
        calls: 0,
        served: 0,
        tools: None,
        place: place
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        reason: Some("no call has come to it since this process began".to_owned()),
    }
}

impl From<PendingRemoval> for InstanceInfo {
    fn from(pending: PendingRemoval) -> Self {
        let why = pending.reason.unwrap_or_default();
        Self {
            server: pending.server,
            instance: Some(pending.instance),
            state: InstanceState::Failed,
            owner: pending.owner,
            scope: String::new(),
            uptime_secs: None,
            calls: 0,
            served: 0,
            tools: None,
            place: Vec::new(),
            reason: Some(format!("cannot be removed, and is tried again: {why}")),
        }
    }
}

impl Orchestrator {
    /// Returns every instance, and every server without one. Connects to nothing; see
    /// [`check_connections`](Self::check_connections).
    pub async fn instances(&self) -> Vec<InstanceInfo> {
        let inner = &self.inner;
        let placed = inner.placed().await;
        let mut all = Vec::new();
        let servers = inner.pool.servers();
        let mut ids: Vec<_> = servers.keys().cloned().collect();
        ids.sort();
        let handles = inner.pool.handles();
        for id in ids {
            let mut own: Vec<_> = handles
                .iter()
                .filter(|handle| *handle.key.server() == id)
                .collect();
            own.sort_by_key(|handle| handle.key.name().to_owned());
            if own.is_empty() {
                all.push(inner.without_instance(&id));
            }
            all.extend(own.into_iter().map(|handle| inner.info(handle, &placed)));
        }
        let held = |status: &InstanceStatus| handles.iter().any(|own| own.key == status.key);
        let alone = placed
            .iter()
            .filter(|status| status.phase == Phase::Running && !held(status))
            .filter(|status| inner.pool.is_unattended(&status.key));
        all.extend(alone.map(unjoined));
        for pending in self.pending_removals() {
            all.extend(pending.reason.is_some().then(|| pending.into()));
        }
        all
    }

    /// Restarts a server's running instances.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for an unknown server.
    pub async fn restart(&self, server: &ServerId) -> Result<Vec<String>> {
        self.inner.stop_server(server, true).await
    }

    /// Stops a server's instances. The next call starts them again.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for an unknown server.
    pub async fn stop(&self, server: &ServerId) -> Result<Vec<String>> {
        self.inner.stop_server(server, false).await
    }

    /// Returns the output of the named instance of a server; without a name, of the latest one, even if its start
    /// failed.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for an unknown server, an unknown instance, or if no instance has run.
    pub async fn logs(
        &self,
        server: &ServerId,
        instance: Option<&str>,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.inner.spec(server)?;
        let mut keys = self.inner.seen.of(server);
        if let Some(name) = instance {
            keys.retain(|key| key.name() == name);
            if keys.is_empty() {
                let text = format!("server {server} has no instance {name}");
                return Err(Error::new(ErrorKind::NoRoute, text).with_server(server));
            }
        }
        let key = keys.pop().ok_or_else(|| {
            Error::new(
                ErrorKind::NoRoute,
                format!("no instance of server {server} has run yet"),
            )
            .with_server(server)
        })?;
        match self.inner.pool.backend().logs(&key, options.clone()).await {
            // Of an instance that failed to start, only the output in the log book is left.
            Err(error) if error.kind() == ErrorKind::NoRoute => {
                self.inner.logs.read(&key, &options)
            }
            lines => lines,
        }
    }

    /// Returns the names of the configured servers, sorted.
    pub fn servers(&self) -> Vec<ServerId> {
        let mut ids: Vec<_> = self.inner.pool.servers().keys().cloned().collect();
        ids.sort();
        ids
    }
}

impl Inner {
    pub(crate) async fn placed(&self) -> Vec<InstanceStatus> {
        let mut events = self.pool.backend().watch();
        let mut found = Vec::new();
        let read = async {
            while let Some(Ok(event)) = events.next().await {
                match event {
                    InstanceEvent::Is(status) => found.push(status),
                    InstanceEvent::Gone(key) => found.retain(|status| status.key != key),
                    InstanceEvent::Synced => return,
                }
            }
        };
        if tokio::time::timeout(BACKEND_REPORT_TIMEOUT, read)
            .await
            .is_err()
        {
            tracing::warn!("the backend did not tell its instances in time");
        }
        found
    }

    fn info(&self, handle: &Arc<Handle>, placed: &[InstanceStatus]) -> InstanceInfo {
        let status = placed.iter().find(|status| status.key == handle.key);
        let mut place: Vec<(String, String)> = status.map_or_else(Vec::new, |status| {
            status
                .place
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect()
        });
        if let Launch::Remote(remote) = &handle.spec.server.launch
            && !place.iter().any(|(name, _)| name == "url")
        {
            place.push(("url".to_owned(), remote.origin()));
        }
        let kept = self.catalog.peek(&ListKey::from(&handle.key));
        let unreachable = handle.reach.failure();
        InstanceInfo {
            server: handle.key.server().to_string(),
            instance: Some(handle.key.name().to_owned()),
            state: match unreachable {
                Some(_) => InstanceState::Failed,
                None => InstanceState::Running,
            },
            owner: handle.key.owner().to_string(),
            scope: handle.key.scope().to_string(),
            uptime_secs: SystemTime::now()
                .duration_since(handle.since)
                .ok()
                .map(|time| time.as_secs()),
            calls: handle.in_use(),
            served: handle.served(),
            tools: kept.map(|kept| kept.items(crate::router::ItemKind::Tool).len()),
            place,
            reason: status
                .and_then(|status| status.reason.clone())
                .or_else(|| self.pool.failure_of(handle).map(|error| error.to_string()))
                .or(unreachable)
                .or_else(|| self.wanted_sign_in(handle.key.server()))
                .or_else(|| {
                    let failure = handle.list_failure.load_full()?;
                    Some(format!("cannot fetch its lists: {failure}"))
                }),
        }
    }

    fn without_instance(&self, id: &ServerId) -> InstanceInfo {
        let failure = self
            .pool
            .server(id)
            .and_then(|server| server.last_failure())
            .map(|error| error.to_string())
            .or_else(|| self.connection_checks.failure(&*self.spec(id).ok()?));
        let kept = self.catalog.peek(&ListKey::new(id, &self.no_credential));
        InstanceInfo {
            server: id.to_string(),
            instance: None,
            state: if failure.is_some() {
                InstanceState::Failed
            } else {
                InstanceState::Resting
            },
            owner: String::new(),
            scope: String::new(),
            uptime_secs: None,
            calls: 0,
            served: 0,
            tools: kept.map(|kept| kept.items(crate::router::ItemKind::Tool).len()),
            place: Vec::new(),
            reason: failure.or_else(|| self.wanted_sign_in(id)),
        }
    }

    async fn stop_server(self: &Arc<Self>, id: &ServerId, again: bool) -> Result<Vec<String>> {
        let server = self.pool.server(id).ok_or_else(|| {
            Error::new(ErrorKind::NoRoute, format!("server {id} is not configured")).with_server(id)
        })?;
        let stopped = self.pool.stop_server(&server, again).await;
        Ok(stopped.iter().map(|key| key.name().to_owned()).collect())
    }
}
