//! An in-memory server with an expiring token, and an issuer that renews it as the test specifies.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mcp_orchestrator_core::auth::{Directory, People, Principal};
use mcp_orchestrator_core::call::Call;
use mcp_orchestrator_core::credential::{
    Generation, InstallationKey, Installations, InstalledResolver, MemoryCredentials, Owner,
    Precondition, Renewable, Renewal, Renewed, Revision, StoredCredential,
};
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId, SlotName};
use mcp_orchestrator_core::installer::{Actor, Installer};
use mcp_orchestrator_core::jsonrpc::{Message, request};
use mcp_orchestrator_core::router::{GatewaySpec, Item, TableRouter};
use mcp_orchestrator_core::runtime::{BoxedIo, Exit, LaunchSpec, MemoryBackend};
use mcp_orchestrator_core::server::{CredentialSlot, Injection, OAuthSpec, ServerSpec, SlotForm};
use mcp_orchestrator_core::{Orchestrator, Result};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Injects the token as a header, which can be replaced while the instance runs.
pub(crate) fn header() -> Injection {
    Injection::bearer()
}

/// The outcome of renewals.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answers {
    Newer,
    NotNow,
}

/// Renews tokens with the outcome that the test specifies.
#[derive(Debug)]
struct Issuer {
    installations: Installations,
    answers: Answers,
    asked: watch::Sender<usize>,
}

#[async_trait]
impl Renewal for Issuer {
    async fn renew(
        &self,
        _: &ServerSpec,
        key: &InstallationKey,
        _: Option<(&Revision, Generation)>,
    ) -> Result<Renewed> {
        self.asked.send_modify(|asked| *asked += 1);
        if let Answers::NotNow = self.answers {
            return Ok(Renewed::NotNow {
                why: "the issuer sleeps".into(),
                after: HOUR,
            });
        }
        let (mut stored, version) = self.installations.get(key).await?.unwrap();
        stored.generation = Generation(stored.generation.0 + 1);
        let token = format!("token-{}", stored.generation.0);
        stored.values = [(slot(), token.into())].into();
        stored.expires_at = Some(SystemTime::now() + HOUR);
        stored.renewal.as_mut().unwrap().due = None;
        let unchanged = Precondition::Unchanged(version);
        self.installations.put(key, &stored, unchanged).await?;
        Ok(Renewed::Newer)
    }

    async fn wanted(&self, _: &InstallationKey, _: &[String]) -> Result<bool> {
        Ok(true)
    }
}

/// Observations of the instances.
#[derive(Debug, Default)]
struct Seen {
    /// The tokens that instances were started with, in order.
    tokens: watch::Sender<Vec<String>>,
    /// Lets pending calls of `hold` return.
    go: Notify,
    /// Number of pending calls of `hold`.
    holding: watch::Sender<usize>,
    /// Number of instances that have ended.
    ended: watch::Sender<usize>,
}

pub(crate) struct Site {
    pub(crate) orchestrator: Orchestrator,
    installer: Installer,
    resolver: Arc<InstalledResolver>,
    issuer: Arc<Issuer>,
    seen: Arc<Seen>,
    ann: Arc<Principal>,
}

fn slot() -> SlotName {
    SlotName::new("token").unwrap()
}

fn key() -> InstallationKey {
    InstallationKey {
        server: ServerId::new("jira").unwrap(),
        owner: Owner::User(PrincipalId::new("ann").unwrap()),
    }
}

impl Site {
    pub(crate) async fn new(inject: Injection, answers: Answers) -> Self {
        let mut server = ServerSpec::command(key().server, "jira", [""; 0]);
        server.slots.push(CredentialSlot {
            name: slot(),
            description: None,
            required: true,
            inject,
            form: SlotForm::default(),
        });
        server.oauth = Some(OAuthSpec::new(slot()));
        server.limits.idle_timeout = None;
        let (store, tasks) = (Arc::new(MemoryCredentials::new()), TaskTracker::new());
        let installations = Installations::new(store);
        let issuer = Arc::new(Issuer {
            installations: installations.clone(),
            answers,
            asked: watch::Sender::new(0),
        });
        let renewal = Arc::<Issuer>::clone(&issuer);
        let resolver = InstalledResolver::open_renewing(installations, renewal, &tasks);
        let resolver = resolver.await.unwrap();
        let seen = Arc::new(Seen::default());
        let book = Arc::clone(&seen);
        let backend =
            MemoryBackend::new(move |_, launch, pipe| serve(Arc::clone(&book), launch, pipe));
        let table = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
        let orchestrator =
            Orchestrator::builder(Arc::new(backend), Arc::<TableRouter>::clone(&table))
                .resolver(Arc::<InstalledResolver>::clone(&resolver))
                .build();
        orchestrator.apply([Arc::new(server)]);
        let directory = Arc::new(Directory::new(&People::default()));
        let installed = Arc::clone(&resolver);
        Self {
            installer: Installer::new(orchestrator.clone(), table, installed, directory),
            ann: Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test")),
            orchestrator,
            resolver,
            issuer,
            seen,
        }
    }

    /// Installs `token-0` with this lifetime. It is renewed from `due` on; `None` means that it cannot be renewed.
    pub(crate) async fn install(&self, life: Duration, due: Option<Duration>) {
        let now = SystemTime::now();
        let stored = StoredCredential {
            revision: Revision::new("first"),
            generation: Generation::default(),
            values: [(slot(), "token-0".into())].into(),
            settings: [].into(),
            expires_at: Some(now + life),
            renewal: due.map(|due| Renewable {
                due: Some(now + due),
                ended: None,
                grant: "grant".into(),
            }),
        };
        self.put(&stored).await;
    }

