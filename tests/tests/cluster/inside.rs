//! Faults of a gateway that runs inside the cluster, installed by the chart.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use mcp_orchestrator_tests::wait::signal;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::load::Load;
use crate::outages::{OUTAGE_ERRORS, SERVERS, recovers};
use crate::stage::{Stage, becomes, both, restart};

/// The name of the release's objects.
const NAME: &str = "inside-mcp-orchestrator";

/// As long as clients wait for a connection before they try again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A gateway inside the cluster. The test reaches it through its Service, so this machine must be a node.
struct Inside {
    stage: Stage,
    load: Load,
    _relay: JoinSet<()>,
}

/// Passes connections on from a local address, whose name every gateway accepts.
async fn relay(to: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn(async move {
                // A connection that begins as a pod ends can be lost without an error.
                let opened = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await;
                if let Ok(Ok(mut gateway)) = opened {
                    drop(copy_bidirectional(&mut client, &mut gateway).await);
                }
            });
            while connections.try_join_next().is_some() {}
        }
    });
    (address, tasks)
}

impl Inside {
    async fn install(test: &str) -> Self {
        let stage = Stage::new(test).await;
        let values = json!({
            "image": { "repository": "localhost/gateway", "tag": "suite" },
            "baseImage": "localhost/base:suite",
            // The calls come from the node.
            "networkPolicy": { "enabled": false },
            "config": { "servers": both() },
        });
        let file = stage.space.file("values.json");
        std::fs::write(&file, values.to_string()).unwrap();
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/chart/mcp-orchestrator");
        let mut install = Command::new("helm");
        install.args(["install", "inside"]).arg(chart);
        install.arg("--kubeconfig").arg(&stage.space.kubeconfig);
        install.args(["--namespace", &stage.space.name, "--values"]);
        install.arg(file).args(["--wait", "--timeout", "120s"]);
        let installed = install.output().await.unwrap();
        assert!(installed.status.success(), "{installed:?}");
        let service = stage.space.api::<Service>().get(NAME).await.unwrap();
        let service = service.spec.unwrap();
        let port = u16::try_from(service.ports.unwrap()[0].port).unwrap();
        let address = SocketAddr::new(service.cluster_ip.unwrap().parse().unwrap(), port);
        let secret = stage.space.api::<Secret>();
        let secret = secret.get(&format!("{NAME}-first-admin")).await.unwrap();
        let token = String::from_utf8(secret.data.unwrap()["token"].0.clone()).unwrap();
        let (address, relay) = relay(address).await;
        let load = Load::with_token(address, &SERVERS, Some(&token)).await;
        Self {
            stage,
            load,
            _relay: relay,
        }
    }

    /// Returns the gateway's pod.
    async fn pod(&self) -> Pod {
        self.current_pod().await.expect("the gateway has a pod")
    }

    /// Returns the gateway's pod, if there is one that is not being deleted.
    async fn current_pod(&self) -> Option<Pod> {
        let mut pods = self.gateway_pods().await.into_iter();
        pods.find(|pod| pod.metadata.deletion_timestamp.is_none())
    }

    /// Returns the gateway's pods, also one that is being deleted.
    async fn gateway_pods(&self) -> Vec<Pod> {
        let gateways = ListParams::default().labels("app.kubernetes.io/component=gateway");
        let pods = self.stage.space.api::<Pod>().list(&gateways).await;
        pods.unwrap().items
    }

    /// Returns the gateway's process, which is found on this machine by the pod in its cgroup.
    async fn process(&self) -> u32 {
        let uid = self.pod().await.metadata.uid.unwrap();
        let spellings = [uid.replace('-', "_"), uid];
        let is_gateway = |process: &Path| {
            let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
            let group = read("cgroup");
            spellings.iter().any(|uid| group.contains(uid)) && read("comm").starts_with("mcp-orch")
        };
        let processes = std::fs::read_dir("/proc").unwrap();
        let mut found = processes.filter_map(|process| {
            let process = process.unwrap();
            let pid = process.file_name().to_str()?.parse().ok()?;
            is_gateway(&process.path()).then_some(pid)
        });
        found.next().expect("the gateway runs on this machine")
    }

    /// Returns the servers' pods, without those of the gateway.
    async fn processes(&self) -> Vec<(String, i32)> {
        let gateways = self.gateway_pods().await;
        let is_gateway = |uid: &String| {
            let mut uids = gateways.iter().filter_map(|pod| pod.metadata.uid.as_ref());
            uids.any(|gateway| gateway == uid)
        };
        let mut processes = self.stage.processes().await;
        processes.retain(|(uid, _)| !is_gateway(uid));
        processes
    }

    async fn end(self) {
        self.load.end().await;
        self.stage.space.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes long runs it"]
async fn gateway_inside_the_cluster_recovers_with_the_same_servers() {
    let inside = Inside::install("inside").await;
    let before = inside.processes().await;
    let reasons = [OUTAGE_ERRORS, &["http: "]].concat();

    let since = Instant::now();
    let restarted = restart("kube-apiserver", 30).status().await;
    assert!(restarted.unwrap().success());
    let fault = "inside: API server down 30 s";
    recovers(&inside.load, since, &reasons, fault).await;
    assert_eq!(inside.processes().await, before, "{fault}");

    let gateway = inside.process().await;
    let since = Instant::now();
    signal(gateway, Signal::KILL);
    let fault = "inside: gateway kill -9";
    recovers(&inside.load, since, &reasons, fault).await;
    assert_eq!(inside.processes().await, before, "{fault}");

    let gateway = inside.process().await;
    let since = Instant::now();
    let mut outage = restart("kube-apiserver", 30).spawn().unwrap();
    signal(gateway, Signal::KILL);
    assert!(outage.wait().await.unwrap().success());
    let fault = "inside: gateway kill -9 while the API server is down 30 s";
    recovers(&inside.load, since, &reasons, fault).await;
    assert_eq!(inside.processes().await, before, "{fault}");

    let since = Instant::now();
    let pod = inside.pod().await.name_any();
    let pods = inside.stage.space.api::<Pod>();
    pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    becomes("another pod of the gateway", || async {
        let now = inside.current_pod().await;
        now.is_some_and(|now| now.name_any() != pod)
    })
    .await;
    let fault = "inside: pod of the gateway deleted";
    recovers(&inside.load, since, &reasons, fault).await;
    assert_eq!(inside.processes().await, before, "{fault}");
    inside.end().await;
}
