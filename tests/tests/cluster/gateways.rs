//! Faults between the gateway and the cluster, and of the gateway itself, under load.

use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::wait::signal;
use tokio::time::Instant;

use crate::load::Load;
use crate::proxy::Proxy;
use crate::stage::{Stage, becomes, both, end, finish, readiness, restart, soon};

const SERVERS: [&str; 2] = ["pipe", "web"];
/// Errors that callers may get while the gateway itself is gone.
const GATEWAY_DOWN_ERRORS: &[&str] = &["http: "];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn lost_connections_are_reestablished_to_the_same_processes() {
    let mut stage = Stage::new("cut").await;
    let token = stage.space.file("gateway");
    let proxy = Proxy::start_as(&stage.space, &token).await;
    stage.by(stage.space.file("proxied"));
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let before = stage.processes().await;
    let since = Instant::now();
    proxy.cut();
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(&["was lost", "connection"]);
    report.row("every connection to the cluster cut");
    assert_eq!(stage.processes().await, before, "no process was touched");
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn api_server_outage_ends_no_process() {
    let stage = Stage::new("down").await;
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let before = stage.processes().await;
    let since = Instant::now();
    let restarted = restart("kube-apiserver", 10).status().await;
    assert!(restarted.unwrap().success());
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    // An API server that has just come back may not know its Roles yet and reject allowed requests.
    report.allow(&[
        "was lost",
        "connection",
        "cluster",
        "onnect",
        "refused with 403",
    ]);
    report.row("API server killed, back 10 s later");
    becomes("the cluster's answer", || async {
        stage
            .space
            .api::<k8s_openapi::api::core::v1::Pod>()
            .list(&Default::default())
            .await
            .is_ok()
    })
    .await;
    assert_eq!(stage.processes().await, before, "no process was touched");
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn restarted_gateway_rejoins_the_same_processes() {
    let stage = Stage::new("again").await;
    stage.configure("one", &both());
    let mut gateway = stage.run("one", None).await;
    let address = gateway.address;
    let load = Load::on(address, &SERVERS).await;
    let before = stage.processes().await;
    let since = Instant::now();
    signal(gateway.pid(), rustix::process::Signal::KILL);
    soon("its end", gateway.child.wait()).await.unwrap();
    let gateway = stage.run("one", Some(address)).await;
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(GATEWAY_DOWN_ERRORS);
    report.row("gateway killed, and started again");
    assert_eq!(stage.processes().await, before, "no process was touched");
    finish(stage, gateway, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn standby_gateway_waits_and_takes_over() {
    let stage = Stage::new("second").await;
    stage.configure("one", &both());
    stage.configure("two", &both());
    let first = stage.run("one", None).await;
    let load = Load::on(first.address, &SERVERS).await;
    let before = stage.processes().await;
    assert_eq!(readiness(first.address).await.0, 200);

    let since = Instant::now();
    stage.share_key("one", "two");
    let second = stage.run("two", None).await;
    becomes("the second one knows that it waits", || async {
        let (status, said) = readiness(second.address).await;
        status == 503 && said.contains("held by")
    })
    .await;
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(&[]);
    report.row("second gateway started: it waits");
    assert_eq!(stage.processes().await, before, "no process was touched");

    let since = Instant::now();
    let address = second.address;
    let ending = tokio::spawn(end(first));
    becomes("the second one is ready", || async {
        readiness(address).await.0 == 200
    })
    .await;
    load.move_to(address);
    ending.await.unwrap();
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(&["http: ", "shutting down", "ended"]);
    report.row("first gateway ended: the second takes over");
    assert_eq!(stage.processes().await, before, "no process was touched");
    finish(stage, second, load, &SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn long_call_of_a_stopping_gateway_does_not_delay_the_next_gateway() {
    let stage = Stage::new("handover").await;
    stage.configure("one", &both());
    stage.configure("two", &both());
    let mut first = stage.run("one", None).await;
    let (old, pid) = (Client::new(first.address, "local"), first.pid());
    let session = old.session().await;
    let mut long = session
        .begin_with_token("\"long\"", "1", "web__gate", r#"{"name":"door"}"#)
        .await;
    let progress = soon("progress of the long call", long.event()).await;
    let progress = progress.unwrap().json();
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    stage.share_key("one", "two");
    let second = stage.run("two", None).await;
    let new = Client::new(second.address, "local");

    signal(pid, rustix::process::Signal::TERM);
    becomes("the second gateway is ready", || async {
        readiness(second.address).await.0 == 200
    })
    .await;
    // Both gateways serve: the first one until its long call has ended.
    let light = soon("a light call", new.modern_tool("web__echo", "{}")).await;
    assert!(light["result"]["echo"].is_object(), "{light}");
    let light = soon("a light call", old.modern_tool("web__echo", "{}")).await;
    assert!(light["result"]["echo"].is_object(), "{light}");
    let opened = new.modern_tool("web__open", r#"{"name":"door"}"#).await;
    assert!(opened["error"].is_null(), "{opened}");
    let answer = soon("the end of the long call", long.json()).await;
    assert_eq!(answer["result"]["content"][0]["text"], "door", "{answer}");
    soon("the end of the first gateway", first.child.wait())
        .await
        .unwrap();
    end(second).await;
    stage.settles(&SERVERS).await;
    stage.space.leave().await;
}
