//! A server in a pod outlives the connection to it, and the gateway that started it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::call::Call;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::jsonrpc::{self, Message};
use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
use mcp_orchestrator_core::runtime::LogBook;
use mcp_orchestrator_core::runtime::kubernetes::{Access, KubernetesBackend, KubernetesOptions};
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_core::server::{CommandLine, Launch, Program, ServerSpec};
use mcp_orchestrator_core::state::{MemoryState, StateStore};
use mcp_orchestrator_core::{ErrorKind, Orchestrator, Result};

use crate::kubernetes::cluster::{TestNamespace, space};
use crate::kubernetes::pods::image;
use crate::kubernetes::proxy::Proxy;

/// Accepts a single `initialize`, and counts its calls; one tool never responds.
const STRICT: &str = r#"
answer() { echo "{\"jsonrpc\":\"2.0\",\"id\":$id,$1}"; }
first=1; n=0; heard=0
while IFS= read -r line; do
    case $line in *'"id":'*) ;; *) continue ;; esac
    rest=${line#*'"id":'}; id=${rest%%[!0-9]*}
    case $line in
    *'"method":"initialize"'*)
        if [ $first = 1 ]; then
            first=0
            answer '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"strict","version":"1"}}'
        else
            answer '"error":{"code":-32600,"message":"already initialized"}'
        fi ;;
    *'"method":"tools/list"'*)
        answer '"result":{"tools":[{"name":"count","inputSchema":{"type":"object"}},{"name":"never","inputSchema":{"type":"object"}}]}' ;;
    *'"never"'*) heard=$((heard + 1)) ;;
    *'"method":"tools/call"'*)
        n=$((n + 1))
        answer "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"call $n, never $heard\"}]}" ;;
    *) answer '"error":{"code":-32601,"message":"no such method"}' ;;
    esac
done
"#;

fn server() -> ServerSpec {
    let program = Program {
        command: Some(CommandLine {
            program: "sh".to_owned(),
            args: vec!["-c".into(), STRICT.into()],
            cwd: None,
        }),
        image: Some(image()),
        ..Program::default()
    };
    let id = ServerId::new("strict").unwrap();
    let mut server = ServerSpec::new(id, Launch::Program(program));
    server.limits.start_timeout = std::time::Duration::from_secs(8);
    server
}

/// Creates an orchestrator as a new process would.
fn orchestrator(access: &Access, state: &Arc<MemoryState>) -> Arc<Orchestrator> {
    let key = Arc::new(StateKey::new([5; 32]));
    let options = KubernetesOptions::new("joined", Arc::clone(&key));
    let backend = KubernetesBackend::new(access.clone(), options, LogBook::default(), None);
    let server = server();
    let router = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
    let orchestrator = Orchestrator::builder(Arc::new(backend), router)
        .state(Arc::clone(state) as Arc<dyn StateStore>)
        .state_key(key)
        .build();
    orchestrator.apply([Arc::new(server)]);
    Arc::new(orchestrator)
}

async fn ask(orchestrator: &Orchestrator, method: &str, params: &str) -> Result<String> {
    let ann = Principal::user(PrincipalId::new("ann").unwrap(), "test");
    let request = Message::parse(jsonrpc::request("1", method, Some(params))).unwrap();
    let call = Call::modern(Arc::new(ann), GatewayId::default_gateway(), request);
    let answer = orchestrator.call(call).await?.response().await?;
    Ok(answer.body().unwrap_or_default().to_owned())
}

const COUNT: &str = r#"{"name":"count","arguments":{}}"#;

async fn count(orchestrator: &Orchestrator) -> String {
    ask(orchestrator, "tools/call", COUNT).await.unwrap()
}

/// Returns the names of all pods.
async fn pods(space: &TestNamespace) -> Vec<String> {
    let pods = space.api::<Pod>().list(&ListParams::default()).await;
    let names = pods.unwrap().items.into_iter();
    names.filter_map(|pod| pod.metadata.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn program_is_rejoined_after_a_lost_connection_and_a_gateway_exit() {
    let space = space("joined").await;
    // With the rights of the Role and no others.
    let token = space.account("gateway").await;
    space.bind("gateway").await;
    let (proxy, state) = (Proxy::start_as(&space, &token).await, Arc::default());
    let before = orchestrator(&proxy.access, &state);
    assert!(count(&before).await.contains("call 1"));
    let tools = ask(&before, "tools/list", "{}").await.unwrap();
    assert!(tools.contains("never"), "{tools}");
    let first = pods(&space).await;
    let lost = {
        let before = Arc::clone(&before);
        let params = r#"{"name":"never","arguments":{}}"#;
        tokio::spawn(async move { ask(&before, "tools/call", params).await })
    };
    // The connection is cut only after the server has received that call and the lists are cached.
    let mut calls = 1;
    loop {
        calls += 1;
        let counted = count(&before).await;
        assert!(counted.contains(&format!("call {calls},")), "{counted}");
        if counted.contains("never 1") && !state.names().await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    proxy.cut();
    let error = lost.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("was lost"), "{error}");
    let next = |more: usize| format!("call {},", calls + more);
    assert!(
        count(&before).await.contains(&next(1)),
        "by the same process"
    );
    // The first gateway is disconnected permanently; the next one finds what it started.
    proxy.close();
    let after = orchestrator(&space.open_as(&token).await, &state);
    assert!(
        count(&after).await.contains(&next(2)),
        "by the same process"
    );
    assert_eq!(pods(&space).await, first);
    // A gateway that starts while the cluster is unreachable must not end the instance because of that.
    let late = Proxy::start_as(&space, &token).await;
    late.close();
    let third = orchestrator(&late.access, &state);
    assert!(ask(&third, "tools/call", COUNT).await.is_err());
    late.open();
    let counted = loop {
        match ask(&third, "tools/call", COUNT).await {
            Ok(counted) => break counted,
            Err(error) => assert_eq!(error.kind(), ErrorKind::StartFailed, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert!(counted.contains(&next(3)), "by the same process: {counted}");
    assert_eq!(pods(&space).await, first);
    space.leave().await;
}
