//! A server with instances for forty owners, most of them stopped, is reconfigured.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::ListParams;
use mcp_orchestrator_core::Orchestrator;
use mcp_orchestrator_core::server::{Launch, ServerSpec};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::owners::{TOKEN, Vault, ask, digest, orchestrator, servers, slotted};
use crate::stage::{Stage, becomes, pipe};
use crate::wake::all;

/// Owners of a credential, each with an instance.
const OWNERS: usize = 40;
/// Owners that keep calling.
const AWAKE: usize = 5;
/// Instances that start concurrently.
const STARTING: usize = 10;

fn person(n: usize) -> String {
    format!("p{n}")
}

fn token(n: usize) -> String {
    format!("token-{n}")
}

/// Calls with this owner's credential, and checks that this owner's instance answered.
async fn call(orchestrator: &Orchestrator, n: usize) {
    let said = ask(orchestrator, &person(n), "digest", TOKEN).await;
    assert!(said.contains(&digest(&token(n))), "{}: {said}", person(n));
}

/// Users that call continuously; each of their calls is answered.
struct Callers {
    stop: CancellationToken,
    calling: JoinSet<usize>,
}

impl Callers {
    fn begin(orchestrator: &Orchestrator) -> Self {
        let (stop, mut calling) = (CancellationToken::new(), JoinSet::new());
        for n in 0..AWAKE {
            let (orchestrator, stop) = (orchestrator.clone(), stop.clone());
            calling.spawn(async move {
                let mut calls = 0;
                while !stop.is_cancelled() {
                    call(&orchestrator, n).await;
                    calls += 1;
                    // The pace of the load.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                calls
            });
        }
        Self { stop, calling }
    }

    async fn end(self) -> usize {
        self.stop.cancel();
        self.calling.join_all().await.into_iter().sum()
    }
}

/// Returns the names of all Deployments, and of the running ones (by `replicas`).
async fn deployed(stage: &Stage) -> (BTreeSet<String>, BTreeSet<String>) {
    let listed = stage.space.api::<Deployment>();
    let listed = listed.list(&ListParams::default()).await.unwrap().items;
    let runs = |it: &&Deployment| it.spec.as_ref().unwrap().replicas != Some(0);
    (
        listed.iter().map(ResourceExt::name_any).collect(),
        listed
            .iter()
            .filter(runs)
            .map(ResourceExt::name_any)
            .collect(),
    )
}

/// Returns the pods that are not being deleted.
async fn live(stage: &Stage) -> BTreeSet<Option<String>> {
    let pods = stage.pods("pipe").await;
    pods.iter().map(ResourceExt::uid).collect()
}

fn fails(server: &mut ServerSpec) {
    let Launch::Program(program) = &mut server.launch else {
        panic!("a program");
    };
    let command = program.command.as_mut().unwrap();
    command.args.extend(["--fail".into(), "no database".into()]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn reload_replaces_running_instances_and_starts_no_idle_ones() {
    let stage = Stage::new("reload").await;
    let mut server = pipe("1");
    server["idle_timeout"] = json!("5s");
    stage.configure("one", &json!({ "pipe": server }));
    let mut server = slotted(servers(&stage, "one").remove(0));
    let vault = Arc::new(Vault::default());
    (0..OWNERS).for_each(|n| vault.put(&server, &person(n), &token(n)));
    let orchestrator = orchestrator(&stage, &[server.clone()], Some(vault)).await;
    for first in (0..OWNERS).step_by(STARTING) {
        let calls = (first..first + STARTING).map(|n| call(&orchestrator, n));
        all("instances called", calls).await;
    }
    let callers = Callers::begin(&orchestrator);
    becomes("all others at rest", || async {
        let (all, running) = deployed(&stage).await;
        all.len() >= OWNERS && running.len() == AWAKE && stage.pods("pipe").await.len() == AWAKE
    })
    .await;
    let (before, awake) = deployed(&stage).await;

    server.env.insert("MARK".into(), "2".into());
    orchestrator.apply([Arc::new(server.clone())]);
    becomes("five replaced", || async {
        let (all, running) = deployed(&stage).await;
        let new: BTreeSet<_> = all.difference(&before).cloned().collect();
        assert!(new.len() <= AWAKE, "only what ran is started: {new:?}");
        assert!(
            running
                .iter()
                .all(|it| awake.contains(it) || new.contains(it))
        );
        running.len() == AWAKE && running == new && stage.pods("pipe").await.len() == AWAKE
    })
    .await;

    // A specification that cannot start replaces nothing.
    let before = live(&stage).await;
    let mut broken = server.clone();
    fails(&mut broken);
    orchestrator.apply([Arc::new(broken)]);
    becomes("five refusals", || async {
        let instances = orchestrator.instances().await;
        instances.iter().filter(|it| it.reason.is_some()).count() == AWAKE
    })
    .await;
    becomes("the old five alone", || async {
        live(&stage).await == before
    })
    .await;
    let calls = callers.end().await;
    eprintln!(
        "| a server of {OWNERS} owners, {AWAKE} of them awake, changed twice | nothing ({calls} calls) | |"
    );
    // A stopped instance starts with the current specification when it is called.
    orchestrator.apply([Arc::new(server)]);
    call(&orchestrator, OWNERS - 1).await;
    orchestrator.shutdown(Duration::from_secs(5)).await;
    stage.space.leave().await;
}
