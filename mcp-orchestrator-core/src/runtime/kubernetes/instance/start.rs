//! Starts an instance and connects to it: creates it if it is absent, scales it up if it is stopped, adopts it if it
//! runs.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::accepting::accepts;
use super::apply::Applied;
use super::event_queue::EventReason;
use super::tracked::{PodLog, TrackedInstance};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::kubernetes::io::attach::attach;
use crate::runtime::kubernetes::io::logs::tail;
use crate::runtime::kubernetes::io::port_forward::connect_to;
use crate::runtime::kubernetes::names::{CONTAINER, FAILURE};
use crate::runtime::kubernetes::observe::diagnose;
use crate::runtime::kubernetes::observe::objects::ObservedPod;
use crate::runtime::kubernetes::observe::status::{Failure, InstanceState, OPENING, state_of};
use crate::runtime::kubernetes::observe::store::View;
use crate::runtime::kubernetes::render::port_of;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::{Endpoint, Instance, InstanceKey, LaunchSpec, Progress};
use crate::server::{Injection, Launch, ProgramTransport, ServerSpec};

/// Maximum number of attempts if another client keeps stopping the instance.
const MAX_ATTEMPTS: usize = 4;
/// How long to wait for news of a program's end.
const END_NOTICE_TIMEOUT: Duration = Duration::from_secs(3);

impl Shared {
    /// Starts the instance and returns how to reach it.
    pub(crate) async fn start(
        self: &Arc<Self>,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        // Until a write of ours starts it, an instance of this key that runs was running before.
        progress.set_ran_before(true);
        self.wait_for_cluster(progress).await;
        let tracked = self.tracked.of(key);
        let mut stops = tracked.stops.subscribe();
        stops.borrow_and_update();
        let _lifecycle = tracked.lifecycle.lock().await;
        tokio::select! {
            started = self.start_locked(&tracked, launch, progress) => started,
            _ = stops.changed() => {
                let text = format!("server {} was stopped while it started", key.server());
                Err(self.about(key, Error::new(ErrorKind::Unavailable, text)))
            }
        }
    }

    async fn start_locked(
        self: &Arc<Self>,
        tracked: &Arc<TrackedInstance>,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        let key = &tracked.key;
        self.book.hide(key, launch);
        tracked
            .headers
            .set(headers(&launch.server, &launch.credential)?);
        for _ in 0..MAX_ATTEMPTS {
            let applied = self.apply(tracked, launch, progress).await;
            let applied = applied.map_err(|error| self.cannot_start(key, error))?;
            if applied == Applied::Started {
                tracked.reset();
                self.book.begin(key);
            }
            tracked.set_launch(launch);
            let Some(pod) = self.ready(tracked, launch, applied, progress).await? else {
                continue;
            };
            match self.hand_out(tracked, launch, &pod).await {
                Err(error) if error.kind() != ErrorKind::Conflict => {
                    // The program may have just ended, which makes a better error.
                    if self.runs_on(key, &pod).await {
                        return Err(error);
                    }
                    if applied == Applied::Started {
                        let failed = self.ready(tracked, launch, applied, progress).await;
                        failed?;
                    }
                }
                Ok(instance) => {
                    if applied == Applied::Started {
                        self.event(
                            key,
                            EventReason::Started,
                            format!("pod {} takes calls", pod.name),
                        );
                    }
                    return Ok(instance);
                }
                Err(taken) => return Err(taken),
            }
        }
        let text = format!("instance {key} is stopped by another client as soon as it starts");
        Err(self.about(key, Error::new(ErrorKind::Conflict, text)))
    }

