//! Faults of pods and their objects, under load.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use mcp_orchestrator_tests::client::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::load::Load;
use crate::stage::{Stage, becomes, both, end};

const SERVERS: [&str; 2] = ["pipe", "web"];

/// Errors that callers may get after a program has ended during a call.
const ENDED: &[&str] = &["ended", "was lost", "its pod", "deleted", "replaced"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn killed_containers_and_deleted_pods_are_reported_and_replaced() {
    let stage = Stage::new("killed").await;
    let mut servers = both();
    for server in SERVERS {
        servers[server]["pod"] = json!({ "resources": { "limits": { "memory": "64Mi" } } });
    }
    stage.configure("one", &servers);
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let client = Client::new(gateway.address, "local");
    for server in SERVERS {
        let since = Instant::now();
        // More than the limit, so that the kernel kills it.
        let tool = format!("{server}__blob");
        let eaten = client.modern_tool(&tool, r#"{"n":400000000}"#).await;
        let error = &eaten["error"];
        assert_eq!(error["data"]["server"], server, "{error}");
        assert!(
            error["message"].as_str().unwrap().contains("OOMKilled"),
            "{error}"
        );
        load.good_since(Instant::now()).await;
        let report = load.seen(since);
        report.allow(&["OOMKilled", "ended", "was lost"]);
        report.row(&format!("container killed (out of memory), {server}"));
    }
    let pods = stage.space.api::<Pod>();
    for (server, how, grace) in [
        ("pipe", "deleted", None),
        ("web", "deleted", None),
        ("pipe", "deleted at once", Some(0)),
        ("web", "deleted at once", Some(0)),
    ] {
        let since = Instant::now();
        let params = DeleteParams {
            grace_period_seconds: grace,
            ..DeleteParams::default()
        };
        let name = stage.pod(server).await.name_any();
        pods.delete(&name, &params).await.unwrap();
        becomes("the pod's end", || async {
            pods.get_opt(&name).await.unwrap().is_none()
        })
        .await;
        load.good_since(Instant::now()).await;
        let report = load.seen(since);
        report.allow(ENDED);
        report.row(&format!("pod {how}, {server}"));
    }
    load.end().await;
    stage.settles(&SERVERS).await;
    end(gateway).await;
    stage.space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn manual_changes_are_reverted() {
    let stage = Stage::new("hands").await;
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    for server in SERVERS {
        beside(&stage, &load, server).await;
        deployment(&stage, &load, server).await;
    }
    load.end().await;
    stage.settles(&SERVERS).await;
    end(gateway).await;
    stage.space.leave().await;
}

/// Changes the objects beside a Deployment; no call may notice.
async fn beside(stage: &Stage, load: &Load, server: &str) {
    let name = stage.deployment(server).await.name_any();
    let (secrets, policies) = (
        stage.space.api::<Secret>(),
        stage.space.api::<NetworkPolicy>(),
    );
    let data = || async { secrets.get_opt(&name).await.unwrap().map(|it| it.data) };
    let spec = || async { policies.get_opt(&name).await.unwrap().map(|it| it.spec) };
    let (good_data, good_spec) = (data().await.unwrap(), spec().await.unwrap());
    assert!(good_data.is_some() && good_spec.is_some());
    let (hand, delete) = (PatchParams::apply("hand"), DeleteParams::default());

    let since = Instant::now();
    let other = Patch::Merge(json!({ "stringData": { "env-TOKEN": "another" } }));
    assert_ne!(
        secrets.patch(&name, &hand, &other).await.unwrap().data,
        good_data
    );
    becomes("the secret", || async {
        data().await.as_ref() == Some(&good_data)
    })
    .await;
    secrets.delete(&name, &delete).await.unwrap();
    becomes("the secret", || async {
        data().await.as_ref() == Some(&good_data)
    })
    .await;
    let open = Patch::Merge(json!({ "spec": { "ingress": [{}] } }));
    assert_ne!(
        policies.patch(&name, &hand, &open).await.unwrap().spec,
        good_spec
    );
    becomes("the policy", || async {
        spec().await.as_ref() == Some(&good_spec)
    })
    .await;
    policies.delete(&name, &delete).await.unwrap();
    becomes("the policy", || async {
        spec().await.as_ref() == Some(&good_spec)
    })
    .await;
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(&[]);
    report.row(&format!(
        "Secret and NetworkPolicy edited, and deleted, {server}"
    ));
}

/// Changes a Deployment, which is reverted; calls must succeed again.
async fn deployment(stage: &Stage, load: &Load, server: &str) {
    let deployments = stage.space.api::<Deployment>();
    let hand = PatchParams::apply("hand");
    let image = |it: &Deployment| {
        let spec = it.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        spec.containers[0].image.clone()
    };
    let before = stage.deployment(server).await;
    let name = before.name_any();

    let since = Instant::now();
    let edit = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "server", "image": "localhost/other:1" },
    ] } } } });
    let edited = deployments
        .patch(&name, &hand, &Patch::Strategic(edit))
        .await
        .unwrap();
    assert_ne!(image(&edited), image(&before));
    becomes("the image", || async {
        image(&stage.deployment(server).await) == image(&before)
    })
    .await;
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(ENDED);
    report.row(&format!("Deployment edited by hand, {server}"));

    for (what, patch) in [
        ("scaled to 0", json!({ "spec": { "replicas": 0 } })),
        ("deleted", Value::Null),
    ] {
        let old = stage.pod(server).await.uid();
        let since = Instant::now();
        match patch {
            Value::Null => drop(
                deployments
                    .delete(&name, &DeleteParams::default())
                    .await
                    .unwrap(),
            ),
            patch => drop(
                deployments
                    .patch(&name, &hand, &Patch::Merge(patch))
                    .await
                    .unwrap(),
            ),
        }
        becomes("another pod", || async {
            let pods = stage.pods(server).await;
            pods.iter().any(|pod| pod.uid() != old)
        })
        .await;
        load.good_since(Instant::now()).await;
        let report = load.seen(since);
        report.allow(ENDED);
        report.row(&format!("Deployment {what} by hand, {server}"));
    }
}
