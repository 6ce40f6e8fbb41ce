//! A gateway with tokens and teams, and a server that reports the values it was given.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mcp_orchestrator_gateway::control::Client as Control;
use mcp_orchestrator_gateway::control::wire::credentials::{
    InstallRequest, SecretText, TokenRequest, UninstallRequest,
};
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::program;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A gateway program, and its control endpoint.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: Program,
    pub(crate) control: Control,
}

pub(crate) fn sha(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(crate) fn server() -> Value {
    json!({
        "command": [program("scripted-server")],
        "idle_timeout": "never",
        "credentials": [{ "name": "token", "env": "TOKEN", "description": "Your token" }],
    })
}

pub(crate) fn config() -> Value {
    json!({
        "auth": { "local": false, "tokens": true },
        "admins": ["root"],
        "teams": { "ops": { "members": ["bob", "eve"], "managers": ["mia"] } },
        "servers": { "jira": server() },
        "gateways": {
            "default": {},
            "ops": {
                "members": { "teams": ["ops"] },
                "tool_names": "prefixed",
                "servers": [
                    "jira",
                    { "server": "jira", "as": "jira-ops", "credential": { "pinned": "team/ops" } },
                    { "server": "jira", "as": "jira-eve", "credential": { "pinned": "user/eve" } }
                ]
            }
        }
    })
}

pub(crate) async fn start(folder: &Path) -> (Program, Control) {
    let args = ["--listen", "127.0.0.1:0", "--log-level", "trace"];
    let errors = folder.join("errors");
    let gateway = Program::run_in(folder, &args, &[], &errors).await;
    (gateway, Control::of(&folder.join("state")))
}

impl Site {
    pub(crate) async fn new(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let (gateway, control) = start(folder.path()).await;
        Self {
            folder,
            gateway,
            control,
        }
    }

    pub(crate) async fn token(&self, subject: &str) -> Client {
        let request = TokenRequest {
            subject: subject.into(),
            admin: false,
            gateway: None,
            expires_in: None,
        };
        let made = self.control.make_token(&request).await.unwrap();
        let token = made.token.0.expose_secret().to_owned();
        self.gateway.client().bearer(&token)
    }

    pub(crate) async fn put(&self, owner: &str, value: &str, rotate: bool) {
        let request = InstallRequest {
            server: "jira".into(),
            owner: owner.into(),
            values: BTreeMap::from([("token".to_owned(), SecretText(value.into()))]),
            rotate,
            unchecked: false,
        };
        self.control.install(&request).await.unwrap();
    }

    pub(crate) async fn remove(&self, owner: &str) {
        let request = UninstallRequest {
            server: "jira".into(),
            owner: owner.into(),
        };
        self.control.uninstall(&request).await.unwrap();
    }

    pub(crate) async fn reload(&self, config: &Value) {
        std::fs::write(&self.gateway.config, config.to_string()).unwrap();
        self.control.reload().await.unwrap();
    }
}

/// Returns the value that the server reports, or the reason why it reports no value.
pub(crate) async fn identity(client: &Client, tool: &str) -> String {
    let answer = client.modern_tool(tool, r#"{"name":"TOKEN"}"#).await;
    let result = &answer["result"];
    if let Some(error) = answer["error"]["message"].as_str() {
        return error.to_owned();
    }
    if result["isError"] == true {
        return result["structuredContent"]["error"].to_string();
    }
    result["content"][0]["text"].as_str().unwrap().to_owned()
}
