//! Gateways with token authentication: in this process, and as a program.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcp_orchestrator_core::auth::{NewToken, TokenAuthenticator, TokenInfo};
use mcp_orchestrator_core::credential::{CredentialStore, MemoryCredentials, Owner};
use mcp_orchestrator_gateway::control::Client as Control;
use mcp_orchestrator_gateway::control::wire::credentials::{
    InstallRequest, SecretText, TokenRequest,
};
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::{program, scripted};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio_util::task::TaskTracker;

/// A gateway in this process.
pub(crate) struct Known {
    pub(crate) gateway: Gateway,
    pub(crate) tokens: Arc<TokenAuthenticator>,
}

impl Known {
    pub(crate) async fn new() -> Self {
        let store: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
        let tokens = TokenAuthenticator::open(store, &TaskTracker::new()).await;
        let tokens = Arc::new(tokens.unwrap());
        let revision = tokens.revision().clone();
        let gateway = Gateway::new()
            .server(scripted("a", &["--era", "both"]))
            .known_by(Arc::<TokenAuthenticator>::clone(&tokens))
            .options(|options| {
                options.revision = revision;
                // The response to a call that takes longer becomes a stream.
                options.keep_alive = Duration::from_millis(100);
            });
        Self {
            gateway: gateway.run().await,
            tokens,
        }
    }

    pub(crate) async fn client(
        &self,
        subject: &str,
        expires_at: Option<SystemTime>,
    ) -> (Client, TokenInfo) {
        let new = NewToken {
            subject: subject.parse::<Owner>().unwrap(),
            admin: false,
            gateway: None,
            expires_at,
        };
        let (token, info) = self.tokens.create(new).await.unwrap();
        let client = self.gateway.client("-").bearer(token.expose_secret());
        (client, info)
    }
}

/// A gateway as a program, and its control endpoint.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: Program,
    pub(crate) control: Control,
}

impl Site {
    pub(crate) async fn new(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let args = ["--listen", "127.0.0.1:0", "--log-level", "info"];
        let errors = folder.path().join("errors");
        let gateway = Program::run_in(folder.path(), &args, &[], &errors).await;
        let control = Control::of(&folder.path().join("state"));
        Self {
            folder,
            gateway,
            control,
        }
    }

    /// Starts a gateway with this limit of open files.
    pub(crate) async fn with_files(config: &Value, files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let wrapped = folder.path().join("limited");
        let script = format!(
            "#!/bin/sh\nulimit -n {files} || exit 1\nexec {} \"$@\"\n",
            program("tested-gateway").display()
        );
        std::fs::write(&wrapped, script).unwrap();
        let args = ["--listen", "127.0.0.1:0", "--log-level", "info"];
        let errors = folder.path().join("errors");
        let mut command = tokio::process::Command::new("sh");
        command.arg(&wrapped);
        let gateway = Program::run_by(command, folder.path(), &args, &[], &errors).await;
        let control = Control::of(&folder.path().join("state"));
        Self {
            folder,
            gateway,
            control,
        }
    }

    pub(crate) async fn install(&self, server: &str, owner: &str, values: &[(&str, &str)]) {
        let values = values.iter();
        let request = InstallRequest {
            server: server.into(),
            owner: owner.into(),
            values: values
                .map(|(name, value)| ((*name).to_owned(), SecretText((*value).into())))
                .collect(),
            rotate: false,
            unchecked: true,
        };
        self.control.install(&request).await.unwrap();
    }

    /// Creates a token and returns its text and id.
    pub(crate) async fn token(&self, subject: &str, admin: bool) -> (String, String) {
        let request = TokenRequest {
            subject: subject.into(),
            admin,
            gateway: None,
            expires_in: None,
        };
        let made = self.control.make_token(&request).await.unwrap();
        (made.token.0.expose_secret().to_owned(), made.info.id)
    }

    pub(crate) async fn reload(&self, config: &Value) {
        std::fs::write(&self.gateway.config, config.to_string()).unwrap();
        self.control.reload().await.unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }
}
