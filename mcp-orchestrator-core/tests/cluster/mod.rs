//! A namespace of a real cluster for one test, and a backend in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::runtime::LogBook;
use mcp_orchestrator_core::runtime::kubernetes::{
    Access, AccessOptions, KubernetesBackend, KubernetesOptions,
};
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_core::server::{CommandLine, Launch, Program, ServerSpec};

/// Names the cluster; without it these tests are left out.
const KUBECONFIG: &str = "MCP_ORCHESTRATOR_TEST_KUBECONFIG";
/// Names the image: a shell with its usual tools, and `fixture_server`.
const IMAGE: &str = "MCP_ORCHESTRATOR_TEST_IMAGE";

/// A namespace of its own.
pub(crate) struct Cluster {
    pub(crate) access: Access,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// A new namespace; none where no cluster is named, which is said.
    #[expect(
        clippy::print_stderr,
        reason = "who runs the tests shall know what was left out"
    )]
    pub(crate) async fn new(purpose: &str) -> Option<Self> {
        let Some(kubeconfig) = std::env::var_os(KUBECONFIG) else {
            eprintln!("left out: {KUBECONFIG} names no cluster");
            return None;
        };
        let kubeconfig = PathBuf::from(kubeconfig);
        let random = mcp_orchestrator_core::seal::random_text(6).to_lowercase();
        let random = random.replace(['-', '_'], "x");
        let namespace = format!("kobj-{purpose}-{random}");
        let access = open(&kubeconfig, &namespace).await;
        let namespaces: Api<Namespace> = Api::all(access.client().clone());
        let mut new = Namespace::default();
        new.metadata.name = Some(namespace);
        let restricted = ("pod-security.kubernetes.io/enforce", "restricted");
        let labels = [restricted].map(|(name, value)| (name.to_owned(), value.to_owned()));
        new.metadata.labels = Some(labels.into());
        namespaces
            .create(&PostParams::default(), &new)
            .await
            .unwrap();
        Some(Self { access, kubeconfig })
    }

    /// A backend, as a new process would have it.
    pub(crate) async fn backend(&self) -> KubernetesBackend {
        let access = open(&self.kubeconfig, self.access.namespace()).await;
        let key = Arc::new(StateKey::new([3; 32]));
        let options = KubernetesOptions::new("suite", key);
        KubernetesBackend::new(access, options, LogBook::default(), None)
    }

    /// Takes the namespace away.
    pub(crate) async fn close(self) {
        let namespaces: Api<Namespace> = Api::all(self.access.client().clone());
        let name = self.access.namespace();
        namespaces
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
}

async fn open(kubeconfig: &std::path::Path, namespace: &str) -> Access {
    let options = AccessOptions {
        kubeconfig: Some(kubeconfig.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..AccessOptions::default()
    };
    Access::open(&options).await.unwrap()
}

/// A server that runs this in the test's image, with little of everything.
pub(crate) fn server(name: &str, command: &[&str]) -> ServerSpec {
    let image = std::env::var(IMAGE).unwrap_or_else(|_| "localhost/mcp-orchestrator-test:1".into());
    let (program, args) = command.split_first().unwrap();
    let mut program = Program {
        command: Some(CommandLine {
            program: (*program).to_owned(),
            args: args.iter().map(|arg| (*arg).into()).collect(),
            cwd: None,
        }),
        image: Some(image),
        ..Program::default()
    };
    let requests = &mut program.container.resources.requests;
    for (name, quantity) in [("cpu", "10m"), ("memory", "16Mi")] {
        requests.insert(name.to_owned(), quantity.to_owned());
    }
    let id = ServerId::new(name).unwrap();
    let mut server = ServerSpec::new(id, Launch::Program(program));
    server.limits.stop_grace = Duration::from_secs(1);
    server
}
