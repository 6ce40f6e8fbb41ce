//! A custom backend: every server is started through another program, which could be a sandbox (`bwrap …`), a container
//! (`docker run -i --rm IMAGE`) or another machine (`ssh HOST`). Here it is `env`, which exists everywhere.
//!
//! A backend places programs and does not speak MCP: this one rewrites the command and delegates everything else to the
//! process backend. A backend written from scratch can be verified with the suite `testing::runtime` (feature
//! `test-util`).
//!
//! `cargo run -p mcp-orchestrator-examples --bin custom_backend`

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::Credential;
use mcp_orchestrator_core::id::PrincipalId;
use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
use mcp_orchestrator_core::runtime::{
    Description, Instance, InstanceEvent, InstanceKey, LaunchSpec, LogLine, LogOptions,
    ProcessBackend, Progress, RuntimeBackend,
};
use mcp_orchestrator_core::server::Launch;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use mcp_orchestrator_examples::{Failure, direct, hello};
use serde_json::json;

/// Runs every command through a launcher.
#[derive(Debug)]
struct Launcher {
    /// The launcher and its own arguments; the server's command follows them.
    words: Vec<String>,
    processes: ProcessBackend,
}

impl Launcher {
    /// Returns the launch with the launcher in front of its command.
    fn wrap(&self, launch: &LaunchSpec) -> Result<LaunchSpec> {
        let mut server = (*launch.server).clone();
        let (Launch::Program(program), Some((first, rest))) =
            (&mut server.launch, self.words.split_first())
        else {
            return Ok(launch.clone());
        };
        let Some(command) = &mut program.command else {
            let text = "this server has an image and no command";
            return Err(Error::new(ErrorKind::StartFailed, text).with_server(&server.id));
        };
        let inner = std::mem::replace(&mut command.program, first.clone());
        let before = rest.iter().cloned().chain([inner]).map(Into::into);
        command.args.splice(0..0, before);
        Ok(LaunchSpec {
            server: Arc::new(server),
            credential: Arc::clone(&launch.credential),
        })
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processes by {}", self.words.join(" "))
    }
}

#[async_trait]
impl RuntimeBackend for Launcher {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        progress.report("starting by the launcher");
        let launch = self.wrap(launch)?;
        self.processes.start(key, &launch, progress).await
    }

    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.processes.stop(key, grace).await
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.processes.remove(key, grace).await
    }

    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()> {
        self.processes.refresh(key, credential).await
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        self.processes.watch()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.processes.logs(key, options).await
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        self.processes.describe(key).await
    }

    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.processes.leave(key, grace).await
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it does")]
async fn main() -> Result<(), Failure> {
    hello::serve_if_asked();

    let state = tempfile::tempdir()?;
    let backend = Arc::new(Launcher {
        words: vec!["env".into(), "LAUNCHED_BY=a launcher of our own".into()],
        processes: ProcessBackend::new(state.path()),
    });
    println!("backend: {backend}");

    let server = hello::server("hello")?;
    let table = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
    let orchestrator = Orchestrator::builder(backend, table).build();
    orchestrator.apply([Arc::new(server)]);

    let ann = Arc::new(Principal::user(PrincipalId::new("ann")?, "example"));
    let answer = direct::call(&orchestrator, &ann, "whoami", json!({})).await?;
    println!("whoami  -> {answer}");
    for instance in orchestrator.instances().await {
        println!(
            "{} {:?} {:?}",
            instance.server, instance.state, instance.place
        );
    }

    orchestrator.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::id::ServerId;
    use mcp_orchestrator_core::server::ServerSpec;
    use mcp_orchestrator_core::testing::runtime::{Script, suite};

    use super::*;

    fn fixture(script: Script) -> Option<ServerSpec> {
        let (name, line) = match script {
            Script::Echo => ("echo", "exec cat"),
            Script::Fail => ("fail", "echo first words >&2; echo last words >&2; exit 3"),
            Script::Stubborn => ("stubborn", "trap '' TERM; cat; while :; do sleep 60; done"),
            Script::Chatty => (
                "chatty",
                "i=1; while [ $i -le 100 ]; do echo line $i >&2; i=$((i+1)); done; exec cat",
            ),
            _ => return None,
        };
        let id = ServerId::new(name).ok()?;
        Some(ServerSpec::command(id, "sh", ["-c", line]))
    }

    #[tokio::test]
    async fn launcher_keeps_the_backend_contract() -> Result<(), Failure> {
        let state = tempfile::tempdir()?;
        let backend = Launcher {
            words: vec!["env".into(), "LAUNCHED_BY=a test".into()],
            processes: ProcessBackend::new(state.path()),
        };
        suite(&backend, &fixture).await;
        Ok(())
    }
}
