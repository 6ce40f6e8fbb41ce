//! All writes to the cluster: with one field manager, limited concurrency, and only while this process holds the
//! Lease.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::kind::Kind;
use super::observe::objects::ObservedDeployment;
use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::forbidden_retry::{Decision, ForbiddenRetry};
use crate::kubernetes::client::rejection::Rejection;

/// Maximum number of concurrent writes.
const MAX_CONCURRENT_WRITES: usize = 16;

/// Whether to take over fields that another client owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// Take over: the object is ours, and our fields become as we write them.
    Yes,
    /// Do not take over: the object is new, and it is an error if another client has written our fields.
    No,
}

/// Writes the orchestrator's objects.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    access: Access,
    manager: String,
    write_slots: Semaphore,
    /// Limits the tasks that hold rendered objects.
    render_slots: Semaphore,
    /// Whether this process holds the Lease; `None` if no Lease is used.
    held: Option<watch::Receiver<bool>>,
}

impl ObjectWriter {
    pub(crate) fn new(
        access: Access,
        manager: String,
        held: Option<watch::Receiver<bool>>,
    ) -> Self {
        Self {
            access,
            manager,
            write_slots: Semaphore::new(MAX_CONCURRENT_WRITES),
            render_slots: Semaphore::new(MAX_CONCURRENT_WRITES),
            held,
        }
    }