    /// Marks the installed token as no longer renewable, with this reason.
    pub(crate) async fn end(&self, why: &str) {
        let found = self.resolver.installations().get(&key()).await.unwrap();
        let (mut stored, _) = found.unwrap();
        stored.renewal = Some(Renewable {
            due: None,
            ended: Some(why.to_owned()),
            grant: "grant".into(),
        });
        self.put(&stored).await;
    }

    async fn put(&self, stored: &StoredCredential) {
        let installations = self.resolver.installations();
        let key = key();
        let put = installations.put(&key, stored, Precondition::Any);
        put.await.unwrap();
        self.resolver.seen(&key).await.unwrap();
    }

    /// Tests the installed credential as its owner.
    pub(crate) async fn test(&self) -> Result<usize> {
        let actor = Actor {
            principal: Arc::clone(&self.ann),
            admin: false,
        };
        self.installer.test(&actor, &key()).await
    }

    /// Returns what `explain` reports about the credential.
    pub(crate) async fn explain(&self) -> String {
        let gateway = GatewayId::default_gateway();
        let explained = self
            .orchestrator
            .explain(&self.ann, &gateway, Item::Tool("whoami"));
        let steps = explained.await.steps.into_iter();
        let steps = steps.filter(|(name, _)| name == "credential");
        let texts: Vec<String> = steps.map(|(_, text)| text).collect();
        texts.join("\n")
    }

    /// Waits until a renewal was requested and its failure is recorded.
    pub(crate) async fn failed(&self) {
        self.asked(1).await;
        while !self.explain().await.contains("failed") {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until this many renewals were requested.
    pub(crate) async fn asked(&self, times: usize) {
        let mut asked = self.issuer.asked.subscribe();
        asked.wait_for(|asked| *asked >= times).await.unwrap();
    }

    /// Returns the tokens that instances were started with, in order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.seen.tokens.borrow().clone()
    }

    /// Renews the installed token and notifies the resolver.
    pub(crate) async fn renew(&self) {
        let server = self.orchestrator.server(&key().server).unwrap();
        self.issuer.renew(&server, &key(), None).await.unwrap();
        self.resolver.seen(&key()).await.unwrap();
    }

    /// Waits until this many instances were started.
    pub(crate) async fn started(&self, instances: usize) {
        let mut tokens = self.seen.tokens.subscribe();
        let enough = tokens.wait_for(|tokens| tokens.len() >= instances);
        enough.await.unwrap();
    }

    /// Calls a tool and returns its result.
    pub(crate) async fn call(&self, tool: &str) -> Result<String> {
        let params = json!({ "name": tool, "arguments": {} }).to_string();
        let message = Message::parse(request("1", "tools/call", Some(&params))).unwrap();
        let gateway = GatewayId::default_gateway();
        let call = Call::modern(Arc::clone(&self.ann), gateway, message);
        let response = self.orchestrator.call(call).await?.response().await?;
        let response: Value = serde_json::from_slice(response.bytes()).unwrap();
        Ok(response["result"]["content"][0]["text"].to_string())
    }

    /// Waits until this many calls of `hold` are pending.
    pub(crate) async fn holding(&self, calls: usize) {
        let mut holding = self.seen.holding.subscribe();
        holding.wait_for(|holding| *holding >= calls).await.unwrap();
    }

    /// Lets one pending call of `hold` return.
    pub(crate) fn go(&self) {
        self.seen.go.notify_one();
    }

    /// Waits until the installed token has expired.
    pub(crate) async fn over(&self) {
        let found = self.resolver.installations().get(&key()).await.unwrap();
        let end = found.unwrap().0.expires_at.unwrap();
        while end > SystemTime::now() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until this many instances have ended.
    pub(crate) async fn ended(&self, instances: usize) {
        let mut ended = self.seen.ended.subscribe();
        ended.wait_for(|ended| *ended >= instances).await.unwrap();
    }
}

/// Runs a server. `whoami` returns its token; a call of `hold` returns when the test allows it.
fn serve(
    seen: Arc<Seen>,
    launch: &LaunchSpec,
    pipe: BoxedIo,
) -> impl Future<Output = Exit> + use<> {
    let token = launch.credential.values[&slot()].expose_secret().to_owned();
    seen.tokens.send_modify(|tokens| tokens.push(token.clone()));
    async move {
        let (reader, mut writer) = tokio::io::split(pipe);
        let mut lines = tokio::io::BufReader::new(reader).lines();
        let mut held = None;
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line,
                () = seen.go.notified(), if held.is_some() => Ok(held.take()),
            };
            let Ok(Some(line)) = line else { break };
            let message: Value = serde_json::from_str(&line).unwrap();
            let Some(id) = message.get("id") else {
                continue;
            };
            if message["params"]["name"] == "hold" {
                held = Some(line.replace("\"hold\"", "\"held\""));
                seen.holding.send_modify(|holding| *holding += 1);
                continue;
            }
            let result = match message["method"].as_str().unwrap() {
                "initialize" => json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "jira", "version": "1" },
                }),
                "tools/list" => json!({ "tools": [
                    { "name": "whoami", "inputSchema": { "type": "object" } },
                ] }),
                _ => json!({ "content": [{ "type": "text", "text": token }] }),
            };
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            let written = writer.write_all(format!("{answer}\n").as_bytes()).await;
            if written.is_err() {
                break;
            }
        }
        seen.ended.send_modify(|ended| *ended += 1);
        Exit::status(0)
    }
}
