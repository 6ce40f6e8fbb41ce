//! Two thousand instances on simulated nodes: their pods become ready and run nothing.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use mcp_orchestrator_core::credential::{Credential, Owner, Revision};
use mcp_orchestrator_core::runtime::kubernetes::{KubernetesBackend, KubernetesOptions};
use mcp_orchestrator_core::runtime::{
    InstanceKey, LaunchSpec, LogBook, Progress, RuntimeBackend as _, Scope, SpecDigest,
};
use mcp_orchestrator_core::seal::StateKey;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::audit::Audit;
use crate::stage::{Stage, end, readiness, web};
use crate::wake::{LONG, all};

/// The number of instances, unless MCP_ORCHESTRATOR_TEST_MANY overrides it.
const INSTANCES: usize = 2000;
/// Concurrent writes. The log records the end of a write a moment later than the client sees it.
const MAX_CONCURRENT_WRITES: usize = 16 + 16;
/// The most additional memory of a gateway, in KiB.
const MEMORY: u64 = 64 << 10;
/// The time limit for a gateway that comes back.
const BACK: Duration = Duration::from_secs(5);
/// Attempts to come back in that time, since everything else runs on the same machine.
const TRIES: usize = 3;

fn many() -> usize {
    let asked = std::env::var("MCP_ORCHESTRATOR_TEST_MANY").ok();
    asked.map_or(INSTANCES, |number| number.parse().unwrap())
}

/// Returns the resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap()
}

fn simulated(n: usize) -> Value {
    let mut server = web(&n.to_string());
    server["pod"] = json!({
        "node_selector": { "kube-test/simulated": "true" },
        "tolerations": [{ "key": "kube-test/simulated", "operator": "Exists" }],
    });
    server
}

fn launches(stage: &Stage, key: &StateKey) -> Vec<(InstanceKey, LaunchSpec)> {
    let settings = stage.settings("one");
    let servers = settings.servers.iter();
    let launch = servers.map(|server| {
        let digest = SpecDigest::new(&server.digest(key));
        let (owner, none) = (Owner::Organization, Revision::none());
        let launch = LaunchSpec {
            server: Arc::clone(server),
            credential: Arc::new(Credential::none()),
        };
        let key = InstanceKey::new(server.id.clone(), owner, none, Scope::Shared, digest);
        (key, launch)
    });
    launch.collect()
}

/// Starts the gateway, waits until it is ready, and returns its memory and the time that took.
async fn gateway(stage: &Stage) -> (u64, Duration) {
    let began = Instant::now();
    let gateway = stage.run("one", None).await;
    while readiness(gateway.address).await.0 != 200 {
        assert!(began.elapsed() < 20 * BACK, "the gateway is not ready");
        sleep(Duration::from_millis(20)).await;
    }
    let (took, takes) = (began.elapsed(), resident(gateway.pid()));
    end(gateway).await;
    (takes, took)
}

/// Returns the number of instances that should run.
async fn running(stage: &Stage) -> usize {
    let deployments = stage.space.api::<Deployment>();
    let listed = deployments.list(&ListParams::default()).await.unwrap();
    let runs = |it: &&Deployment| it.spec.as_ref().unwrap().replicas == Some(1);
    listed.items.iter().filter(runs).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with simulated nodes: .ci/kubernetes long runs it"]
async fn two_thousand_instances_start_go_idle_and_survive_a_restart() {
    let (stage, many) = (Stage::new("many").await, many());
    let servers: Map<_, _> = (0..many).map(|n| (format!("s{n}"), simulated(n))).collect();
    stage.configure("one", &Value::Object(servers));
    let key = Arc::new(StateKey::new([4; 32]));
    stage.set_key("one", &[4; 32]);
    let (empty, _) = gateway(&stage).await;
    let launches = launches(&stage, &key);
    assert_eq!(launches.len(), many);
    let access = stage.space.open_as(&stage.space.file("gateway")).await;
    let mut options = KubernetesOptions::new("stage", key);
    // The cluster sets the pace at which so many pods end.
    options.stop_patience = LONG;
    let backend = KubernetesBackend::new(access, options, LogBook::default(), None);
    let mut audit = Audit::here(&stage);
    let at_rest = resident(std::process::id());

    let unheard = Progress::unheard();
    for (what, most) in [("started", 4), ("started again", 1)] {
        let start = |(key, launch)| backend.start(key, launch, &unheard);
        let started = all(
            what,
            launches.iter().map(|(key, launch)| start((key, launch))),
        )
        .await;
        assert!(started.iter().all(Result::is_ok), "{started:?}");
        drop(started);
        let (taken, writes) = (resident(std::process::id()), audit.writes());
        let taken = taken.saturating_sub(at_rest);
        eprintln!("{what}: {writes:?}, {taken} KiB more than at rest");
        assert!(writes.each <= most && writes.at_once <= MAX_CONCURRENT_WRITES);
        // In addition to the instances' writes: one for the owner.
        assert!(writes.total() <= most * many + 1);
        assert!(taken <= MEMORY);
        if most > 1 {
            let stop = |key| backend.stop(key, Duration::from_secs(1));
            let stopped = all("stopped", launches.iter().map(|(key, _)| stop(key))).await;
            assert!(stopped.iter().all(Result::is_ok), "{stopped:?}");
            let writes = audit.writes();
            eprintln!("stopped: {writes:?}");
            assert!(writes.each <= 1 && writes.at_once <= MAX_CONCURRENT_WRITES);
            assert!(writes.total() <= many);
            assert_eq!(running(&stage).await, 0, "all rest");
        }
    }
    drop(backend);
    audit.writes();

    // A gateway comes back to all of them.
    let mut tries = 0..TRIES;
    while tries.next().is_some() {
        let (takes, took) = gateway(&stage).await;
        eprintln!(
            "a gateway comes back to {many}: ready after {} ms; it takes {takes} KiB, {empty} KiB where there are none",
            took.as_millis()
        );
        assert!(takes.saturating_sub(empty) <= MEMORY);
        if took <= BACK {
            break;
        }
        assert!(!tries.is_empty(), "it is never ready within {BACK:?}");
    }
    assert_eq!(running(&stage).await, many, "none is forgotten");
    let writes = audit.writes();
    assert!(writes.besides_the_lease().is_empty(), "{writes:?}");
    stage.space.leave().await;
}
