//! Tests that remove the credential of an instance, or the owner object of an orchestrator.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::{
    Credential, CredentialRequest, CredentialResolver, InForce, Owner, Revision,
};
use mcp_orchestrator_core::id::{PrincipalId, ServerId, SlotName};
use mcp_orchestrator_core::jsonrpc::{self, Message};
use mcp_orchestrator_core::orchestrator::Leftover;
use mcp_orchestrator_core::router::TableRouter;
use mcp_orchestrator_core::runtime::LogBook;
use mcp_orchestrator_core::runtime::kubernetes::{
    Access, KubernetesBackend, KubernetesOptions, Membership,
};
use mcp_orchestrator_core::server::{CredentialSlot, Injection, ServerSpec, SlotForm};
use mcp_orchestrator_core::{Error, Orchestrator};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;

use super::{enter, server, state_key};
use crate::kubernetes::cluster::{TestNamespace, space};
use crate::kubernetes::proxy::Proxy;

const REMOVAL_TIMEOUT: Duration = Duration::from_secs(120);

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(REMOVAL_TIMEOUT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} takes longer than {REMOVAL_TIMEOUT:?}"),
    }
}

async fn becomes<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let holding = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon(what, holding).await;
}

/// The revision of the token that ann has installed, if any. It does not report changes.
#[derive(Debug, Default)]
struct Store(Mutex<Option<u32>>);

impl Store {
    fn set(&self, revision: Option<u32>) {
        *self.0.lock() = revision;
    }
}

#[async_trait::async_trait]
impl CredentialResolver for Store {
    async fn resolve(
        &self,
        request: CredentialRequest<'_>,
    ) -> Result<Option<Arc<Credential>>, Error> {
        let revision = *self.0.lock();
        Ok(revision.map(|revision| {
            let token = SecretString::from(format!("canary-{revision}"));
            Arc::new(Credential {
                owner: Owner::User(request.principal.id.clone()),
                revision: Revision::new(revision.to_string()),
                values: [(SlotName::new("token").unwrap(), token)].into(),
                ..Credential::none()
            })
        }))
    }

    async fn in_force(&self, _: &ServerSpec, _: &Owner) -> InForce {
        match *self.0.lock() {
            Some(revision) => InForce::Revision(Revision::new(revision.to_string())),
            None => InForce::Nothing,
        }
    }
}

fn pipe() -> ServerSpec {
    let mut pipe = server("pipe", &["fixture_server", "--stdio"]);
    pipe.slots = vec![CredentialSlot {
        name: SlotName::new("token").unwrap(),
        description: None,
        required: true,
        inject: Injection::Env("OWN".into()),
        form: SlotForm::default(),
    }];
    pipe
}

/// Creates an orchestrator in this namespace as a new process would.
fn orchestrator(access: &Access, store: &Arc<Store>, seat: Option<&Membership>) -> Orchestrator {
    let mut options = KubernetesOptions::new("suite", state_key());
    options.owner = seat.map(|seat| seat.owner().clone());
    let acts = seat.map(Membership::acts);
    let backend = KubernetesBackend::new(access.clone(), options, LogBook::default(), acts);
    let router = TableRouter::new([]);
    let orchestrator = Orchestrator::builder(Arc::new(backend), Arc::new(router))
        .state_key(state_key())
        .resolver(Arc::clone(store) as _)
        .build();
    orchestrator.apply([Arc::new(pipe())]);
    orchestrator
}

fn ann() -> Arc<Principal> {
    Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"))
}

fn id() -> ServerId {
    ServerId::new("pipe").unwrap()
}

async fn call(orchestrator: &Orchestrator) -> Result<String, Error> {
    let params = r#"{"name":"test_simple_text","arguments":{},"_meta":{
        "io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},
        "io.modelcontextprotocol/clientCapabilities":{}}}"#;
    let request = Message::parse(jsonrpc::request("1", "tools/call", Some(params))).unwrap();
    let reply = soon("a call", orchestrator.call_tool(&ann(), &id(), request)).await?;
    let response = soon("a response", reply.response()).await?;
    Ok(response.body().unwrap_or_default().to_owned())
}

/// Returns the names of the Deployments and Secrets of the server.
async fn left(space: &TestNamespace) -> (Vec<String>, Vec<String>) {
    let of = ListParams::default().labels("app.kubernetes.io/name=pipe");
    let deployments = space.api::<Deployment>().list(&of).await.unwrap().items;
    let secrets = space.api::<Secret>().list(&of).await.unwrap().items;
    (
        deployments.iter().map(ResourceExt::name_any).collect(),
        secrets.iter().map(ResourceExt::name_any).collect(),
    )
}

