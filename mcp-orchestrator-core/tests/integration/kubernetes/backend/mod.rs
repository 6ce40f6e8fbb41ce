//! Tests of the Kubernetes backend in a real cluster: the contract suite of backends, and guarantees that only pods
//! give. All run with the permissions of the Role.

mod faults;
mod removal;

use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::id::{ServerId, SlotName};
use mcp_orchestrator_core::runtime::LogBook;
use mcp_orchestrator_core::runtime::kubernetes::{Access, KubernetesBackend, KubernetesOptions};
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_core::server::{
    CommandLine, CredentialSlot, Injection, Launch, PortOwner, Program, ProgramTransport,
    ServerSpec, SlotForm,
};
use mcp_orchestrator_core::testing::runtime::{Script, suite};

use crate::kubernetes::cluster::{TestNamespace, space};

/// Returns the state key of all backends in these tests.
fn state_key() -> Arc<StateKey> {
    Arc::new(StateKey::new([3; 32]))
}

/// Opens access to the cluster with only the permissions of the Role.
async fn enter(space: &TestNamespace) -> Access {
    let token = space.account("orchestrator").await;
    space.bind("orchestrator").await;
    space.open_as(&token).await
}

/// Creates a backend as a new process would.
fn backend(access: &Access) -> KubernetesBackend {
    let options = KubernetesOptions::new("suite", state_key());
    KubernetesBackend::new(access.clone(), options, LogBook::default(), None)
}

/// Returns a server that runs this command in the test image, with small resource requests. The image contains a shell
/// with the usual tools, and `fixture_server`.
fn server(name: &str, command: &[&str]) -> ServerSpec {
    let image = std::env::var("MCP_ORCHESTRATOR_TEST_IMAGE")
        .unwrap_or_else(|_| "localhost/mcp-orchestrator-test:1".to_owned());
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

fn program(server: &mut ServerSpec) -> &mut Program {
    match &mut server.launch {
        Launch::Program(program) => program,
        Launch::Remote(_) => panic!("a program"),
    }
}

fn http(mut server: ServerSpec) -> ServerSpec {
    program(&mut server).transport = ProgramTransport::Http {
        port: None,
        path: "/mcp".into(),
        owner: PortOwner::Server,
    };
    server
}

fn shell(name: &str, script: &str) -> ServerSpec {
    server(name, &["sh", "-c", script])
}

fn fixture(script: Script) -> Option<ServerSpec> {
    Some(match script {
        Script::Echo => server("echo", &["cat"]),
        Script::Fail => shell("fail", "echo first words >&2; echo last words >&2; exit 3"),
        Script::Stubborn => shell("stubborn", "trap '' TERM; cat; while :; do sleep 60; done"),
        Script::Chatty => shell(
            "chatty",
            "i=1; while [ $i -le 100 ]; do echo line $i >&2; i=$((i+1)); done; exec cat",
        ),
        Script::ShowFile => {
            let mut server = shell(
                "show",
                r#"while read -r _; do cat "$TOKEN_FILE"; echo; done"#,
            );
            server.slots.push(CredentialSlot {
                name: SlotName::new("token").unwrap(),
                description: None,
                required: true,
                inject: Injection::File {
                    name: "token.txt".into(),
                    path_env: Some("TOKEN_FILE".into()),
                },
                form: SlotForm::default(),
            });
            server
        }
        Script::Http => http(shell("http", "exec httpd -f -p ${PORT} -h /tmp")),
        Script::Missing => server("missing", &["no-such-program"]),
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn kubernetes_backend_upholds_the_backend_contract() {
    let space = space("contract").await;
    let access = enter(&space).await;
    let backend = backend(&access);
    suite(&backend, &fixture).await;
    drop(backend);
    space.leave().await;
}
