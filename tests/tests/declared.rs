//! Lists for a caller without a credential, and the results of calls to the tools in them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::collections::BTreeMap;

use mcp_orchestrator_gateway::control::Client as Control;
use mcp_orchestrator_gateway::control::wire::credentials::{
    InstallRequest, SecretText, TokenRequest,
};
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::program;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

struct Site {
    _folder: tempfile::TempDir,
    gateway: Program,
    control: Control,
}

/// A gateway with servers that have these settings for callers without a credential.
async fn site(names: &str, shown: &[(&str, Value)]) -> Site {
    let server = |more: &Value| {
        let mut server = json!({
            "command": [program("scripted-server")],
            "credentials": [{ "name": "token", "env": "TOKEN" }],
        });
        server
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        server
    };
    let servers: BTreeMap<_, _> = shown
        .iter()
        .map(|(name, more)| (*name, server(more)))
        .collect();
    let config = json!({
        "auth": { "local": false, "tokens": true },
        "servers": servers,
        "gateways": { "default": { "tool_names": names } },
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let errors = folder.path().join("errors");
    let gateway = Program::run_in(folder.path(), &["--listen", "127.0.0.1:0"], &[], &errors).await;
    let control = Control::of(&folder.path().join("state"));
    Site {
        _folder: folder,
        gateway,
        control,
    }
}

impl Site {
    async fn person(&self, name: &str) -> Client {
        let subject = format!("user/{name}");
        let request = TokenRequest {
            subject,
            admin: false,
            gateway: None,
            expires_in: None,
        };
        let made = self.control.make_token(&request).await.unwrap();
        self.gateway.client().bearer(made.token.0.expose_secret())
    }

    async fn install(&self, server: &str, owner: &str) {
        let values = BTreeMap::from([("token".to_owned(), SecretText("t-1".into()))]);
        let (server, owner) = (server.to_owned(), owner.to_owned());
        let request = InstallRequest {
            server,
            owner,
            values,
            rotate: false,
            unchecked: false,
        };
        self.control.install(&request).await.unwrap();
    }
}

async fn names(client: &Client) -> Vec<String> {
    let list = client.modern("tools/list", "{}").await;
    let tools = list["result"]["tools"].as_array().unwrap().clone();
    let names = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned());
    names.collect()
}

async fn error(client: &Client, tool: &str) -> Value {
    let answer = client.modern_tool(tool, r#"{"name":"TOKEN"}"#).await;
    answer["result"]["structuredContent"]["error"].clone()
}

#[tokio::test]
async fn declared_tools_replace_unlistable_ones() {
    let tools = json!({ "tools": [
        { "name": "env", "description": "All of it", "input_schema": { "type": "object", "required": ["name"] } },
        { "name": "later" },
    ] });
    let servers = [("git", json!({})), ("jira", tools)];
    for (form, prefix, connect) in [
        ("prefixed", "jira__", "git__connect"),
        ("bare", "", "connect_git"),
    ] {
        let site = site(form, &servers).await;
        let ann = site.person("ann").await;
        let (env, later) = (format!("{prefix}env"), format!("{prefix}later"));
        assert_eq!(names(&ann).await, [connect, &env, &later]);
        let list = ann.modern("tools/list", "{}").await;
        let shown = &list["result"]["tools"][1];
        assert_eq!(
            (&shown["description"], &shown["inputSchema"]["required"][0]),
            (&json!("All of it"), &json!("name"))
        );
        assert_eq!(error(&ann, &env).await, "auth_required");
        assert!(error(&ann, "jira__none").await.is_null() || form == "prefixed");
        site.install("jira", "user/ann").await;
        let own = names(&ann).await;
        assert!(
            own.contains(&format!("{prefix}echo")) && !own.contains(&later),
            "{own:?}"
        );
        let answer = ann.modern_tool(&env, "{}").await;
        assert_eq!(answer["result"]["env"]["TOKEN"], "t-1", "{answer}");
    }
}

#[tokio::test]
async fn instance_without_credentials_lists_tools_but_serves_no_calls() {
    let servers = [
        ("jira", json!({ "list_without_credential": true })),
        ("git", json!({})),
    ];
    for (form, prefix) in [("prefixed", "jira__"), ("bare", "")] {
        let site = site(form, &servers).await;
        let (ann, bob) = (site.person("ann").await, site.person("bob").await);
        let env = format!("{prefix}env");
        assert!(names(&ann).await.contains(&env));
        assert_eq!(error(&ann, &env).await, "auth_required");
        // Ann gets the list of her own instance; Bob still gets the list of the instance without values.
        site.install("jira", "user/ann").await;
        let answer = ann.modern_tool(&env, "{}").await;
        assert_eq!(answer["result"]["env"]["TOKEN"], "t-1", "{answer}");
        assert!(names(&bob).await.contains(&env));
        assert_eq!(error(&bob, &env).await, "auth_required");
        let instances = site.control.instances().await.unwrap();
        let nobodys = instances
            .iter()
            .find(|info| info.owner == "organization")
            .unwrap();
        assert_eq!(nobodys.server, "jira");
    }
}
