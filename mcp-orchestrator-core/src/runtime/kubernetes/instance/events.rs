//! Kubernetes Events about instances, attached to their Deployments: what `kubectl describe` and `kubectl events`
//! show.
//!
//! Events are written in the background. Nothing waits for them, events that do not fit into the queue are dropped,
//! and an orchestrator that lacks the right to write them works without them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::time::Instant;

use super::event_queue::{EventReason, QueuedEvent, QueuedEvents};
use crate::kubernetes::client::rejection::is_rbac_denial;
use crate::kubernetes::names::{MANAGER, component_labels};
use crate::limits::MAX_REMEMBERED_EVENTS;
use crate::runtime::InstanceKey;
use crate::runtime::kubernetes::shared::Shared;

/// How long an identical warning is not written again.
const REPEAT_INTERVAL: Duration = Duration::from_mins(10);
/// The maximum length of an Event's note that the API accepts, in bytes.
const MAX_NOTE_LEN: usize = 1024;

impl Shared {
    /// Queues an event about an instance. The note must not contain a secret: anyone with the right to read Events
    /// can see it.
    pub(crate) fn event(&self, key: &InstanceKey, happened: EventReason, note: impl Into<String>) {
        let deployment = self.store.view(key.name()).deployment;
        let queued = QueuedEvent {
            name: key.name().to_owned(),
            uid: deployment.map(|deployment| deployment.uid.clone()),
            happened,
            note: note.into(),
        };
        if self.events.0.try_send(queued).is_err() {
            tracing::debug!(instance = %key, ?happened, "an event was dropped: too many wait");
        }
    }

    /// Writes queued events until the backend is closed.
    pub(crate) fn write_events(self: &Arc<Self>, mut queue: QueuedEvents) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut written: HashMap<(String, EventReason, String), Instant> = HashMap::new();
            loop {
                let queued = tokio::select! {
                    queued = queue.0.recv() => queued,
                    () = shared.closing.cancelled() => return,
                };
                let Some(queued) = queued else { return };
                written.retain(|_, at| at.elapsed() < REPEAT_INTERVAL);
                let place = (queued.name.clone(), queued.happened, queued.note.clone());
                let repeats = queued.happened.fields()[1] == "Warning";
                if !shared.writer.is_held() || repeats && written.contains_key(&place) {
                    continue;
                }
                match shared.write_event(&queued).await {
                    Ok(()) if repeats && written.len() < MAX_REMEMBERED_EVENTS => {
                        written.insert(place, Instant::now());
                    }
                    Ok(()) => {}
                    Err(error) if is_rbac_denial(&error) => {
                        tracing::info!(
                            "no Kubernetes Events are written: the Role does not allow it"
                        );
                        return;
                    }
                    Err(error) => tracing::debug!(%error, "a Kubernetes Event was not written"),
                }
            }
        });
    }

    async fn write_event(&self, queued: &QueuedEvent) -> Result<(), kube::Error> {
        let namespace = self.access.namespace();
        let [reason, kind, action] = queued.happened.fields();
        let mut note = queued.note.as_str();
        if note.len() > MAX_NOTE_LEN {
            note = &note[..note.floor_char_boundary(MAX_NOTE_LEN)];
        }
        let orchestrator = &self.options.orchestrator;
        let event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "generateName": format!("{}-", queued.name),
                "namespace": namespace,
                "labels": component_labels(orchestrator, "event"),
            },
            "eventTime": MicroTime(Timestamp::now()),
            "type": kind,
            "reason": reason,
            "action": action,
            "note": note,
            "reportingController": format!("mcp-orchestrator.dev/{MANAGER}"),
            "reportingInstance": orchestrator,
            "regarding": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": namespace,
                "name": queued.name,
                "uid": queued.uid,
            },
        });
        let event: Event = serde_json::from_value(event).map_err(kube::Error::SerdeError)?;
        let events: Api<Event> = Api::namespaced(self.access.client().clone(), namespace);
        events
            .create(&PostParams::default(), &event)
            .await
            .map(drop)
    }
}