async fn nothing_is_left(space: &TestNamespace) {
    becomes("the end of all", || async {
        let (deployments, secrets) = left(space).await;
        deployments.is_empty() && secrets.is_empty()
    })
    .await;
}

async fn pods(space: &TestNamespace) -> Vec<Pod> {
    let of = ListParams::default().labels("app.kubernetes.io/name=pipe");
    let mut pods = space.api::<Pod>().list(&of).await.unwrap().items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn removed_credential_leaves_nothing_when_scaled_down_or_after_a_restart() {
    let space = space("removed").await;
    let access = enter(&space).await;
    let store = Arc::new(Store::default());
    store.set(Some(1));
    let first = orchestrator(&access, &store, None);
    call(&first).await.unwrap();
    soon("a stop", first.stop(&id())).await.unwrap();
    assert_eq!(left(&space).await.1.len(), 1, "its value is kept at zero");
    store.set(None);
    nothing_is_left(&space).await;

    // Rotated twice while scaled to zero, and removed while no orchestrator was running.
    for revision in [2, 3] {
        store.set(Some(revision));
        call(&first).await.unwrap();
        soon("a stop", first.stop(&id())).await.unwrap();
    }
    becomes("the end of the one before", || async {
        left(&space).await.0.len() == 1
    })
    .await;
    call(&first).await.unwrap();
    soon("a shutdown", first.shutdown(Duration::from_secs(1))).await;
    drop(first);
    assert_eq!(pods(&space).await.len(), 1, "it runs on");
    store.set(None);
    let second = orchestrator(&access, &store, None);
    let owner = Owner::User(PrincipalId::new("ann").unwrap());
    let removed = second.removed(&id(), &owner, REMOVAL_TIMEOUT).await;
    assert_eq!(removed, Leftover::Nothing);
    assert_eq!(left(&space).await, (vec![], vec![]), "what was told is so");
    soon("a shutdown", second.shutdown(Duration::from_secs(1))).await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn credential_removed_during_an_api_outage_is_cleaned_up_afterwards() {
    let space = space("outage").await;
    enter(&space).await;
    let proxy = Proxy::start_as(&space, &space.file("orchestrator")).await;
    let store = Arc::new(Store::default());
    store.set(Some(1));
    let orchestrator = orchestrator(&proxy.access, &store, None);
    call(&orchestrator).await.unwrap();
    let before = pods(&space).await[0].uid();
    proxy.close();
    store.set(Some(2));
    store.set(None);
    let owner = Owner::User(PrincipalId::new("ann").unwrap());
    let server = id();
    let removed = orchestrator.removed(&server, &owner, Duration::from_secs(15));
    assert_ne!(removed.await, Leftover::Nothing, "it is told as pending");
    assert_eq!(pods(&space).await[0].uid(), before);
    proxy.open();
    let removed = orchestrator.removed(&server, &owner, REMOVAL_TIMEOUT).await;
    assert_eq!(removed, Leftover::Nothing);
    nothing_is_left(&space).await;
    soon("a shutdown", orchestrator.shutdown(Duration::from_secs(1))).await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn running_pod_is_kept_if_the_cluster_is_unreachable_at_the_first_attach() {
    let space = space("attach").await;
    enter(&space).await;
    let proxy = Proxy::start_as(&space, &space.file("orchestrator")).await;
    let store = Arc::new(Store::default());
    store.set(Some(1));
    let first = orchestrator(&proxy.access, &store, None);
    call(&first).await.unwrap();
    soon("a shutdown", first.shutdown(Duration::from_secs(1))).await;
    drop(first);
    let before = pods(&space).await[0].uid();
    let second = orchestrator(&proxy.access, &store, None);
    becomes("the first sight", || async {
        second
            .instances()
            .await
            .iter()
            .any(|it| it.instance.is_some())
    })
    .await;
    proxy.close();
    for _ in 0..5 {
        assert!(call(&second).await.is_err());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    proxy.open();
    becomes("a call", || async { call(&second).await.is_ok() }).await;
    assert_eq!(
        pods(&space).await[0].uid(),
        before,
        "the pod was not touched"
    );
    soon("a shutdown", second.shutdown(Duration::from_secs(1))).await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn deleted_or_replaced_owner_is_recovered() {
    let space = space("owner").await;
    let access = enter(&space).await;
    let folder = tempfile::tempdir().unwrap();
    let seat = Membership::join(access.clone(), "suite", folder.path())
        .await
        .unwrap();
    let store = Arc::new(Store::default());
    store.set(Some(1));
    let orchestrator = orchestrator(&access, &store, Some(&seat));
    call(&orchestrator).await.unwrap();
    let maps = space.api::<ConfigMap>();
    for replaced in [false, true, false] {
        let before = maps.get("suite").await.unwrap();
        maps.delete("suite", &DeleteParams::default())
            .await
            .unwrap();
        if replaced {
            let mut other = before.clone();
            other.metadata = kube::core::ObjectMeta {
                name: Some("suite".to_owned()),
                labels: before.metadata.labels.clone(),
                ..Default::default()
            };
            maps.create(&PostParams::default(), &other).await.unwrap();
        }
        // The gateway creates or reads the owner at its next write, such as a call that starts an instance.
        becomes("an owner, and a call", || async {
            let called = call(&orchestrator).await.is_ok();
            let now = maps.get_opt("suite").await.unwrap();
            called && now.is_some_and(|now| now.uid() != before.uid())
        })
        .await;
        let now = maps.get("suite").await.unwrap().uid();
        becomes("all belongs to the owner of now", || async {
            // A call starts an instance that the cluster has garbage-collected.
            if call(&orchestrator).await.is_err() {
                return false;
            }
            let of = ListParams::default().labels("app.kubernetes.io/name=pipe");
            let deployments = space.api::<Deployment>().list(&of).await.unwrap().items;
            let secrets = space.api::<Secret>().list(&of).await.unwrap().items;
            let owners = deployments.iter().map(|it| it.owner_references().first());
            let owners = owners.chain(secrets.iter().map(|it| it.owner_references().first()));
            let uids: Vec<_> = owners.map(|owner| owner.map(|it| it.uid.clone())).collect();
            uids.len() == 2 && uids.iter().all(|uid| *uid == now)
        })
        .await;
        call(&orchestrator).await.unwrap();
    }
    assert_eq!(seat.trouble(), None);
    soon("a shutdown", orchestrator.shutdown(Duration::from_secs(1))).await;
    seat.give_up().await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn removed_labels_are_restored_and_do_not_prevent_a_removal() {
    let space = space("labels").await;
    let access = enter(&space).await;
    let store = Arc::new(Store::default());
    store.set(Some(1));
    let orchestrator = orchestrator(&access, &store, None);
    call(&orchestrator).await.unwrap();
    let deployments = space.api::<Deployment>();
    let name = left(&space).await.0.remove(0);
    for label in [
        "mcp-orchestrator.dev/orchestrator",
        "app.kubernetes.io/component",
    ] {
        let off = Patch::Merge(json!({ "metadata": { "labels": { label: null } } }));
        let params = PatchParams::apply("somebody");
        deployments.patch(&name, &params, &off).await.unwrap();
        becomes("the label", || async {
            let now = deployments.get(&name).await.unwrap();
            now.labels().contains_key(label)
        })
        .await;
        becomes("a call", || async { call(&orchestrator).await.is_ok() }).await;
    }
    // A label and the credential are removed together.
    let off = json!({ "metadata": { "labels": { "mcp-orchestrator.dev/orchestrator": null } } });
    let params = PatchParams::apply("somebody");
    deployments
        .patch(&name, &params, &Patch::Merge(off))
        .await
        .unwrap();
    store.set(None);
    becomes("the end of all", || async {
        deployments.get_opt(&name).await.unwrap().is_none()
            && space
                .api::<Secret>()
                .get_opt(&name)
                .await
                .unwrap()
                .is_none()
    })
    .await;
    soon("a shutdown", orchestrator.shutdown(Duration::from_secs(1))).await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn secret_of_an_interrupted_start_is_deleted_even_if_recent() {
    let space = space("cut-off").await;
    let access = enter(&space).await;
    let secret = |name: &str| {
        let labels = [
            ("mcp-orchestrator.dev/orchestrator", "suite"),
            ("app.kubernetes.io/component", "mcp-server"),
            ("app.kubernetes.io/name", "pipe"),
            ("app.kubernetes.io/instance", name),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.metadata.labels = Some(labels.into());
        secret
    };
    let secrets = space.api::<Secret>();
    let create = PostParams::default();
    secrets
        .create(&create, &secret("mcp-pipe-before"))
        .await
        .unwrap();
    let orchestrator = orchestrator(&access, &Arc::new(Store::default()), None);
    becomes("the end of all", || async {
        left(&space).await.1.is_empty()
    })
    .await;
    soon("a shutdown", orchestrator.shutdown(Duration::from_secs(1))).await;
    space.leave().await;
}
