//! The command-line arguments of a gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mcp_orchestrator_core::config::{BackendKind, BackendOptions, LoadOptions};

/// The configuration files and the state directory.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// A configuration file (YAML, JSON, or any mcpServers JSON); of a server in two files, the later entry wins.
    /// Default: mcp-orchestrator.yaml, .mcp.json or mcp.json in the current folder
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "MCP_ORCHESTRATOR_CONFIG",
        value_delimiter = ','
    )]
    pub config: Vec<PathBuf>,
    /// Directory for persistent state
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The value of an ${input:ID} of a VS Code file; the variable MCP_INPUT_ID does the same without exposing the
    /// value
    #[arg(long = "input", value_name = "ID=VALUE")]
    pub inputs: Vec<String>,
    /// Where programs run.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Where programs run, whatever the configuration says.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Backend options (override the configuration)")]
pub struct ClusterArgs {
    /// Run servers as processes on this machine or as pods in a cluster, unless a server sets its own backend
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        env = "MCP_ORCHESTRATOR_BACKEND"
    )]
    pub backend: Option<Backend>,
    /// The kubeconfig file; default: KUBECONFIG, the cluster that this runs in, or ~/.kube/config
    #[arg(long, value_name = "FILE", env = "MCP_ORCHESTRATOR_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME", env = "MCP_ORCHESTRATOR_CONTEXT")]
    pub context: Option<String>,
    /// The cluster's namespace
    #[arg(long, value_name = "NAME", env = "MCP_ORCHESTRATOR_NAMESPACE")]
    pub namespace: Option<String>,
}

/// A backend that runs programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Processes on this machine.
    Process,
    /// Pods in a Kubernetes cluster.
    Kubernetes,
}

impl From<Backend> for BackendKind {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Process => Self::Process,
            Backend::Kubernetes => Self::Kubernetes,
        }
    }
}

/// Runs the gateway.
#[derive(Args, Clone, Debug)]
pub struct GatewayArgs {
    /// The configuration files and the backend.
    #[command(flatten)]
    pub files: FileArgs,
    /// The address to listen on; port 0 selects a free one
    #[arg(short, long, value_name = "ADDR:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// The format of log lines
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogForm>,
    /// The log filter, such as info or mcp_orchestrator_core=debug
    #[arg(long, value_name = "FILTER", env = "MCP_ORCHESTRATOR_LOG")]
    pub log_level: Option<String>,
    /// How long running calls may take after shutdown begins, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace: u64,
}

/// Parses the address of `--listen`.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, e.g. 127.0.0.1:8080, or 0.0.0.0:8080 for all interfaces".to_owned()
    })
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

impl FileArgs {
    /// Returns the options for loading the configuration.
    ///
    /// # Errors
    /// If an `--input` has no `=`.
    pub fn load_options(&self) -> Result<LoadOptions, String> {
        let mut options = LoadOptions::from_process();
        for input in &self.inputs {
            let Some((id, value)) = input.split_once('=') else {
                return Err("--input must be ID=VALUE".to_owned());
            };
            options
                .variables
                .inputs
                .insert(id.to_owned(), value.to_owned().into());
        }
        options.state_dir.clone_from(&self.state_dir);
        let cluster = self.cluster.clone();
        options.backends = BackendOptions {
            backend: cluster.backend.map(Into::into),
            kubeconfig: cluster.kubeconfig,
            context: cluster.context,
            namespace: cluster.namespace,
            ..BackendOptions::default()
        };
        Ok(options)
    }
}

impl GatewayArgs {
    /// Returns the options for loading the configuration.
    ///
    /// # Errors
    /// If an `--input` has no `=`.
    pub fn load_options(&self) -> Result<LoadOptions, String> {
        let mut options = self.files.load_options()?;
        options.listen = self.listen;
        Ok(options)
    }

    /// How long running calls may take at shutdown.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }
}