    /// Returns `true` if the program of this pod is still running after waiting a moment for news of its end.
    async fn runs_on(&self, key: &InstanceKey, pod: &ObservedPod) -> bool {
        let mut changes = self.store.subscribe(key.name());
        let ended = async {
            loop {
                changes.borrow_and_update();
                let view = self.store.view(key.name());
                let now = view.pods.iter().find(|now| now.uid == pod.uid);
                if !now.is_some_and(|now| {
                    now.container.running && now.container.id == pod.container.id
                }) {
                    return;
                }
                // Never fails: the store holds the sender.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(END_NOTICE_TIMEOUT, ended)
            .await
            .is_err()
    }

    /// Waits until the instance accepts connections; returns `None` if it is no longer running.
    async fn ready(
        self: &Arc<Self>,
        tracked: &TrackedInstance,
        launch: &LaunchSpec,
        applied: Applied,
        progress: &Progress,
    ) -> Result<Option<Arc<ObservedPod>>> {
        let mut changes = self.store.subscribe(tracked.key.name());
        loop {
            changes.borrow_and_update();
            let view = self.store.view(tracked.key.name());
            if applied == Applied::Started
                && let Some(failure) = first_crash(&view)
            {
                return Err(self.fail_start(tracked, &failure).await);
            }
            match state_of(&view) {
                InstanceState::Ready(pod) => return Ok(Some(pod)),
                InstanceState::Waiting(reason) => progress.report(&reason),
                InstanceState::Opening(pod) => {
                    progress.report(OPENING);
                    tokio::select! {
                        () = accepts(&self.access, launch, &pod) => return Ok(Some(pod)),
                        // Never fails: the store holds the sender.
                        _ = changes.changed() => continue,
                    }
                }
                InstanceState::Failed(failure) => {
                    return Err(self.fail_start(tracked, &failure).await);
                }
                InstanceState::Absent | InstanceState::Stopped(_) | InstanceState::Stopping => {
                    return Ok(None);
                }
            }
            // Never fails: the store holds the sender.
            let _ = changes.changed().await;
        }
    }

    /// Scales a failed instance to zero and returns the error with the reason.
    async fn fail_start(&self, tracked: &TrackedInstance, failure: &Failure) -> Error {
        let key = &tracked.key;
        let mut text = format!("server {} cannot start: {}", key.server(), failure.reason);
        if let Some(pod) = &failure.crashed {
            let log = if pod.container.ended.is_some() {
                PodLog::Current
            } else {
                PodLog::Previous
            };
            let lines = self.keep_log(key, &pod.name, log).await;
            let last = tail(&lines);
            if !last.is_empty() {
                text = format!("{text}; last output: {}", last.join("\n"));
            }
        }
        self.event(key, EventReason::CannotStart, failure.reason.clone());
        let annotations = json!({ FAILURE: failure.reason });
        if let Err(error) = self.scale(key, 0, &annotations).await {
            tracing::warn!(instance = %key, %error, "what cannot start was not stopped");
        }
        self.about(key, Error::new(ErrorKind::StartFailed, text))
    }

    /// Returns the error of a request to the cluster that a start needs. It names the server, because callers see it.
    fn cannot_start(&self, key: &InstanceKey, error: Error) -> Error {
        let prefix = format_args!("server {} cannot start: ", key.server());
        self.about(key, error.with_prefix(prefix))
    }

    async fn hand_out(
        self: &Arc<Self>,
        tracked: &Arc<TrackedInstance>,
        launch: &LaunchSpec,
        pod: &Arc<ObservedPod>,
    ) -> Result<Instance> {
        let key = &tracked.key;
        let container = pod.container.id.clone().unwrap_or_default();
        let endpoint = match port_of(&launch.server) {
            Some(port) => self.http(tracked, launch, pod, port)?,
            None => {
                let holder = tracked
                    .acquire_connection(&container)
                    .await
                    .ok_or_else(|| {
                        let text = format!("instance {key} has a connection already");
                        self.about(key, Error::new(ErrorKind::Conflict, text))
                    })?;
                let attached = attach(&self.access, &pod.name, CONTAINER).await;
                let (reader, writer) = attached.map_err(|error| self.cannot_start(key, error))?;
                Endpoint::exclusive(reader, writer, holder)
            }
        };
        // A program that started before this process may have had a connection to the previous one.
        let fresh = tracked.record_hand_out(&container) && !self.store.ran_before(&container);
        let exited = tracked.exited(pod);
        // The program may have ended before the exit future existed.
        self.reconcile(key.name());
        Ok(Instance {
            endpoint,
            fresh,
            exited,
        })
    }

    fn http(
        &self,
        tracked: &TrackedInstance,
        launch: &LaunchSpec,
        pod: &ObservedPod,
        port: u16,
    ) -> Result<Endpoint> {
        let key = &tracked.key;
        let path = match &launch.server.launch {
            Launch::Program(program) => match &program.transport {
                ProgramTransport::Http { path, .. } => path.as_str(),
                ProgramTransport::Stdio => "",
            },
            Launch::Remote(_) => "",
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        // Servers that validate the `Host` header accept this name.
        let uri = format!("http://localhost:{port}{slash}{path}").parse();
        let uri = uri.map_err(|_| {
            let text = format!(
                "the path {path:?} of server {} makes no valid address",
                key.server()
            );
            self.about(key, Error::new(ErrorKind::StartFailed, text))
        })?;
        let address = pod.address.as_deref().unwrap_or_default();
        Ok(Endpoint::Http {
            uri,
            connect: connect_to(&self.access, &pod.name, address, port),
            headers: tracked.headers.clone(),
        })
    }
}

/// Returns the failure of a program that this start launched and that has ended once: another run would end the same
/// way.
fn first_crash(view: &View) -> Option<Failure> {
    let wanted = view.deployment.as_ref().is_some_and(|it| it.replicas != 0);
    let mut pods = view
        .pods
        .iter()
        .filter(|pod| wanted && !pod.deleting && !pod.terminated);
    pods.find_map(|pod| {
        let end = pod
            .container
            .before
            .as_ref()
            .or(pod.container.ended.as_ref())?;
        Some(Failure {
            reason: diagnose::ended(end),
            crashed: Some(Arc::clone(pod)),
        })
    })
}

/// Returns the credential headers of a server.
pub(crate) fn headers(server: &ServerSpec, credential: &Credential) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for slot in &server.slots {
        let Injection::Header { name, prefix } = &slot.inject else {
            continue;
        };
        let Some(value) = credential.values.get(&slot.name) else {
            continue;
        };
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = HeaderValue::from_str(&format!("{prefix}{}", value.expose_secret()));
        let (Some(parsed), Ok(mut value)) = (parsed, value) else {
            let text = format!(
                "slot `{}`: `{name}` and its value make no valid header",
                slot.name
            );
            return Err(Error::new(ErrorKind::StartFailed, text).with_server(&server.id));
        };
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    Ok(headers)
}
