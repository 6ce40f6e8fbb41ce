//! Outages of the cluster's own processes, and of what its API allows, under load.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::wait::signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::load::{Load, Report};
use crate::proxy::Proxy;
use crate::stage::{Stage, becomes, both, end, finish, restart, soon};

pub(crate) const SERVERS: [&str; 2] = ["pipe", "web"];

/// Errors that callers may get while a process of the cluster is down.
pub(crate) const OUTAGE_ERRORS: &[&str] = &[
    "was lost",
    "connection",
    "cluster",
    "onnect",
    "refused with",
    "API server",
    "attach",
    "port",
];

/// Waits until each client is served, checks the errors, and prints the row.
pub(crate) async fn recovers(load: &Load, since: Instant, reasons: &[&str], fault: &str) -> Report {
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(reasons);
    report.row(fault);
    report
}

/// Waits until the administrator's requests are answered.
async fn api_is_back(stage: &Stage) {
    becomes("the cluster's answer", || async {
        let pods = stage.space.api::<Pod>();
        pods.list(&ListParams::default()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn outage_of_a_cluster_process_ends_no_server() {
    let stage = Stage::new("outage").await;
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let before = stage.processes().await;
    for (process, seconds) in [
        ("containerd", 5),
        ("kubelet", 10),
        // Longer than the cluster waits before it reports the node as not ready.
        ("kubelet", 75),
        ("etcd", 5),
        ("kube-apiserver", 30),
    ] {
        let since = Instant::now();
        let restarted = restart(process, seconds).status().await;
        assert!(restarted.unwrap().success(), "{process}");
        recovers(
            &load,
            since,
            OUTAGE_ERRORS,
            &format!("{process} down {seconds} s"),
        )
        .await;
        api_is_back(&stage).await;
        assert_eq!(stage.processes().await, before, "{process}: same processes");
    }
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn silent_api_server_delays_calls_and_ends_no_server() {
    let mut stage = Stage::new("silent").await;
    let token = stage.space.file("gateway");
    let proxy = Proxy::start_as(&stage.space, &token).await;
    stage.by(stage.space.file("proxied"));
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let before = stage.processes().await;
    let since = Instant::now();
    proxy.stall();
    // The duration of the fault.
    sleep(Duration::from_secs(40)).await;
    proxy.resume();
    recovers(&load, since, OUTAGE_ERRORS, "API server silent 40 s").await;
    assert_eq!(stage.processes().await, before, "no process was touched");
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn stopped_instances_start_after_an_api_server_outage() {
    let stage = Stage::new("zero").await;
    let mut servers = both();
    for server in SERVERS {
        servers[server]["idle_timeout"] = json!("2s");
    }
    stage.configure("one", &servers);
    let gateway = stage.run("one", None).await;
    Load::on(gateway.address, &SERVERS).await.end().await;
    becomes("both instances are stopped", || async {
        stage.processes().await.is_empty()
    })
    .await;
    let since = Instant::now();
    let mut outage = restart("kube-apiserver", 25).spawn().unwrap();
    becomes("the outage", || async {
        let pods = stage.space.api::<Pod>();
        pods.list(&ListParams::default()).await.is_err()
    })
    .await;
    let load = Load::on(gateway.address, &SERVERS).await;
    assert!(outage.wait().await.unwrap().success());
    let fault = "instances at zero woken during an API server outage of 25 s";
    recovers(&load, since, OUTAGE_ERRORS, fault).await;
    load.end().await;
    end(gateway).await;
    stage.space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn gateway_killed_during_an_api_server_outage_rejoins_the_same_processes() {
    let stage = Stage::new("both").await;
    stage.configure("one", &both());
    let mut gateway = stage.run("one", None).await;
    let address = gateway.address;
    let load = Load::on(address, &SERVERS).await;
    let before = stage.processes().await;
    let since = Instant::now();
    let mut outage = restart("kube-apiserver", 30).spawn().unwrap();
    signal(gateway.pid(), rustix::process::Signal::KILL);
    soon("its end", gateway.child.wait()).await.unwrap();
    let gateway = stage.run("one", Some(address)).await;
    assert!(outage.wait().await.unwrap().success());
    let reasons = [OUTAGE_ERRORS, &["http: "]].concat();
    let fault = "gateway killed while the API server is down 30 s";
    recovers(&load, since, &reasons, fault).await;
    assert_eq!(stage.processes().await, before, "no process was touched");
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn evicted_pods_are_replaced_and_a_quota_is_named() {
    let stage = Stage::new("quota").await;
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let pods = stage.space.api::<Pod>();
    let evicted = ["ended", "was lost", "its pod", "deleted", "replaced"];

    let since = Instant::now();
    let before = stage.processes().await;
    for server in SERVERS {
        let name = stage.pod(server).await.name_any();
        pods.evict(&name, &EvictParams::default()).await.unwrap();
    }
    becomes("the end of the evicted pods", || async {
        let now = stage.processes().await;
        now.iter().all(|it| !before.contains(it))
    })
    .await;
    recovers(&load, since, &evicted, "all pods evicted").await;

    let quotas = stage.space.api::<ResourceQuota>();
    let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
    let quota = serde_json::from_value(quota).unwrap();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    let since = Instant::now();
    for server in SERVERS {
        let name = stage.pod(server).await.name_any();
        pods.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    let client = Client::new(gateway.address, "local");
    becomes("an error that names the quota", || async {
        let answer = client.modern_tool("pipe__echo", "{}").await;
        answer["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("quota"))
    })
    .await;
    // The rest of the fault.
    let remaining = Duration::from_secs(15).saturating_sub(since.elapsed());
    sleep(remaining).await;
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    let reasons = [&evicted[..], &["quota"]].concat();
    recovers(&load, since, &reasons, "pods deleted under a quota, 15 s").await;
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn lost_lease_and_lost_owner_are_recovered_from() {
    let stage = Stage::new("owner").await;
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let before = stage.processes().await;

    let since = Instant::now();
    let leases = stage.space.api::<Lease>();
    let thief = Patch::Merge(json!({ "spec": { "holderIdentity": "thief" } }));
    leases
        .patch("stage", &PatchParams::default(), &thief)
        .await
        .unwrap();
    becomes("the gateway holds its Lease again", || async {
        let lease = leases.get("stage").await.unwrap().spec.unwrap();
        lease.holder_identity.is_some_and(|it| it != "thief")
    })
    .await;
    recovers(&load, since, &[], "Lease taken once").await;
    assert_eq!(stage.processes().await, before, "no process was touched");

    // Every object of the orchestrator is collected with its owner.
    let since = Instant::now();
    let owners = stage.space.api::<ConfigMap>();
    owners
        .delete("stage", &DeleteParams::default())
        .await
        .unwrap();
    becomes("other processes", || async {
        let now = stage.processes().await;
        now.len() == SERVERS.len() && now.iter().all(|it| !before.contains(it))
    })
    .await;
    let ended = [
        "ended", "was lost", "its pod", "deleted", "replaced", "stopped",
    ];
    recovers(&load, since, &ended, "owner ConfigMap deleted").await;
    finish(stage, gateway, load, &SERVERS).await;
}
