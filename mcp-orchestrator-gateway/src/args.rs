//! The command line of a gateway, as typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mcp_orchestrator_core::config::{BackendKind, BackendOptions, LoadOptions};

/// Which configuration, and where its state is.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// A configuration file (YAML, JSON, or any mcpServers JSON); if two files define a server, the last one wins.
    /// Without one: mcp-orchestrator.yaml, .mcp.json or mcp.json in the current folder
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
    /// The value of an ${input:ID} of a VS Code file; the variable MCP_INPUT_ID does the same without showing it
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
    /// Run servers as processes of this machine or as pods of a cluster, unless a server says which
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        env = "MCP_ORCHESTRATOR_BACKEND"
    )]
    pub backend: Option<Backend>,
    /// The kubeconfig file; without one: KUBECONFIG, the cluster that this runs in, or ~/.kube/config
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
    /// Processes of this machine.
    Process,
    /// Pods of a Kubernetes cluster.
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
    /// Which configuration.
    #[command(flatten)]
    pub files: FileArgs,
    /// Address to listen on; port 0 takes a free one
    #[arg(short, long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// How to log
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogForm>,
    /// What to log, e.g. info or mcp_orchestrator_core=debug
    #[arg(long, value_name = "FILTER", env = "MCP_ORCHESTRATOR_LOG")]
    pub log_level: Option<String>,
    /// Seconds that running calls may take when the gateway stops
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace: u64,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl FileArgs {
    /// What a load of the configuration takes from here.
    ///
    /// # Errors
    /// Where an `--input` has no `=`.
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
        };
        Ok(options)
    }
}

impl GatewayArgs {
    /// What a load of the configuration takes from here.
    ///
    /// # Errors
    /// Where an `--input` has no `=`.
    pub fn load_options(&self) -> Result<LoadOptions, String> {
        let mut options = self.files.load_options()?;
        options.listen = self.listen;
        Ok(options)
    }

    /// How long running calls may take at the end.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }
}
