//! A changed configuration is applied while calls continue: admitted callers, host names and limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mcp_orchestrator_gateway::control::Client as Control;
use mcp_orchestrator_gateway::control::wire::credentials::{
    InstallRequest, SecretText, TokenRequest,
};
use mcp_orchestrator_tests::client::{Client, call_params};
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::program;
use mcp_orchestrator_tests::wait::within;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Site {
    folder: tempfile::TempDir,
    gateway: Program,
    control: Control,
}

fn config() -> Value {
    let own = json!({
        "command": [program("scripted-server")],
        "idle_timeout": "never",
        "credentials": [{ "name": "token", "env": "TOKEN" }],
    });
    json!({
        "auth": { "local": false, "tokens": true },
        "servers": {
            "jira": own,
            "wiki": own,
            "plain": { "command": [program("scripted-server")], "idle_timeout": "never" },
        },
    })
}

impl Site {
    async fn new(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let args = ["--listen", "127.0.0.1:0"];
        let errors = folder.path().join("errors");
        let gateway = Program::run_in(folder.path(), &args, &[], &errors).await;
        let control = Control::of(&folder.path().join("state"));
        Self {
            folder,
            gateway,
            control,
        }
    }

    /// Creates a user with a token and with a credential for both servers that need one.
    async fn person(&self, name: &str) -> Client {
        let subject = format!("user/{name}");
        let request = TokenRequest {
            subject: subject.clone(),
            admin: false,
            gateway: None,
            expires_in: None,
        };
        let made = self.control.make_token(&request).await.unwrap();
        for server in ["jira", "wiki"] {
            let request = InstallRequest {
                server: server.into(),
                owner: subject.clone(),
                values: BTreeMap::from([("token".to_owned(), SecretText(name.into()))]),
                rotate: false,
                unchecked: true,
            };
            self.control.install(&request).await.unwrap();
        }
        let token = made.token.0.expose_secret().to_owned();
        self.gateway.client().bearer(&token)
    }

    /// Applies another configuration; returns the keys of the notices.
    async fn reload(&self, config: &Value) -> Vec<String> {
        std::fs::write(&self.gateway.config, config.to_string()).unwrap();
        let told = self.control.reload().await.unwrap();
        told.notices.into_iter().map(|notice| notice.key).collect()
    }
}

/// Returns the status of a call and its `Retry-After`.
async fn status(client: &Client, tool: &str) -> (u16, Option<String>) {
    let params = call_params(tool, "{}");
    let answer = client.modern_raw("1", "tools/call", &params).await;
    let after = answer.header("retry-after").map(str::to_owned);
    (answer.status, after)
}

/// Returns the status of a request without a token, with this host name.
async fn by_name(address: SocketAddr, host: &str) -> String {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    within("a status", asked).await
}

#[tokio::test]
async fn owner_over_the_instance_limit_is_rejected_and_others_are_not() {
    let mut limited = config();
    limited["limits"] = json!({ "instances_per_owner": 1 });
    let site = Site::new(&limited).await;
    let (ann, bob) = (site.person("ann").await, site.person("bob").await);
    assert_eq!(status(&ann, "jira__stats").await, (200, None));
    let (refused, after) = status(&ann, "wiki__stats").await;
    assert_eq!(refused, 429);
    assert!(after.unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(
        status(&ann, "jira__stats").await.0,
        200,
        "what runs goes on"
    );
    assert_eq!(status(&bob, "wiki__stats").await, (200, None));
    assert_eq!(status(&bob, "jira__stats").await.0, 429);
    // The new limit allows another instance.
    limited["limits"]["instances_per_owner"] = 2.into();
    assert!(site.reload(&limited).await.is_empty());
    assert_eq!(status(&ann, "wiki__stats").await, (200, None));
}

#[tokio::test]
async fn access_rules_and_allowed_hosts_change_while_calls_continue() {
    let site = Site::new(&config()).await;
    let ann = site.person("ann").await;
    let session = ann.session().await;
    let gate = r#"{"name":"g"}"#;
    let mut held = session
        .begin_with_token("1", "1", "plain__gate", gate)
        .await;
    held.event().await.unwrap();
    let address = site.gateway.address;
    assert_eq!(by_name(address, "mcp.example").await, "403");
    let mut changed = config();
    changed["allowed_hosts"] = json!(["mcp.example"]);
    changed["audit"] = json!({ "file": "later.jsonl" });
    assert!(site.reload(&changed).await.is_empty());
    assert_eq!(by_name(address, "mcp.example").await, "401");
    assert_eq!(by_name(address, "tools.example").await, "403");
    changed["public_url"] = "https://tools.example/below".into();
    let told = site.reload(&changed).await;
    assert_eq!(told, ["public_url"], "sign-ins at servers name it later");
    assert_eq!(by_name(address, "tools.example").await, "401");
    let below = ann.clone().at("/below/mcp");
    assert_eq!(status(&below, "plain__stats").await.0, 200);
    let known = site.control.status().await.unwrap().gateways;
    assert_eq!(known[0].url, "https://tools.example/below/mcp");
    // The session and its call are still those from before.
    session.tool("plain__open", gate).await;
    assert_eq!(held.json().await["result"]["content"][0]["text"], "g");
    let events = std::fs::read_to_string(site.folder.path().join("later.jsonl"));
    assert!(events.is_ok(), "the audit log was opened");
    // Changes which tokens are accepted.
    changed["auth"] = json!({ "local": false, "tokens": false, "issuers": [
        { "issuer": "https://id.invalid", "audience": ["mcp"] },
    ] });
    site.reload(&changed).await;
    assert_eq!(status(&ann, "plain__stats").await.0, 401);
    assert_eq!(
        session.request_raw("9", "tools/list", "{}").await.status,
        401
    );
    site.reload(&config()).await;
    assert_eq!(status(&ann, "plain__stats").await.0, 200);
}

#[tokio::test]
async fn reload_reports_keys_that_apply_only_after_a_restart() {
    let site = Site::new(&config()).await;
    let ann = site.person("ann").await;
    let mut changed = config();
    changed["auth_wait"] = "3s".into();
    changed["metrics_listen"] = "127.0.0.1:0".into();
    changed["log"] = json!({ "level": "debug" });
    let told = site.reload(&changed).await;
    assert_eq!(told, ["metrics_listen", "auth_wait", "log"]);
    // With only the local user, running servers would have wrong information about their callers.
    changed["auth"] = json!({ "local": true });
    let told = site.reload(&changed).await;
    assert_eq!(told, ["metrics_listen", "auth_wait", "log", "auth"]);
    assert_eq!(status(&ann, "plain__stats").await.0, 200);
    assert_eq!(by_name(site.gateway.address, "127.0.0.1").await, "401");
    assert!(site.reload(&config()).await.is_empty());
}
