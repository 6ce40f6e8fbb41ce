//! Tests of the Kubernetes backend beyond the contract suite: calls through an orchestrator, survival of a restart,
//! and faults.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::{Credential, Owner, Revision};
use mcp_orchestrator_core::id::{PrincipalId, ServerId};
use mcp_orchestrator_core::jsonrpc::{self, Message};
use mcp_orchestrator_core::router::TableRouter;
use mcp_orchestrator_core::runtime::kubernetes::Access;
use mcp_orchestrator_core::runtime::{
    Exit, Instance, InstanceKey, LaunchSpec, Progress, RuntimeBackend, Scope, SpecDigest,
};
use mcp_orchestrator_core::server::{CredentialSlot, Injection, PullPolicy, ServerSpec, SlotForm};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator};
use serde_json::json;

use super::{backend, enter, http, program, server, shell, state_key};
use crate::kubernetes::cluster::{TestNamespace, space};

const FAULT_TIMEOUT: Duration = Duration::from_secs(90);

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(FAULT_TIMEOUT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} takes longer than {FAULT_TIMEOUT:?}"),
    }
}

fn orchestrator(access: &Access, servers: &[&ServerSpec]) -> Orchestrator {
    let backend: Arc<dyn RuntimeBackend> = Arc::new(backend(access));
    let orchestrator = Orchestrator::builder(backend, Arc::new(TableRouter::new([])))
        .state_key(state_key())
        .build();
    orchestrator.apply(
        servers
            .iter()
            .map(|server| Arc::new(ServerSpec::clone(server))),
    );
    orchestrator
}

/// Calls the fixture's tool that returns a text.
async fn call(orchestrator: &Orchestrator, server: &str) -> Result<String, Error> {
    let ann = Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"));
    let params = r#"{"name":"test_simple_text","arguments":{},"_meta":{
        "io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},
        "io.modelcontextprotocol/clientCapabilities":{}}}"#;
    let request = Message::parse(jsonrpc::request("1", "tools/call", Some(params))).unwrap();
    let server = ServerId::new(server).unwrap();
    let reply = soon("a call", orchestrator.call_tool(&ann, &server, request)).await?;
    let response = soon("a response", reply.response()).await?;
    Ok(response.body().unwrap_or_default().to_owned())
}

async fn pods(space: &TestNamespace) -> Vec<Pod> {
    let api: Api<Pod> = space.api();
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let live = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    all.into_iter().filter(live).collect()
}

fn launched(server: &ServerSpec) -> (InstanceKey, LaunchSpec) {
    let key = InstanceKey::new(
        server.id.clone(),
        Owner::Organization,
        Revision::none(),
        Scope::Shared,
        SpecDigest::from_text("faults"),
    );
    let launch = LaunchSpec {
        server: Arc::new(server.clone()),
        credential: Arc::new(Credential::none()),
    };
    (key, launch)
}

