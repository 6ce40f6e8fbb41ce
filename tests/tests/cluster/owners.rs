//! Owners and their secrets: each owner has a separate pod, and a value is stored in exactly one Secret. Also: what an
//! orchestrator undoes when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::{ListParams, LogParams};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::call::Call;
use mcp_orchestrator_core::credential::{
    Credential, CredentialChange, CredentialRequest, CredentialResolver, Generation, Owner,
    Revision,
};
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, SlotName};
use mcp_orchestrator_core::jsonrpc::{self, Message};
use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
use mcp_orchestrator_core::runtime::LogBook;
use mcp_orchestrator_core::runtime::kubernetes::{KubernetesBackend, KubernetesOptions};
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_core::server::{CredentialSlot, Injection, ServerSpec, SlotForm};
use mcp_orchestrator_core::{Orchestrator, Result};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast;

use crate::stage::{Stage, becomes, both, soon};

/// Tokens of people, by name, each with its version.
#[derive(Debug)]
pub(crate) struct Vault {
    tokens: Mutex<BTreeMap<String, (u32, String)>>,
    changes: broadcast::Sender<CredentialChange>,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            tokens: Mutex::default(),
            changes: broadcast::Sender::new(64),
        }
    }
}

impl Vault {
    fn credential(&self, person: &str) -> Option<Arc<Credential>> {
        let (version, token) = self.tokens.lock().get(person)?.clone();
        let slot = SlotName::new("token").unwrap();
        Some(Arc::new(Credential {
            owner: Owner::User(PrincipalId::new(person).unwrap()),
            revision: Revision::new(format!("v{version}")),
            generation: Generation::default(),
            values: [(slot, SecretString::from(token))].into(),
            expires_at: None,
        }))
    }

    pub(crate) fn put(&self, server: &ServerSpec, person: &str, token: &str) {
        {
            let mut tokens = self.tokens.lock();
            let entry = tokens.entry(person.to_owned()).or_default();
            *entry = (entry.0 + 1, token.to_owned());
        }
        // There may be no subscriber yet.
        let _ = self.changes.send(CredentialChange {
            server: server.id.clone(),
            owner: Owner::User(PrincipalId::new(person).unwrap()),
            now: self.credential(person),
        });
    }
}

#[async_trait::async_trait]
impl CredentialResolver for Vault {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        Ok(self.credential(request.principal.id.as_str()))
    }

    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        let receiver = self.changes.subscribe();
        futures_util::stream::unfold(receiver, |mut receiver| async move {
            let change = receiver.recv().await.ok()?;
            Some((change, receiver))
        })
        .boxed()
    }
}

/// The servers in the configuration of this gateway.
pub(crate) fn servers(stage: &Stage, gateway: &str) -> Vec<ServerSpec> {
    let settings = stage.settings(gateway);
    let servers = settings.servers.iter();
    servers.map(|server| ServerSpec::clone(server)).collect()
}

pub(crate) async fn orchestrator(
    stage: &Stage,
    servers: &[ServerSpec],
    resolver: Option<Arc<Vault>>,
) -> Orchestrator {
    let access = stage.space.open_as(&stage.space.file("gateway")).await;
    let key = Arc::new(StateKey::new([9; 32]));
    let options = KubernetesOptions::new("stage", Arc::clone(&key));
    let backend = KubernetesBackend::new(access, options, LogBook::default(), None);
    let router = TableRouter::new([GatewaySpec::of_all(servers)]);
    let mut builder = Orchestrator::builder(Arc::new(backend), Arc::new(router)).state_key(key);
    if let Some(resolver) = resolver {
        builder = builder.resolver(resolver);
    }
    let orchestrator = builder.build();
    orchestrator.apply(servers.iter().cloned().map(Arc::new));
    orchestrator
}

pub(crate) async fn ask(
    orchestrator: &Orchestrator,
    person: &str,
    tool: &str,
    arguments: &str,
) -> String {
    let person = Principal::user(PrincipalId::new(person).unwrap(), "test");
    let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
    let request = Message::parse(jsonrpc::request("1", "tools/call", Some(&params))).unwrap();
    let call = Call::modern(Arc::new(person), GatewayId::default_gateway(), request);
    let reply = soon("a call", orchestrator.call(call)).await.unwrap();
    let response = soon("a response", reply.response()).await.unwrap();
    response.body().unwrap_or_default().to_owned()
}

/// The server with a slot that every user fills with their own token.
pub(crate) fn slotted(mut server: ServerSpec) -> ServerSpec {
    server.slots = vec![CredentialSlot {
        name: SlotName::new("token").unwrap(),
        description: None,
        required: true,
        inject: Injection::Env("OWN".into()),
        form: SlotForm::default(),
    }];
    server
}

