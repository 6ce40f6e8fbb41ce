//! Many instances: on simulated nodes, whose pods become ready and run nothing, and thirty at once on a real one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use mcp_orchestrator_core::credential::{Credential, Owner, Revision};
use mcp_orchestrator_core::runtime::kubernetes::{KubernetesBackend, KubernetesOptions};
use mcp_orchestrator_core::runtime::{
    InstanceKey, LaunchSpec, LogBook, Progress, RuntimeBackend as _, Scope, SpecDigest,
};
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_tests::client::Client;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};

use crate::stage::{Stage, becomes, end, image, readiness, web};

/// Instances on simulated nodes.
const MANY: usize = 2000;
/// Instances that are woken at once.
const WOKEN: usize = 30;
/// The most that the process may take more, in KiB.
const MEMORY: u64 = 64 << 10;
/// For two thousand of anything, on a small machine.
const LONG: Duration = Duration::from_mins(15);

/// What this process takes, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap()
}

/// Requests of the gateway's account by what they do, from this place of the audit log on.
struct Audit {
    file: std::path::PathBuf,
    user: String,
    from: u64,
}

impl Audit {
    fn here(stage: &Stage) -> Self {
        let file = std::env::var_os("MCP_ORCHESTRATOR_TEST_AUDIT")
            .expect("MCP_ORCHESTRATOR_TEST_AUDIT must name the audit log of the cluster");
        let user = format!("system:serviceaccount:{}:gateway", stage.space.name);
        let from = std::fs::metadata(&file).unwrap().len();
        Self {
            file: file.into(),
            user,
            from,
        }
    }

    /// Writes since then, by resource; and from now on the next ones.
    fn writes(&mut self) -> HashMap<String, usize> {
        use std::io::{BufRead as _, Seek as _, SeekFrom};
        let mut file = std::fs::File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut writes = HashMap::new();
        for line in std::io::BufReader::new(&file).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap_or_default();
            let verb = event["verb"].as_str().unwrap_or_default();
            let is_write = matches!(verb, "create" | "patch" | "update" | "delete");
            let own = event["user"]["username"] == self.user.as_str();
            if is_write && own && event["stage"] == "ResponseComplete" {
                let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
                *writes.entry(resource.to_owned()).or_default() += 1;
            }
        }
        self.from = file.metadata().unwrap().len();
        writes
    }
}

fn simulated(n: usize) -> Value {
    let mut server = web(&n.to_string());
    server["pod"] = json!({
        "node_selector": { "kube-test/simulated": "true" },
        "tolerations": [{ "key": "kube-test/simulated", "operator": "Exists" }],
    });
    server
}

