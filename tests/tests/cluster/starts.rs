//! Servers that cannot start, and changed servers, under load.

use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::program::Program;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::load::Load;
use crate::stage::{Stage, becomes, both, end, pipe, web};

const SERVERS: [&str; 2] = ["pipe", "web"];

/// Changes the configuration and waits until the gateway has applied it.
async fn reload(stage: &Stage, servers: &Value) {
    let applied = || stage.said("one").matches("configuration applied").count();
    let before = applied();
    stage.configure("one", servers);
    becomes("the reload", || async { applied() > before }).await;
}

async fn ask(gateway: &Program, server: &str) -> Value {
    let client = Client::new(gateway.address, "local");
    client.modern_tool(&format!("{server}__echo"), "{}").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn start_failure_is_reported_and_leaves_other_servers_running() {
    let stage = Stage::new("broken").await;
    let mut servers = both();
    stage.configure("one", &servers);
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let mut absent = pipe("absent");
    absent["image"] = json!("localhost/absent:1");
    absent["pod"] = json!({ "pull_policy": "Never" });
    let mut crash = pipe("crash");
    crash["command"] = json!(["scripted_server", "--fail", "no database"]);
    let mut nowhere = web("nowhere");
    nowhere["start_timeout"] = json!("5s");
    nowhere["pod"] = json!({ "node_selector": { "no": "such-node" } });
    for (fault, broken, reason) in [
        ("image that does not exist", absent, "localhost/absent:1"),
        ("program that ends at its start", crash, "no database"),
        ("no node takes the pod", nowhere, "no node takes the pod"),
    ] {
        servers["third"] = broken;
        reload(&stage, &servers).await;
        let since = Instant::now();
        let answer = ask(&gateway, "third").await;
        let took = since.elapsed();
        let error = &answer["error"];
        assert_eq!(error["data"]["server"], "third", "{answer}");
        // The last output of a program that has ended is next to the message.
        assert!(error.to_string().contains(reason), "{fault}: {error}");
        let text = error["message"].as_str().unwrap();
        eprintln!("| {fault} | {text} | told after {} |", took.as_millis());
        load.good_since(Instant::now()).await;
        let report = load.seen(since);
        report.allow(&[]);
        report.row(&format!("{fault}: the other servers"));
        // Once fixed, it runs.
        servers["third"] = pipe("mended");
        reload(&stage, &servers).await;
        let answer = ask(&gateway, "third").await;
        assert!(answer["result"]["echo"].is_object(), "{fault}: {answer}");
        servers.as_object_mut().unwrap().remove("third");
        reload(&stage, &servers).await;
        stage.settles(&SERVERS).await;
    }
    load.end().await;
    end(gateway).await;
    stage.settles(&SERVERS).await;
    stage.space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn changed_server_loses_no_call() {
    let stage = Stage::new("changed").await;
    stage.configure("one", &both());
    let gateway = stage.run("one", None).await;
    let load = Load::on(gateway.address, &SERVERS).await;
    let before = stage.processes().await;
    let since = Instant::now();
    reload(&stage, &json!({ "pipe": pipe("2"), "web": web("2") })).await;
    becomes("other pods alone", || async {
        let now = stage.processes().await;
        now.len() == 2 && now.iter().all(|it| !before.contains(it))
    })
    .await;
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(&[]);
    report.row("new spec of both servers");

    // A specification that cannot start replaces nothing.
    let before = stage.processes().await;
    let since = Instant::now();
    let mut broken = json!({ "pipe": pipe("3"), "web": web("3") });
    for server in SERVERS {
        broken[server]["command"] = json!(["scripted_server", "--fail", "no database"]);
    }
    reload(&stage, &broken).await;
    let refused = || {
        stage
            .said("one")
            .matches("the old instance goes on")
            .count()
    };
    becomes("both refusals", || async { refused() >= 2 }).await;
    load.good_since(Instant::now()).await;
    let report = load.seen(since);
    report.allow(&[]);
    report.row("new spec of both servers that cannot start");
    stage.settles(&SERVERS).await;
    assert_eq!(stage.processes().await, before, "the old ones go on");
    load.end().await;
    end(gateway).await;
    stage.space.leave().await;
}