pub(crate) fn digest(value: &str) -> String {
    Sha256::digest(value)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The variable with the caller's own token.
pub(crate) const TOKEN: &str = r#"{"name":"OWN"}"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn each_owner_has_a_separate_pod_with_only_their_secret() {
    let stage = Stage::new("owners").await;
    stage.configure("one", &json!({ "pipe": both()["pipe"] }));
    let mut own = servers(&stage, "one");
    let servers = [slotted(own.remove(0))];
    let vault = Arc::new(Vault::default());
    let canaries = [
        "canary-of-ann-71c3",
        "canary-of-bob-9d20",
        "canary-of-ann-2-88e1",
    ];
    vault.put(&servers[0], "ann", canaries[0]);
    vault.put(&servers[0], "bob", canaries[1]);
    let orchestrator = orchestrator(&stage, &servers, Some(Arc::clone(&vault))).await;
    for (person, canary) in [("ann", canaries[0]), ("bob", canaries[1])] {
        let said = ask(&orchestrator, person, "digest", TOKEN).await;
        assert!(said.contains(&digest(canary)), "{person}: {said}");
    }
    assert_eq!(stage.pods("pipe").await.len(), 2);
    search(&stage, &canaries[..2], 2).await;

    // One credential is rotated while a call runs: the old pod answers that call, a new one the next.
    let engine = orchestrator.clone();
    let call = tokio::spawn(async move { ask(&engine, "ann", "sleep", r#"{"n":10000}"#).await });
    becomes("the call runs", || async {
        let instances = orchestrator.instances().await;
        instances.iter().any(|it| it.calls > 0)
    })
    .await;
    vault.put(&servers[0], "ann", canaries[2]);
    becomes("a pod with the new secret", || async {
        stage.pods("pipe").await.len() == 3
    })
    .await;
    let said = ask(&orchestrator, "ann", "digest", TOKEN).await;
    assert!(said.contains(&digest(canaries[2])), "{said}");
    let said = soon("the running call", call).await.unwrap();
    assert!(said.contains("slept"), "{said}");
    becomes("the end of the old pod", || async {
        stage.pods("pipe").await.len() == 2
    })
    .await;
    becomes("the end of the old secret", || async {
        let params = ListParams::default().labels("app.kubernetes.io/name=pipe");
        let secrets = stage.space.api::<Secret>().list(&params).await;
        secrets.unwrap().items.len() == 2
    })
    .await;
    search(&stage, &canaries[1..], 2).await;
    search(&stage, &canaries[..1], 0).await;
    orchestrator.shutdown(Duration::from_secs(5)).await;
    stage.space.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn undo_stops_only_instances_started_by_this_process() {
    let stage = Stage::new("undo").await;
    stage.configure("one", &both());
    let servers = servers(&stage, "one");
    let first = orchestrator(&stage, &servers, None).await;
    ask(&first, "ann", "web__echo", "{}").await;
    let running = stage.pod("web").await.uid();
    first.shutdown(Duration::from_secs(5)).await;
    drop(first);
    let second = orchestrator(&stage, &servers, None).await;
    for tool in ["pipe__echo", "web__echo"] {
        ask(&second, "ann", tool, "{}").await;
    }
    assert_eq!(stage.pods("pipe").await.len(), 1);
    soon("the undoing", second.undo(Duration::from_secs(5))).await;
    assert!(stage.pods("pipe").await.is_empty(), "it rests");
    assert_eq!(stage.pod("web").await.uid(), running, "it ran before");
    stage.space.leave().await;
}

/// Searches all objects, logs and audit entries for the values, plain and encoded. They may occur only in this number
/// of Secrets.
async fn search(stage: &Stage, canaries: &[&str], secrets: usize) {
    use base64::Engine as _;
    let all = ListParams::default();
    let holds = |text: &str| {
        canaries.iter().any(|canary| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(canary);
            text.contains(canary) || text.contains(&encoded)
        })
    };
    macro_rules! none_in {
        ($($kind:ty),*) => {$(
            for object in stage.space.api::<$kind>().list(&all).await.unwrap().items {
                let text = serde_json::to_string(&object).unwrap();
                assert!(!holds(&text), "{} {}", stringify!($kind), object.name_any());
            }
        )*};
    }
    none_in!(Deployment, ReplicaSet, Pod, ConfigMap, NetworkPolicy, Event);
    let found = stage.space.api::<Secret>().list(&all).await.unwrap().items;
    let found = found
        .iter()
        .filter(|it| holds(&serde_json::to_string(it).unwrap()));
    assert_eq!(found.count(), secrets);
    let pods = stage.space.api::<Pod>();
    for pod in stage.pods("pipe").await {
        let log = pods
            .logs(&pod.name_any(), &LogParams::default())
            .await
            .unwrap();
        assert!(!holds(&log), "the log of {}", pod.name_any());
    }
    if let Some(audit) = std::env::var_os("MCP_ORCHESTRATOR_TEST_AUDIT") {
        let log = std::fs::read_to_string(audit).unwrap();
        assert!(!log.lines().any(holds), "the audit log");
    }
}