async fn start(backend: &dyn RuntimeBackend, server: &ServerSpec) -> Result<Instance, Error> {
    let (key, launch) = launched(server);
    let progress = Progress::unheard();
    soon("a start", backend.start(&key, &launch, &progress)).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn servers_are_called_and_outlive_their_orchestrator() {
    let space = space("calls").await;
    let access = enter(&space).await;
    let pipe = server("pipe", &["fixture_server", "--stdio"]);
    let web = http(server(
        "web",
        &["fixture_server", "--http", "0.0.0.0:${PORT}"],
    ));
    let first = orchestrator(&access, &[&pipe, &web]);
    for server in ["pipe", "web"] {
        let said = call(&first, server).await.unwrap();
        assert!(said.contains("\"content\""), "{server}: {said}");
    }
    let names = |pods: Vec<Pod>| {
        let mut names: Vec<_> = pods.iter().map(|pod| pod.name_any()).collect();
        names.sort();
        names
    };
    let before = names(pods(&space).await);
    assert_eq!(before.len(), 2);
    soon("a shutdown", first.shutdown(Duration::from_secs(1))).await;
    drop(first);
    let second = orchestrator(&access, &[&pipe, &web]);
    call(&second, "web").await.unwrap();
    assert_eq!(names(pods(&space).await), before, "none was touched");

    // Scaled to zero, nothing runs; the next call wakes the server.
    let web_id = ServerId::new("web").unwrap();
    soon("a stop", second.stop(&web_id)).await.unwrap();
    let left = names(pods(&space).await);
    assert!(
        left.iter().all(|name| name.starts_with("mcp-pipe-")),
        "{left:?}"
    );
    call(&second, "web").await.unwrap();
    soon("a shutdown", second.shutdown(Duration::from_secs(1))).await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn start_failure_names_the_setting_to_fix() {
    let space = space("faults").await;
    let backend = backend(&enter(&space).await);
    let change = |name: &str, change: fn(&mut ServerSpec)| {
        let mut server = server(name, &["cat"]);
        change(&mut server);
        server
    };
    for (server, said) in [
        (
            change("name", |it| program(it).image = Some("UPPER:1".into())),
            "`image`",
        ),
        (
            change("never", |it| {
                program(it).image = Some("localhost/absent:1".into());
                program(it).container.pull_policy = Some(PullPolicy::Never);
            }),
            "`pull_policy`",
        ),
        (
            change("account", |it| {
                program(it).container.service_account = Some("absent".into());
            }),
            "`service_account`",
        ),
        (
            change("root", |it| {
                program(it).container.security.allow_root = true;
            }),
            "violates PodSecurity",
        ),
        // Over HTTP, because a server on standard streams may be attached in the moment in which it runs.
        (
            http(shell("crash", "echo last words >&2; exit 7")),
            "last words",
        ),
    ] {
        let error = start(&backend, &server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StartFailed);
        assert!(error.to_string().contains(said), "{}: {error}", server.id);
        let (key, _) = launched(&server);
        let removed = backend.remove(&key, Duration::ZERO);
        soon("a removal", removed).await.unwrap();
    }
    drop(backend);

    // A fault that may pass is waited for, and reported when the start times out.
    let mut nowhere = server("nowhere", &["fixture_server", "--stdio"]);
    nowhere.limits.start_timeout = Duration::from_secs(5);
    let selector = &mut program(&mut nowhere).container.node_selector;
    selector.insert("no".into(), "such-node".into());
    let orchestrator = orchestrator(&enter_again(&space).await, &[&nowhere]);
    let error = call(&orchestrator, "nowhere")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no node takes the pod"), "{error}");
    assert!(error.contains("`node_selector`"), "{error}");
    assert!(pods(&space).await.is_empty());
    orchestrator.shutdown(Duration::ZERO).await;
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn known_crash_loop_is_reported_at_the_next_start() {
    let space = space("loop").await;
    let backend = backend(&enter(&space).await);
    for (name, life) in [("once", ""), ("soon", "sleep 0.1;"), ("later", "sleep 1;")] {
        let crash = shell(name, &format!("echo last words >&2; {life} exit 7"));
        for _ in 0..4 {
            // If the start attaches while the program runs, the instance starts and then ends.
            match start(&backend, &crash).await {
                Ok(instance) => {
                    let exit = soon("its end", instance.exited).await;
                    assert_eq!(exit.code, Some(7), "{name}: {exit:?}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StartFailed, "{name}: {error}");
                    assert!(error.to_string().contains("exit status 7"), "{error}");
                }
            }
        }
        let (key, _) = launched(&crash);
        let removed = backend.remove(&key, Duration::ZERO);
        soon("a removal", removed).await.unwrap();
    }
    space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn stop_grace_may_be_shorter_than_the_server_grace() {
    let space = space("grace").await;
    let backend = backend(&enter(&space).await);
    let mut deaf = shell("deaf", "trap '' TERM; echo here; while :; do sleep 1; done");
    // A kubelet that already waits for the pod's own grace period sometimes misses a shorter one. The pod's own
    // period then ends the program, within the time that a stop waits.
    deaf.limits.stop_grace = Duration::from_secs(20);
    let (key, _) = launched(&deaf);
    for grace in [Duration::ZERO, Duration::from_millis(1500)] {
        let instance = start(&backend, &deaf).await.unwrap();
        let stopped = soon("a stop", backend.stop(&key, grace)).await;
        stopped.unwrap();
        assert!(pods(&space).await.is_empty(), "nothing runs");
        drop(instance);
    }
    drop(start(&backend, &deaf).await.unwrap());
    let removed = backend.remove(&key, Duration::from_secs(1));
    soon("a removal", removed).await.unwrap();
    space.leave().await;
}

async fn enter_again(space: &TestNamespace) -> Access {
    space.open_as(&space.file("orchestrator")).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn exits_are_reported_edits_reverted_and_nothing_is_left() {
    let space = space("ends").await;
    let backend = backend(&enter(&space).await);
    let mut echo = server("echo", &["cat"]);
    let slot = CredentialSlot {
        name: mcp_orchestrator_core::id::SlotName::new("token").unwrap(),
        description: None,
        required: false,
        inject: Injection::Env("TOKEN".into()),
        form: SlotForm::default(),
    };
    echo.slots.push(slot);
    echo.env.insert(
        "HIDDEN".into(),
        mcp_orchestrator_core::value::Text::secret("canary-1"),
    );
    let (key, _) = launched(&echo);

    let instance = start(&backend, &echo).await.unwrap();
    let api: Api<Pod> = space.api();
    let [pod] = &pods(&space).await[..] else {
        panic!("one pod");
    };
    api.delete(&pod.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    let Exit { reason, .. } = soon("the exit", instance.exited).await;
    assert!(!reason.is_empty());
    drop(instance.endpoint);

    let instance = start(&backend, &echo).await.unwrap();
    assert!(instance.fresh, "it was started again");
    let deployments: Api<Deployment> = space.api();
    edit_and_wait(&deployments, key.name()).await;
    change_beside(&space, key.name()).await;
    drop(instance);

    soon("a removal", backend.remove(&key, Duration::ZERO))
        .await
        .unwrap();
    let all = ListParams::default();
    assert!(deployments.list(&all).await.unwrap().items.is_empty());
    assert!(pods(&space).await.is_empty());
    let secrets: Api<Secret> = space.api();
    assert!(secrets.list(&all).await.unwrap().items.is_empty());
    let policies: Api<NetworkPolicy> = space.api();
    assert!(policies.list(&all).await.unwrap().items.is_empty());
    soon(
        "events",
        events(&space, key.name(), &["Started", "Removed"]),
    )
    .await;
    space.leave().await;
}

/// Waits until Events with these reasons exist on the Deployment of this name.
async fn events(space: &TestNamespace, name: &str, wanted: &[&str]) {
    let api: Api<k8s_openapi::api::events::v1::Event> = space.api();
    loop {
        let all = api.list(&ListParams::default()).await.unwrap().items;
        let of_it = all.iter().filter(|event| {
            let regarding = event.regarding.as_ref();
            regarding.is_some_and(|it| {
                it.kind.as_deref() == Some("Deployment") && it.name.as_deref() == Some(name)
            }) && event.reporting_controller.as_deref()
                == Some("mcp-orchestrator.dev/mcp-orchestrator")
        });
        let reasons: Vec<_> = of_it.filter_map(|event| event.reason.as_deref()).collect();
        if wanted.iter().all(|reason| reasons.contains(reason)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Edits the image as another client, and waits until the edit is reverted.
async fn edit_and_wait(deployments: &Api<Deployment>, name: &str) {
    let image = |it: &Deployment| {
        let template = &it.spec.as_ref().unwrap().template;
        template.spec.as_ref().unwrap().containers[0].image.clone()
    };
    let before = image(&deployments.get(name).await.unwrap());
    let edit = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "server", "image": "localhost/other:1" },
    ] } } } });
    let params = PatchParams::apply("somebody");
    let edited = deployments
        .patch(name, &params, &Patch::Strategic(edit))
        .await;
    assert_ne!(image(&edited.unwrap()), before);
    let put_back = async {
        while image(&deployments.get(name).await.unwrap()) != before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("putting it back", put_back).await;
}

/// Edits and deletes dependents of a Deployment as another client, and waits until they are restored.
async fn change_beside(space: &TestNamespace, name: &str) {
    let params = PatchParams::apply("somebody");
    let secrets: Api<Secret> = space.api();
    let data = |it: Option<Secret>| it.and_then(|it| it.data);
    let before = data(secrets.get_opt(name).await.unwrap());
    let is_back = || async {
        while data(secrets.get_opt(name).await.unwrap()) != before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    for edit in [
        json!({ "stringData": { "env-HIDDEN": "another" } }),
        json!({ "data": null }),
    ] {
        let patch = Patch::Merge(edit);
        secrets.patch(name, &params, &patch).await.unwrap();
        soon("the edited secret", is_back()).await;
    }
    let delete = DeleteParams::default();
    secrets.delete(name, &delete).await.unwrap();
    soon("the deleted secret", is_back()).await;

    let policies: Api<NetworkPolicy> = space.api();
    let spec = |it: Option<NetworkPolicy>| it.and_then(|it| it.spec);
    let before = spec(policies.get_opt(name).await.unwrap());
    let is_back = || async {
        while spec(policies.get_opt(name).await.unwrap()) != before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let open = Patch::Merge(json!({ "spec": { "ingress": [{}] } }));
    policies.patch(name, &params, &open).await.unwrap();
    soon("the edited policy", is_back()).await;
    policies.delete(name, &delete).await.unwrap();
    soon("the deleted policy", is_back()).await;
}
