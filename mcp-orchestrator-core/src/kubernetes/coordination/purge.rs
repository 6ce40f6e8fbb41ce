//! What an orchestrator has left in a cluster: the objects that carry its name and were created by it, not by a
//! chart.

use std::fmt;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions};

use crate::error::Result;
use crate::kubernetes::client::access::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::{is_absent, is_conflict};
use crate::kubernetes::names::{MANAGER, ORCHESTRATOR};

/// Page size of a list request, in objects.
const PAGE_LEN: u32 = 500;

/// An object that an orchestrator has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftoverObject {
    kind: usize,
    name: String,
    uid: String,
}

/// A kind of object: resource and API group as in a Role, its name in messages, and its API resource.
type Kind = (
    &'static str,
    &'static str,
    &'static str,
    fn() -> ApiResource,
);

/// All kinds that an orchestrator creates, in the order of deletion: what runs comes first.
const KINDS: [Kind; 6] = [
    ("deployments", "apps", "deployment", || {
        ApiResource::erase::<Deployment>(&())
    }),
    ("services", "", "service", || {
        ApiResource::erase::<Service>(&())
    }),
    (
        "networkpolicies",
        "networking.k8s.io",
        "networkpolicy",
        || ApiResource::erase::<NetworkPolicy>(&()),
    ),
    (
        "secrets",
        "",
        "secret",
        || ApiResource::erase::<Secret>(&()),
    ),
    ("configmaps", "", "configmap", || {
        ApiResource::erase::<ConfigMap>(&())
    }),
    ("leases", "coordination.k8s.io", "lease", || {
        ApiResource::erase::<Lease>(&())
    }),
];

impl fmt::Display for LeftoverObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, _, kind, _) = KINDS[self.kind];
        write!(f, "{kind} {}", self.name)
    }
}

fn api(access: &Access, kind: usize) -> Api<DynamicObject> {
    let (.., resource) = KINDS[kind];
    Api::namespaced_with(access.client().clone(), access.namespace(), &resource())
}

fn action<'a>(access: &'a Access, verb: &'static str, kind: usize) -> Action<'a> {
    let (resource, group, ..) = KINDS[kind];
    Action::new(verb, resource, access.namespace()).of(group)
}

/// Lists the existing objects that an orchestrator of this name has created. Needs the right to list each kind.
///
/// # Errors
/// If a list request is refused, with the Role rule that allows it.
pub async fn leftovers(access: &Access, orchestrator: &str) -> Result<Vec<LeftoverObject>> {
    let own = format!("{ORCHESTRATOR}={orchestrator},app.kubernetes.io/managed-by={MANAGER}");
    let mut found = Vec::new();
    for kind in 0..KINDS.len() {
        let mut params = ListParams::default().labels(&own).limit(PAGE_LEN);
        loop {
            let listed = api(access, kind).list_metadata(&params).await;
            let listed = listed.map_err(|error| action(access, "list", kind).error(error))?;
            let there = listed.items.into_iter().map(|object| object.metadata);
            let there = there.filter(|meta| meta.deletion_timestamp.is_none());
            found.extend(there.filter_map(|meta| {
                let (name, uid) = (meta.name?, meta.uid?);
                Some(LeftoverObject { kind, name, uid })
            }));
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(found)
}

/// Deletes one object, unless it has been replaced by another one of the same name. Succeeds if the object does not
/// exist.
///
/// # Errors
/// If the request is refused, with the Role rule that allows it.
pub async fn delete(access: &Access, remnant: &LeftoverObject) -> Result<()> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(remnant.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    match api(access, remnant.kind)
        .delete(&remnant.name, &params)
        .await
    {
        Err(error) if !is_absent(&error) && !is_conflict(&error) => {
            let action = action(access, "delete", remnant.kind);
            Err(action.on(&remnant.name).error(error))
        }
        _ => Ok(()),
    }
}