async fn all<T>(what: &str, futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let began = Instant::now();
    let futures: FuturesUnordered<_> = futures.into_iter().collect();
    let done = timeout(LONG, futures.collect::<Vec<_>>()).await;
    let done = done.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
    eprintln!(
        "{what}: {} in {} ms",
        done.len(),
        began.elapsed().as_millis()
    );
    done
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with simulated nodes: .ci/kubernetes long runs it"]
async fn two_thousand_instances_start_rest_and_outlive_a_restart() {
    let stage = Stage::new("many").await;
    let servers: Map<_, _> = (0..MANY).map(|n| (format!("s{n}"), simulated(n))).collect();
    stage.configure("one", &Value::Object(servers));
    let key = [4; 32];
    stage.set_key("one", &key);
    let settings = stage.settings("one");
    let key = Arc::new(StateKey::new(key));
    let launches: Vec<_> = settings
        .servers
        .iter()
        .map(|server| {
            let (id, digest) = (server.id.clone(), SpecDigest::new(&server.digest(&key)));
            let none = Revision::none();
            let launch = LaunchSpec {
                server: Arc::clone(server),
                credential: Arc::new(Credential::none()),
            };
            let key = InstanceKey::new(id, Owner::Organization, none, Scope::Shared, digest);
            (key, launch)
        })
        .collect();
    let access = stage.space.open_as(&stage.space.file("gateway")).await;
    let options = KubernetesOptions::new("stage", key);
    let backend = KubernetesBackend::new(access, options, LogBook::default(), None);
    let mut audit = Audit::here(&stage);
    let at_rest = resident(std::process::id());

    let unheard = Progress::unheard();
    let start = || {
        launches
            .iter()
            .map(|(key, launch)| backend.start(key, launch, &unheard))
    };
    let started = all("started", start()).await;
    assert!(started.iter().all(Result::is_ok), "none is forgotten");
    drop(started);
    let taken = resident(std::process::id()).saturating_sub(at_rest);
    let writes = audit.writes();
    eprintln!(
        "{MANY} started: {writes:?}, {} KiB more than at rest",
        taken
    );
    let total: usize = writes.values().sum();
    // Besides those of the instances: the owner of all.
    assert!(total <= 4 * MANY + 1, "{writes:?}");
    assert!(taken <= MEMORY, "{taken} KiB");

    let grace = Duration::from_secs(1);
    let stopped = all(
        "stopped",
        launches.iter().map(|(key, _)| backend.stop(key, grace)),
    )
    .await;
    assert!(stopped.iter().all(Result::is_ok));
    let writes = audit.writes();
    assert!(writes.values().sum::<usize>() <= MANY, "{writes:?}");
    let started = all("started again", start()).await;
    assert!(started.iter().all(Result::is_ok));
    drop(started);
    let writes = audit.writes();
    assert!(writes.values().sum::<usize>() <= MANY, "{writes:?}");
    drop(backend);

    // A gateway comes back to all of them.
    let began = Instant::now();
    let gateway = stage.run("one", None).await;
    while readiness(gateway.address).await.0 != 200 {
        assert!(began.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!(
        "restart at {MANY}: ready in {} ms",
        began.elapsed().as_millis()
    );
    let deployments = stage.space.api::<Deployment>();
    let listed = deployments.list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items.len(), MANY, "none is forgotten");
    let mut writes = audit.writes();
    writes.remove("leases");
    assert!(writes.is_empty(), "{writes:?}");
    eprintln!("the gateway itself takes {} KiB", resident(gateway.pid()));
    end(gateway).await;
    let mut writes = audit.writes();
    writes.remove("leases");
    assert!(writes.is_empty(), "{writes:?}");
    stage.space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn thirty_at_rest_are_woken_by_thirty_calls_at_once() {
    let stage = Stage::new("wake").await;
    let server = || {
        json!({
            "image": image(), "command": ["scripted_server", "--era", "both", "--http", "${PORT}", "--host", "0.0.0.0"],
            "type": "http", "stop_grace": "1s", "idle_timeout": "2s",
        })
    };
    let servers: Map<_, _> = (0..WOKEN).map(|n| (format!("s{n}"), server())).collect();
    stage.configure("one", &Value::Object(servers));
    let gateway = stage.run("one", None).await;
    let address = gateway.address;
    let call = |n: usize| async move {
        let began = Instant::now();
        let client = Client::new(address, "local");
        let mark = json!({ "mark": n });
        let (tool, arguments) = (format!("s{n}__echo"), mark.to_string());
        let asked = client.modern_patient(&tool, &arguments);
        let answer = timeout(LONG, asked).await.unwrap();
        assert_eq!(answer["result"]["echo"], mark, "{answer}");
        began.elapsed()
    };
    all("called", (0..WOKEN).map(call)).await;
    becomes("all at rest", || async {
        let all = stage
            .space
            .api::<Deployment>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let rest = |it: &Deployment| it.spec.as_ref().unwrap().replicas == Some(0);
        all.items.len() == WOKEN && all.items.iter().all(rest) && stage.processes().await.is_empty()
    })
    .await;
    let mut took = all("woken", (0..WOKEN).map(call)).await;
    took.sort();
    let ms = |at: usize| took[at].as_millis();
    eprintln!(
        "a wake of {WOKEN}: fastest {} ms, median {} ms, slowest {} ms",
        ms(0),
        ms(WOKEN / 2),
        ms(WOKEN - 1)
    );
    end(gateway).await;
    stage.space.leave().await;
}