    /// Writes an object by server-side apply.
    pub(crate) async fn apply(
        &self,
        kind: Kind,
        object: &Value,
        force: Force,
    ) -> Result<DynamicObject> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let mut params = PatchParams::apply(&self.manager).validation_strict();
        params.force = force == Force::Yes;
        let (api, action) = (self.api(kind), self.action("patch", kind).on(name));
        let object = Patch::Apply(object);
        let applied = self.send(action, || api.patch(name, &params, &object));
        applied.await?.map_err(|rejection| match &rejection.error {
            kube::Error::Api(status) if status.code == 409 => taken(kind, name, &status.message),
            _ => action.error(rejection),
        })
    }

    /// Like [`apply`](Self::apply), but returns the facts of the resulting Deployment.
    pub(crate) async fn apply_deployment(
        &self,
        object: &Value,
        force: Force,
    ) -> Result<ObservedDeployment> {
        let applied = self.apply(Kind::Deployment, object, force).await?;
        self.facts(applied)
    }

    /// Sets the number of replicas and these annotations; returns `None` if the Deployment does not exist.
    pub(crate) async fn scale(
        &self,
        name: &str,
        replicas: u8,
        annotations: &Value,
    ) -> Result<Option<ObservedDeployment>> {
        let patch = json!({
            "metadata": { "annotations": annotations },
            "spec": { "replicas": replicas },
        });
        self.merge(name, &patch).await
    }

    /// Sets these annotations on a Deployment; returns `None` if it does not exist.
    pub(crate) async fn annotate(
        &self,
        name: &str,
        annotations: &Value,
    ) -> Result<Option<ObservedDeployment>> {
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.merge(name, &patch).await
    }

    /// Sets these labels on a Deployment; returns `None` if it does not exist.
    pub(crate) async fn label(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Option<ObservedDeployment>> {
        self.merge(name, &json!({ "metadata": { "labels": labels } }))
            .await
    }

    async fn merge(&self, name: &str, patch: &Value) -> Result<Option<ObservedDeployment>> {
        let params = PatchParams::apply(&self.manager);
        let action = self.action("patch", Kind::Deployment).on(name);
        let (api, patch) = (self.api(Kind::Deployment), Patch::Merge(patch));
        let merged = self.send(action, || api.patch(name, &params, &patch));
        match merged.await? {
            Ok(merged) => self.facts(merged).map(Some),
            Err(rejection) if rejection.is_absent() => Ok(None),
            Err(rejection) => Err(action.error(rejection)),
        }
    }

    /// Deletes an object; succeeds if it does not exist. With a UID, an object that has replaced the original is left
    /// alone.
    pub(crate) async fn delete(&self, kind: Kind, name: &str, uid: Option<&str>) -> Result<()> {
        let params = DeleteParams {
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        self.delete_by(kind, name, &params).await
    }

    /// Asks a pod to terminate and has it killed after this many seconds. The minimum is one second: with zero, the
    /// API server removes the pod while its containers may still run.
    pub(crate) async fn end_pod(&self, name: &str, uid: &str, seconds: u32) -> Result<()> {
        let params = DeleteParams {
            grace_period_seconds: Some(seconds.max(1)),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        self.delete_by(Kind::Pod, name, &params).await
    }

    async fn delete_by(&self, kind: Kind, name: &str, params: &DeleteParams) -> Result<()> {
        let (api, action) = (self.api(kind), self.action("delete", kind).on(name));
        match self.send(action, || api.delete(name, params)).await? {
            Ok(_) => Ok(()),
            Err(rejection) if rejection.is_absent() => Ok(()),
            // Another object has this name now.
            Err(rejection) if rejection.is_conflict() && params.preconditions.is_some() => Ok(()),
            Err(rejection) => Err(action.error(rejection)),
        }
    }

    /// Sends a request once this process may write and a slot is free. A retry of a temporary refusal waits for a
    /// slot again.
    async fn send<T, F>(
        &self,
        action: Action<'_>,
        request: impl Fn() -> F,
    ) -> Result<Result<T, Rejection>>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let mut retry = ForbiddenRetry::new(&self.access, action);
        loop {
            let response = {
                let _permit = self.write_permit().await?;
                request().await
            };
            match response {
                Ok(done) => {
                    retry.succeeded();
                    return Ok(Ok(done));
                }
                Err(error) => {
                    if let Decision::Fail(rejection) = retry.failed(error).await {
                        return Ok(Err(rejection));
                    }
                }
            }
        }
    }

    pub(crate) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let (client, namespace) = (self.access.client().clone(), self.access.namespace());
        Api::namespaced_with(client, namespace, &kind.resource())
    }

    pub(crate) fn action(&self, verb: &'static str, kind: Kind) -> Action<'_> {
        let (group, resource) = kind.named();
        Action::new(verb, resource, self.access.namespace()).of(group)
    }

    /// Returns `true` if this process may write now.
    pub(crate) fn is_held(&self) -> bool {
        self.held.as_ref().is_none_or(|held| *held.borrow())
    }

    /// Waits until this process may write.
    pub(crate) async fn wait_until_held(&self) -> Result<()> {
        if let Some(held) = &self.held {
            held.clone()
                .wait_for(|held| *held)
                .await
                .map_err(|_| closed())?;
        }
        Ok(())
    }

    /// Waits until this process may write and may render objects. A task that holds this permit never waits for an
    /// instance.
    pub(crate) async fn render_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.wait_until_held().await?;
        self.render_slots.acquire().await.map_err(|_| closed())
    }

    /// Waits until this process may write and a slot is free.
    async fn write_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.wait_until_held().await?;
        self.write_slots.acquire().await.map_err(|_| closed())
    }

    fn facts(&self, object: DynamicObject) -> Result<ObservedDeployment> {
        let read = serde_json::to_value(object).and_then(serde_json::from_value::<Deployment>);
        let unreadable = |source: serde_json::Error| {
            Error::new(ErrorKind::Internal, "the cluster's answer is no deployment")
                .with_source(source)
        };
        let deployment = read.map_err(unreadable)?;
        ObservedDeployment::new(&deployment, &self.manager)
            .map(|(_, facts)| facts)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the cluster's answer has no name"))
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the kubernetes backend is closed")
}

fn taken(kind: Kind, name: &str, message: &str) -> Error {
    let (_, resource) = kind.named();
    let text = format!(
        "{resource} {name} belongs to another client, such as another orchestrator in this namespace: {message}"
    );
    Error::new(ErrorKind::StartFailed, text)
}
