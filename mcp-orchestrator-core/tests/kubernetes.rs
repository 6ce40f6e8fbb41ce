//! Pods of a real cluster: the contract of every backend.
#![cfg(all(feature = "kubernetes", feature = "test-util"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use mcp_orchestrator_core::id::SlotName;
use mcp_orchestrator_core::server::{
    CredentialSlot, Injection, Launch, ProgramTransport, ServerSpec,
};
use mcp_orchestrator_core::testing::runtime::{Script, suite};

use crate::cluster::{Cluster, server};

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
            "for i in $(seq 100); do echo line $i >&2; done; exec cat",
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
            });
            server
        }
        Script::Http => {
            let mut server = shell("http", "exec httpd -f -p ${PORT} -h /tmp");
            if let Launch::Program(program) = &mut server.launch {
                program.transport = ProgramTransport::Http {
                    port: None,
                    path: "/mcp".into(),
                };
            }
            server
        }
        Script::Missing => server("missing", &["no-such-program"]),
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(cluster) = Cluster::new("contract").await else {
        return;
    };
    let backend = cluster.backend().await;
    suite(&backend, &fixture).await;
    drop(backend);
    cluster.close().await;
}
