//! A namespace with an account, and gateway programs with exactly the permissions of the Role.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use mcp_orchestrator_core::config::{LoadOptions, Settings, load};
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::wait::{LONG, signal};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::cluster::{TestNamespace, space};
use crate::load::Load;

/// The time limit for operations of a cluster, even on a busy machine.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(180);

/// The file of the state key in the state directory.
const KEY: &str = "state.key";

/// The environment of a test.
pub(crate) struct Stage {
    pub(crate) space: TestNamespace,
    kubeconfig: PathBuf,
    folders: Folders,
}

/// The gateways' folders and logs. They are kept if the test fails.
struct Folders(tempfile::TempDir);

impl Drop for Folders {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            eprintln!("the gateways' logs are in {}", self.0.path().display());
        }
    }
}

/// Returns the image with the test's programs.
pub(crate) fn image() -> String {
    std::env::var("MCP_ORCHESTRATOR_TEST_IMAGE")
        .unwrap_or_else(|_| "localhost/mcp-orchestrator-test:1".to_owned())
}

/// A scripted server over stdio; a different `mark` makes a different specification.
pub(crate) fn pipe(mark: &str) -> Value {
    json!({
        "image": image(), "command": ["scripted_server", "--era", "both", "--mark", mark],
        "stop_grace": "1s", "env": { "TOKEN": "${TOKEN:-canary}" },
    })
}

/// The same server over HTTP.
pub(crate) fn web(mark: &str) -> Value {
    let mut web = pipe(mark);
    let more = ["--http", "${PORT}", "--host", "0.0.0.0"].map(Value::from);
    web["command"].as_array_mut().unwrap().extend(more);
    web["type"] = json!("http");
    web
}

/// Both servers by name.
pub(crate) fn both() -> Value {
    json!({ "pipe": pipe("1"), "web": web("1") })
}

pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(CLUSTER_TIMEOUT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {CLUSTER_TIMEOUT:?}"),
    }
}

/// Polls until the condition holds.
pub(crate) async fn becomes<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let holding = async {
        while !holds().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    soon(what, holding).await;
}

impl Stage {
    pub(crate) async fn new(test: &str) -> Self {
        let space = space(test).await;
        let token = space.account("gateway").await;
        space.bind("gateway").await;
        space.open_as(&token).await;
        Self {
            kubeconfig: token.with_extension("kubeconfig"),
            space,
            folders: Folders(tempfile::tempdir().unwrap()),
        }
    }

    /// Makes later gateways use this kubeconfig.
    pub(crate) fn by(&mut self, kubeconfig: PathBuf) {
        self.kubeconfig = kubeconfig;
    }

    /// Writes the configuration of this gateway.
    pub(crate) fn configure(&self, gateway: &str, servers: &Value) {
        let config = json!({
            "backend": "kubernetes",
            "kubernetes": {
                "kubeconfig": self.kubeconfig, "namespace": self.space.name, "name": "stage",
                "defaults": { "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } },
            },
            "servers": servers,
        });
        let folder = self.folder(gateway);
        std::fs::create_dir_all(&folder).unwrap();
        // Renamed into place, so that it is never read half written.
        let (file, new) = (folder.join("config.json"), folder.join("new"));
        std::fs::write(&new, config.to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// Runs this gateway, optionally at the address of a previous one.
    pub(crate) async fn run(&self, gateway: &str, at: Option<SocketAddr>) -> Program {
        let listen = at.map_or("127.0.0.1:0".to_owned(), |at| at.to_string());
        let args = [
            "--listen",
            &listen,
            "--log-level",
            "info,mcp_orchestrator_core=debug",
        ];
        Program::run_in(&self.folder(gateway), &args, &[], &self.errors(gateway)).await
    }

    /// Gives a gateway the state key of another one. Two gateways that take turns share it; inside a cluster it is in a
    /// Secret.
    pub(crate) fn share_key(&self, from: &str, to: &str) {
        let key = std::fs::read(self.folder(from).join("state").join(KEY)).unwrap();
        self.set_key(to, &key);
    }

    /// Gives this state key to a gateway that has not started yet.
    pub(crate) fn set_key(&self, gateway: &str, key: &[u8]) {
        use std::io::Write as _;
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let state = self.folder(gateway).join("state");
        let mut folder = std::fs::DirBuilder::new();
        folder.mode(0o700).create(&state).unwrap();
        let mut file = std::fs::File::options();
        let file = file.write(true).create_new(true).mode(0o600);
        let mut file = file.open(state.join(KEY)).unwrap();
        file.write_all(key).unwrap();
    }

    /// Returns this gateway's standard error.
    pub(crate) fn said(&self, gateway: &str) -> String {
        std::fs::read_to_string(self.errors(gateway)).unwrap_or_default()
    }

    /// Returns the configuration of this gateway as the gateway loads it.
    pub(crate) fn settings(&self, gateway: &str) -> Settings {
        let folder = self.folder(gateway);
        let options = LoadOptions {
            state_dir: Some(folder.join("state")),
            ..LoadOptions::default()
        };
        let loaded = load(&[folder.join("config.json")], &options);
        loaded.unwrap_or_else(|wrong| panic!("{wrong:?}")).settings
    }

    fn folder(&self, gateway: &str) -> PathBuf {
        self.folders.0.path().join(gateway)
    }

    fn errors(&self, gateway: &str) -> PathBuf {
        self.folders.0.path().join(format!("{gateway}.log"))
    }

    /// Returns the pods of this server that are not being deleted.
    pub(crate) async fn pods(&self, server: &str) -> Vec<Pod> {
        let params = ListParams::default().labels(&format!("app.kubernetes.io/name={server}"));
        let all = self.space.api::<Pod>().list(&params).await.unwrap().items;
        let live = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
        all.into_iter().filter(live).collect()
    }

    /// Returns the only pod of this server.
    pub(crate) async fn pod(&self, server: &str) -> Pod {
        let mut pods = self.pods(server).await;
        assert_eq!(pods.len(), 1, "pods of {server}");
        pods.remove(0)
    }

    /// Returns the only Deployment of this server.
    pub(crate) async fn deployment(&self, server: &str) -> Deployment {
        let params = ListParams::default().labels(&format!("app.kubernetes.io/name={server}"));
        let all = self.space.api::<Deployment>().list(&params).await;
        let mut all = all.unwrap().items;
        assert_eq!(all.len(), 1, "deployments of {server}");
        all.remove(0)
    }

    /// Returns the running processes: pods by UID, with their container's restarts.
    pub(crate) async fn processes(&self) -> Vec<(String, i32)> {
        let all = self.space.api::<Pod>().list(&ListParams::default()).await;
        let mut processes: Vec<_> = all.unwrap().items.iter().map(process).collect();
        processes.sort();
        processes
    }

    /// Waits until each of these servers has exactly one pod, and no other pod exists.
    pub(crate) async fn settles(&self, servers: &[&str]) {
        becomes("one pod of each server, and no other", || async {
            let all = self.space.api::<Pod>().list(&ListParams::default()).await;
            let deployments = self.space.api::<Deployment>();
            let deployments = deployments.list(&ListParams::default()).await.unwrap();
            let name = |labels: &std::collections::BTreeMap<String, String>| {
                labels
                    .get("app.kubernetes.io/name")
                    .cloned()
                    .unwrap_or_default()
            };
            let mut pods: Vec<_> = all
                .unwrap()
                .items
                .iter()
                .map(|it| name(it.labels()))
                .collect();
            let mut deployed: Vec<_> = deployments
                .items
                .iter()
                .map(|it| name(it.labels()))
                .collect();
            pods.sort();
            deployed.sort();
            pods == servers && deployed == servers
        })
        .await;
    }
}

fn process(pod: &Pod) -> (String, i32) {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|it| it.container_statuses.as_ref());
    let restarts = statuses
        .into_iter()
        .flatten()
        .map(|it| it.restart_count)
        .sum();
    (pod.metadata.uid.clone().unwrap_or_default(), restarts)
}

/// Ends the load and the gateway, waits until each server has one pod, and deletes the namespace.
pub(crate) async fn finish(stage: Stage, gateway: Program, load: Load, servers: &[&str]) {
    load.end().await;
    end(gateway).await;
    stage.settles(servers).await;
    stage.space.leave().await;
}

/// Sends SIGTERM to the program and waits for its exit.
pub(crate) async fn end(mut gateway: Program) {
    signal(gateway.pid(), rustix::process::Signal::TERM);
    soon("the gateway's end", gateway.child.wait())
        .await
        .unwrap();
}

/// Returns the status and the text of the gateway's `/readyz`.
pub(crate) async fn readiness(address: SocketAddr) -> (u16, String) {
    let client = Client::new(address, "local").at("/readyz");
    let mut response = timeout(LONG, client.send("GET", &[], b"")).await.unwrap();
    let said = response.bytes().await;
    (response.status, String::from_utf8_lossy(&said).into_owned())
}

/// Returns a command that kills this process of the cluster and starts it again after the given time.
pub(crate) fn restart(process: &str, seconds: u32) -> tokio::process::Command {
    let variable = "MCP_ORCHESTRATOR_TEST_RESTART";
    let program = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} must name a command that does that"));
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", &format!("{program} {process} {seconds}")])
        .stdout(std::process::Stdio::null());
    command
}
